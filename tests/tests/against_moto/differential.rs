//! The same calls to moto and to the project's simulator. Where both follow EC2 they must answer alike; where they do
//! not, [`CASES`] says what each answers and why the simulator is the one to believe. If either changes, this fails.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::Filter;
use floatip_aws::simulator::{Simulator, Timings, World};
use floatip_tests::suite::Suite;

use super::Server;
use super::account::{Parts, connect, in_moto, patient};

/// The error code of an answer, or `ok`.
type Answer = String;

#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Both answer this.
    Same(&'static str),
    /// The simulator answers the first and moto the second; the third says why.
    Differs(&'static str, &'static str, &'static str),
}

use Expected::{Differs, Same};

/// One sequence of calls: what it shows, its name, and the last call's answer.
const CASES: &[(&str, Sequence, Expected)] = &[
    ("an unknown interface", Sequence::DescribeUnknownInterface, Same("InvalidNetworkInterfaceID.NotFound")),
    ("an unknown interface by a filter", Sequence::FilterUnknownInterface, Same("ok: 0")),
    ("an unknown instance", Sequence::DescribeUnknownInstance, Same("InvalidInstanceID.NotFound")),
    ("attach, detach", Sequence::AttachDetach, Same("ok: in-use, available")),
    ("detach of an unknown attachment", Sequence::DetachUnknown, Same("InvalidAttachmentID.NotFound")),
    ("a dry run of an attach", Sequence::DryAttach, Same("DryRunOperation")),
    ("a dry run of an association", Sequence::DryAssociate, Same("DryRunOperation")),
    ("an address goes to an interface", Sequence::Associate, Same("ok: on the interface")),
    ("an address is taken over", Sequence::TakeOver, Same("ok: on the interface")),
    ("put if absent", Sequence::PutIfAbsent, Same("Resource.AlreadyAssociated")),
    ("an unknown allocation", Sequence::AssociateUnknown, Same("InvalidAllocationID.NotFound")),
    ("a stale association", Sequence::DisassociateUnknown, Same("InvalidAssociationID.NotFound")),
    ("an unknown route table", Sequence::DescribeUnknownTable, Same("InvalidRouteTableID.NotFound")),
    ("a route is created and replaced", Sequence::CreateReplaceRoute, Same("ok: to the second")),
    ("detach of a primary interface", Sequence::DetachPrimary, Same("OperationNotPermitted")),
    (
        "a route that exists is created",
        Sequence::CreateRouteTwice,
        Differs("RouteAlreadyExists", "ok", "EC2 keeps a route that is there; moto overwrites it"),
    ),
    (
        "attach of an attached interface",
        Sequence::AttachTwice,
        Differs("InvalidNetworkInterface.InUse", "ok", "attaching is exclusive in EC2; moto moves the interface"),
    ),
    (
        "attach at a taken index",
        Sequence::AttachAtTakenIndex,
        Differs("InvalidParameterValue", "ok", "an index holds one interface in EC2; moto does not look"),
    ),
    (
        "a private address is taken over",
        Sequence::TakePrivateIp,
        Differs(
            "ok: on 1",
            "ok: on 2",
            "reassignment takes the address from its interface in EC2; moto leaves it there",
        ),
    ),
    (
        "a private address of another interface, put if absent",
        Sequence::AssignTaken,
        Differs("InvalidParameterValue", "ok", "EC2 refuses without AllowReassignment; moto assigns it twice"),
    ),
    (
        "a dry run of a replaced route",
        Sequence::DryReplaceRoute,
        Differs("DryRunOperation", "ok", "moto ignores DryRun here and replaces the route"),
    ),
];

#[derive(Debug, Clone, Copy)]
enum Sequence {
    DescribeUnknownInterface,
    FilterUnknownInterface,
    DescribeUnknownInstance,
    AttachDetach,
    DetachUnknown,
    DryAttach,
    DryAssociate,
    Associate,
    TakeOver,
    PutIfAbsent,
    AssociateUnknown,
    DisassociateUnknown,
    DescribeUnknownTable,
    CreateReplaceRoute,
    CreateRouteTwice,
    AttachTwice,
    AttachAtTakenIndex,
    DetachPrimary,
    TakePrivateIp,
    AssignTaken,
    DryReplaceRoute,
}

pub(super) fn tests(server: &Arc<Server>, suite: Suite) -> Suite {
    server.test(suite, "moto_and_the_simulator_answer_alike_but_where_moto_is_known_not_to_follow_ec2", compare)
}

async fn compare(url: String) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, sequence, expected) in CASES {
        let moto = patient(&connect(&url, "test", "test").await?);
        let in_moto = in_moto(&moto).await?;
        let answer_of_moto = sequence.run(&moto, &in_moto).await.with_context(|| format!("moto: {name}"))?;
        let (_simulator, ec2, parts) = simulated().await?;
        let answer = sequence.run(&ec2, &parts).await.with_context(|| format!("simulator: {name}"))?;
        let (ours, theirs, why) = match *expected {
            Same(both) => (both, both, "both follow EC2"),
            Differs(ours, theirs, why) => (ours, theirs, why),
        };
        println!("{name}: simulator {answer}, moto {answer_of_moto} ({why})");
        if (answer.as_str(), answer_of_moto.as_str()) != (ours, theirs) {
            wrong.push(format!(
                "{name}: expected {ours} of the simulator and {theirs} of moto ({why}), not {answer} and {answer_of_moto}"
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn simulated() -> Result<(Simulator, Client, Parts)> {
    let parts = Parts {
        instances: ["i-1", "i-2"].map(str::to_owned),
        primaries: ["eni-1-primary", "eni-2-primary"].map(str::to_owned),
        interface: "eni-float".to_owned(),
        allocation: "eipalloc-1".to_owned(),
        table: "rtb-1".to_owned(),
        free_ip: "172.31.0.40".to_owned(),
    };
    let world = World::new("us-east-1")
        .subnet("subnet-a", "us-east-1a", "172.31.0.0/20", "vpc-1")
        .instance("i-1", "subnet-a", "172.31.0.10")
        .instance("i-2", "subnet-a", "172.31.0.20")
        .network_interface("eni-float", "subnet-a", "172.31.0.30")
        .elastic_ip("eipalloc-1", "203.0.113.1")
        .route_table("rtb-1", "vpc-1");
    let simulator = Simulator::start(world, Timings::instant()).await?;
    let ec2 = patient(&connect(&simulator.endpoint_url(), "test", "test").await?);
    Ok((simulator, ec2, parts))
}

const OVERLAY: &str = "10.99.0.1/32";

impl Sequence {
    async fn run(self, ec2: &Client, parts: &Parts) -> Result<Answer> {
        let Parts { instances: [one, two], primaries: [first, second], interface, allocation, table, free_ip } = parts;
        let attach = |instance: &str, index| {
            let request = ec2.attach_network_interface().network_interface_id(interface).instance_id(instance);
            request.device_index(index).network_card_index(0)
        };
        let associate = |own: &str| ec2.associate_address().allocation_id(allocation).network_interface_id(own);
        let create = |own: &str| {
            let request = ec2.create_route().route_table_id(table).destination_cidr_block(OVERLAY);
            request.network_interface_id(own)
        };
        let replace = |own: &str| {
            let request = ec2.replace_route().route_table_id(table).destination_cidr_block(OVERLAY);
            request.network_interface_id(own)
        };
        let assign = |own: &str, take: bool| {
            let request = ec2.assign_private_ip_addresses().network_interface_id(own).private_ip_addresses(free_ip);
            request.allow_reassignment(take)
        };
        Ok(match self {
            Self::DescribeUnknownInterface => {
                code(ec2.describe_network_interfaces().network_interface_ids("eni-0123456789abcdef0").send().await)
            }
            Self::FilterUnknownInterface => {
                let unknown = filter("network-interface-id", "eni-0123456789abcdef0");
                let found = ec2.describe_network_interfaces().filters(unknown).send().await?;
                format!("ok: {}", found.network_interfaces().len())
            }
            Self::DescribeUnknownInstance => {
                code(ec2.describe_instances().instance_ids("i-0123456789abcdef0").send().await)
            }
            Self::AttachDetach => {
                let attachment = attach(one, 1).send().await?;
                let before = status(ec2, interface).await?;
                let id = attachment.attachment_id().context("an id")?;
                ec2.detach_network_interface().attachment_id(id).send().await?;
                format!("ok: {before}, {}", status(ec2, interface).await?)
            }
            Self::DetachUnknown => {
                code(ec2.detach_network_interface().attachment_id("eni-attach-0123456789abcdef0").send().await)
            }
            Self::DryAttach => code(attach(one, 1).dry_run(true).send().await),
            Self::DryAssociate => code(associate(first).dry_run(true).send().await),
            Self::Associate => {
                associate(first).send().await?;
                place(ec2, allocation, first).await?
            }
            Self::TakeOver => {
                associate(first).send().await?;
                associate(second).allow_reassociation(true).send().await?;
                place(ec2, allocation, second).await?
            }
            Self::PutIfAbsent => {
                associate(first).send().await?;
                code(associate(second).allow_reassociation(false).send().await)
            }
            Self::AssociateUnknown => {
                let request = ec2.associate_address().allocation_id("eipalloc-0123456789abcdef0");
                code(request.network_interface_id(first).send().await)
            }
            Self::DisassociateUnknown => {
                code(ec2.disassociate_address().association_id("eipassoc-0123456789abcdef0").send().await)
            }
            Self::DescribeUnknownTable => {
                code(ec2.describe_route_tables().route_table_ids("rtb-0123456789abcdef0").send().await)
            }
            Self::CreateReplaceRoute => {
                create(first).send().await?;
                replace(second).send().await?;
                match target(ec2, table).await? == *second {
                    true => "ok: to the second".to_owned(),
                    false => "ok: elsewhere".to_owned(),
                }
            }
            Self::CreateRouteTwice => {
                create(first).send().await?;
                code(create(second).send().await)
            }
            Self::AttachTwice => {
                attach(one, 1).send().await?;
                code(attach(two, 1).send().await)
            }
            Self::AttachAtTakenIndex => code(attach(one, 0).send().await),
            Self::DetachPrimary => {
                let found =
                    ec2.describe_network_interfaces().filters(filter("network-interface-id", first)).send().await?;
                let own = found.network_interfaces().first().and_then(|it| it.attachment());
                let id = own.and_then(|it| it.attachment_id()).context("an attachment")?;
                code(ec2.detach_network_interface().attachment_id(id).send().await)
            }
            Self::TakePrivateIp => {
                assign(first, false).send().await?;
                assign(second, true).send().await?;
                let both = Filter::builder().name("network-interface-id").values(first).values(second).build();
                let found = ec2.describe_network_interfaces().filters(both).send().await?;
                let has = |it: &&aws_sdk_ec2::types::NetworkInterface| {
                    it.private_ip_addresses().iter().any(|it| it.private_ip_address() == Some(free_ip))
                };
                format!("ok: on {}", found.network_interfaces().iter().filter(has).count())
            }
            Self::AssignTaken => {
                assign(first, false).send().await?;
                code(assign(second, false).send().await)
            }
            Self::DryReplaceRoute => {
                create(first).send().await?;
                code(replace(first).dry_run(true).send().await)
            }
        })
    }
}

fn code<T, E: ProvideErrorMetadata, R>(answer: Result<T, SdkError<E, R>>) -> Answer {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

async fn status(ec2: &Client, interface: &str) -> Result<String> {
    let found = ec2.describe_network_interfaces().filters(filter("network-interface-id", interface)).send().await?;
    let status = found.network_interfaces().first().and_then(|it| it.status());
    Ok(status.context("a status")?.as_str().to_owned())
}

async fn place(ec2: &Client, allocation: &str, wanted: &str) -> Result<Answer> {
    let found = ec2.describe_addresses().filters(filter("allocation-id", allocation)).send().await?;
    let there = found.addresses().first().and_then(|it| it.network_interface_id()) == Some(wanted);
    Ok(if there { "ok: on the interface".to_owned() } else { format!("ok: {:?}", found.addresses()) })
}

async fn target(ec2: &Client, table: &str) -> Result<String> {
    let found = ec2.describe_route_tables().filters(filter("route-table-id", table)).send().await?;
    let routes = found.route_tables().first().context("the table")?.routes();
    let route = routes.iter().find(|route| route.destination_cidr_block() == Some(OVERLAY)).context("the route")?;
    Ok(route.network_interface_id().unwrap_or_default().to_owned())
}
