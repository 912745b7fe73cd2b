//! From what EC2 says to a verdict.

use std::io;

use aws_sdk_ec2::types::{
    EbsStatusSummary, InstanceStateName, InstanceStatus, InstanceStatusEvent, InstanceStatusSummary, SummaryStatus,
};
use floatip_core::{ProbeError, Reason, Verdict};

/// What one of EC2's checks says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Passes,
    Fails,
    /// It has not said anything yet, or something that is not known here.
    Silent,
}

pub(super) fn verdict(id: &str, status: &InstanceStatus) -> Result<Verdict, ProbeError> {
    let verdict = judge(id, status)?;
    Ok(status.events().iter().filter_map(|event| warning(id, event)).fold(verdict, Verdict::with_warning))
}

fn judge(id: &str, status: &InstanceStatus) -> Result<Verdict, ProbeError> {
    let state = status.instance_state().and_then(|state| state.name());
    match state {
        Some(InstanceStateName::Running) => {}
        Some(
            ended @ (InstanceStateName::Stopping
            | InstanceStateName::Stopped
            | InstanceStateName::ShuttingDown
            | InstanceStateName::Terminated),
        ) => {
            let detail = format!("EC2 says that {id} is {ended}");
            return Ok(Verdict::unhealthy(Reason::Failed { detail }).conclusive());
        }
        Some(InstanceStateName::Pending) | Some(_) | None => {
            return Err(silent(id, &format!("it is {}", state.map_or("in no state", InstanceStateName::as_str))));
        }
    }
    let (system, instance) = (summary(status.system_status()), summary(status.instance_status()));
    let ebs = ebs(status.attached_ebs_status());
    for (check, name) in [(system, "system"), (instance, "instance"), (ebs, "attached EBS")] {
        if check == Check::Fails {
            let detail = format!("the {name} status check of {id} fails, says EC2");
            return Ok(Verdict::unhealthy(Reason::Failed { detail }));
        }
    }
    if system == Check::Silent || instance == Check::Silent {
        return Err(silent(id, "its status checks are initializing or lack data"));
    }
    Ok(Verdict::healthy())
}

fn silent(id: &str, why: &str) -> ProbeError {
    let source = io::Error::from(io::ErrorKind::WouldBlock).into();
    ProbeError::Unusable { what: format!("EC2 has no verdict on {id}: {why}"), source }
}

fn summary(summary: Option<&InstanceStatusSummary>) -> Check {
    check(summary.and_then(|summary| summary.status()))
}

fn ebs(summary: Option<&EbsStatusSummary>) -> Check {
    check(summary.and_then(|summary| summary.status()))
}

fn check(status: Option<&SummaryStatus>) -> Check {
    match status {
        Some(SummaryStatus::Ok) => Check::Passes,
        Some(SummaryStatus::Impaired) => Check::Fails,
        _ => Check::Silent,
    }
}

/// What is to come, if it is.
fn warning(id: &str, event: &InstanceStatusEvent) -> Option<String> {
    let description = event.description().unwrap_or_default();
    if ["[Completed]", "[Canceled]"].iter().any(|done| description.starts_with(done)) {
        return None;
    }
    let code = event.code().map_or("event", |code| code.as_str());
    let from = event.not_before().map(|time| format!(" not before {time}")).unwrap_or_default();
    // Words of AWS, bounded all the same.
    let words: String = description.chars().filter(|c| !c.is_control()).take(200).collect();
    Some(format!("EC2 has scheduled {code} for {id}{from}: {words}"))
}
