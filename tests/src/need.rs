//! What a test needs of the machine, and how a test that lacks it is counted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::ftpd;
use crate::lab::{Host, Lab};
use crate::moto;
use crate::process::output;

/// The environment variable that makes a missing prerequisite a failure, if its value is `all`.
pub const REQUIRE: &str = "FLOATIP_REQUIRE";

/// Something that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Root, `ip` and a kernel that makes namespaces, bridges and veths: the [lab](crate::lab).
    Lab,
    /// The FTP daemon `vsftpd`.
    Vsftpd,
    /// proftpd, pure-ftpd and pyftpdlib where `.ci/ftp-daemons` puts them.
    FtpDaemons,
    /// `nft`, and a kernel that filters packets in a namespace.
    Firewall,
    /// The pinned version of moto, installed or [installable](crate::moto).
    Moto,
    /// The whole of 127.0.0.0/8 on the loopback interface, as on Linux.
    LoopbackRange,
}

/// Why a test cannot run here.
#[derive(Debug, Clone)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not run: {}", self.0)
    }
}

impl Need {
    /// Whether this machine has it. Found out once a process.
    ///
    /// # Errors
    /// [`Missing`] says what is not there, and what would bring it.
    pub fn check(self) -> Result<(), Missing> {
        static FOUND: [OnceLock<Result<(), Missing>>; 6] = [const { OnceLock::new() }; 6];
        FOUND[self as usize].get_or_init(|| self.find().map_err(Missing)).clone()
    }

    fn find(self) -> Result<(), String> {
        match self {
            Self::Lab => find_lab(),
            Self::Vsftpd => find_program("vsftpd", "vsftpd"),
            Self::FtpDaemons => ftpd::installed().map(drop).map_err(|error| format!("{error:#}")),
            Self::Firewall => find_firewall(),
            Self::Moto => moto::installed().map(drop).map_err(|error| format!("{error:#}")),
            Self::LoopbackRange => std::net::TcpListener::bind("127.77.0.1:0")
                .map(drop)
                .map_err(|error| format!("127.77.0.1 is not on the loopback interface: {error}")),
        }
    }
}

/// True if whoever started the tests wants all of them to run.
pub fn everything_is_required() -> bool {
    std::env::var_os(REQUIRE).is_some_and(|value| value == "all")
}

fn find_lab() -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("network namespaces are a thing of Linux".to_owned());
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("needs root, to make network namespaces".to_owned());
    }
    find_program("ip", "iproute2")?;
    let lab = Lab::new().and_then(|lab| lab.attach(Host::Ftp1));
    lab.map_err(|error| format!("this kernel or container does not let the lab be built: {error:#}"))
}

fn find_firewall() -> Result<(), String> {
    find_program("nft", "nftables")?;
    let lab = Lab::new().map_err(|error| format!("{error:#}"))?;
    let rules = "add table inet t; add chain inet t c { type filter hook input priority 0; }; \
                 add rule inet t c tcp dport 21 reject with tcp reset";
    let tried = output(lab.mon().command("nft").arg(rules));
    tried.map(drop).map_err(|error| format!("nft does not work here: {error:#}"))
}

fn find_program(name: &str, package: &str) -> Result<(), String> {
    find(name).map(drop).ok_or_else(|| format!("the program {name} is missing (Debian's package {package})"))
}

/// The folder `target` of this checkout, where `.ci/ftp-daemons` and the harness put what the tests install.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// Where a program is, looked for as a shell of root's would.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
