//! What each mover calls, and the IAM policy that allows just that.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::eip::Fencing;
use crate::instance_status;
use crate::preflight::{Candidate, Mechanism, Subject};
use crate::route::RouteTables;

/// A kind of resource that IAM checks a call against.
///
/// # Source
/// AWS Service Authorization Reference, "Actions, resources, and condition keys for Amazon EC2".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceKind {
    /// `network-interface/eni-…`
    NetworkInterface,
    /// `instance/i-…`
    Instance,
    /// `elastic-ip/eipalloc-…`
    ElasticIp,
    /// `route-table/rtb-…`
    RouteTable,
}

impl ResourceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::NetworkInterface => "network-interface",
            Self::Instance => "instance",
            Self::ElasticIp => "elastic-ip",
            Self::RouteTable => "route-table",
        }
    }
}

/// The calls of one mover and its preflight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// What only reads. IAM knows no resources of these, only the Region.
    pub reads: &'static [&'static str],
    /// What changes something, with the kinds of resources that it is checked against.
    pub requests: &'static [(&'static str, &'static [ResourceKind])],
}

use ResourceKind::{ElasticIp, Instance, NetworkInterface, RouteTable};

const ENI: Calls = Calls {
    reads: &["DescribeInstanceTypes", "DescribeInstances", "DescribeNetworkInterfaces"],
    requests: &[
        ("AttachNetworkInterface", &[NetworkInterface, Instance]),
        ("DetachNetworkInterface", &[NetworkInterface, Instance]),
        ("ModifyNetworkInterfaceAttribute", &[NetworkInterface]),
    ],
};
const EIP: Calls = Calls {
    reads: &["DescribeAddresses", "DescribeInstances", "DescribeNetworkInterfaces"],
    requests: &[("AssociateAddress", &[ElasticIp, NetworkInterface, Instance])],
};
const STRICT_EIP: Calls = Calls {
    reads: EIP.reads,
    requests: &[
        ("AssociateAddress", &[ElasticIp, NetworkInterface, Instance]),
        ("DisassociateAddress", &[ElasticIp, NetworkInterface]),
    ],
};
const PRIVATE_IPV4: Calls = Calls {
    reads: &["DescribeInstanceTypes", "DescribeInstances", "DescribeNetworkInterfaces", "DescribeSubnets"],
    requests: &[("AssignPrivateIpAddresses", &[NetworkInterface])],
};
const PRIVATE_IPV6: Calls = Calls {
    reads: PRIVATE_IPV4.reads,
    requests: &[("AssignIpv6Addresses", &[NetworkInterface]), ("UnassignIpv6Addresses", &[NetworkInterface])],
};
const ROUTE: Calls = Calls {
    reads: &["DescribeInstances", "DescribeNetworkInterfaces", "DescribeRouteTables"],
    requests: &[("CreateRoute", &[RouteTable]), ("ReplaceRoute", &[RouteTable])],
};

impl Mechanism {
    /// What the mover of this mechanism and its preflight call.
    pub fn calls(&self) -> Calls {
        match self {
            Self::Eni { .. } => ENI,
            Self::Eip { fencing: Fencing::Overwrite, .. } => EIP,
            Self::Eip { fencing: Fencing::Strict, .. } => STRICT_EIP,
            Self::PrivateIp { address } if address.is_ipv4() => PRIVATE_IPV4,
            Self::PrivateIp { .. } => PRIVATE_IPV6,
            Self::Route { .. } => ROUTE,
        }
    }
}

/// Where the resources are, and how they are told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// The Region. Default: any.
    pub region: Option<String>,
    /// The account. Default: any.
    pub account: Option<String>,
    /// A tag that all resources have: then it names them, and not their ids.
    pub tag: Option<(String, String)>,
}

impl Scope {
    /// Any Region and account; resources by their ids.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the Region.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> Self {
        Self { region: Some(region.into()), ..self }
    }

    /// Sets the account.
    #[must_use]
    pub fn account(self, account: impl Into<String>) -> Self {
        Self { account: Some(account.into()), ..self }
    }

    /// Sets the tag.
    #[must_use]
    pub fn tag(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { tag: Some((key.into(), value.into())), ..self }
    }

    /// # Source
    /// AWS General Reference, "Amazon Resource Names (ARNs)", Partitions.
    fn arn(&self, kind: ResourceKind, id: &str) -> String {
        let region = self.region.as_deref().unwrap_or("*");
        let partition = match region.split('-').collect::<Vec<_>>()[..] {
            ["cn", ..] => "aws-cn",
            ["us", "gov", ..] => "aws-us-gov",
            [..] => "aws",
        };
        format!("arn:{partition}:ec2:{region}:{}:{}/{id}", self.account.as_deref().unwrap_or("*"), kind.as_str())
    }
}

/// An IAM policy. Serialized, it is the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

/// One statement of a [`Policy`]: these actions on these resources are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Statement {
    effect: &'static str,
    /// The actions, such as `ec2:AttachNetworkInterface`.
    pub action: BTreeSet<String>,
    /// The resources, as ARNs with wildcards, or `*` alone.
    pub resource: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Statement {
    fn new<const N: usize>(
        action: [String; N],
        resource: BTreeSet<String>,
        condition: Option<(String, String)>,
    ) -> Self {
        let condition = condition.map(|equals| ("StringEquals", BTreeMap::from([equals])));
        Self { effect: "Allow", action: action.into(), resource, condition: condition.into_iter().collect() }
    }
}

impl Policy {
    /// The least that the movers of these addresses, and their preflight, need.
    ///
    /// An interface that is known only as the primary one of its instance has no id here: then any interface may be
    /// given the address, unless a tag narrows it.
    pub fn least<'a>(subjects: impl IntoIterator<Item = &'a Subject>, scope: &Scope) -> Self {
        let region = scope.region.clone().map(|region| ("ec2:Region".to_owned(), region));
        let mut reads = Statement::new([], BTreeSet::from(["*".to_owned()]), region);
        let mut requests: Vec<Statement> = Vec::new();
        for subject in subjects {
            let calls = subject.mechanism.calls();
            reads.action.extend(calls.reads.iter().map(|action| format!("ec2:{action}")));
            let tag = scope.tag.clone().or_else(|| subject.own_tag());
            for (action, kinds) in calls.requests {
                let ids = |kind| if tag.is_some() { vec!["*".to_owned()] } else { subject.ids(kind) };
                let arns = kinds.iter().flat_map(|kind| ids(*kind).into_iter().map(|id| scope.arn(*kind, &id)));
                let condition = tag.clone().map(|(key, value)| (format!("aws:ResourceTag/{key}"), value));
                let one = Statement::new([format!("ec2:{action}")], arns.collect(), condition);
                match requests.iter_mut().find(|it| it.action == one.action && it.condition == one.condition) {
                    Some(same) => same.resource.extend(one.resource),
                    None => requests.push(one),
                }
            }
        }
        let mut statement = vec![reads];
        for one in requests {
            let same = statement.iter_mut().find(|it| it.resource == one.resource && it.condition == one.condition);
            match same {
                Some(same) => same.action.extend(one.action),
                None => statement.push(one),
            }
        }
        Self { version: "2012-10-17", statement }
    }

    /// The same, and what [`InstanceStatusProbe`](crate::InstanceStatusProbe) calls.
    #[must_use]
    pub fn with_instance_status(mut self) -> Self {
        if let Some(reads) = self.statement.first_mut() {
            reads.action.insert(format!("ec2:{}", instance_status::CALL));
        }
        self
    }

    /// Its statements: what reads first.
    pub fn statements(&self) -> &[Statement] {
        &self.statement
    }

    /// All actions that it allows.
    pub fn actions(&self) -> BTreeSet<&str> {
        self.statement.iter().flat_map(|statement| &statement.action).map(String::as_str).collect()
    }
}

impl Subject {
    /// The tag by which the configuration itself names what is changed.
    fn own_tag(&self) -> Option<(String, String)> {
        match &self.mechanism {
            Mechanism::Route { tables: RouteTables::Tag { key, value }, .. } => Some((key.clone(), value.clone())),
            Mechanism::Route { tables: RouteTables::Ids(_), .. }
            | Mechanism::Eni { .. }
            | Mechanism::Eip { .. }
            | Mechanism::PrivateIp { .. } => None,
        }
    }

    /// The ids of one kind that requests are about; `*` where they are not known.
    fn ids(&self, kind: ResourceKind) -> Vec<String> {
        let of_nodes = |id: fn(&Candidate) -> &Option<String>| {
            self.candidates.iter().map(|it| id(it).clone().unwrap_or_else(|| "*".to_owned())).collect::<Vec<_>>()
        };
        let ids = match (kind, &self.mechanism) {
            (ResourceKind::NetworkInterface, Mechanism::Eni { network_interface, .. }) => {
                vec![network_interface.clone()]
            }
            (ResourceKind::NetworkInterface, _) => of_nodes(|node| &node.network_interface),
            (ResourceKind::Instance, _) => of_nodes(|node| &node.instance),
            (ResourceKind::ElasticIp, Mechanism::Eip { allocation, .. }) => vec![allocation.clone()],
            (ResourceKind::RouteTable, Mechanism::Route { tables: RouteTables::Ids(ids), .. }) => ids.clone(),
            (ResourceKind::ElasticIp | ResourceKind::RouteTable, _) => vec!["*".to_owned()],
        };
        if ids.iter().any(|id| id == "*") { vec!["*".to_owned()] } else { ids }
    }
}

#[cfg(test)]
mod tests {
    use floatip_core::NodeId;

    use super::*;

    fn eni() -> Subject {
        let node = |name, instance: &str| Candidate::new(NodeId::new(name).unwrap()).instance(instance);
        let mechanism = Mechanism::Eni { network_interface: "eni-1".into(), device_index: 1 };
        Subject::new(mechanism, [node("a", "i-1"), node("b", "i-2")])
    }

    fn resources(policy: &Policy, action: &str) -> Vec<String> {
        let statement = policy.statements().iter().find(|it| it.action.contains(action)).unwrap();
        statement.resource.iter().cloned().collect()
    }

    #[test]
    fn requests_are_allowed_on_what_the_configuration_names_and_on_nothing_else() {
        let policy = Policy::least([&eni()], &Scope::new().region("eu-west-1").account("123456789012"));
        let arn = |rest: &str| format!("arn:aws:ec2:eu-west-1:123456789012:{rest}");
        assert_eq!(
            resources(&policy, "ec2:AttachNetworkInterface"),
            ["instance/i-1", "instance/i-2", "network-interface/eni-1"].map(arn)
        );
        assert_eq!(resources(&policy, "ec2:ModifyNetworkInterfaceAttribute"), [arn("network-interface/eni-1")]);
        assert_eq!(resources(&policy, "ec2:DescribeInstances"), ["*"]);
    }

    #[test]
    fn several_addresses_share_statements_and_keep_their_own_resources() {
        let node = Candidate::new(NodeId::new("a").unwrap()).instance("i-1").network_interface("eni-9");
        let mechanism = Mechanism::Eip { allocation: "eipalloc-1".into(), fencing: Fencing::Strict };
        let policy = Policy::least([&eni(), &Subject::new(mechanism, [node])], &Scope::new());
        assert_eq!(
            resources(&policy, "ec2:DisassociateAddress"),
            ["arn:aws:ec2:*:*:elastic-ip/eipalloc-1", "arn:aws:ec2:*:*:network-interface/eni-9"]
        );
        assert!(!resources(&policy, "ec2:AttachNetworkInterface").iter().any(|arn| arn.contains("eni-9")));
        assert_eq!(policy.statements().iter().filter(|it| it.resource.contains("*")).count(), 1);
    }

    #[test]
    fn the_check_of_instances_reads_their_status() {
        let without = Policy::least([&eni()], &Scope::new());
        let with = without.clone().with_instance_status();
        let more: Vec<_> = with.actions().difference(&without.actions()).copied().collect();
        assert_eq!(more, ["ec2:DescribeInstanceStatus"]);
        assert_eq!(resources(&with, "ec2:DescribeInstanceStatus"), ["*"]);
    }

    #[test]
    fn an_interface_that_is_not_named_can_be_any() {
        let mechanism = Mechanism::PrivateIp { address: "10.0.0.9".parse().unwrap() };
        let node = Candidate::new(NodeId::new("a").unwrap()).instance("i-1");
        let policy = Policy::least([&Subject::new(mechanism, [node])], &Scope::new().region("cn-north-1"));
        let any = ["arn:aws-cn:ec2:cn-north-1:*:network-interface/*"];
        assert_eq!(resources(&policy, "ec2:AssignPrivateIpAddresses"), any);
    }

    #[test]
    fn a_tag_takes_the_place_of_ids_and_that_of_route_tables_does_by_itself() {
        let tagged = Policy::least([&eni()], &Scope::new().tag("floatip", "ftp"));
        let json = serde_json::to_value(&tagged).unwrap();
        let statement = &json["Statement"][1];
        assert_eq!(statement["Condition"]["StringEquals"]["aws:ResourceTag/floatip"], "ftp");
        assert!(!json.to_string().contains("eni-1"), "{json:#}");

        let tables = RouteTables::Tag { key: "role".into(), value: "overlay".into() };
        let mechanism = Mechanism::Route { address: "10.99.0.1".parse().unwrap(), tables };
        let json = serde_json::to_value(Policy::least([&Subject::new(mechanism, [])], &Scope::new())).unwrap();
        assert_eq!(json["Statement"][1]["Condition"]["StringEquals"]["aws:ResourceTag/role"], "overlay");
        assert_eq!(json["Statement"][1]["Resource"][0], "arn:aws:ec2:*:*:route-table/*");
    }
}
