//! The policy that `floatip iam-policy` prints, in moto's IAM: with it each mover works, without any one of its actions
//! it is denied, by that action's name.
//!
//! moto 5.2 decides by actions alone: its access control passes no resource for EC2, so that a statement with ARNs never
//! applies, and conditions hold always. Each `Resource` is therefore made `*` here; that the ARNs are those of the calls
//! is tested against the simulator's journal, in floatip-aws.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use floatip_aws::iam::{Policy, Scope};
use floatip_aws::preflight::{Candidate, Mechanism, Preflight, Status, Subject};
use floatip_aws::{Ec2, EipMover, EipNode, EniMover, Fencing, NodeInterface, PrivateIpMover, RouteMover, RouteTables};
use floatip_core::{AddressMover, MoveError, NodeId, Placement, ReleaseMode, Strategy};
use floatip_tests::moto::REGION;
use floatip_tests::suite::Suite;
use serde_json::Value;

use super::Server;
use super::account::{Parts, connect, in_moto, patient};

type Choose = fn(&Parts) -> Result<Mechanism>;

pub(super) fn tests(server: &Arc<Server>, mut suite: Suite) -> Suite {
    let movers: [(&str, Choose); 5] = [
        ("eni", |parts| Ok(Mechanism::Eni { network_interface: parts.interface.clone(), device_index: 1 })),
        ("eip", |parts| Ok(eip(parts, Fencing::Overwrite))),
        ("strict_eip", |parts| Ok(eip(parts, Fencing::Strict))),
        ("private_ip", |parts| Ok(Mechanism::PrivateIp { address: parts.free_ip.parse()? })),
        ("route", |parts| {
            let tables = RouteTables::Ids(vec![parts.table.clone()]);
            Ok(Mechanism::Route { address: "10.99.0.1".parse()?, tables })
        }),
    ];
    for (name, mechanism) in movers {
        suite = server.test(
            suite,
            &format!("{name}_needs_each_action_of_its_policy_and_no_other"),
            move |url| async move {
                let iam = Iam::open(&url).await?;
                let result = each_action_is_needed(&iam, &url, mechanism).await;
                iam.enforce(false).await?;
                result
            },
        );
    }
    suite
}

fn eip(parts: &Parts, fencing: Fencing) -> Mechanism {
    Mechanism::Eip { allocation: parts.allocation.clone(), fencing }
}

async fn each_action_is_needed(iam: &Iam, url: &str, choose: Choose) -> Result<()> {
    let root = patient(&connect(url, "test", "test").await?);
    let first = Account::new(in_moto(&root).await?, choose)?;
    let policy = Policy::least([&first.subject], &Scope::new().region(REGION));
    let ec2 = connect(url, &iam.key, &iam.secret).await?;
    iam.allow(&policy, None).await?;
    let denied = first.live(&ec2).await?;
    iam.enforce(false).await?;
    ensure!(denied.is_empty(), "the whole policy: {denied:?}");
    for action in policy.actions() {
        let account = Account::new(in_moto(&root).await?, choose)?;
        iam.allow(&policy, Some(action)).await?;
        let denied = account.live(&ec2).await?;
        iam.enforce(false).await?;
        let name = action.strip_prefix("ec2:").context("of EC2")?;
        ensure!(denied == BTreeSet::from([name.to_owned()]), "without {action}: {denied:?}");
    }
    Ok(())
}

/// A fresh address and two nodes.
struct Account {
    parts: Parts,
    subject: Subject,
}

fn nodes() -> [NodeId; 2] {
    ["ftp-1", "ftp-2"].map(|name| NodeId::new(name).expect("a name"))
}

impl Account {
    fn new(parts: Parts, choose: Choose) -> Result<Self> {
        let candidates = nodes().into_iter().zip(parts.instances.iter().zip(&parts.primaries));
        let candidates =
            candidates.map(|(node, (instance, own))| Candidate::new(node).instance(instance).network_interface(own));
        let subject = Subject::new(choose(&parts)?, candidates);
        Ok(Self { parts, subject })
    }

    fn mover(&self, ec2: &Ec2) -> Result<Arc<dyn AddressMover>> {
        let Parts { instances, primaries, .. } = &self.parts;
        let each = nodes().into_iter().zip(instances.iter().zip(primaries));
        let places = each
            .clone()
            .map(|(node, (instance, own))| (node, NodeInterface::new().instance(instance).network_interface(own)));
        Ok(match &self.subject.mechanism {
            Mechanism::Eni { network_interface, device_index } => {
                let nodes = each.map(|(node, (instance, _))| (node, instance));
                Arc::new(EniMover::new(ec2.clone(), network_interface, *device_index, nodes)?)
            }
            Mechanism::Eip { allocation, fencing } => {
                let builder = EipMover::builder(ec2.clone(), allocation).fencing(*fencing);
                let add = |builder: floatip_aws::EipBuilder, (node, (instance, own)): (NodeId, (&String, &String))| {
                    builder.node(node, EipNode::new().instance(instance).network_interface(own))
                };
                Arc::new(each.fold(builder, add).build()?)
            }
            Mechanism::PrivateIp { address } => Arc::new(PrivateIpMover::new(ec2.clone(), *address, places)?),
            Mechanism::Route { address, tables } => {
                let builder = RouteMover::builder(ec2.clone(), *address, tables.clone());
                Arc::new(places.fold(builder, |builder, (node, place)| builder.node(node, place)).build()?)
            }
            new => bail!("{new:?} is new"),
        })
    }

    /// Everything that a monitor does, from preflight to a move, until it is denied; gives back what it was denied.
    async fn live(&self, ec2: &Ec2) -> Result<BTreeSet<String>> {
        let mover = self.mover(ec2)?;
        match self.moves(&*mover).await {
            Err(MoveError::Denied { call, source, .. }) => {
                let named = source.to_string();
                ensure!(named.contains(&format!("ec2:{call}")), "{call}: {named}");
                Ok(BTreeSet::from([call.to_owned()]))
            }
            Err(error) => bail!("{}", floatip_core::chain(&error)),
            // What the mover itself does without, its preflight may need.
            Ok(()) => {
                let findings = Preflight::new(ec2.clone(), self.subject.clone()).findings().await;
                let refused = findings.iter().filter(|it| it.status == Status::Unknown).map(|it| {
                    let action = it.detail.split("ec2:").nth(1).with_context(|| format!("{it:?}"))?;
                    Ok(action.chars().take_while(char::is_ascii_alphanumeric).collect())
                });
                refused.collect()
            }
        }
    }

    async fn moves(&self, mover: &dyn AddressMover) -> Result<(), MoveError> {
        let [one, two] = nodes();
        mover.ready(&one).await?;
        mover.claim(&one, &mover.locate().await?).await?;
        let seen = mover.locate().await?;
        // Once more: finishes what is left of a claim.
        mover.claim(&one, &seen).await?;
        let seen = match mover.capabilities().strategy {
            Strategy::ReleaseFirst => {
                mover.release(&seen, ReleaseMode::Graceful).await?;
                Placement::Free
            }
            Strategy::Overwrite => seen,
        };
        mover.claim(&two, &seen).await.map(drop)
    }
}

/// A user in moto's IAM, and the switch that makes moto look at users at all.
struct Iam {
    http: reqwest::Client,
    url: String,
    user: String,
    key: String,
    secret: String,
}

impl Iam {
    async fn open(url: &str) -> Result<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let user = format!("monitor-{}", NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let http = reqwest::Client::new();
        let mut iam = Self { http, url: url.to_owned(), user, key: String::new(), secret: String::new() };
        iam.call("CreateUser", &[]).await?;
        let made = iam.call("CreateAccessKey", &[]).await?;
        let element = |name: &str| {
            let rest = made.split_once(&format!("<{name}>")).context("an access key")?.1;
            Ok::<_, anyhow::Error>(rest.split_once('<').context("an access key")?.0.to_owned())
        };
        (iam.key, iam.secret) = (element("AccessKeyId")?, element("SecretAccessKey")?);
        Ok(iam)
    }

    /// Gives the user this policy, without one of its actions, and nothing else; from here on it is enforced.
    async fn allow(&self, policy: &Policy, without: Option<&str>) -> Result<()> {
        let mut document = serde_json::to_value(policy)?;
        let statements = document["Statement"].as_array_mut().context("statements")?;
        for statement in statements.iter_mut() {
            statement["Resource"] = Value::from("*");
            let actions = statement["Action"].as_array_mut().context("actions")?;
            actions.retain(|action| action.as_str() != without);
        }
        statements.retain(|statement| statement["Action"] != Value::Array(Vec::new()));
        let document = document.to_string();
        self.enforce(false).await?;
        self.call("PutUserPolicy", &[("PolicyName", "floatip"), ("PolicyDocument", &document)]).await?;
        self.enforce(true).await
    }

    /// Has moto check signatures and permissions of every call, or of none.
    async fn enforce(&self, yes: bool) -> Result<()> {
        let free_calls = if yes { "0" } else { "inf" };
        let answer = self.http.post(format!("{}/moto-api/reset-auth", self.url)).body(free_calls).send().await?;
        ensure!(answer.status().is_success(), "{answer:?}");
        Ok(())
    }

    async fn call(&self, action: &str, more: &[(&str, &str)]) -> Result<String> {
        let given = [("Action", action), ("Version", "2010-05-08"), ("UserName", &self.user)];
        let pairs = given.iter().chain(more).map(|(name, value)| format!("{name}={}", escaped(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let scope = "Credential=test/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        let request = self.http.post(&self.url).header("Authorization", format!("AWS4-HMAC-SHA256 {scope}"));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{action}: {status}: {text}");
        Ok(text)
    }
}

/// Percent-encoded, but for letters and digits.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
