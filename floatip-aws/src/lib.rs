//! Moves floating IP addresses on AWS.
//!
//! | mover | moves | strategy | a stale token is refused |
//! |---|---|---|---|
//! | [`EniMover`] | a network interface with all its private addresses, within one Availability Zone | release first | by EC2 |
//! | [`EipMover`] | an Elastic IP address | overwrite; release first with [`Fencing::Strict`] | by re-reading; by EC2 |
//! | [`PrivateIpMover`] | a secondary private or IPv6 address, within one subnet | overwrite; IPv6: release first | by re-reading |
//! | [`RouteMover`] | an overlay address by its routes, across Availability Zones | overwrite | by re-reading |
//!
//! All only read and request, as [`AddressMover`](floatip_core::AddressMover) asks: nothing here waits for a move to
//! be done, retries or sleeps. All calls go through one shared [`Ec2`], which sends each request once and gives up after
//! two seconds.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use floatip_aws::{AwsSettings, EniMover};
//! use floatip_core::{AddressMover, NodeId};
//!
//! let ec2 = AwsSettings::new().region("ap-northeast-1").connect().await?;
//! let nodes = [(NodeId::new("ftp-1")?, "i-0a1b2c3d4e5f60011"), (NodeId::new("ftp-2")?, "i-0a1b2c3d4e5f60012")];
//! let mover = EniMover::new(ec2, "eni-0a1b2c3d4e5f60001", EniMover::DEFAULT_DEVICE_INDEX, nodes)?;
//! println!("the address is {}", mover.locate().await?);
//! # Ok(())
//! # }
//! ```
#![deny(missing_docs)]

mod client;
mod credentials;
pub mod discover;
mod eip;
mod eni;
mod error;
pub mod iam;
mod id;
mod instance;
mod instance_status;
mod interface;
mod limiter;
mod metrics;
mod node_interface;
pub mod preflight;
mod private_ip;
mod reader;
mod route;
#[cfg(feature = "simulator")]
pub mod simulator;

pub use client::{AwsSettings, ConnectError, Ec2};
pub use eip::{EipBuilder, EipMover, EipNode, Fencing};
pub use eni::EniMover;
pub use error::Refusal;
pub use id::SetupError;
pub use instance_status::{InstanceStatusProbe, InstanceStatusReader};
pub use metrics::CallMetrics;
pub use node_interface::NodeInterface;
pub use private_ip::PrivateIpMover;
pub use route::{RouteBuilder, RouteMover, RouteTables};
