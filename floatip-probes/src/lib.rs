//! Health checks for floatip: is a server reachable (`ping`), does something listen and answer (`tcp`), does FTP work
//! (`ftp`), a web server (`http`), TLS (`tls`), or a name server (`dns`), what does a program say (`exec`), has somebody asked for maintenance (`file`), what does a node say of itself (`push`)?
//!
//! Each check is a [`HealthProbe`](floatip_core::HealthProbe) behind a cargo feature of its own; `ping`, `tcp` and `ftp`
//! are on by default, and `full` is all of them. They share one way of telling whose fault a failure is: a verdict speaks about the target alone, and what the prober lacks
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
#![cfg_attr(not(feature = "full"), allow(dead_code, reason = "what several probes share is whole for each"))]

#[cfg(feature = "network")]
mod connection;
#[cfg(feature = "dns")]
mod dns;
mod excerpt;
#[cfg(feature = "exec")]
mod exec;
mod failure;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "ftp")]
mod ftp;
#[cfg(feature = "rustls")]
mod hex;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "ping")]
mod ping;
#[cfg(feature = "exec")]
mod program;
mod progress;
#[cfg(feature = "push")]
mod push;
#[cfg(feature = "network")]
mod resolve;
mod secret;
mod setting;
#[cfg(feature = "tcp")]
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "rustls")]
mod tls_client;

#[cfg(feature = "dns")]
pub use dns::DnsProbe;
#[cfg(feature = "exec")]
pub use exec::ExecProbe;
#[cfg(feature = "file")]
pub use file::FileProbe;
#[cfg(feature = "ftp")]
pub use ftp::{Canary, DataMode, FtpProbe, Line, ListPath, PassiveMismatch, Speaker, TlsMode};
#[cfg(feature = "http")]
pub use http::{HttpProbe, StatusSet};
#[cfg(feature = "ping")]
pub use ping::PingProbe;
#[cfg(feature = "exec")]
pub use program::{Ended, Program};
#[cfg(feature = "push")]
pub use push::{Mailbox, PushProbe, Report};
pub use secret::Secret;
pub use setting::SettingError;
#[cfg(feature = "tcp")]
pub use tcp::TcpProbe;
#[cfg(feature = "tls")]
pub use tls::TlsProbe;
#[cfg(feature = "rustls")]
pub use tls_client::{Fingerprint, TlsSettings};
