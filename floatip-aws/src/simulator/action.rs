use std::fmt;

/// A call of the EC2 API that the simulator answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Reads network interfaces.
    DescribeNetworkInterfaces,
    /// Attaches a network interface to an instance.
    AttachNetworkInterface,
    /// Detaches a network interface from its instance.
    DetachNetworkInterface,
    /// Sets DeleteOnTermination of an attachment, or SourceDestCheck.
    ModifyNetworkInterfaceAttribute,
    /// Reads instances.
    DescribeInstances,
    /// Reads the limits of instance types.
    DescribeInstanceTypes,
    /// Reads the status checks of instances.
    DescribeInstanceStatus,
    /// Reads Elastic IP addresses.
    DescribeAddresses,
    /// Associates an Elastic IP address with a private address.
    AssociateAddress,
    /// Takes an Elastic IP address off the private address that it is on.
    DisassociateAddress,
    /// Gives private IPv4 addresses to a network interface.
    AssignPrivateIpAddresses,
    /// Takes secondary private IPv4 addresses off a network interface.
    UnassignPrivateIpAddresses,
    /// Gives IPv6 addresses to a network interface.
    AssignIpv6Addresses,
    /// Takes IPv6 addresses off a network interface.
    UnassignIpv6Addresses,
    /// Reads subnets.
    DescribeSubnets,
    /// Reads route tables.
    DescribeRouteTables,
    /// Adds a route to a route table.
    CreateRoute,
    /// Leads a route of a route table elsewhere.
    ReplaceRoute,
    /// Removes a route from a route table.
    DeleteRoute,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 19] = [
        Self::DescribeNetworkInterfaces,
        Self::AttachNetworkInterface,
        Self::DetachNetworkInterface,
        Self::ModifyNetworkInterfaceAttribute,
        Self::DescribeInstances,
        Self::DescribeInstanceTypes,
        Self::DescribeInstanceStatus,
        Self::DescribeAddresses,
        Self::AssociateAddress,
        Self::DisassociateAddress,
        Self::AssignPrivateIpAddresses,
        Self::UnassignPrivateIpAddresses,
        Self::AssignIpv6Addresses,
        Self::UnassignIpv6Addresses,
        Self::DescribeSubnets,
        Self::DescribeRouteTables,
        Self::CreateRoute,
        Self::ReplaceRoute,
        Self::DeleteRoute,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::DescribeNetworkInterfaces => "DescribeNetworkInterfaces",
            Self::AttachNetworkInterface => "AttachNetworkInterface",
            Self::DetachNetworkInterface => "DetachNetworkInterface",
            Self::ModifyNetworkInterfaceAttribute => "ModifyNetworkInterfaceAttribute",
            Self::DescribeInstances => "DescribeInstances",
            Self::DescribeInstanceTypes => "DescribeInstanceTypes",
            Self::DescribeInstanceStatus => "DescribeInstanceStatus",
            Self::DescribeAddresses => "DescribeAddresses",
            Self::AssociateAddress => "AssociateAddress",
            Self::DisassociateAddress => "DisassociateAddress",
            Self::AssignPrivateIpAddresses => "AssignPrivateIpAddresses",
            Self::UnassignPrivateIpAddresses => "UnassignPrivateIpAddresses",
            Self::AssignIpv6Addresses => "AssignIpv6Addresses",
            Self::UnassignIpv6Addresses => "UnassignIpv6Addresses",
            Self::DescribeSubnets => "DescribeSubnets",
            Self::DescribeRouteTables => "DescribeRouteTables",
            Self::CreateRoute => "CreateRoute",
            Self::ReplaceRoute => "ReplaceRoute",
            Self::DeleteRoute => "DeleteRoute",
        }
    }

    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether it only reads.
    pub fn is_describe(self) -> bool {
        match self {
            Self::DescribeNetworkInterfaces
            | Self::DescribeInstances
            | Self::DescribeInstanceTypes
            | Self::DescribeInstanceStatus
            | Self::DescribeAddresses
            | Self::DescribeSubnets
            | Self::DescribeRouteTables => true,
            Self::AttachNetworkInterface
            | Self::DetachNetworkInterface
            | Self::ModifyNetworkInterfaceAttribute
            | Self::AssociateAddress
            | Self::DisassociateAddress
            | Self::AssignPrivateIpAddresses
            | Self::UnassignPrivateIpAddresses
            | Self::AssignIpv6Addresses
            | Self::UnassignIpv6Addresses
            | Self::CreateRoute
            | Self::ReplaceRoute
            | Self::DeleteRoute => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
