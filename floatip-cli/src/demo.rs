//! `floatip demo`.

use crate::exit::{Failure, Outcome};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args) -> Result<Outcome, Failure> {
    Err(Failure::Demo(anyhow::anyhow!("it is not part of this build yet")))
}
