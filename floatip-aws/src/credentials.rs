//! Credentials that may take longer to load than a call may take.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future;
use aws_sdk_ec2::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

/// How long a provider may take. One that hangs longer (a credential process that waits for an answer) is asked anew.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Lets its provider finish what nobody waits for any more, and keeps it for whoever asks next.
///
/// A call gives up after two seconds, and the SDK drops with it what was being loaded: from a provider that always takes
/// longer (a slow credential process, a role behind a role) no call would ever get anything.
#[derive(Debug)]
pub(crate) struct Unhurried {
    provider: SharedCredentialsProvider,
    unclaimed: Arc<Mutex<Option<Credentials>>>,
}

impl Unhurried {
    pub(crate) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, unclaimed: Arc::default() }
    }
}

impl ProvideCredentials for Unhurried {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let (provider, unclaimed) = (self.provider.clone(), Arc::clone(&self.unclaimed));
        future::ProvideCredentials::new(async move {
            let mut unclaimed = unclaimed.lock_owned().await;
            if let Some(credentials) = unclaimed.take() {
                return Ok(credentials);
            }
            let (give, take) = oneshot::channel();
            tokio::spawn(async move {
                let late = |_| Err(CredentialsError::provider_timed_out(LOAD_TIMEOUT));
                let loaded = timeout(LOAD_TIMEOUT, provider.provide_credentials()).await.unwrap_or_else(late);
                if let Err(Ok(credentials)) = give.send(loaded) {
                    *unclaimed = Some(credentials);
                }
            });
            take.await.unwrap_or_else(|error| Err(CredentialsError::unhandled(error)))
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::sleep;

    use super::*;

    #[derive(Debug, Default)]
    struct Slow {
        loads: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Slow {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.loads.fetch_add(1, Ordering::SeqCst);
            future::ProvideCredentials::new(async {
                sleep(Duration::from_secs(5)).await;
                Ok(Credentials::new("AKID", "SECRET", None, None, "slow"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_a_call_is_loaded_once_and_given_to_a_later_one() {
        let slow = Slow::default();
        let loads = Arc::clone(&slow.loads);
        let provider = Unhurried::new(SharedCredentialsProvider::new(slow));
        let ask = || timeout(Duration::from_secs(2), provider.provide_credentials());
        assert!(ask().await.is_err());
        assert!(ask().await.is_err());
        assert!(ask().await.is_ok());
        assert_eq!(loads.load(Ordering::SeqCst), 1);

        assert!(ask().await.is_err(), "what was given is not kept: the SDK's own cache knows when it expires");
        assert_eq!(loads.load(Ordering::SeqCst), 2);
    }

    #[derive(Debug, Default)]
    struct HangsAtFirst {
        loads: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for HangsAtFirst {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let hangs = self.loads.fetch_add(1, Ordering::SeqCst) == 0;
            future::ProvideCredentials::new(async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                Ok(Credentials::new("AKID", "SECRET", None, None, "hangs at first"))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_hangs_is_given_up_and_asked_anew_and_nobody_queues_meanwhile() {
        let hanging = HangsAtFirst::default();
        let loads = Arc::clone(&hanging.loads);
        let provider = Unhurried::new(SharedCredentialsProvider::new(hanging));
        let ask = || timeout(Duration::from_secs(2), provider.provide_credentials());
        for _ in 0..20 {
            assert!(ask().await.is_err());
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        sleep(LOAD_TIMEOUT).await;
        assert!(ask().await.expect("the provider was not asked anew").is_ok());
        assert_eq!(loads.load(Ordering::SeqCst), 2);
    }
}
