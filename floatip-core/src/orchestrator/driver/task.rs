//! What runs beside the owner loop: what each task is for, and what it brings back.

use std::time::Instant;

use tokio::task::JoinError;

use crate::engine::CallId;
use crate::lease::{Grant, LeaseError};
use crate::mover::{Accepted, MoveError, Placement, Readiness};
use crate::orchestrator::clock::now;
use crate::orchestrator::hooks::Called;
use crate::probe::{ProbeError, Verdict};

/// What a spawned task brings back.
#[derive(Debug)]
pub(super) enum Output {
    Probe { started: Instant, result: Result<Verdict, ProbeError> },
    Reading { slot: usize, call: CallId, reading: Result<Placement, MoveError> },
    Reply { slot: usize, call: CallId, reply: Result<Accepted, MoveError> },
    Readiness { slot: usize, call: CallId, answer: Result<Readiness, MoveError> },
    Lease { slot: usize, asked: Instant, grant: Result<Option<Grant>, LeaseError> },
    Saved { slot: usize, error: Option<String> },
    HistorySaved { slot: usize, error: Option<String> },
    Asked { slot: usize, call: CallId, called: Vec<Called> },
    Told { slot: usize, hook: usize, called: Option<Called> },
}

/// What a task was for, in case it panics and brings nothing back.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Locate { slot: usize, call: CallId },
    Request { slot: usize, call: CallId },
    Ready { slot: usize, call: CallId },
    Lease { slot: usize },
    Save { slot: usize },
    SaveHistory { slot: usize },
    Ask { slot: usize, call: CallId },
    Tell { slot: usize, hook: usize },
}

impl Purpose {
    /// What a task that panicked, or was ended from outside, counts as.
    pub(super) fn failed(self, error: JoinError) -> Output {
        match self {
            Self::Locate { slot, call } => {
                let reading = Err(MoveError::TimedOut { call: "locate", source: error.into() });
                Output::Reading { slot, call, reading }
            }
            Self::Request { slot, call } => Output::Reply { slot, call, reply: Err(unknown("the request", error)) },
            Self::Ready { slot, call } => {
                let answer = Err(MoveError::TimedOut { call: "ready", source: error.into() });
                Output::Readiness { slot, call, answer }
            }
            Self::Lease { slot } => {
                let grant = Err(LeaseError { source: error.into() });
                Output::Lease { slot, asked: now(), grant }
            }
            Self::SaveHistory { slot } => Output::HistorySaved { slot, error: Some(error.to_string()) },
            Self::Ask { slot, call } => Output::Asked { slot, call, called: Vec::new() },
            Self::Tell { slot, hook } => Output::Told { slot, hook, called: None },
            Self::Save { slot } => Output::Saved { slot, error: Some(error.to_string()) },
        }
    }
}

pub(super) fn unknown(call: &'static str, cause: impl std::error::Error + Send + Sync + 'static) -> MoveError {
    MoveError::OutcomeUnknown { call, resource: "the floating IP".to_owned(), source: cause.into() }
}
