//! `[[hook]]`: programs that are asked before a move, or told of what happened.

use std::time::Duration;

use floatip_core::Occasion;
use floatip_probes::Program;
use toml::Spanned;
use toml::de::DeValue;

use super::defaults::DefaultSetting;
use super::mover::unknown;
use super::setting::Texts;
use super::table::{Fault, Setting, Table};

/// One hook, which all floating IPs share.
#[derive(Debug, Clone)]
pub(crate) struct HookConfig {
    pub(crate) name: String,
    pub(crate) on: Occasion,
    pub(crate) timeout: Duration,
    pub(crate) program: Program,
}

/// How long a hook may take if nobody says.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A failover waits for no hook longer than this.
const LONGEST: Duration = Duration::from_secs(60);

impl Setting for Occasion {
    const EXPECTED: &'static str = "`on = \"pre_move\"`, \"post_move\" or \"on_event\"";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let all = [Self::PreMove, Self::PostMove, Self::OnEvent];
        let name = value.as_str().ok_or(Fault::WrongType)?;
        let known = all.into_iter().find(|occasion| occasion.as_str() == name);
        known.ok_or_else(|| unknown(name, "occasion", &all.map(Self::as_str)))
    }
}

pub(super) fn read(table: &mut Table<'_>) -> Vec<HookConfig> {
    let tables = if table.has("hook") { table.tables("hook").unwrap_or_default() } else { Vec::new() };
    tables.into_iter().filter_map(hook).collect()
}

fn hook(mut table: Table<'_>) -> Option<HookConfig> {
    let report = table.report;
    let on = table.required::<Occasion>("on").map(Spanned::into_inner);
    if !table.has("command") {
        table.lacks("command", "the program and its arguments, `command = [\"/usr/local/bin/page\", \"{summary}\"]`");
    }
    let command = table.optional::<Texts>("command");
    let mut pass_env = Texts::default();
    table.set("pass_env", &mut pass_env);
    let name = table.optional::<String>("name").map(Spanned::into_inner);
    let mut timeout = TIMEOUT;
    if let Some(span) = table.set("timeout", &mut timeout)
        && (timeout.is_zero() || timeout > LONGEST)
    {
        report.error(
            span,
            "a hook's `timeout` is more than nothing and at most a minute",
            "write \"2s\": a move waits for it",
        );
    }
    table.finish();
    let command = command?;
    let span = command.span();
    let command = command.into_inner().0;
    let Some((path, arguments)) = command.split_first() else {
        report.error(span, "`command` is empty", "write the program and its arguments");
        return None;
    };
    match Program::new(path, arguments) {
        Ok(program) => {
            let name = name.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path).to_owned());
            Some(HookConfig { name, on: on?, timeout, program: program.pass(pass_env.0) })
        }
        Err(error) => {
            report.error(span, error.to_string(), "write the program's whole path");
            None
        }
    }
}

pub(super) fn defaults() -> Vec<DefaultSetting> {
    let setting = |key, default, meaning| DefaultSetting::new("[[hook]]", key, default, meaning);
    let timeout = humantime::format_duration(TIMEOUT);
    vec![
        setting("name", None, "in events: the program's file name"),
        setting(
            "timeout",
            Some(format!("\"{timeout}\"")),
            "then it is killed; before a move, what that may be delayed by",
        ),
        setting("pass_env", Some("[]".to_owned()), "variables that it gets beside PATH, HOME, LANG, TZ, TMPDIR"),
    ]
}
