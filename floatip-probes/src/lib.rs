//! Health checks for floatip: is a server reachable (`ping`), does something listen (`tcp`), does FTP work (`ftp`)?
//!
//! Each check is a [`HealthProbe`](floatip_core::HealthProbe) behind a cargo feature of its own, all on by default. They
//! share one way of telling whose fault a failure is: a verdict speaks about the target alone, and what the prober lacks
//! (a permission, a file descriptor, a name server) is a [`ProbeError`](floatip_core::ProbeError), never a verdict.
//!
//! Every check obeys one deadline from name resolution to the last reply, names the stage that was under way when it
//! passed, and closes its sockets when its future ends or is dropped.
//!
//! ```
//! # use floatip_probes::{FtpProbe, ListPath, PingProbe, Secret, TcpProbe};
//! # #[cfg(all(feature = "ftp", feature = "ping", feature = "tcp"))]
//! # fn main() -> Result<(), floatip_probes::SettingError> {
//! let ping = PingProbe::new();
//! let tcp = TcpProbe::new(21)?;
//! let ftp = FtpProbe::new("monitor", Secret::new("s3cret"))?.port(2121)?.list(ListPath::new("/pub")?);
//! assert_eq!(ftp.to_string(), "FTP login as monitor on port 2121, listing /pub");
//! # Ok(()) }
//! ```
#![deny(missing_docs)]

#[cfg(any(feature = "tcp", feature = "ftp"))]
mod connection;
#[cfg(any(feature = "ping", feature = "tcp", feature = "ftp"))]
mod failure;
#[cfg(feature = "ftp")]
mod ftp;
#[cfg(feature = "ftp")]
mod passive;
#[cfg(feature = "ping")]
mod ping;
#[cfg(any(feature = "ping", feature = "tcp", feature = "ftp"))]
mod progress;
#[cfg(feature = "ftp")]
mod reply;
#[cfg(any(feature = "ping", feature = "tcp", feature = "ftp"))]
mod resolve;
mod secret;
mod setting;
#[cfg(feature = "tcp")]
mod tcp;

#[cfg(feature = "ftp")]
pub use ftp::{FtpProbe, ListPath};
#[cfg(feature = "ping")]
pub use ping::PingProbe;
pub use secret::Secret;
pub use setting::SettingError;
#[cfg(feature = "tcp")]
pub use tcp::TcpProbe;
