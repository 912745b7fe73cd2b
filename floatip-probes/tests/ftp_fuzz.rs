//! The FTP probe against servers that send anything: it ends by its deadline, and what it tells is short and clean.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use floatip_core::{HealthProbe, Host, NodeId, Target, Verdict, Via};
use floatip_probes::{Canary, DataMode, FtpProbe, ListPath, Secret, TlsMode, TlsSettings};
use ports::listener;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

mod ports;

const SECRET: &str = "s3cret";
const TIMEOUT: Duration = Duration::from_millis(250);
/// What a machine that is busy with dozens of dialogues may add.
const ALLOWANCE: Duration = Duration::from_secs(5);

/// What a fair data connection brings.
const FILE: &str = "-rw-r--r-- 1 ftp ftp 5 Jan 1 2026 a\r\n";

/// How many dialogues are held at once, and how often.
const DIALOGUES: usize = 24;
const ROUNDS: u32 = 24;

/// What the server does when it is its turn.
#[derive(Debug, Clone)]
enum Turn {
    /// What a server in good order would do.
    Fair,
    /// A reply with the right code and these words, on as many lines as they have.
    Worded(Vec<u8>),
    /// A reply with this code.
    Coded(u16, String),
    /// These bytes.
    Raw(Vec<u8>),
    /// Its fair reply, a byte at a time.
    Dribbled,
    /// Its fair reply, and these bytes right after it.
    Chatty(Vec<u8>),
    /// Nothing.
    Silent,
    /// The end of the connection.
    Closed,
    /// The same bytes, again and again, for as long as they are taken.
    Endless(&'static [u8]),
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let spiced = prop_oneof![
        Just(SECRET.as_bytes().to_vec()),
        Just(b"s3\x01cret".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n220-".to_vec()),
        Just(b"(|||65535|)".to_vec()),
        Just(b"(127,0,0,1,255,255)".to_vec()),
        Just(b"\xff\xf4\xff\xfd".to_vec()),
        vec(any::<u8>(), 0..40),
    ];
    vec(spiced, 0..6).prop_map(|parts| parts.concat())
}

fn turn() -> impl Strategy<Value = Turn> {
    let floods: [&'static [u8]; 5] = [b"x", b"220-\r\n", b"220 again\r\n", b"\r\n", b"\xff\x00"];
    prop_oneof![
        24 => Just(Turn::Fair),
        4 => words().prop_map(Turn::Worded),
        4 => (0u16..1000, "\\PC{0,40}").prop_map(|(code, text)| Turn::Coded(code, text)),
        4 => words().prop_map(Turn::Raw),
        2 => Just(Turn::Dribbled),
        2 => words().prop_map(Turn::Chatty),
        1 => Just(Turn::Silent),
        1 => Just(Turn::Closed),
        1 => proptest::sample::select(floods.to_vec()).prop_map(Turn::Endless),
    ]
}

/// What one server does: on the control connection turn by turn, then fairly; and on the data connection.
fn dialogue() -> impl Strategy<Value = (Vec<Turn>, Turn)> {
    (vec(turn(), 0..14), turn())
}

/// How a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guise {
    Plain,
    /// By TLS from the first byte on.
    Implicit,
    /// By TLS from `AUTH TLS` on.
    Explicit,
}

/// A certificate for loopback, and what trusts it.
static IDENTITY: LazyLock<(TlsAcceptor, TlsSettings)> = LazyLock::new(|| {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let pin = Sha256::digest(certified.cert.der());
    let pin: String = pin.iter().map(|byte| format!("{byte:02x}")).collect();
    (TlsAcceptor::from(Arc::new(config)), TlsSettings::new().pin(pin.parse().unwrap()))
});

/// Which check is made of which servers.
fn probes() -> Vec<(FtpProbe, Guise)> {
    let login = FtpProbe::new("monitor", Secret::new(SECRET)).unwrap();
    let transfers = |mode| {
        let canary = Canary::new("canary.txt").unwrap();
        login.clone().mode(mode).list(ListPath::login_directory()).retrieve(canary).store(ListPath::login_directory())
    };
    let by_tls = |mode| transfers(DataMode::Passive).tls(mode, &IDENTITY.1).unwrap();
    vec![
        (login.clone(), Guise::Plain),
        (transfers(DataMode::Passive), Guise::Plain),
        (transfers(DataMode::Epsv), Guise::Plain),
        (transfers(DataMode::Active), Guise::Plain),
        (by_tls(TlsMode::Implicit), Guise::Implicit),
        (by_tls(TlsMode::Explicit), Guise::Explicit),
    ]
}

/// The bytes of a connection, in clear text or by TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A server that takes these turns with its first client.
async fn server(guise: Guise, turns: Vec<Turn>, data: Turn) -> (SocketAddr, JoinHandle<()>) {
    let (control, address) = listener().await;
    let played = tokio::spawn(async move {
        let (data_listener, data_address) = listener().await;
        let (stream, _) = control.accept().await.unwrap();
        let serving = tokio::spawn(serve_data(data_listener, guise, data.clone()));
        let mut turns = turns.into_iter();
        play(guise, stream, &mut turns, data, data_address).await;
        serving.abort();
    });
    (address, played)
}

async fn play(
    guise: Guise,
    mut stream: TcpStream,
    turns: &mut impl Iterator<Item = Turn>,
    data: Turn,
    data_address: SocketAddr,
) {
    let mut stream: BufReader<Box<dyn Stream>> = if guise == Guise::Implicit {
        match turns.next().unwrap_or(Turn::Fair) {
            // What comes instead of a handshake.
            turn @ (Turn::Raw(_) | Turn::Silent | Turn::Closed | Turn::Endless(_)) => {
                if take(&mut stream, turn, "").await {
                    hear(&mut BufReader::new(Box::new(stream))).await;
                }
                return;
            }
            Turn::Fair | Turn::Worded(_) | Turn::Coded(..) | Turn::Dribbled | Turn::Chatty(_) => {
                match IDENTITY.0.accept(stream).await {
                    Ok(stream) => BufReader::new(Box::new(stream)),
                    Err(_) => return,
                }
            }
        }
    } else {
        BufReader::new(Box::new(stream))
    };
    let mut active = None;
    let mut next = Some("CONNECT".to_owned());
    while let Some(line) = next {
        let fair = fair(&line, data_address);
        let turn = turns.next().unwrap_or(Turn::Fair);
        let secures = line.starts_with("AUTH") && matches!(turn, Turn::Fair | Turn::Dribbled);
        if !take(&mut stream, turn, &fair).await {
            return;
        }
        if secures {
            // The client begins the handshake, so nothing of it was read ahead.
            match IDENTITY.0.accept(stream.into_inner()).await {
                Ok(secured) => stream = BufReader::new(Box::new(secured)),
                Err(_) => return,
            }
        }
        if let Some(bytes) = line.strip_prefix("PORT ") {
            let bytes: Vec<u16> = bytes.split(',').skip(4).flat_map(str::parse).collect();
            active = Some(256 * bytes[0] + bytes[1]);
        } else if let ("LIST" | "RETR" | "STOR", Some(port)) =
            (line.split(' ').next().unwrap_or_default(), active.take())
            && let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await
        {
            tokio::spawn(transfer(stream, guise, data.clone()));
        }
        next = hear(&mut stream).await;
    }
}

async fn hear(stream: &mut BufReader<Box<dyn Stream>>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// What a server in good order answers.
fn fair(line: &str, data: SocketAddr) -> String {
    let [high, low] = data.port().to_be_bytes();
    match line.split(' ').next().unwrap_or_default() {
        "CONNECT" => "220 ready\r\n".to_owned(),
        "USER" => "331 password, please\r\n".to_owned(),
        "PASS" => "230 welcome\r\n".to_owned(),
        "PASV" => format!("227 Entering Passive Mode (127,0,0,1,{high},{low}).\r\n"),
        "EPSV" => format!("229 Entering Extended Passive Mode (|||{}|)\r\n", data.port()),
        "AUTH" => "234 so be it\r\n".to_owned(),
        "LIST" | "RETR" | "STOR" => "150 here it comes\r\n226 done\r\n".to_owned(),
        "SIZE" => format!("213 {}\r\n", FILE.len()),
        "DELE" => "250 gone\r\n".to_owned(),
        "QUIT" => "221 bye\r\n".to_owned(),
        _ => "200 fine\r\n".to_owned(),
    }
}

/// Takes a turn; false if that was the last.
async fn take<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, turn: Turn, fair: &str) -> bool {
    let sent = match turn {
        Turn::Fair => stream.write_all(fair.as_bytes()).await,
        Turn::Worded(words) => {
            stream.write_all(&[fair.get(..4).unwrap_or_default().as_bytes(), &words, b"\r\n"].concat()).await
        }
        Turn::Coded(code, text) => stream.write_all(format!("{code:03} {text}\r\n").as_bytes()).await,
        Turn::Raw(bytes) => stream.write_all(&bytes).await,
        Turn::Dribbled => {
            let mut sent = Ok(());
            for byte in fair.as_bytes() {
                sent = stream.write_all(&[*byte]).await;
                tokio::task::yield_now().await;
            }
            sent
        }
        Turn::Chatty(bytes) => stream.write_all(&[fair.as_bytes(), &bytes].concat()).await,
        Turn::Silent => Ok(()),
        Turn::Closed => return false,
        Turn::Endless(bytes) => {
            let chunk = bytes.repeat(4096 / bytes.len());
            while stream.write_all(&chunk).await.is_ok() {}
            return false;
        }
    };
    sent.is_ok()
}

async fn serve_data(listener: TcpListener, guise: Guise, turn: Turn) {
    while let Ok((stream, _)) = listener.accept().await {
        transfer(stream, guise, turn.clone()).await;
    }
}

async fn transfer(stream: TcpStream, guise: Guise, turn: Turn) {
    let mut stream: Box<dyn Stream> = match (&turn, guise) {
        // Clear text where TLS was agreed on.
        (Turn::Raw(_), _) | (_, Guise::Plain) => Box::new(stream),
        (_, Guise::Implicit | Guise::Explicit) => match IDENTITY.0.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        },
    };
    let silent = matches!(turn, Turn::Silent);
    take(&mut stream, turn, FILE).await;
    if silent {
        hear(&mut BufReader::new(stream)).await;
    } else {
        stream.shutdown().await.ok();
    }
}

/// What the probe tells of the server, and how long it took to.
async fn checked(probe: &FtpProbe, address: SocketAddr, within: Duration) -> (Verdict, Duration) {
    let host: Host = address.to_string().parse().unwrap();
    let target = Target::new(NodeId::new("ftp-1").unwrap(), host, Via::Floating, within);
    let asked = Instant::now();
    let verdict = timeout(within + ALLOWANCE, probe.probe(&target)).await.expect("the deadline is kept");
    (verdict.expect("the prober lacks nothing"), asked.elapsed())
}

/// All that is told is short, on one line, and without the password.
fn judge(verdict: &Verdict) -> Result<(), TestCaseError> {
    let told = verdict.reason.iter().map(ToString::to_string).chain(verdict.warnings.iter().cloned());
    for text in told {
        prop_assert!(text.chars().count() < 400, "too long: {text:?}");
        prop_assert!(!text.chars().any(char::is_control), "not clean: {text:?}");
        prop_assert!(!text.contains(SECRET), "the password is told: {text:?}");
    }
    Ok(())
}

/// Held by whoever measures the memory of this process.
static MEASURED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Memory of this process that is in use, in KiB.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn whatever_servers_send_the_probe_ends_by_its_deadline_and_tells_no_secret() {
    let _measured = MEASURED.blocking_lock();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner =
        TestRunner::new(Config { cases: ROUNDS, max_shrink_iters: 64, failure_persistence: None, ..Config::default() });
    let before = resident();
    let outcome = runner.run(&vec(dialogue(), DIALOGUES), |dialogues| {
        let verdicts = runtime.block_on(async {
            let mut checks = JoinSet::new();
            for (turns, data) in dialogues {
                for (probe, guise) in probes() {
                    let (turns, data) = (turns.clone(), data.clone());
                    checks.spawn(async move {
                        let (address, played) = server(guise, turns, data).await;
                        let (verdict, _) = checked(&probe, address, TIMEOUT).await;
                        // The server has nobody left to talk to.
                        timeout(ALLOWANCE, played).await.expect("the connection was closed").unwrap();
                        verdict
                    });
                }
            }
            checks.join_all().await
        });
        verdicts.iter().try_for_each(judge)
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    if let (Some(before), Some(after)) = (before, resident()) {
        assert!(after < before + 64 * 1024, "memory grew from {before} KiB to {after} KiB");
    }
}

#[tokio::test]
async fn a_server_that_takes_every_turn_fairly_is_healthy() {
    for (probe, guise) in probes() {
        let (address, played) = server(guise, Vec::new(), Turn::Fair).await;
        let (verdict, _) = checked(&probe, address, ALLOWANCE).await;
        assert_eq!(verdict, Verdict::healthy(), "{probe}");
        played.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_never_stops_sending_ends_the_check_before_the_deadline_and_fills_no_memory() {
    let _measured = MEASURED.lock().await;
    let floods: [&'static [u8]; 4] = [b"x", b"220-\r\n", b"220-x", b"\xff"];
    for (flood, (probe, guise)) in
        floods.into_iter().flat_map(|flood| probes().into_iter().map(move |one| (flood, one)))
    {
        // Whoever only logs in has fewer stages.
        for stage in 0..3 {
            let mut turns = vec![Turn::Fair; stage];
            turns.push(Turn::Endless(flood));
            let (address, _played) = server(guise, turns, Turn::Fair).await;
            let before = resident();
            let (verdict, took) = checked(&probe, address, TIMEOUT).await;
            assert!(!verdict.is_healthy(), "{probe}: {flood:?} at {stage}");
            assert!(took < TIMEOUT + ALLOWANCE);
            if let (Some(before), Some(after)) = (before, resident()) {
                assert!(after < before + 16 * 1024, "{flood:?} at {stage}: from {before} KiB to {after} KiB");
            }
        }
    }
}
