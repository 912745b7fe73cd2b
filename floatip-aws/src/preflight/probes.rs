//! Whether the configured probes find every candidate well: an FTP user that is missing on the standby shows here, not
//! after the failover.

use std::sync::Arc;
use std::time::Duration;

use floatip_core::{Check, Node, Reason, Target, Via};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::finding::{CheckId, Finding};

/// Probes that run at once.
const PARALLEL: usize = 64;
/// How much later than a probe's own deadline it is given up.
const BACKSTOP: Duration = Duration::from_millis(500);

/// Runs each check that is direct once against each node.
pub async fn probe_once(nodes: &[Node], checks: &[Check]) -> Vec<Finding> {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut running = JoinSet::new();
    let pairs =
        nodes.iter().flat_map(|node| checks.iter().filter(|check| check.direct).map(move |check| (node, check)));
    for (number, (node, check)) in pairs.enumerate() {
        let (node, check, permits) = (node.clone(), check.clone(), Arc::clone(&permits));
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            (number, once(&node, &check).await)
        });
    }
    let mut findings = running.join_all().await;
    findings.sort_by_key(|(number, _)| *number);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

async fn once(node: &Node, check: &Check) -> Finding {
    let target = Target::new(node.id.clone(), node.host.clone(), Via::Direct, check.health.timeout);
    let kind = check.probe.kind();
    let (host, remedy) = (&node.host, "mend the service there: this node could not take over");
    let finding = match timeout(target.timeout + BACKSTOP, check.probe.probe(&target)).await {
        Ok(Ok(verdict)) if verdict.is_healthy() => match &verdict.warnings[..] {
            [] => Finding::pass(CheckId::Probe, format!("{kind} finds {host} healthy")),
            warnings => Finding::warn(
                CheckId::Probe,
                format!("{kind} finds {host} healthy, but: {}", warnings.join("; ")),
                "see the warning",
            ),
        },
        Ok(Ok(verdict)) => {
            let reason = verdict.reason.as_ref().map_or_else(String::new, Reason::to_string);
            Finding::fail(CheckId::Probe, format!("{kind} finds {host} unhealthy: {reason}"), remedy)
        }
        Ok(Err(error)) => Finding::unknown(
            CheckId::Probe,
            format!("{kind} could not be run against {host}: {}", floatip_core::chain(&error)),
            "mend what the probe itself needs",
        ),
        Err(_) => Finding::fail(CheckId::Probe, format!("{kind} of {host} did not end in time"), remedy),
    };
    finding.of(&node.id)
}
