//! moto: an EC2 API that this project did not write, for an independent reading of the wire format.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::need;
use crate::process::{Process, output, until};
use crate::reaper::lock;

/// The version that the tests were written against.
pub const VERSION: &str = "5.2.1";
/// The Region that is ready when the server is.
pub const REGION: &str = "us-east-1";
const REQUIREMENTS: [&str; 3] = ["moto[ec2,dynamodb]==5.2.1", "flask==3.1.3", "flask-cors==6.0.2"];

/// A running moto server, with an account of its own that is empty at first. Dropping it ends it.
#[derive(Debug)]
pub struct Moto {
    _process: Process,
    address: SocketAddr,
}

impl Moto {
    /// Starts it on a free port of loopback and waits until it answers.
    ///
    /// # Errors
    /// If it is not [installed], or does not answer within a minute.
    pub fn start() -> Result<Self> {
        let python = installed()?;
        // The port is free for a moment only; a server that finds it taken ends, and the next one gets another.
        let mut last = None;
        for _ in 0..3 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            let mut command = Command::new(&python);
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let process =
                Process::start(&mut command).with_context(|| format!("could not run {}", python.display()))?;
            let answers = until(Duration::from_secs(60), || {
                if let Some(status) = process.ended()? {
                    bail!("moto ended with {status}");
                }
                Ok(get(address, "/moto-api/").is_ok_and(|status| status == 200))
            });
            match answers {
                Ok(()) => {
                    warm_up(address).context("moto's EC2 does not answer")?;
                    println!("moto: {} serves on {address}, process {}", python.display(), process.pid());
                    return Ok(Self { _process: process, address });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("it was tried")?)
    }

    /// Its endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The status code of a GET.
fn get(address: SocketAddr, path: &str) -> Result<u16> {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
        Duration::from_secs(2),
    )
}

/// Has EC2 loaded: that takes seconds, more than the movers give a call, and happens at the first one.
fn warm_up(address: SocketAddr) -> Result<()> {
    let body = "Action=DescribeInstances&Version=2016-11-15";
    let scope = format!("test/20260101/{REGION}/ec2/aws4_request");
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n\r\n{body}",
        body.len()
    );
    let status = ask(address, &request, Duration::from_secs(60))?;
    ensure!(status == 200, "DescribeInstances answered {status}");
    Ok(())
}

/// The status code of the answer to a request.
fn ask(address: SocketAddr, request: &str, patience: Duration) -> Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(std::str::from_utf8(&head)?.strip_prefix("HTTP/1.1 ").context("not HTTP/1.1")?.parse()?)
}

/// A Python interpreter that has moto in the pinned version: the installed `python3`, or that of a virtual environment
/// which is made under `target/` the first time (about 140 MB from the Python package index).
///
/// # Errors
/// If there is none and none can be installed; it says which step failed.
pub fn installed() -> Result<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = lock(&INSTALLING);
    let python = need::find("python3").context("the program python3 is missing")?;
    let environment = need::target().join(format!("moto-{VERSION}"));
    let own = environment.join("bin/python");
    if let Some(python) = [&python, &own].into_iter().find(|python| has_moto(python)) {
        return Ok(python.clone());
    }
    install(&python, &environment)?;
    ensure!(has_moto(&own), "{} has no moto {VERSION} after its installation", own.display());
    Ok(own)
}

fn install(python: &Path, environment: &Path) -> Result<()> {
    println!("moto: making a virtual environment in {} with {}", environment.display(), REQUIREMENTS.join(" "));
    let began = Instant::now();
    output(Command::new(python).args(["-m", "venv", "--clear"]).arg(environment))
        .context("python3 makes no virtual environment (Debian's package python3-venv)")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "20"];
    output(Command::new(environment.join("bin/python")).args(pip).args(REQUIREMENTS))
        .context("pip could not install moto")?;
    println!("moto: installed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn has_moto(python: &Path) -> bool {
    let question = "import flask, flask_cors, importlib.metadata as m; print(m.version('moto'))";
    let answer = output(Command::new(python).args(["-c", question]));
    answer.is_ok_and(|version| version.trim() == VERSION)
}
