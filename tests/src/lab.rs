//! The lab: a monitor and two FTP hosts on one bridge, and a network interface that moves between the hosts.
//!
//! ```text
//!     mon 172.16.11.5 ----+
//!     ftp1 172.16.11.10 --+-- bridge -- veth: the ENI 172.16.11.30, in ftp1, ftp2 or neither
//!     ftp2 172.16.11.20 --+
//! ```

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};

use crate::netns::Namespace;
use crate::reaper::{self, PREFIX, lock};

/// The monitor's address.
pub const MON: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 5);
/// The first FTP host's own address.
pub const FTP1: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 10);
/// The second FTP host's own address.
pub const FTP2: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 20);
/// The floating address.
pub const FLOATING: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 30);

/// One of the two FTP hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The first.
    Ftp1,
    /// The second.
    Ftp2,
}

impl Host {
    /// Its name: of the namespace, in the daemon's banner and in its listing.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ftp1 => "ftp1",
            Self::Ftp2 => "ftp2",
        }
    }

    /// Its own address.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Ftp1 => FTP1,
            Self::Ftp2 => FTP2,
        }
    }
}

/// The network of one test. Two labs may stand side by side; dropping one removes it.
#[derive(Debug)]
pub struct Lab {
    number: u32,
    mon: Namespace,
    ftp1: Namespace,
    ftp2: Namespace,
    switch: Namespace,
    /// Where the moving interface is; `None` while it is on neither host.
    eni: Mutex<Option<Host>>,
}

impl Lab {
    /// Builds the network, with the moving interface on neither host.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn new() -> Result<Self> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        if lab == 0 {
            reaper::sweep();
        }
        let namespace = |host: &str| Namespace::new(format!("{PREFIX}{}-{lab}-{host}", std::process::id()));
        let switch = namespace("sw")?;
        switch.ip([
            "link add br0 type bridge stp_state 0 forward_delay 0",
            "link set br0 up",
            "link add veni type veth peer name eth1 address 02:00:00:00:11:30",
            "link set veni master br0 up",
        ])?;
        let join = |name: &str, address: Ipv4Addr| join(&switch, namespace(name)?, name, address);
        let (mon, ftp1, ftp2) = (join("mon", MON)?, join("ftp1", FTP1)?, join("ftp2", FTP2)?);
        Ok(Self { number: lab, mon, ftp1, ftp2, switch, eni: Mutex::new(None) })
    }

    /// Adds a host to the lab's network; it is the caller's.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn join(&self, name: &str, address: Ipv4Addr) -> Result<Namespace> {
        let namespace = Namespace::new(format!("{PREFIX}{}-{}-{name}", std::process::id(), self.number))?;
        join(&self.switch, namespace, name, address)
    }

    /// The monitor's namespace.
    pub fn mon(&self) -> &Namespace {
        &self.mon
    }

    /// A host's namespace.
    pub fn host(&self, host: Host) -> &Namespace {
        match host {
            Host::Ftp1 => &self.ftp1,
            Host::Ftp2 => &self.ftp2,
        }
    }

    /// Moves the interface, which must be on neither host, into a host and does there what a guest's network tools do:
    /// brings it up with its address, and routes what comes from the address back by it.
    ///
    /// # Errors
    /// If it is on a host, or what `ip` said.
    pub fn attach(&self, to: Host) -> Result<()> {
        let mut eni = lock(&self.eni);
        if let Some(host) = *eni {
            bail!("the interface is on {}", host.name());
        }
        self.switch.ip([format!("link set eth1 netns {}", self.host(to).name())])?;
        *eni = Some(to);
        self.host(to).ip([
            "link set eth1 up".to_owned(),
            format!("addr add {FLOATING}/32 dev eth1"),
            format!("route add 172.16.11.0/24 dev eth1 src {FLOATING} table 1001"),
        ])
    }

    /// Takes the interface, and with it the address, out of the host that has it.
    ///
    /// # Errors
    /// If it is on neither host, or what `ip` said.
    pub fn detach(&self) -> Result<()> {
        let mut eni = lock(&self.eni);
        let Some(host) = *eni else { bail!("the interface is on neither host") };
        self.host(host).ip([format!("link set eth1 netns {}", self.switch.name())])?;
        *eni = None;
        Ok(())
    }

    /// Takes the address from the interface, and gives it to a host's own one: where the network leads it from now on. The
    /// interface stays where it is.
    ///
    /// # Errors
    /// If the interface is on neither host, or what `ip` said.
    pub fn take_over(&self, to: Host) -> Result<()> {
        let Some(host) = self.holder() else { bail!("the interface is on neither host") };
        self.host(host).ip([format!("addr del {FLOATING}/32 dev eth1")])?;
        self.host(to).ip([format!("addr add {FLOATING}/32 dev eth0")])?;
        // A VPC's network knows at once where an address is; a bridge has to be told.
        self.mon.ip([format!("neigh flush to {FLOATING}")])
    }

    /// Where the interface is.
    pub fn holder(&self) -> Option<Host> {
        *lock(&self.eni)
    }
}

/// Plugs a namespace into the bridge.
fn join(switch: &Namespace, host: Namespace, name: &str, address: Ipv4Addr) -> Result<Namespace> {
    switch.ip([
        format!("link add v{name} type veth peer name eth0 netns {}", host.name()),
        format!("link set v{name} master br0 up"),
    ])?;
    host.ip([format!("addr add {address}/24 dev eth0"), "link set eth0 up".to_owned()])?;
    host.set("net/ipv4/ping_group_range", "0 2147483647")?;
    // In a VPC an interface answers for its own addresses only; Linux would answer for all of its host's.
    host.set("net/ipv4/conf/all/arp_ignore", "1")?;
    host.set("net/ipv4/conf/all/arp_announce", "2")?;
    // Two interfaces in one subnet: replies from the floating address must leave by the interface that has it.
    host.set("net/ipv4/conf/all/rp_filter", "2")?;
    host.ip([format!("rule add from {FLOATING} table 1001")])?;
    Ok(host)
}
