//! What one check found.

use std::fmt;

use floatip_core::{MoveError, NodeId};

use crate::error::Call;

/// What is checked. Its name in JSON and tables is the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckId {
    /// EC2 answers, and how soon.
    RoundTrip,
    /// This machine's clock agrees with EC2's.
    Clock,
    /// What moves exists, is one's own and of a kind that can move.
    Resource,
    /// The interface is not an instance's primary one, which cannot move.
    PrimaryInterface,
    /// The address is not an interface's primary one, which cannot be reassigned.
    PrimaryAddress,
    /// The attachment does not delete the interface with its instance.
    DeleteOnTermination,
    /// The node's instance exists and has not ended.
    Instance,
    /// The node is in the zone that the address is bound to.
    Zone,
    /// The node is in the VPC of what moves.
    Vpc,
    /// The node's interface is in the subnet of the address.
    Subnet,
    /// The instance takes one more interface.
    InterfaceLimit,
    /// The device index is free.
    DeviceIndex,
    /// The node's interface takes one more address.
    AddressLimit,
    /// The node's interface is there and of a kind that can receive the address.
    Interface,
    /// The node's interface has the private address that an Elastic IP address leads to.
    PrivateAddress,
    /// No other Elastic IP address would be displaced.
    DisplacedAddress,
    /// No automatic public address would be lost for good.
    PublicAddress,
    /// The Elastic IP address can be used in the node's zone.
    BorderGroup,
    /// The node's interface lets traffic through that is not addressed to it.
    SourceDestCheck,
    /// Each route table exists, in the nodes' VPC.
    RouteTable,
    /// The overlay address is outside of the VPC's own ranges.
    Overlay,
    /// Every subnet of the VPC uses a route table that has the route.
    Subnets,
    /// The credentials may make the call.
    Permission,
    /// A configured probe finds the node healthy.
    Probe,
}

impl CheckId {
    /// Its name, such as `delete_on_termination`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RoundTrip => "round_trip",
            Self::Clock => "clock",
            Self::Resource => "resource",
            Self::PrimaryInterface => "primary_interface",
            Self::PrimaryAddress => "primary_address",
            Self::DeleteOnTermination => "delete_on_termination",
            Self::Instance => "instance",
            Self::Zone => "zone",
            Self::Vpc => "vpc",
            Self::Subnet => "subnet",
            Self::InterfaceLimit => "interface_limit",
            Self::DeviceIndex => "device_index",
            Self::AddressLimit => "address_limit",
            Self::Interface => "interface",
            Self::PrivateAddress => "private_address",
            Self::DisplacedAddress => "displaced_address",
            Self::PublicAddress => "public_address",
            Self::BorderGroup => "border_group",
            Self::SourceDestCheck => "source_dest_check",
            Self::RouteTable => "route_table",
            Self::Overlay => "overlay",
            Self::Subnets => "subnets",
            Self::Permission => "permission",
            Self::Probe => "probe",
        }
    }

    /// Whether a node of which this fails could not take the address at all. What else fails is a danger to be mended,
    /// but a node in danger is better than no node.
    pub fn rules_out(self) -> bool {
        match self {
            Self::Resource
            | Self::PrimaryInterface
            | Self::PrimaryAddress
            | Self::Instance
            | Self::Zone
            | Self::Vpc
            | Self::Subnet
            | Self::InterfaceLimit
            | Self::DeviceIndex
            | Self::AddressLimit
            | Self::Interface
            | Self::PrivateAddress
            | Self::DisplacedAddress
            | Self::PublicAddress
            | Self::BorderGroup
            | Self::SourceDestCheck
            | Self::RouteTable
            | Self::Overlay
            | Self::Permission => true,
            Self::RoundTrip | Self::Clock | Self::DeleteOnTermination | Self::Subnets | Self::Probe => false,
        }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Pass,
    /// It works, but look at it; or EC2 offers no way to check it.
    Warn,
    /// It cannot work, or something would be lost.
    Fail,
    /// It could not be found out now: EC2 did not answer, or not in a way that tells.
    Unknown,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
        }
    }

    /// Whether an operator can rely on it: pass or warn.
    pub fn is_acceptable(self) -> bool {
        match self {
            Self::Pass | Self::Warn => true,
            Self::Fail | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was checked.
    pub check: CheckId,
    /// The candidate that it is about; `None` if it is about all of them.
    pub node: Option<NodeId>,
    /// How it went.
    pub status: Status,
    /// What was seen.
    pub detail: String,
    /// What to do about it; `None` if nothing needs to be done.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(check: CheckId, status: Status, detail: String, remedy: Option<String>) -> Self {
        Self { check, node: None, status, detail, remedy }
    }

    pub(crate) fn pass(check: CheckId, detail: impl Into<String>) -> Self {
        Self::new(check, Status::Pass, detail.into(), None)
    }

    pub(crate) fn warn(check: CheckId, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Status::Warn, detail.into(), Some(remedy.into()))
    }

    pub(crate) fn fail(check: CheckId, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Status::Fail, detail.into(), Some(remedy.into()))
    }

    pub(crate) fn unknown(check: CheckId, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(check, Status::Unknown, detail.into(), Some(remedy.into()))
    }

    /// A read failed, so that the check could not be made. What is not there at all is a failure of the check.
    pub(crate) fn unread(check: CheckId, error: &MoveError) -> Self {
        let detail = floatip_core::chain(error);
        if let MoveError::NotFound { resource, .. } = error {
            return Self::fail(
                check,
                format!("{resource} is not in this account and Region, or these credentials may not see it"),
                "correct the id in the configuration, or the Region and the credentials",
            );
        }
        if let MoveError::Denied { call, .. } = error {
            let remedy =
                format!("allow ec2:{call} (`floatip iam-policy` prints all that is needed), or mend the credentials");
            return Self::unknown(check, detail, remedy);
        }
        Self::unknown(check, detail, "try again; if it stays so, look at the way to EC2")
    }

    /// The same of a candidate.
    pub(crate) fn of(self, node: &NodeId) -> Self {
        Self { node: Some(node.clone()), ..self }
    }

    /// The reason why a node cannot take the address, if that is what was found.
    pub fn obstacle(&self) -> Option<String> {
        (self.status == Status::Fail && self.check.rules_out()).then(|| match &self.remedy {
            Some(remedy) => format!("{}; {remedy}", self.detail),
            None => self.detail.clone(),
        })
    }

    /// As the answer of a mover that is about to send `call`.
    pub(crate) fn or_impossible(self, call: Call<'_>) -> Result<(), MoveError> {
        self.obstacle().map_or(Ok(()), |reason| Err(call.impossible(reason)))
    }
}
