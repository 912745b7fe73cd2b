//! What moto, an EC2 and IAM API that this project did not write, says of the policy and of the simulator.

mod account;
mod differential;
mod permissions;

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use floatip_tests::moto::Moto;
use floatip_tests::need::Need;
use floatip_tests::suite::Suite;

const NEEDS: &[Need] = &[Need::Moto];
const LIMIT: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let server = Arc::new(Server::default());
    let suite = permissions::tests(&server, Suite::default());
    differential::tests(&server, suite).run()
}

/// One moto for all tests, which run one after the other.
#[derive(Debug, Default)]
struct Server(Mutex<Option<Moto>>);

impl Server {
    fn test<F>(self: &Arc<Self>, suite: Suite, name: &str, test: impl FnOnce(String) -> F + Send + 'static) -> Suite
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let server = Arc::clone(self);
        suite.test(name, NEEDS, LIMIT, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let url = server.url()?;
            runtime.block_on(test(url))
        })
    }

    fn url(&self) -> Result<String> {
        let mut server = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if server.is_none() {
            *server = Some(Moto::start()?);
        }
        Ok(server.as_ref().context("it was started")?.url())
    }
}
