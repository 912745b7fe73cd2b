//! What the FTP check says of the FTP servers that people run, in good order and with what befalls them.
#![allow(clippy::disallowed_methods, reason = "what takes time is measured")]

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use floatip_core::{HealthProbe, Host, NodeId, Target, Verdict, Via};
use floatip_probes::{Canary, FtpProbe, ListPath, PassiveMismatch, Secret, TlsMode, TlsSettings};
use floatip_tests::daemon::{Firewall, PASSWORD, USER};
use floatip_tests::ftpd::certificate::Validity;
use floatip_tests::ftpd::{CANARY, HOST, Program, SERVER_NAME, Server, Setup, Tls};
use floatip_tests::need::Need;
use floatip_tests::process::until;
use floatip_tests::suite::Suite;
use tokio::runtime::Runtime;

const NEEDS: &[Need] = &[Need::Lab, Need::Vsftpd, Need::FtpDaemons, Need::Firewall];
const LIMIT: Duration = Duration::from_secs(120);

/// For answers that come: pure-ftpd takes more than 5 s to refuse a password.
const AMPLE: Duration = Duration::from_secs(20);
/// For what does not answer.
const SHORT: Duration = Duration::from_millis(1500);
/// For what does not answer after much that does.
const LONG: Duration = Duration::from_secs(6);
/// How long a banner is held back.
const LATE: Duration = Duration::from_millis(700);
/// What a loaded machine may add to a deadline.
const ALLOWANCE: Duration = Duration::from_millis(500);

const WRONG_PASSWORD: &str = "not-the-password";
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const LED_AWAY: &str =
    "the server advertises 10.0.0.5 for data connections: clients through the floating address will hang";

/// What befalls a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Killed,
    Stopped,
    PortDropped,
    PassiveRangeDropped,
    ResetAfterHandshake,
    SlowBanner,
    WrongPassword,
    SlowLogin,
    DiskFull,
    SessionLimit,
    CertificateExpired,
    WrongPassiveAddress,
}

impl State {
    const ALL: [Self; 13] = [
        Self::Up,
        Self::Killed,
        Self::Stopped,
        Self::PortDropped,
        Self::PassiveRangeDropped,
        Self::ResetAfterHandshake,
        Self::SlowBanner,
        Self::WrongPassword,
        Self::SlowLogin,
        Self::DiskFull,
        Self::SessionLimit,
        Self::CertificateExpired,
        Self::WrongPassiveAddress,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Killed => "killed",
            Self::Stopped => "stopped",
            Self::PortDropped => "port_21_dropped",
            Self::PassiveRangeDropped => "passive_range_dropped",
            Self::ResetAfterHandshake => "reset_after_handshake",
            Self::SlowBanner => "slow_banner",
            Self::WrongPassword => "wrong_password",
            Self::SlowLogin => "wrong_password_answered_too_late",
            Self::DiskFull => "disk_full",
            Self::SessionLimit => "session_limit",
            Self::CertificateExpired => "certificate_expired",
            Self::WrongPassiveAddress => "wrong_passive_address",
        }
    }

    fn timeout(self, program: Program) -> Duration {
        match self {
            Self::DiskFull if program == Program::Pyftpdlib => LONG,
            Self::PassiveRangeDropped => LONG,
            Self::Stopped | Self::PortDropped | Self::SlowLogin => SHORT,
            Self::Up
            | Self::Killed
            | Self::ResetAfterHandshake
            | Self::SlowBanner
            | Self::WrongPassword
            | Self::DiskFull
            | Self::SessionLimit
            | Self::CertificateExpired
            | Self::WrongPassiveAddress => AMPLE,
        }
    }
}

/// One cell of the matrix.
#[derive(Debug, Clone, Copy)]
struct Cell {
    program: Program,
    tls: Tls,
    state: State,
}

/// What a cell must come to.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Healthy, without a warning.
    Healthy,
    /// Busy, with a warning that begins with this.
    Busy(&'static str),
    /// Unhealthy, with a reason that begins with this.
    Unhealthy(&'static str),
    /// There is no such cell.
    Impossible(&'static str),
}

impl Cell {
    fn name(self) -> String {
        let tls = match self.tls {
            Tls::Off => "plain",
            Tls::Explicit => "ftps",
            Tls::Implicit => "implicit_ftps",
        };
        format!("{}_{tls}_{}", self.program.name(), self.state.name())
    }

    fn expected(self) -> Expected {
        use Expected::{Busy, Healthy, Impossible, Unhealthy};
        match (self.program, self.tls) {
            (Program::PureFtpd, Tls::Implicit) => return Impossible("pure-ftpd has no implicit TLS"),
            (Program::Pyftpdlib, Tls::Implicit) => return Impossible("pyftpdlib has no implicit TLS"),
            (Program::Vsftpd | Program::Proftpd, Tls::Implicit) | (_, Tls::Off | Tls::Explicit) => {}
        }
        match self.state {
            State::Up | State::SlowBanner => Healthy,
            State::Killed => Unhealthy("connection refused"),
            State::Stopped => match self.tls {
                Tls::Off | Tls::Explicit => Unhealthy("timed out at banner"),
                Tls::Implicit => Unhealthy("timed out at TLS handshake"),
            },
            State::PortDropped => Unhealthy("timed out at connect"),
            State::PassiveRangeDropped => Unhealthy("timed out at data channel"),
            State::ResetAfterHandshake => match self.tls {
                Tls::Off => Unhealthy("connection lost at login: "),
                Tls::Explicit | Tls::Implicit => Unhealthy("connection lost at TLS handshake: "),
            },
            State::WrongPassword => Unhealthy("login rejected with 530: "),
            State::SlowLogin => match self.program {
                Program::Vsftpd | Program::PureFtpd | Program::Pyftpdlib => Unhealthy("timed out at login"),
                Program::Proftpd => Impossible("proftpd refuses a password at once"),
            },
            State::DiskFull => match self.program {
                Program::Vsftpd | Program::Proftpd | Program::PureFtpd => Unhealthy("store rejected with 45"),
                // It stumbles over its own exception, and forgets to answer.
                Program::Pyftpdlib => Unhealthy("timed out at store"),
            },
            State::SessionLimit => match self.program {
                // It says so in clear text, before TLS: nothing that a client by TLS could read.
                Program::Vsftpd if self.tls == Tls::Implicit => Unhealthy("unexpected answer at TLS handshake: "),
                Program::Vsftpd => Busy("busy: There are too many connected users"),
                Program::PureFtpd => Busy("busy: 1 users (the maximum) are already logged in"),
                Program::Pyftpdlib => Busy("busy: Too many connections"),
                // It lets a session begin, and counts at the login, with the code of a wrong password.
                Program::Proftpd => Unhealthy("login rejected with 530: Sorry, the maximum number of allowed clients"),
            },
            State::CertificateExpired => match self.tls {
                Tls::Off => Impossible("plain FTP has no certificate"),
                Tls::Explicit | Tls::Implicit => Unhealthy("the certificate expired "),
            },
            State::WrongPassiveAddress => Unhealthy(LED_AWAY),
        }
    }

    fn setup(self) -> Setup {
        let good = Setup::good(self.tls);
        match self.state {
            State::SessionLimit => Setup { one_session: true, ..good },
            State::DiskFull => Setup { disk_full: true, ..good },
            State::CertificateExpired => Setup { validity: Validity::Expired, ..good },
            State::WrongPassiveAddress => Setup { advertises: Some(ELSEWHERE), ..good },
            State::Up
            | State::Killed
            | State::Stopped
            | State::PortDropped
            | State::PassiveRangeDropped
            | State::ResetAfterHandshake
            | State::SlowBanner
            | State::WrongPassword
            | State::SlowLogin => good,
        }
    }

    /// A check of all that there is.
    fn probe(self, server: &Server) -> Result<FtpProbe> {
        let password = match self.state {
            State::WrongPassword | State::SlowLogin => WRONG_PASSWORD,
            State::Up
            | State::Killed
            | State::Stopped
            | State::PortDropped
            | State::PassiveRangeDropped
            | State::ResetAfterHandshake
            | State::SlowBanner
            | State::DiskFull
            | State::SessionLimit
            | State::CertificateExpired
            | State::WrongPassiveAddress => PASSWORD,
        };
        let probe = FtpProbe::new(USER, Secret::new(password))?
            .port(21)?
            .list(ListPath::login_directory())
            .retrieve(Canary::new(CANARY.0)?.size(CANARY.1.len() as u64)?)
            .store(ListPath::login_directory());
        let Some(certificate) = server.certificate() else { return Ok(probe) };
        let settings = TlsSettings::new().ca_file(&certificate.authority).server_name(SERVER_NAME);
        let mode = if self.tls == Tls::Implicit { TlsMode::Implicit } else { TlsMode::Explicit };
        Ok(probe.tls(mode, &settings)?)
    }

    /// Strikes the server, has it checked, and compares.
    fn run(self, expected: Expected) -> Result<()> {
        let server = Server::start(self.program, self.setup())?;
        let checked = server.namespace().enter(|| self.check(&server, expected))?;
        checked.with_context(|| server.story())?;
        if self.state == State::Up {
            ensure!(server.files()? == [CANARY.0], "what was stored is still there: {:?}", server.files()?);
        }
        Ok(())
    }

    fn check(self, server: &Server, expected: Expected) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut probe = self.probe(server)?;
        let mut occupant = None;
        match self.state {
            State::Up | State::WrongPassword | State::SlowLogin | State::DiskFull | State::CertificateExpired => {}
            State::Killed => server.kill()?,
            State::Stopped | State::SlowBanner => server.hang()?,
            State::PortDropped => server.firewall(Firewall::DropControl)?,
            State::PassiveRangeDropped => server.firewall(Firewall::DropPassive)?,
            State::ResetAfterHandshake => server.firewall(Firewall::ResetControl)?,
            State::SessionLimit => {
                let keeper = FtpProbe::keep_session(self.probe(server)?, AMPLE)?;
                let (verdict, _) = ask(&runtime, &keeper, AMPLE)?;
                ensure!(verdict == Verdict::healthy(), "nobody is there yet: {verdict:?}");
                occupant = Some(keeper);
            }
            State::WrongPassiveAddress => {
                let (verdict, _) = ask(&runtime, &probe, AMPLE)?;
                ensure!(verdict.is_healthy() && verdict.warnings == [LED_AWAY], "it is worth a warning: {verdict:?}");
                probe = probe.passive_mismatch(PassiveMismatch::Unhealthy);
            }
        }
        let timeout = self.state.timeout(self.program);
        let began = Instant::now();
        let (verdict, took, answered) = thread::scope(|scope| {
            if self.state == State::SlowBanner {
                scope.spawn(|| {
                    thread::sleep(LATE);
                    server.go_on().expect("the server goes on");
                });
            }
            let (verdict, took) = ask(&runtime, &probe, timeout)?;
            anyhow::Ok((verdict, took, began.elapsed()))
        })?;
        drop(occupant);
        let told = in_words(&verdict);
        println!("{}: {told} after {} ms", self.name(), took.as_millis());
        let as_expected = match expected {
            Expected::Healthy => verdict == Verdict::healthy(),
            Expected::Busy(warning) => verdict.busy && verdict.is_healthy() && told.starts_with(warning),
            Expected::Unhealthy(reason) => !verdict.is_healthy() && told.starts_with(reason),
            Expected::Impossible(_) => false,
        };
        ensure!(as_expected, "not {expected:?} but {verdict:?}");
        ensure!(!told.contains(WRONG_PASSWORD) && !told.contains(PASSWORD), "the password is told: {told}");
        ensure!(took <= timeout + ALLOWANCE, "it took {took:?}");
        ensure!(self.state != State::SlowBanner || answered >= LATE, "the banner was not late: {answered:?}");
        Ok(())
    }
}

/// A server that tells its number of sessions is found in use while somebody else has one, and idle afterwards.
fn tells_sessions(program: Program) -> Result<()> {
    let server = Server::start(program, Setup::good(Tls::Off))?;
    let checked = server.namespace().enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let login = || anyhow::Ok(FtpProbe::new(USER, Secret::new(PASSWORD))?.port(21)?);
        let counts = login()?.max_sessions(0);
        if !program.tells_sessions() {
            let error = ask(&runtime, &counts, AMPLE).expect_err("it tells no number");
            ensure!(format!("{error:#}").contains("tells its number of sessions neither"), "{error:#}");
            return Ok(());
        }
        let occupant = login()?.keep_session(AMPLE)?;
        ensure!(ask(&runtime, &occupant, AMPLE)?.0 == Verdict::healthy(), "nobody is there yet");
        let told = in_words(&ask(&runtime, &counts, AMPLE)?.0);
        ensure!(told == "1 other sessions are open, and at most 0 may be", "{told}");
        drop(occupant);
        // The server may take a moment to see that the session is over.
        until(AMPLE, || Ok(ask(&runtime, &counts, AMPLE)?.0 == Verdict::healthy()))
    })?;
    checked.with_context(|| server.story())
}

/// What the probe says of the server, asked on its own host.
fn ask(runtime: &Runtime, probe: &dyn HealthProbe, timeout: Duration) -> Result<(Verdict, Duration)> {
    let target = Target::new(NodeId::new("node")?, Host::from(IpAddr::V4(HOST)), Via::Direct, timeout);
    let asked = Instant::now();
    let answer = runtime.block_on(async { tokio::time::timeout(timeout * 2, probe.probe(&target)).await });
    Ok((answer.context("the probe does not keep its deadline")??, asked.elapsed()))
}

fn in_words(verdict: &Verdict) -> String {
    let reason = verdict.reason.as_ref().map(ToString::to_string);
    let words: Vec<_> = reason.into_iter().chain(verdict.warnings.iter().cloned()).collect();
    if words.is_empty() { "healthy".to_owned() } else { words.join("; ") }
}

fn main() -> ExitCode {
    let mut suite = Suite::default();
    for tls in [Tls::Off, Tls::Explicit, Tls::Implicit] {
        for program in Program::ALL {
            for state in State::ALL {
                let cell = Cell { program, tls, state };
                suite = match cell.expected() {
                    Expected::Impossible(why) => suite.impossible(&cell.name(), why),
                    expected @ (Expected::Healthy | Expected::Busy(_) | Expected::Unhealthy(_)) => {
                        suite.test(&cell.name(), NEEDS, LIMIT, move || cell.run(expected))
                    }
                };
            }
        }
    }
    for program in Program::ALL {
        let name = format!("{}_number_of_sessions", program.name());
        suite = suite.test(&name, NEEDS, LIMIT, move || tells_sessions(program));
    }
    suite.run_by(6)
}
