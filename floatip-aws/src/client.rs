//! The one EC2 client of a process: where its credentials and its region come from, and how long a call may take.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{Builder, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use floatip_core::{MoveError, Urgency};

use crate::credentials::Unhurried;
use crate::error::{Call, Failure};
use crate::limiter::{Limiter, PATIENCE, now};
use crate::metrics::CallMetrics;
use crate::reader::{FleetTag, Line, Reader};

/// How to reach EC2. Everything that is not set comes from the standard chain of the AWS tools: environment variables,
/// the shared config and credentials files, then the role of the instance (IMDSv2).
///
/// # Source
/// AWS SDKs and Tools Reference Guide, "Settings reference" and "Standardized credential providers".
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct AwsSettings {
    /// The Region, such as `ap-northeast-1`. Default: `AWS_REGION`, the profile's, the instance's own.
    pub region: Option<String>,
    /// The profile of the shared config files. Default: `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// The address of the API, as for an interface endpoint or a simulator. Default: the Region's own, or
    /// `AWS_ENDPOINT_URL_EC2`.
    pub endpoint_url: Option<String>,
    /// A tag, key and value, that everything that is moved here bears, so that large fleets are read in fewer calls: see
    /// [`Ec2::fleet_tag`]. Default: none.
    pub fleet_tag: Option<(String, String)>,
    credentials: Option<SharedCredentialsProvider>,
}

impl AwsSettings {
    /// Everything from the standard chain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the Region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the profile.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// Sets the address of the API.
    #[must_use]
    pub fn endpoint_url(mut self, endpoint_url: impl Into<String>) -> Self {
        self.endpoint_url = Some(endpoint_url.into());
        self
    }

    /// Sets the tag that everything that is moved here bears.
    #[must_use]
    pub fn fleet_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.fleet_tag = Some((key.into(), value.into()));
        self
    }

    /// Sets where credentials come from, instead of the standard chain.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl ProvideCredentials + 'static) -> Self {
        self.credentials = Some(SharedCredentialsProvider::new(provider));
        self
    }

    /// Builds the client. Do it once and clone the result: clones share connections and credentials.
    ///
    /// Credentials are fetched with the first call, not here: a monitor that starts while they cannot be had says so
    /// with every read, and goes on as soon as they can. Loading them may take longer than a call.
    ///
    /// # Errors
    /// [`ConnectError::NoRegion`] if neither these settings nor the standard chain know the Region.
    pub async fn connect(&self) -> Result<Ec2, ConnectError> {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(credentials) = &self.credentials {
            loader = loader.credentials_provider(credentials.clone());
        }
        let ec2 = Ec2::build(&loader.load().await, self.endpoint_url.as_deref())?;
        Ok(match &self.fleet_tag {
            Some((key, value)) => ec2.fleet_tag(key, value),
            None => ec2,
        })
    }
}

impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, profile, endpoint_url, fleet_tag, credentials } = self;
        f.debug_struct("AwsSettings")
            .field("region", region)
            .field("profile", profile)
            .field("endpoint_url", endpoint_url)
            .field("fleet_tag", fleet_tag)
            .field("credentials", &if credentials.is_some() { "given" } else { "standard chain" })
            .finish()
    }
}

/// No client could be built. Nothing was sent to EC2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither the settings nor the standard chain know the Region.
    #[error(
        "no AWS region is known: set `region` under [aws], AWS_REGION, or `region` in the profile; only on an EC2 \
         instance it is found without"
    )]
    NoRegion,
}

/// EC2 as the movers call it: each request is sent once, and given up after [`Ec2::CALL_TIMEOUT`].
///
/// A retry by the SDK would hide that a reply was lost, and its quota is shared by every client of the process; the
/// engine reads again and decides instead. Cheap to clone; clones share connections, credentials, reads and the limits
/// of the account: build one for each account and Region of a process, and give clones of it to all movers.
///
/// # Reads
/// Reads of one kind of resource are put together, up to 200 in a call. What belongs to a move is sent at once, or shares
/// a call with what else is asked for within 20 ms of another (100 ms when the account's limit comes near); sweeps wait
/// 20 ms for company, so that a fleet of n is read in ceil(n / 200) calls. A read is only ever answered from a call that was sent
/// after it was asked for.
///
/// # Limits
/// EC2 gives each action of an account a number of calls at once and so many more each second. Nine tenths of that are
/// used, moves first: all else leaves half to them. A call waits up to [`Ec2::TURN_TIMEOUT`] for its turn; if that is
/// further off, it is handed back as [`MoveError::Deferred`], and its turn is kept until it is asked for again. If EC2
/// throttles all the same, as others use the account too, that action rests for a random time that grows with each
/// such answer, up to 8 s, and calls fail with [`MoveError::Throttled`] meanwhile. [`Ec2::metrics`] tells all of it.
///
/// # Source
/// Amazon EC2 developer guide, "Request throttling for the Amazon EC2 API".
#[derive(Clone)]
pub struct Ec2 {
    line: Line,
    reader: Arc<Reader>,
}

impl Ec2 {
    /// How long one call may take, credentials and connection included: 2 s.
    pub const CALL_TIMEOUT: Duration = Duration::from_secs(2);
    /// How long a call waits at most for its turn under the account's limits before it is sent: 500 ms.
    pub const TURN_TIMEOUT: Duration = PATIENCE;
    const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

    /// A client of an embedder's own configuration. Its retry and timeout settings are replaced.
    ///
    /// # Errors
    /// [`ConnectError::NoRegion`] if the configuration names no Region.
    pub fn from_sdk_config(config: &SdkConfig) -> Result<Self, ConnectError> {
        Self::build(config, None)
    }

    fn build(config: &SdkConfig, endpoint_url: Option<&str>) -> Result<Self, ConnectError> {
        if config.region().is_none() {
            return Err(ConnectError::NoRegion);
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .read_timeout(Self::CALL_TIMEOUT)
            .operation_attempt_timeout(Self::CALL_TIMEOUT)
            .operation_timeout(Self::CALL_TIMEOUT)
            .build();
        let mut builder = Builder::from(config).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
        builder.set_credentials_provider(
            config.credentials_provider().map(Unhurried::new).map(SharedCredentialsProvider::new),
        );
        // Given to the loader, it would be overruled by AWS_ENDPOINT_URL and the profile.
        if let Some(endpoint_url) = endpoint_url {
            builder = builder.endpoint_url(endpoint_url);
        }
        let client = aws_sdk_ec2::Client::from_conf(builder.build());
        Ok(Self { line: Line { client, limiter: Arc::new(Limiter::new()), tag: None }, reader: Arc::default() })
    }

    /// Says that everything that is moved through this client bears a tag. Where more than 200 of one kind are wanted at
    /// once, they are then read by the tag, in pages of 1 000; what turns out not to bear it is read by its id. Useful from
    /// about 400 floating IPs on, and as long as little else bears the tag. Clones made before do not share reads with
    /// this one.
    #[must_use]
    pub fn fleet_tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let tag = Some(FleetTag { key: key.into(), value: value.into() });
        Self { line: Line { tag, ..self.line }, reader: Arc::default() }
    }

    /// How many calls were sent, spared, throttled and held back so far, by action; those that were never called are
    /// left out.
    pub fn metrics(&self) -> Vec<CallMetrics> {
        self.line.limiter.metrics()
    }

    /// Waits for the turn of as many requests as are to be sent together by [`send`](Self::send).
    pub(crate) async fn turn(&self, call: Call<'_>, requests: u32) -> Result<(), MoveError> {
        let turn = self.line.limiter.turn(call.name(), call.resource(), requests, Urgency::current());
        turn.await.map_err(|hold| call.held(hold, now()))
    }

    /// Sends what has its turn.
    pub(crate) async fn send<T, E>(
        &self,
        call: Call<'_>,
        request: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, MoveError>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let answer = request.await.map_err(Failure::of);
        self.line.limiter.answered(call.name(), answer.as_ref().is_err_and(Failure::is_throttled));
        answer.map_err(|failure| call.told(failure))
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Bounds reads of several calls, told as `call`, by the time that one may take.
    pub(crate) async fn within_a_call<T>(
        call: Call<'_>,
        reads: impl Future<Output = Result<T, MoveError>>,
    ) -> Result<T, MoveError> {
        tokio::time::timeout(Self::CALL_TIMEOUT, reads).await.unwrap_or_else(|elapsed| Err(call.unclear(elapsed)))
    }

    /// The SDK's client, for calls that this crate does not make. They do not count towards the limits.
    pub fn sdk(&self) -> &aws_sdk_ec2::Client {
        &self.line.client
    }

    /// The Region that the calls go to.
    pub fn region(&self) -> &str {
        self.line.client.config().region().map_or("", AsRef::as_ref)
    }
}

impl fmt::Debug for Ec2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ec2").field("region", &self.region()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::config::Credentials;

    use super::*;

    #[test]
    fn a_configuration_without_a_region_is_refused_with_what_to_set() {
        let error = Ec2::from_sdk_config(&SdkConfig::builder().build()).unwrap_err();
        assert_eq!(error, ConnectError::NoRegion);
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }

    #[tokio::test]
    async fn nothing_that_prints_itself_prints_credentials() {
        let settings = AwsSettings::new().region("eu-test-1").endpoint_url("http://127.0.0.1:9").credentials_provider(
            Credentials::new("AKIDSECRET", "KEYSECRET", Some("TOKENSECRET".into()), None, "test"),
        );
        let ec2 = settings.connect().await.unwrap();
        for text in [format!("{settings:?}"), format!("{ec2:?}")] {
            assert!(text.contains("eu-test-1") && !text.contains("SECRET"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_embedders_retries_and_timeouts_are_replaced() {
        let config = SdkConfig::builder()
            .region(Region::new("eu-test-1"))
            .behavior_version(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard().with_max_attempts(9))
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(99)).build())
            .build();
        let ec2 = Ec2::from_sdk_config(&config).unwrap();
        let config = ec2.sdk().config();
        assert_eq!(config.retry_config().map(RetryConfig::max_attempts), Some(1));
        assert_eq!(config.timeout_config().and_then(TimeoutConfig::operation_timeout), Some(Ec2::CALL_TIMEOUT));
    }
}
