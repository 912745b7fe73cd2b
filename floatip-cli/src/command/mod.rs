//! One file a command.

pub(crate) mod check;
pub(crate) mod once;
pub(crate) mod operate;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod status;
