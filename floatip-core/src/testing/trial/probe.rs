//! The probe of a trial: what is true on the stage, but for the node that the monitor believes to be dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::time::sleep;

use super::Stage;
use crate::node::NodeId;
use crate::probe::{HealthProbe, ProbeError, Reason, Target, Verdict, Via};

/// Every node is well but one, once that is [set](Self::kill) dead; through the address answers whoever truly has it.
#[derive(Debug)]
pub(super) struct StageProbe<S> {
    stage: Arc<S>,
    victim: NodeId,
    dead: AtomicBool,
}

impl<S: Stage> StageProbe<S> {
    pub(super) fn new(stage: Arc<S>, victim: NodeId) -> Self {
        Self { stage, victim, dead: AtomicBool::new(false) }
    }

    pub(super) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl<S: Stage> HealthProbe for StageProbe<S> {
    fn kind(&self) -> &'static str {
        "stage"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let node = match target.via {
            Via::Direct => Some(target.node.clone()),
            Via::Floating => self.stage.serving(),
        };
        let Some(node) = node else {
            sleep(target.timeout).await;
            return Ok(Verdict::unhealthy(Reason::TimedOut { stage: "connect".into() }));
        };
        let dead = node == self.victim && self.dead.load(Ordering::Relaxed);
        Ok(if dead { Verdict::unhealthy(Reason::Refused) } else { Verdict::healthy() })
    }
}
