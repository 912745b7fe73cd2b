//! The movers against moto, an EC2 API that this project did not write: that they speak the protocol. moto enforces few
//! of EC2's rules, so that they are safe is shown elsewhere.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::types::{DomainType, Filter};
use floatip_aws::{AwsSettings, Ec2, EipMover, EipNode, EniMover, Fencing};
use floatip_core::{AddressMover, MoveError, NodeId, Placement, Readiness, ReleaseMode};
use floatip_tests::moto::{Moto, REGION};
use floatip_tests::need::Need;
use floatip_tests::suite::Suite;

const NEEDS: &[Need] = &[Need::Moto];
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let server = Arc::new(Server::default());
    let suite = Suite::default();
    let suite = server.test(suite, "an_eni_is_released_and_claimed", eni_moves);
    let suite = server.test(suite, "a_stale_attachment_is_a_conflict_and_changes_nothing", eni_stale);
    let suite = server.test(suite, "an_unknown_interface_is_not_found", eni_unknown);
    let suite = server.test(suite, "an_instance_in_another_zone_is_not_ready_for_an_eni", eni_other_zone);
    let suite = server.test(suite, "an_eip_is_associated_and_taken_over", eip_overwrites);
    let suite = server.test(suite, "an_eip_goes_to_the_primary_interface_of_an_instance", eip_primary);
    let suite = server.test(suite, "a_strictly_fenced_eip_is_released_first", eip_strict);
    let suite = server.test(suite, "a_stale_association_is_a_conflict_and_changes_nothing", eip_stale);
    let suite = server.test(suite, "an_eip_that_another_holds_is_not_claimed_as_free", eip_not_free);
    let suite = server.test(suite, "an_unknown_allocation_is_not_found", eip_unknown);
    let suite = server.test(suite, "a_terminated_instance_is_not_ready", terminated);
    suite.run()
}

/// One moto for all tests, each with instances of its own.
#[derive(Debug, Default)]
struct Server(Mutex<Option<Moto>>);

impl Server {
    fn test<F>(self: &Arc<Self>, suite: Suite, name: &str, test: fn(Account) -> F) -> Suite
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let server = self.clone();
        suite.test(name, NEEDS, LIMIT, move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let url = server.url()?;
            runtime.block_on(async { test(Account::open(&url).await?).await })
        })
    }

    fn url(&self) -> Result<String> {
        let mut server = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if server.is_none() {
            *server = Some(Moto::start()?);
        }
        Ok(server.as_ref().context("it was started")?.url())
    }
}

const ZONE: &str = "us-east-1a";

/// Two instances in one zone.
struct Account {
    ec2: Ec2,
    /// For what the movers do not do, and without their haste.
    operator: Client,
    instances: [Launched; 2],
}

/// An instance and its primary interface.
struct Launched {
    instance: String,
    interface: String,
}

impl Account {
    async fn open(url: &str) -> Result<Self> {
        let credentials = Credentials::new("test", "test", None, None, "test");
        let settings = AwsSettings::new().region(REGION).endpoint_url(url).credentials_provider(credentials);
        let ec2 = settings.connect().await?;
        let patience = Duration::from_secs(60);
        let patient = TimeoutConfig::builder()
            .read_timeout(patience)
            .operation_attempt_timeout(patience)
            .operation_timeout(patience)
            .build();
        let operator = Client::from_conf(ec2.sdk().config().to_builder().timeout_config(patient).build());
        let instances = [launch(&operator, ZONE).await?, launch(&operator, ZONE).await?];
        Ok(Self { ec2, operator, instances })
    }

    async fn interface(&self) -> Result<String> {
        let request = self.operator.create_network_interface().subnet_id(subnet(&self.operator, ZONE).await?);
        let created = request.send().await?;
        let interface = created.network_interface().and_then(|interface| interface.network_interface_id());
        interface.map(str::to_owned).context("an interface id")
    }

    async fn allocation(&self) -> Result<String> {
        let allocated = self.operator.allocate_address().domain(DomainType::Vpc).send().await?;
        allocated.allocation_id().map(str::to_owned).context("an allocation id")
    }

    fn eni(&self, interface: &str) -> Result<EniMover> {
        let nodes = [(one(), &self.instances[0].instance), (two(), &self.instances[1].instance)];
        Ok(EniMover::new(self.ec2.clone(), interface, EniMover::DEFAULT_DEVICE_INDEX, nodes)?)
    }

    fn eip(&self, allocation: &str, fencing: Fencing) -> Result<EipMover> {
        // By interface too: of an address that is associated with an interface, moto does not tell the instance.
        let node = |it: &Launched| EipNode::new().instance(&it.instance).network_interface(&it.interface);
        let builder = EipMover::builder(self.ec2.clone(), allocation).fencing(fencing);
        Ok(builder.node(one(), node(&self.instances[0])).node(two(), node(&self.instances[1])).build()?)
    }
}

async fn subnet(ec2: &Client, zone: &str) -> Result<String> {
    let zone = Filter::builder().name("availability-zone").values(zone).build();
    let subnets = ec2.describe_subnets().filters(zone).send().await?;
    let subnet = subnets.subnets().first().and_then(|subnet| subnet.subnet_id());
    subnet.map(str::to_owned).context("moto has a default subnet in each zone")
}

async fn launch(ec2: &Client, zone: &str) -> Result<Launched> {
    let request = ec2.run_instances().image_id("ami-12c6146b").min_count(1).max_count(1);
    let launched = request.instance_type("m5.large".into()).subnet_id(subnet(ec2, zone).await?).send().await?;
    let launched = launched.instances().first().context("an instance")?;
    let interface = launched.network_interfaces().first().and_then(|interface| interface.network_interface_id());
    Ok(Launched {
        instance: launched.instance_id().context("its id")?.to_owned(),
        interface: interface.context("its primary interface")?.to_owned(),
    })
}

fn one() -> NodeId {
    NodeId::new("ftp1").expect("a name")
}

fn two() -> NodeId {
    NodeId::new("ftp2").expect("a name")
}

/// Claims a free address for `to`, and reads it there under the id that the claim returned.
async fn claim(mover: &dyn AddressMover, to: &NodeId, seen: &Placement) -> Result<Placement> {
    let accepted = mover.claim(to, seen).await?;
    let placement = mover.locate().await?;
    ensure!(placement.holder() == Some(to), "{placement:?}");
    ensure!(accepted.token.is_some() && placement.token() == accepted.token.as_ref(), "{accepted:?}, {placement:?}");
    Ok(placement)
}

async fn assert_free(mover: &dyn AddressMover) -> Result<()> {
    let placement = mover.locate().await?;
    ensure!(placement == Placement::Free, "{placement:?}");
    Ok(())
}

fn assert_conflict<T: std::fmt::Debug>(answer: Result<T, MoveError>) -> Result<()> {
    match answer {
        Err(MoveError::Conflict { .. }) => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn assert_not_found<T: std::fmt::Debug>(answer: Result<T, MoveError>) -> Result<()> {
    match answer {
        Err(MoveError::NotFound { .. }) => Ok(()),
        other => bail!("{other:?}"),
    }
}

async fn eni_moves(account: Account) -> Result<()> {
    let mover = account.eni(&account.interface().await?)?;
    for node in [one(), two()] {
        ensure!(mover.ready(&node).await? == Readiness::Ready, "{node} is not ready");
    }
    assert_free(&mover).await?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    mover.release(&first, ReleaseMode::Graceful).await?;
    assert_free(&mover).await?;
    let second = claim(&mover, &two(), &Placement::Free).await?;
    ensure!(first.token() != second.token(), "an attachment id came back");
    mover.release(&second, ReleaseMode::Forced).await?;
    assert_free(&mover).await
}

async fn eni_stale(account: Account) -> Result<()> {
    let mover = account.eni(&account.interface().await?)?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    mover.release(&first, ReleaseMode::Graceful).await?;
    let second = claim(&mover, &two(), &Placement::Free).await?;
    assert_conflict(mover.release(&first, ReleaseMode::Graceful).await)?;
    ensure!(mover.locate().await? == second, "a stale token moved the interface");
    Ok(())
}

async fn eni_unknown(account: Account) -> Result<()> {
    assert_not_found(account.eni("eni-0123456789abcdef0")?.locate().await)
}

async fn eni_other_zone(mut account: Account) -> Result<()> {
    let interface = account.interface().await?;
    account.instances[1] = launch(&account.operator, "us-east-1b").await?;
    let mover = account.eni(&interface)?;
    let readiness = mover.ready(&two()).await?;
    let Readiness::Impossible { reason } = &readiness else { bail!("{readiness:?}") };
    ensure!(reason.contains("us-east-1b"), "{reason}");
    Ok(())
}

async fn eip_overwrites(account: Account) -> Result<()> {
    let mover = account.eip(&account.allocation().await?, Fencing::Overwrite)?;
    for node in [one(), two()] {
        ensure!(mover.ready(&node).await? == Readiness::Ready, "{node} is not ready");
    }
    assert_free(&mover).await?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    let second = claim(&mover, &two(), &first).await?;
    ensure!(first.token() != second.token(), "an association id came back");
    Ok(())
}

async fn eip_primary(account: Account) -> Result<()> {
    let allocation = account.allocation().await?;
    let Launched { instance, interface } = &account.instances[0];
    let mover = EipMover::builder(account.ec2.clone(), &allocation).instance(one(), instance).build()?;
    mover.claim(&one(), &Placement::Free).await?;
    let addresses = account.operator.describe_addresses().allocation_ids(&allocation).send().await?;
    let address = addresses.addresses().first().context("the address")?;
    ensure!(address.network_interface_id() == Some(interface), "{address:?}");
    Ok(())
}

async fn eip_strict(account: Account) -> Result<()> {
    let mover = account.eip(&account.allocation().await?, Fencing::Strict)?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    assert_conflict(mover.claim(&two(), &first).await)?;
    mover.release(&first, ReleaseMode::Graceful).await?;
    assert_free(&mover).await?;
    claim(&mover, &two(), &Placement::Free).await.map(drop)
}

async fn eip_stale(account: Account) -> Result<()> {
    let mover = account.eip(&account.allocation().await?, Fencing::Overwrite)?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    let second = claim(&mover, &two(), &first).await?;
    assert_conflict(mover.claim(&one(), &first).await)?;
    ensure!(mover.locate().await? == second, "a stale token moved the address");
    Ok(())
}

async fn eip_not_free(account: Account) -> Result<()> {
    let mover = account.eip(&account.allocation().await?, Fencing::Overwrite)?;
    let first = claim(&mover, &one(), &Placement::Free).await?;
    assert_conflict(mover.claim(&two(), &Placement::Free).await)?;
    ensure!(mover.locate().await? == first, "an address that was held was taken as free");
    Ok(())
}

async fn eip_unknown(account: Account) -> Result<()> {
    assert_not_found(account.eip("eipalloc-0123456789abcdef0", Fencing::Overwrite)?.locate().await)
}

async fn terminated(account: Account) -> Result<()> {
    let eni = account.eni(&account.interface().await?)?;
    let eip = account.eip(&account.allocation().await?, Fencing::Overwrite)?;
    account.operator.terminate_instances().instance_ids(&account.instances[1].instance).send().await?;
    for mover in [&eni as &dyn AddressMover, &eip] {
        let readiness = mover.ready(&two()).await?;
        ensure!(matches!(readiness, Readiness::Impossible { .. }), "{mover:?}: {readiness:?}");
    }
    Ok(())
}
