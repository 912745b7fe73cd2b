//! How far a check has come, so that its deadline can name the stage that it struck.

use floatip_core::{ProbeError, Reason, Target, Verdict};
use tokio::time::error::Elapsed;

use crate::failure::Failure;

/// The stage in which nothing has been sent to the target yet.
const RESOLVE: &str = "resolve";

/// How far one check has come.
#[derive(Debug)]
pub(crate) struct Progress {
    /// What is being done.
    pub(crate) stage: &'static str,
    /// The verdict, if only courtesies are left. It stands even if they do not end in time.
    pub(crate) settled: Option<Verdict>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { stage: RESOLVE, settled: None }
    }

    /// What the check's end, or its deadline, says about the target.
    pub(crate) fn conclude(
        self,
        target: &Target,
        outcome: Result<Result<Verdict, Failure>, Elapsed>,
    ) -> Result<Verdict, ProbeError> {
        match (outcome, self.settled) {
            (Ok(Ok(verdict)), _) | (Err(_), Some(verdict)) => Ok(verdict),
            (Ok(Err(Failure::Target(reason))), _) => Ok(Verdict::unhealthy(reason)),
            (Ok(Err(Failure::Prober(error))), _) => Err(error),
            (Err(elapsed), None) if self.stage == RESOLVE => {
                Err(ProbeError::Resolve { host: target.host.name().to_owned(), source: elapsed.into() })
            }
            (Err(_), None) => Ok(Verdict::unhealthy(Reason::TimedOut { stage: self.stage.into() })),
        }
    }
}
