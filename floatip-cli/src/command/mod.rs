//! One file a command.

pub(crate) mod check;
pub(crate) mod discover;
pub(crate) mod history;
pub(crate) mod iam_policy;
pub(crate) mod once;
pub(crate) mod operate;
pub(crate) mod preflight;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod status;
