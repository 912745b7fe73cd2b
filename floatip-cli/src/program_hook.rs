//! `[[hook]]`: a program that may veto a move, or is told of what happened.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{Event, EventKind, HookCall, HookError, HookReply, Host, MoveHook, Occasion};
use floatip_probes::Program;

/// What exit code of a `pre_move` program is a veto.
const VETO: i32 = 1;

/// A program as a hook: 0 is well, 1 a veto (before a move), anything else a failure of the program.
///
/// It runs as `floatip_probes::Program` describes: no shell, a process group of its own that is killed at the timeout, and
/// none of the monitor's own environment but PATH and the like. The facts `{hook}`, `{floating_ip}`, `{address}`, `{from}`,
/// `{to}`, `{cause}`, `{result}`, `{event}`, `{summary}` and `{json}` fill its arguments and stand in its environment, as
/// `FLOATIP_FROM`; one that does not apply is empty.
#[derive(Debug)]
pub(crate) struct ProgramHook {
    name: String,
    on: Occasion,
    timeout: Duration,
    program: Program,
    /// That of the floating IP, which events name only.
    address: Host,
}

impl ProgramHook {
    pub(crate) fn new(name: String, on: Occasion, timeout: Duration, program: Program, address: Host) -> Self {
        Self { name, on, timeout, program, address }
    }
}

type Facts = Vec<(&'static str, String)>;

fn facts(call: &HookCall, address: &Host) -> Facts {
    let name = |node: &Option<floatip_core::NodeId>| node.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut facts: Facts = match call {
        HookCall::PreMove(plan) => vec![
            ("floating_ip", plan.floating_ip.to_string()),
            ("from", name(&plan.from)),
            ("to", plan.to.to_string()),
            ("cause", plan.cause.as_str().to_owned()),
            ("json", serde_json::to_string(plan).unwrap_or_default()),
        ],
        HookCall::PostMove(event) | HookCall::OnEvent(event) => of_event(event),
        // An occasion that this version does not know has no facts.
        _ => Vec::new(),
    };
    facts.push(("address", address.to_string()));
    facts.push(("hook", call.occasion().as_str().to_owned()));
    for every in ["floating_ip", "from", "to", "cause", "result", "event", "summary", "json"] {
        if !facts.iter().any(|(name, _)| *name == every) {
            facts.push((every, String::new()));
        }
    }
    facts
}

fn of_event(event: &Event) -> Facts {
    let json = serde_json::to_value(event).unwrap_or_default();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let finished = matches!(event.kind, EventKind::MoveFinished(_));
    let failed = matches!(event.kind, EventKind::MoveFailed { .. });
    let result = if finished { "finished" } else { "failed" };
    vec![
        ("floating_ip", event.floating_ip.to_string()),
        ("from", text("from")),
        ("to", text("to")),
        ("cause", text("cause")),
        ("result", if finished || failed { result.to_owned() } else { String::new() }),
        ("event", text("event")),
        ("summary", event.kind.to_string()),
        ("json", json.to_string()),
    ]
}

/// The beginning of what a program said, without control characters.
fn words(output: &[u8], errors: &[u8]) -> Option<String> {
    let said = if output.trim_ascii().is_empty() { errors } else { output };
    let text: String = String::from_utf8_lossy(said).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[async_trait]
impl MoveHook for ProgramHook {
    fn name(&self) -> &str {
        &self.name
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn wants(&self, occasion: Occasion) -> bool {
        occasion == self.on
    }

    async fn call(&self, call: &HookCall) -> Result<HookReply, HookError> {
        let path = self.program.path();
        let ended = self
            .program
            .run(&facts(call, &self.address))
            .await
            .map_err(|error| HookError::new(format!("{path} could not be run"), Some(error.into())))?;
        let said = words(&ended.output, &ended.errors);
        let reply = match (ended.status.code(), call.occasion()) {
            (Some(0), _) => HookReply::done(),
            (Some(VETO), Occasion::PreMove) => HookReply::veto(),
            (code, Occasion::PreMove | Occasion::PostMove | Occasion::OnEvent) => {
                let how = match code {
                    Some(code) => format!("ended with code {code}"),
                    None => format!("was killed by signal {}", ended.status.signal().unwrap_or_default()),
                };
                let said = said.map_or_else(String::new, |said| format!(": {said}"));
                return Err(HookError::new(format!("{path} {how}{said}"), None));
            }
        };
        Ok(match said {
            Some(said) => reply.saying(said),
            None => reply,
        })
    }
}
