//! A folder with a configuration, and `floatip` run in it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use floatip_aws::simulator::{Simulator, Timings, World};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

/// A configuration that needs nothing to be checked.
pub(crate) const VALID: &str = r#"[[floating_ip]]
name = "ftp"
address = "172.16.11.30"
[floating_ip.mover]
kind = "eni"
network_interface = "eni-0a1b2c3d4e5f60001"
[[floating_ip.node]]
name = "ftp-1"
instance = "i-0a1b2c3d4e5f60011"
host = "172.16.11.10"
[[floating_ip.node]]
name = "ftp-2"
instance = "i-0a1b2c3d4e5f60012"
host = "172.16.11.20"
[[floating_ip.probe]]
kind = "ftp"
username = "monitor"
password = { env = "FTP_PASSWORD" }
"#;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder in which `floatip` runs, with `floatip.toml` in it.
pub(crate) struct Desk {
    folder: TempDir,
    /// What the command finds in its environment besides.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

impl Desk {
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("floatip.toml"), config).unwrap();
        Self { folder, environment: Vec::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.dressed(Command::new(env!("CARGO_BIN_EXE_floatip")), arguments)
    }

    /// A program that runs in the folder, with what `floatip` needs around it.
    fn dressed(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("FLOATIP_CONFIG")
            .env_remove("FLOATIP_CONTROL")
            .env("FTP_PASSWORD", "hunter2")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_CONFIG_FILE", "/nonexistent")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A service that accepts connections until it is dropped.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Service {
    pub(crate) fn start() -> Self {
        Closed::at((Ipv4Addr::LOCALHOST, 0).into()).open()
    }

    fn accept(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Self { address, accepting }
    }

    /// From here on, connections are refused.
    pub(crate) async fn end(mut self) -> Closed {
        self.accepting.abort();
        assert!((&mut self.accepting).await.unwrap_err().is_cancelled());
        Closed::at(self.address)
    }
}

/// Where a service has been and may be again: nobody listens, and no other test gets the port.
pub(crate) struct Closed(TcpSocket);

impl Closed {
    fn at(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self(socket)
    }

    pub(crate) fn open(self) -> Service {
        Service::accept(self.0.listen(1024).unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A simulated EC2, two services for nodes and one for the floating address, and a configuration of them all.
pub(crate) struct Site {
    pub(crate) desk: Desk,
    pub(crate) simulator: Simulator,
    pub(crate) nodes: [Option<Service>; 2],
    killed: [Option<Closed>; 2],
    floating: Option<Service>,
    silent: Option<Closed>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Timings::instant()).await
    }

    pub(crate) async fn with(timings: Timings) -> Self {
        let world = World::new("eu-test-1")
            .subnet("subnet-a", "eu-test-1a", "172.16.11.0/24", "vpc-1")
            .instance("i-0a1b2c3d4e5f60011", "subnet-a", "172.16.11.10")
            .instance("i-0a1b2c3d4e5f60012", "subnet-a", "172.16.11.20")
            .network_interface("eni-0a1b2c3d4e5f60001", "subnet-a", "172.16.11.30")
            .attach("eni-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60011", 1)
            .delete_on_termination(false);
        let simulator = Simulator::start(world, timings).await.unwrap();
        let (first, second, floating) = (Service::start(), Service::start(), Service::start());
        let config = format!(
            r#"control = "control.sock"
[aws]
region = "eu-test-1"
endpoint_url = "{}"
[[floating_ip]]
name = "ftp"
address = "{}"
[floating_ip.mover]
kind = "eni"
network_interface = "eni-0a1b2c3d4e5f60001"
[[floating_ip.node]]
name = "ftp-1"
instance = "i-0a1b2c3d4e5f60011"
host = "{}"
[[floating_ip.node]]
name = "ftp-2"
instance = "i-0a1b2c3d4e5f60012"
host = "{}"
[[floating_ip.probe]]
kind = "tcp"
port = 21
[floating_ip.health]
interval = "500ms"
fast_interval = "100ms"
timeout = "2s"
"#,
            simulator.endpoint_url(),
            floating.address,
            first.address,
            second.address,
        );
        let (nodes, floating) = ([Some(first), Some(second)], Some(floating));
        Self { desk: Desk::new(&config), simulator, nodes, killed: [None, None], floating, silent: None }
    }

    /// Ends the service of a node: from here on, connections are refused.
    pub(crate) async fn kill(&mut self, node: usize) {
        self.killed[node] = Some(self.nodes[node].take().unwrap().end().await);
    }

    /// From here on, nothing answers at the floating address.
    pub(crate) async fn silence(&mut self) {
        self.silent = Some(self.floating.take().unwrap().end().await);
    }

    /// The floating address answers again.
    pub(crate) fn end_silence(&mut self) {
        self.floating = Some(self.silent.take().expect("it does not answer").open());
    }

    /// Starts the service of a killed node again.
    pub(crate) fn revive(&mut self, node: usize) {
        self.nodes[node] = Some(self.killed[node].take().expect("it was killed").open());
    }

    /// The instance that carries the interface.
    pub(crate) fn carrier(&self) -> Option<String> {
        self.simulator.world().find_interface("eni-0a1b2c3d4e5f60001").unwrap().carrier().map(str::to_owned)
    }

    /// The id of the interface's present attachment.
    pub(crate) fn attachment(&self) -> Option<String> {
        let interface = self.simulator.world().find_interface("eni-0a1b2c3d4e5f60001").unwrap().clone();
        interface.attachment.map(|attachment| attachment.id)
    }

    /// A command that speaks to the monitor.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Ended {
        self.desk.run(&[arguments, &["-c", "floatip.toml"]].concat())
    }

    /// `floatip run`, once it listens.
    pub(crate) fn monitor(&self, arguments: &[&str]) -> Monitor {
        let arguments = [&["run", "-c", "floatip.toml"], arguments].concat();
        Self::listens(self.desk.command(&arguments))
    }

    /// The same, after these words of a shell.
    pub(crate) fn monitor_under(&self, words: &str, arguments: &[&str]) -> Monitor {
        let line = format!("{words}; exec \"$0\" \"$@\"");
        let program = env!("CARGO_BIN_EXE_floatip");
        let arguments = [&["-c", &line, program, "run", "-c", "floatip.toml"], arguments].concat();
        Self::listens(self.desk.dressed(Command::new("sh"), &arguments))
    }

    fn listens(mut command: Command) -> Monitor {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut monitor = Monitor { child, stderr, log: String::new() };
        monitor.read_until("monitoring");
        monitor
    }

    /// The status of the one floating IP, once it is as wanted.
    pub(crate) async fn status_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.ask(&["status", "--json"]).json()["floating_ips"][0].clone();
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{status:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A running monitor. Killed if it is still there at the end of a test.
pub(crate) struct Monitor {
    child: Child,
    stderr: BufReader<ChildStderr>,
    log: String,
}

impl Monitor {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until it has logged this, and gives back all that it has logged.
    pub(crate) fn read_until(&mut self, text: &str) -> &str {
        while !self.log.contains(text) {
            assert!(self.stderr.read_line(&mut self.log).unwrap() > 0, "it ended: {}", self.log);
        }
        &self.log
    }

    /// Sends a signal, and waits for the end.
    pub(crate) fn end(mut self, signal: &str) -> Ended {
        self.signal(signal);
        self.stderr.read_to_string(&mut self.log).unwrap();
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: String::new(), stderr: std::mem::take(&mut self.log) }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // It has ended already, as a rule: then both are errors.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
