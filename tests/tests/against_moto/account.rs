//! An account in moto, made by calls that EC2 has too.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Credentials;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::types::{DomainType, Filter};
use floatip_aws::{AwsSettings, Ec2};
use floatip_tests::moto::REGION;

const ZONE: &str = "us-east-1a";

/// EC2 as a mover reaches it.
pub(super) async fn connect(url: &str, key: &str, secret: &str) -> Result<Ec2> {
    let credentials = Credentials::new(key, secret, None, None, "test");
    let settings = AwsSettings::new().region(REGION).endpoint_url(url).credentials_provider(credentials);
    Ok(settings.connect().await?)
}

/// The same without a mover's haste: moto takes its time.
pub(super) fn patient(ec2: &Ec2) -> Client {
    let patience = Duration::from_secs(60);
    let timeouts = TimeoutConfig::builder()
        .read_timeout(patience)
        .operation_attempt_timeout(patience)
        .operation_timeout(patience)
        .build();
    Client::from_conf(ec2.sdk().config().to_builder().timeout_config(timeouts).build())
}

/// What both clouds have: two instances with their primary interfaces, a free interface, a free address, and a table.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) instances: [String; 2],
    pub(super) primaries: [String; 2],
    pub(super) interface: String,
    pub(super) allocation: String,
    pub(super) table: String,
    /// A free private address of the interfaces' subnet.
    pub(super) free_ip: String,
}

pub(super) async fn in_moto(ec2: &Client) -> Result<Parts> {
    let zone = Filter::builder().name("availability-zone").values(ZONE).build();
    let subnets = ec2.describe_subnets().filters(zone).send().await?;
    let subnet = subnets.subnets().first().context("moto has a default subnet in each zone")?;
    let (subnet, vpc) = (subnet.subnet_id().context("an id")?, subnet.vpc_id().context("a VPC")?);
    let request = ec2.run_instances().image_id("ami-12c6146b").min_count(2).max_count(2);
    let launched = request.instance_type("m5.large".into()).subnet_id(subnet).send().await?;
    let [one, two] = launched.instances() else { anyhow::bail!("two instances") };
    let id = |it: &aws_sdk_ec2::types::Instance| it.instance_id().map(str::to_owned).context("an instance id");
    let primary = |it: &aws_sdk_ec2::types::Instance| {
        let first = it.network_interfaces().first().and_then(|it| it.network_interface_id());
        first.map(str::to_owned).context("a primary interface")
    };
    let primaries = [primary(one)?, primary(two)?];
    for interface in &primaries {
        let off = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(false).build();
        let request = ec2.modify_network_interface_attribute().network_interface_id(interface);
        request.source_dest_check(off).send().await?;
    }
    let created = ec2.create_network_interface().subnet_id(subnet).send().await?;
    let created = created.network_interface().context("an interface")?;
    let own: std::net::Ipv4Addr = created.private_ip_address().context("an address")?.parse()?;
    let free = std::net::Ipv4Addr::from(u32::from(own) ^ 0x80);
    let allocated = ec2.allocate_address().domain(DomainType::Vpc).send().await?;
    let table = ec2.create_route_table().vpc_id(vpc).send().await?;
    Ok(Parts {
        instances: [id(one)?, id(two)?],
        primaries,
        interface: created.network_interface_id().context("an id")?.to_owned(),
        allocation: allocated.allocation_id().context("an allocation id")?.to_owned(),
        table: table.route_table().and_then(|it| it.route_table_id()).context("a route table id")?.to_owned(),
        free_ip: free.to_string(),
    })
}
