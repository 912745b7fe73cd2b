//! The FTP daemons that people run, each on a host of its own: vsftpd, proftpd, pure-ftpd and pyftpdlib.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::daemon::{Firewall, PASSWORD, PASSWORD_HASH, USER, add_user};
use crate::need;
use crate::netns::Namespace;
use crate::process::{Process, output, until};
use crate::reaper::{Folder, PREFIX};
use certificate::{Certificate, Validity};

pub mod certificate;

/// The server's address.
pub const HOST: Ipv4Addr = Ipv4Addr::new(172, 16, 11, 10);
/// The name that its certificate is made out for.
pub const SERVER_NAME: &str = "ftp.example";
/// A file that can be fetched, and what it holds.
pub const CANARY: (&str, &str) = ("canary.txt", "the canary sings\n");

/// Where in [`need::target`] `.ci/ftp-daemons` puts what it makes.
const FOLDER: &str = "ftp-daemons";

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// vsftpd.
    Vsftpd,
    /// proftpd.
    Proftpd,
    /// pure-ftpd.
    PureFtpd,
    /// pyftpdlib.
    Pyftpdlib,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Vsftpd, Self::Proftpd, Self::PureFtpd, Self::Pyftpdlib];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::Proftpd => "proftpd",
            Self::PureFtpd => "pure-ftpd",
            Self::Pyftpdlib => "pyftpdlib",
        }
    }

    /// Whether it says how many sessions it has, in its greeting or its answer to STAT.
    pub fn tells_sessions(self) -> bool {
        match self {
            Self::Vsftpd | Self::Proftpd | Self::PureFtpd => true,
            Self::Pyftpdlib => false,
        }
    }
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    Off,
    /// With `AUTH TLS`.
    Explicit,
    /// At once.
    Implicit,
}

/// What is set up differently from a server in good order.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// When TLS begins.
    pub tls: Tls,
    /// How long its certificate is good.
    pub validity: Validity,
    /// One session at most.
    pub one_session: bool,
    /// No room for another byte, but for reading.
    pub disk_full: bool,
    /// The address in its answers to PASV, in place of its own.
    pub advertises: Option<Ipv4Addr>,
}

impl Setup {
    /// A server in good order.
    pub fn good(tls: Tls) -> Self {
        Self { tls, validity: Validity::Current, one_session: false, disk_full: false, advertises: None }
    }
}

/// Whether the daemons that `.ci/ftp-daemons` makes are there.
///
/// # Errors
/// If not; it says what makes them.
pub fn installed() -> Result<PathBuf> {
    let folder = need::target().join(FOLDER);
    ensure!(folder.join("made").exists(), "proftpd, pure-ftpd and pyftpdlib are missing: run `bash .ci/ftp-daemons`");
    Ok(folder)
}

/// A running server with a network namespace of its own, at [`HOST`]. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    program: Program,
    process: Process,
    namespace: Namespace,
    certificate: Option<Certificate>,
    folder: Folder,
}

impl Server {
    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// If it does not within a minute, with what it printed.
    pub fn start(program: Program, setup: Setup) -> Result<Self> {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace::new(format!("{PREFIX}{}-m{number}", std::process::id()))?;
        namespace.ip([format!("addr add {HOST}/32 dev lo")])?;
        let folder = Folder::new()?;
        for name in ["root", "empty"] {
            fs::create_dir(folder.path().join(name))?;
        }
        fs::set_permissions(folder.path().join("root"), fs::Permissions::from_mode(0o777))?;
        fs::write(folder.path().join("root").join(CANARY.0), CANARY.1)?;
        let certificate = match setup.tls {
            Tls::Off => None,
            Tls::Explicit | Tls::Implicit => {
                Some(Certificate::write(folder.path(), &[SERVER_NAME, &HOST.to_string()], setup.validity)?)
            }
        };
        let command = command(program, setup, &namespace, folder.path(), certificate.as_ref())?;
        let process = spawn(&namespace, &command, folder.path(), setup.disk_full)?;
        let server = Self { program, process, namespace, certificate, folder };
        server.listens()?;
        Ok(server)
    }

    /// Its network: whoever is in it reaches the server.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The certificate that it shows, if it speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The names of the files that its user has.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn files(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.path().join("root"))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Kills it and its sessions.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn kill(&self) -> Result<()> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait(Duration::from_secs(5))?;
        // proftpd and pure-ftpd have children that go on.
        let pids = output(Command::new("ip").args(["netns", "pids", self.namespace.name()]))?;
        let own = std::process::id().cast_signed();
        for pid in pids.lines().filter_map(|pid| pid.trim().parse().ok()).filter(|pid| *pid != own) {
            kill(Pid::from_raw(pid), Signal::SIGKILL)
                .or_else(|error| if error == nix::errno::Errno::ESRCH { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// Stops it as SIGSTOP does.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn hang(&self) -> Result<()> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
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
        output(self.namespace.command("nft").arg(firewall.rules())).map(drop)
    }

    /// What it printed and logged, for the message of a failure.
    pub fn story(&self) -> String {
        let mut story = format!("{}:", self.program.name());
        for name in ["out", "log", "tls.log"] {
            if let Ok(text) = fs::read_to_string(self.folder.path().join(name)) {
                write!(story, "\n{}", text.trim()).unwrap_or(());
            }
        }
        story
    }

    fn listens(&self) -> Result<()> {
        let listens = until(Duration::from_secs(60), || {
            if let Some(status) = self.process.ended()? {
                bail!("it ended with {status}");
            }
            // Connecting would be a session, and one may be all there is.
            let sockets = self.namespace.enter(|| fs::read_to_string("/proc/thread-self/net/tcp"))??;
            Ok(sockets.contains(":0015 00000000:0000 0A"))
        });
        listens.with_context(|| self.story())
    }
}

/// The mounts of `ip netns exec` are private: a file system that is mounted before the daemon starts goes with it.
fn spawn(namespace: &Namespace, command: &[String], folder: &Path, disk_full: bool) -> Result<Process> {
    let out = fs::File::create(folder.join("out"))?;
    let mut shell = namespace.command("sh");
    let fill = format!(
        "mount -t tmpfs -o size=64k,mode=777 tmpfs \"$0\" && printf '{}' >\"$0/{}\" && ! cat /dev/zero >\"$0/full\" && ",
        CANARY.1.replace('\n', "\\n"),
        CANARY.0
    );
    let script = format!("{}exec \"$@\"", if disk_full { &fill } else { "" });
    shell.args(["-c", &script]).arg(folder.join("root")).args(command);
    Process::start(shell.stdout(out.try_clone()?).stderr(out)).context("could not run the daemon")
}

const FIRST_PORT: u16 = 50000;
const LAST_PORT: u16 = 50020;

/// Configures the program, and says how it is run in the foreground.
fn command(
    program: Program,
    setup: Setup,
    namespace: &Namespace,
    folder: &Path,
    certificate: Option<&Certificate>,
) -> Result<Vec<String>> {
    let root = folder.join("root");
    let place = |name: &str| folder.join(name).display().to_string();
    Ok(match program {
        Program::Vsftpd => {
            add_user(namespace.name(), &root)?;
            let mut text = format!(
                "listen=YES\nbackground=NO\nanonymous_enable=NO\nlocal_enable=YES\nwrite_enable=YES\n\
                 pam_service_name=vsftpd\ndelay_failed_login=3\nmax_login_fails=1\npasv_min_port={FIRST_PORT}\n\
                 pasv_max_port={LAST_PORT}\nisolate=NO\nisolate_network=NO\nseccomp_sandbox=NO\n\
                 secure_chroot_dir={}\nxferlog_enable=YES\nvsftpd_log_file={}\n",
                place("empty"),
                place("log")
            );
            if setup.one_session {
                text += "max_clients=1\n";
            }
            if let Some(address) = setup.advertises {
                writeln!(text, "pasv_address={address}")?;
            }
            if let Some(certificate) = certificate {
                write!(
                    text,
                    "ssl_enable=YES\nforce_local_data_ssl=NO\nforce_local_logins_ssl=NO\nimplicit_ssl={}\n\
                     rsa_cert_file={}\nrsa_private_key_file={}\ndebug_ssl=YES\nssl_ciphers=HIGH\n",
                    if setup.tls == Tls::Implicit { "YES" } else { "NO" },
                    certificate.certificate.display(),
                    certificate.key.display()
                )?;
            }
            fs::write(folder.join("conf"), text)?;
            vec!["vsftpd".to_owned(), place("conf")]
        }
        Program::Proftpd => {
            let made = installed()?;
            fs::write(
                folder.join("passwd"),
                format!("{USER}:{PASSWORD_HASH}:65534:65534::{}:/bin/sh\n", root.display()),
            )?;
            fs::set_permissions(folder.join("passwd"), fs::Permissions::from_mode(0o600))?;
            let mut text = format!(
                "ServerType standalone\nServerIdent on \"ready\"\nUseReverseDNS off\nUseIPv6 off\n\
                 ModulePath {}\nAuthOrder mod_auth_file.c\nAuthUserFile {}\nRequireValidShell off\nUser nobody\n\
                 Group nogroup\nPassivePorts {FIRST_PORT} {LAST_PORT}\nPidFile {}\nScoreboardFile {}\n\
                 DelayEngine off\nWtmpLog off\nSystemLog {}\nAllowOverwrite on\n",
                made.join("root/usr/lib/proftpd").display(),
                place("passwd"),
                place("pid"),
                place("score"),
                place("log")
            );
            fs::write(folder.join("greeting"), "You are user number %N of %M\n")?;
            writeln!(text, "DisplayConnect {}", place("greeting"))?;
            if setup.one_session {
                text += "MaxClients 1\n";
            }
            if let Some(address) = setup.advertises {
                writeln!(text, "MasqueradeAddress {address}")?;
            }
            if let Some(certificate) = certificate {
                write!(
                    text,
                    "LoadModule mod_tls.c\nTLSEngine on\nTLSRequired off\nTLSLog {}\nTLSECCertificateFile {}\n\
                     TLSECCertificateKeyFile {}\n{}",
                    place("tls.log"),
                    certificate.certificate.display(),
                    certificate.key.display(),
                    if setup.tls == Tls::Implicit { "TLSOptions UseImplicitSSL\n" } else { "" }
                )?;
            }
            fs::write(folder.join("conf"), text)?;
            let program = made.join("root/usr/sbin/proftpd").display().to_string();
            vec![program, "-n".to_owned(), "-c".to_owned(), place("conf")]
        }
        Program::PureFtpd => {
            let made = installed()?;
            fs::write(
                folder.join("users"),
                format!("{USER}:{PASSWORD_HASH}:65534:65534::{}/./::::::::::::\n", root.display()),
            )?;
            let tool = made.join("root/usr/bin/pure-pw");
            output(Command::new(tool).args(["mkdb", &place("db"), "-f", &place("users")]))?;
            let mut command = vec![made.join("root/usr/sbin/pure-ftpd").display().to_string()];
            let ports = format!("{FIRST_PORT}:{LAST_PORT}");
            let database = format!("puredb:{}", place("db"));
            command
                .extend(["-4", "-H", "-u", "1", "-l", &database, "-p", &ports, "-g", &place("pid")].map(str::to_owned));
            if setup.one_session {
                command.extend(["-c", "1"].map(str::to_owned));
            }
            if let Some(address) = setup.advertises {
                command.extend(["-P".to_owned(), address.to_string()]);
            }
            if let Some(certificate) = certificate {
                command.extend([
                    "-Y".to_owned(),
                    "1".to_owned(),
                    "-2".to_owned(),
                    certificate.both.display().to_string(),
                ]);
            }
            command
        }
        Program::Pyftpdlib => {
            let made = installed()?;
            fs::write(folder.join("server.py"), include_str!("pyftpdlib.py"))?;
            let options = json!({
                "user": USER, "password": PASSWORD, "root": root,
                "certificate": certificate.map(|it| &it.certificate), "key": certificate.map(|it| &it.key),
                "first_port": FIRST_PORT, "last_port": LAST_PORT,
                "advertises": setup.advertises, "sessions": u8::from(setup.one_session),
            });
            vec![made.join("python/bin/python").display().to_string(), place("server.py"), options.to_string()]
        }
    })
}
