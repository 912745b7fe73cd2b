//! A test program of its own (`harness = false`), whose tests may find out that they cannot run here.

use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::need::{Need, everything_is_required};
use crate::reaper;

/// Tests to be run by [`run`](Self::run).
#[derive(Debug, Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// Adds a test that may take as long as `limit`. Where the machine lacks one of `needs`, the test is counted as
    /// ignored and says what is missing; with `FLOATIP_REQUIRE=all` it fails.
    #[must_use]
    pub fn test<F>(mut self, name: &str, needs: &'static [Need], limit: Duration, test: F) -> Self
    where
        F: FnOnce() -> Result<()> + Send + 'static,
    {
        let title = name.to_owned();
        self.trials.push(Trial::ignorable_test(name, move || {
            if let Some(missing) = needs.iter().find_map(|need| need.check().err()) {
                eprintln!("{title}: {missing}");
                return if everything_is_required() {
                    Err(missing.into())
                } else {
                    Ok(Completion::ignored_with(missing))
                };
            }
            within(limit, title, test).map(|()| Completion::Completed)
        }));
        self
    }

    /// Adds a test that no machine can run, so that the list of tests is whole: it is counted as ignored, and says why.
    #[must_use]
    pub fn impossible(mut self, name: &str, why: &'static str) -> Self {
        self.trials.push(Trial::ignorable_test(name, move || Ok(Completion::ignored_with(why))));
        self
    }

    /// Runs the tests that the command line asks for, one after the other unless it says otherwise: most of them time
    /// something. Ends whatever they left.
    pub fn run(self) -> ExitCode {
        self.run_by(1)
    }

    /// Like [`run`](Self::run), with this many at a time.
    pub fn run_by(self, threads: usize) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = arguments.test_threads.or(Some(threads));
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        reaper::end_all();
        conclusion.exit_code()
    }
}

/// Runs a test on a thread of its own. One that hangs fails, and its thread is left behind.
fn within<F>(limit: Duration, title: String, test: F) -> Result<(), Failed>
where
    F: FnOnce() -> Result<()> + Send + 'static,
{
    let (end, ended) = channel();
    let thread = thread::Builder::new().name(title).spawn(move || {
        let result = test();
        end.send(()).unwrap_or(());
        result
    })?;
    match ended.recv_timeout(limit) {
        // The sender is gone without a word if the test panicked.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(result) => result.map_err(|error| format!("{error:?}").into()),
            Err(panic) => std::panic::resume_unwind(panic),
        },
        Err(RecvTimeoutError::Timeout) => Err(format!("still runs after {limit:?}").into()),
    }
}
