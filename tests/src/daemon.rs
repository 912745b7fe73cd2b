//! A real FTP daemon in a namespace of the lab: vsftpd, with a user that exists only there.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Host, Lab};
use crate::process::{Process, output, until};
use crate::reaper::Folder;

/// The daemon's only user.
pub const USER: &str = "probe";
/// The user's password.
pub const PASSWORD: &str = "probe-pw";

/// `PASSWORD` as crypt(3) writes it, with few rounds: the tests log in often.
pub(crate) const PASSWORD_HASH: &str =
    "$6$rounds=1000$floatiplab$TUP3lzGyf5ckRrrapGLgVmXNC4h8/ZsEUV02qoZzPz6EDDFDajAzexiO4RXDdlotA1wF45VC65SPJuEAPw0Sb.";

/// What a firewall of the host does with packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// Throws away what comes to the control port.
    DropControl,
    /// Answers what comes to the control port with a reset.
    RejectControl,
    /// Throws away what comes to the passive ports.
    DropPassive,
    /// Lets connections to the control port be opened, and answers the first words on them with a reset.
    ResetControl,
}

impl Firewall {
    fn rule(self) -> &'static str {
        match self {
            Self::DropControl => "tcp dport 21 drop",
            Self::RejectControl => "tcp dport 21 reject with tcp reset",
            Self::DropPassive => "tcp dport 50000-50020 drop",
            Self::ResetControl => "tcp dport 21 tcp flags & psh == psh reject with tcp reset",
        }
    }

    /// What `nft` is told, whatever stood there before.
    pub(crate) fn rules(self) -> String {
        format!(
            "add table inet floatip; add chain inet floatip in {{ type filter hook input priority 0; }}; \
             flush chain inet floatip in; add rule inet floatip in {}",
            self.rule()
        )
    }
}

/// vsftpd on one host. It listens on all of the host's addresses, greets with the host's name and lists one file that
/// is named for it. Dropping it ends it.
#[derive(Debug)]
pub struct Daemon<'a> {
    lab: &'a Lab,
    host: Host,
    config: PathBuf,
    process: Process,
    folder: Folder,
}

impl<'a> Daemon<'a> {
    /// Starts it and waits until it greets the monitor.
    ///
    /// # Errors
    /// If it does not within ten seconds, with what it printed.
    pub fn start(lab: &'a Lab, host: Host) -> Result<Self> {
        let folder = Folder::new()?;
        let root = folder.path().join("root");
        let empty = folder.path().join("empty");
        for path in [&root, &empty] {
            fs::create_dir(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        }
        fs::write(root.join(format!("node-{}.txt", host.name())), host.name())?;
        add_user(lab.host(host).name(), &root)?;
        let config = folder.path().join("vsftpd.conf");
        fs::write(&config, config_text(host, folder.path(), &empty))?;
        let process = spawn(lab, host, &config, folder.path())?;
        let daemon = Self { lab, host, config, process, folder };
        daemon.listens()?;
        Ok(daemon)
    }

    /// Kills it and its sessions.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn kill(&self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(5))?;
        for pid in self.sessions()? {
            kill(pid, Signal::SIGKILL)
                .or_else(|error| if error == nix::errno::Errno::ESRCH { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// Starts it again after a kill.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.process = spawn(self.lab, self.host, &self.config, self.folder.path())?;
        self.listens()
    }

    /// Stops it as SIGSTOP does: connections are still accepted by the kernel, and nobody greets.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn hang(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`hang`](Self::hang).
    ///
    /// # Errors
    /// What the operating system said.
    pub fn go_on(&self) -> Result<()> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Puts the host's firewall up.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn firewall(&self, firewall: Firewall) -> Result<()> {
        output(self.lab.host(self.host).command("nft").arg(firewall.rules())).map(drop)
    }

    /// Takes the host's firewall down.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn no_firewall(&self) -> Result<()> {
        output(self.lab.host(self.host).command("nft").arg("flush ruleset")).map(drop)
    }

    /// Sessions outlive the listener. Whatever runs in the host's namespace is one, as nothing else is started there.
    fn sessions(&self) -> Result<Vec<Pid>> {
        let pids = output(std::process::Command::new("ip").args(["netns", "pids", self.lab.host(self.host).name()]))?;
        let own = std::process::id().cast_signed();
        let pids = pids.lines().filter_map(|pid| pid.trim().parse().ok());
        Ok(pids.filter(|pid| *pid != own).map(Pid::from_raw).collect())
    }

    fn listens(&self) -> Result<()> {
        let address = SocketAddr::from((self.host.address(), 21));
        let listens = self.lab.mon().enter(|| {
            until(Duration::from_secs(10), || {
                if let Some(status) = self.process.ended()? {
                    anyhow::bail!("it ended with {status}");
                }
                Ok(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
            })
        })?;
        listens.with_context(|| {
            let printed = fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            format!("vsftpd on {} does not listen: {}", self.host.name(), printed.trim())
        })
    }
}

fn spawn(lab: &Lab, host: Host, config: &Path, folder: &Path) -> Result<Process> {
    let out = fs::OpenOptions::new().create(true).append(true).open(folder.join("out"))?;
    let mut command = lab.host(host).command("vsftpd");
    command.arg(config).stdout(out.try_clone()?).stderr(out);
    Process::start(&mut command).context("could not run vsftpd")
}

/// `ip netns exec` shows the files of `/etc/netns/NAME` in place of those of `/etc`: the machine's own are not touched.
pub(crate) fn add_user(namespace: &str, home: &Path) -> Result<()> {
    let etc = Path::new("/etc/netns").join(namespace);
    // Another lab that ends may remove the empty parent at the same moment.
    until(Duration::from_secs(5), || Ok(fs::create_dir_all(&etc).is_ok()))?;
    let passwd = fs::read_to_string("/etc/passwd")?;
    fs::write(etc.join("passwd"), format!("{passwd}{USER}:x:65533:65534::{}:/bin/sh\n", home.display()))?;
    let shadow = etc.join("shadow");
    fs::write(&shadow, "")?;
    fs::set_permissions(&shadow, fs::Permissions::from_mode(0o640))?;
    fs::write(&shadow, format!("{USER}:{PASSWORD_HASH}:19000::::::\n"))?;
    Ok(())
}

fn config_text(host: Host, folder: &Path, empty: &Path) -> String {
    // The sandbox and the namespaces of a session cost more than the session.
    format!(
        "listen=YES\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=NO\npam_service_name=vsftpd\n\
         delay_failed_login=0\nmax_login_fails=1\npasv_min_port=50000\npasv_max_port=50020\nxferlog_enable=YES\n\
         isolate=NO\nisolate_network=NO\nseccomp_sandbox=NO\nsecure_chroot_dir={}\nvsftpd_log_file={}\n\
         ftpd_banner={} ready\n",
        empty.display(),
        folder.join("log").display(),
        host.name()
    )
}
