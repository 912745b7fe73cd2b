//! A mover of your own: moves an address between network namespaces of Linux, by the program `ip`.
//!
//! ```console
//! sudo target/debug/examples/custom_mover
//! sudo target/debug/examples/custom_mover --contract
//! ```
//!
//! The first makes namespaces for two servers, kills the service on the first one, watches the address move, and asks as
//! a client who serves now. The second runs the mover through the contract of `AddressMover`, as you should with yours.
//! Both need Linux, root and iproute2 (`cargo build --examples` does not), touch no network of the machine's own, and
//! delete their namespaces at the end.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use floatip_core::testing::contract::{self, Fixture, Situation};
use floatip_core::{
    Accepted, AddressMover, BoxError, Capabilities, Check, FloatingIp, MoveError, Node, NodeId, Orchestrator,
    Placement, Precondition, Readiness, ReleaseMode, Setup, Strategy, Token, Verification,
};
use floatip_examples::{Lab, Narrator, Service, greeting, ip};
use floatip_probes::TcpProbe;
use serde_json::Value;
use tokio::process::Command;
use tokio::signal::ctrl_c;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Moves a network device, and the address that it bears, between the namespaces of the nodes and one where it waits
/// while no node has it.
///
/// A device is in one namespace at a time, and the kernel moves it only out of the one where it is: of two monitors that
/// claim it, one is refused. That makes the namespace a token, though one that may come back. To bear the address and to
/// be up belongs to a claim, and does not come with the device: without them the placement reads as not settled.
///
/// # Source
/// network_namespaces(7), ip-link(8), ip-address(8).
#[derive(Debug)]
struct NamespaceMover {
    device: String,
    address: String,
    waiting: String,
    namespaces: BTreeMap<NodeId, String>,
}

/// How long one call of the mover may take: a claim runs `ip` three times.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
const RUN_TIMEOUT: Duration = Duration::from_millis(500);
const READ: &str = "ip address show";
const MOVE: &str = "ip link set netns";
const SETTLE: &str = "ip address replace";

impl NamespaceMover {
    /// Whether the device is in a namespace, and if so, whether it bears the address and is up.
    async fn look(&self, namespace: &str) -> Result<Option<bool>, Failure> {
        let shown = run(&["-n", namespace, "-json", "address", "show"]).await?;
        let devices: Vec<Value> = serde_json::from_slice(&shown).map_err(|error| Failure::Unclear(error.into()))?;
        Ok(devices.iter().find(|device| device["ifname"] == self.device.as_str()).map(|device| {
            let is_up = device["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
            let addresses = device["addr_info"].as_array().into_iter().flatten();
            let bears = |info: &Value| Some(format!("{}/{}", info["local"].as_str()?, info["prefixlen"].as_u64()?));
            is_up && addresses.filter_map(bears).any(|address| address == self.address)
        }))
    }

    async fn shift(&self, from: &str, to: &str) -> Result<(), MoveError> {
        let moved = run(&["-n", from, "link", "set", &self.device, "netns", to]).await;
        moved.map(drop).map_err(|failure| failure.of_request(MOVE, &self.device))
    }

    async fn settle(&self, namespace: &str) -> Result<(), MoveError> {
        let address = ["-n", namespace, "address", "replace", &self.address, "dev", &self.device];
        let up = ["-n", namespace, "link", "set", &self.device, "up"];
        for arguments in [&address[..], &up[..]] {
            run(arguments).await.map_err(|failure| failure.of_request(SETTLE, &self.device))?;
        }
        Ok(())
    }

    fn conflict(&self, why: String) -> MoveError {
        MoveError::Conflict { call: MOVE, resource: self.device.clone(), source: why.into() }
    }
}

#[async_trait]
impl AddressMover for NamespaceMover {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Strategy::ReleaseFirst).call_timeout(CALL_TIMEOUT).precondition(Precondition::Enforced)
    }

    fn serves(&self, node: &NodeId) -> bool {
        self.namespaces.contains_key(node)
    }

    async fn locate(&self) -> Result<Placement, MoveError> {
        let read = async {
            let mut found = Vec::new();
            if self.look(&self.waiting).await?.is_some() {
                found.push(Placement::Free);
            }
            for (node, namespace) in &self.namespaces {
                let settled = self.look(namespace).await?;
                let token = Token::snapshot(namespace.as_str());
                found.extend(settled.map(|settled| Placement::Held { node: node.clone(), token, settled }));
            }
            Ok(found)
        };
        // The look at all namespaces together is the call, so the deadline is one for all.
        let found = timeout(CALL_TIMEOUT, read).await.unwrap_or_else(|elapsed| Err(Failure::Unclear(elapsed.into())));
        match found.map_err(|failure| failure.of_read(&self.device))?.as_slice() {
            [placement] => Ok(placement.clone()),
            // Unknown: somebody moved it meanwhile, or has it in a namespace that is no node's.
            [] => Err(Failure::NotThere("it is in none of the namespaces".into()).of_read(&self.device)),
            _ => Err(Failure::Unclear("it moved while it was looked for".into()).of_read(&self.device)),
        }
    }

    /// Graceful or forced, the kernel does not ask the holder.
    async fn release(&self, seen: &Placement, _mode: ReleaseMode) -> Result<Accepted, MoveError> {
        let namespace = seen.token().ok_or_else(|| self.conflict(format!("it is {seen} already")))?;
        self.shift(namespace.as_str(), &self.waiting).await?;
        Ok(Accepted::without_token())
    }

    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError> {
        let namespace = self.namespaces.get(to).ok_or_else(|| MoveError::Impossible {
            call: MOVE,
            resource: self.device.clone(),
            reason: format!("{to} is no node of this mover"),
            source: "no namespace is known for it".into(),
        })?;
        match seen {
            Placement::Free => {
                self.shift(&self.waiting, namespace).await?;
                // From here on the claim stands: what is left to do shows in the next reading, and is asked for again.
                drop(self.settle(namespace).await);
            }
            Placement::Held { node, .. } if node == to => self.settle(namespace).await?,
            Placement::Held { .. }
            | Placement::Transition { .. }
            | Placement::Stranger { .. }
            | Placement::Split { .. } => return Err(self.conflict(format!("it is {seen}, and must be released first"))),
        }
        Ok(Accepted::with_token(Token::snapshot(namespace.as_str())))
    }

    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let reason = match self.namespaces.get(to) {
            None => format!("{to} is no node of this mover"),
            Some(namespace) => match self.look(namespace).await {
                Ok(_) => return Ok(Readiness::Ready),
                Err(Failure::NoNamespace(_)) => format!("there is no namespace {namespace}; make it"),
                Err(failure) => return Err(failure.of_read(&self.device)),
            },
        };
        Ok(Readiness::Impossible { reason })
    }
}

/// Why `ip` did not do what it was told.
enum Failure {
    /// It may not, or cannot even be started.
    NotPermitted(BoxError),
    /// The device is not in that namespace.
    NotThere(BoxError),
    /// There is no such namespace.
    NoNamespace(BoxError),
    /// Anything else.
    Unclear(BoxError),
}

impl Failure {
    fn of_read(self, device: &str) -> MoveError {
        let (call, resource) = (READ, device.to_owned());
        match self {
            Self::NotPermitted(source) => MoveError::Denied { call, resource, source },
            Self::NotThere(source) | Self::NoNamespace(source) => MoveError::NotFound { call, resource, source },
            Self::Unclear(source) => MoveError::TimedOut { call, source },
        }
    }

    /// The kernel did it or did not: only what is unclear leaves the outcome unknown.
    fn of_request(self, call: &'static str, device: &str) -> MoveError {
        let resource = device.to_owned();
        match self {
            Self::NotPermitted(source) => MoveError::Denied { call, resource, source },
            Self::NotThere(source) => MoveError::Conflict { call, resource, source },
            Self::NoNamespace(source) => MoveError::NotFound { call, resource, source },
            Self::Unclear(source) => MoveError::OutcomeUnknown { call, resource, source },
        }
    }
}

/// Runs `ip`, without a shell, and gives back what it printed. Whoever drops this ends it.
async fn run(arguments: &[&str]) -> Result<Vec<u8>, Failure> {
    let mut command = Command::new("ip");
    command.args(arguments).env("LC_ALL", "C").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().map_err(|error| Failure::NotPermitted(error.into()))?;
    let ended = match timeout(RUN_TIMEOUT, running.wait_with_output()).await {
        Ok(ended) => ended.map_err(|error| Failure::Unclear(error.into()))?,
        Err(elapsed) => return Err(Failure::Unclear(elapsed.into())),
    };
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    let class = [
        ("Operation not permitted", Failure::NotPermitted as fn(BoxError) -> Failure),
        ("Cannot find device", Failure::NotThere),
        // It left between ip's look for it and its request.
        ("No such device", Failure::NotThere),
        ("Cannot open network namespace", Failure::NoNamespace),
        ("Invalid \"netns\" value", Failure::NoNamespace),
    ];
    let class =
        class.into_iter().find(|(words, _)| said.contains(words)).map_or(Failure::Unclear as _, |(_, class)| class);
    Err(class(said.into()))
}

fn mover(lab: &Lab) -> Result<NamespaceMover> {
    let namespaces = Lab::SERVERS.into_iter().map(|server| Ok((NodeId::new(server)?, lab.namespace(server))));
    Ok(NamespaceMover {
        device: Lab::DEVICE.to_owned(),
        address: Lab::ADDRESS.to_owned(),
        waiting: lab.waiting(),
        namespaces: namespaces.collect::<Result<_>>()?,
    })
}

async fn fail_over(lab: &Lab) -> Result<()> {
    const PORT: u16 = 7;
    let (address, _) = Lab::ADDRESS.split_once('/').context("an address and the length of its prefix")?;
    let mut setup = Setup::new(FloatingIp::new("echo", address)?)
        .check(Check::new(Arc::new(TcpProbe::new(PORT)?)))
        .mover(Arc::new(mover(lab)?));
    let mut services = BTreeMap::new();
    for (number, server) in Lab::SERVERS.into_iter().enumerate() {
        let service = Service::new(server);
        service.serve(lab.listen(server, PORT)?)?;
        services.insert(server, service);
        setup = setup.node(Node::new(server, &lab.host(number))?);
    }
    let orchestrator = Orchestrator::builder().floating_ip(setup).build()?;
    let mut narrator = Narrator::of(&orchestrator);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(orchestrator.run(async { stopped.await.unwrap_or(()) }));

    narrator.say("the address waits for a healthy server");
    let rescue = narrator.tell_until_moved().await?;
    narrator.say(&format!("the service on {} dies", rescue.to));
    services[rescue.to.as_str()].kill();
    let receipt = narrator.tell_until_moved().await?;
    let server = greeting(&format!("{address}:{PORT}")).await?;
    narrator.say(&format!("a client of the same address is served by {server}"));

    drop(stop);
    running.await?;
    ensure!(receipt.to != rescue.to && server == receipt.to.as_str(), "the address should be on {}", receipt.to);
    ensure!(receipt.verification == Verification::Verified, "the move was not verified");
    Ok(())
}

/// The namespaces and the mover, for one case of the contract.
struct Bench<'a> {
    lab: &'a Lab,
    mover: Arc<NamespaceMover>,
}

impl Bench<'_> {
    /// Brings the device from wherever it is into a namespace, with nothing that a claim brings.
    fn put_into(&self, namespace: &str) {
        let device = Lab::DEVICE;
        let everywhere = self.mover.namespaces.values().chain([&self.mover.waiting]);
        let holds = |place: &&String| ip(&["-n", place, "link", "show", device]).is_ok();
        let place = everywhere.into_iter().find(holds).expect("the device is somewhere");
        for arguments in [
            ["-n", place, "address", "flush", "dev", device].as_slice(),
            &["-n", place, "link", "set", device, "down", "netns", namespace],
        ] {
            ip(arguments).expect("the device can be moved");
        }
    }
}

#[async_trait]
impl Fixture for Bench<'_> {
    fn mover(&self) -> Arc<dyn AddressMover> {
        self.mover.clone()
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.mover.namespaces.keys().cloned().collect()
    }

    async fn arrange(&mut self, situation: &Situation) -> bool {
        match situation {
            Situation::Free => self.put_into(&self.lab.waiting()),
            Situation::UnsettledOn(node) => self.put_into(&self.lab.namespace(node.as_str())),
            Situation::On(node) => {
                let namespace = self.lab.namespace(node.as_str());
                self.put_into(&namespace);
                self.mover.settle(&namespace).await.expect("the device can bear the address");
            }
            // The kernel knows nothing between "here" and "there", and this mover no other namespace and no parts.
            Situation::Leaving(_) | Situation::GoingTo(_) | Situation::OnStranger | Situation::Split(..) => {
                return false;
            }
            new => panic!("{new:?} is new"),
        }
        true
    }
}

async fn keep_contract(lab: &Lab) -> Result<()> {
    let mover = Arc::new(mover(lab)?);
    let report = contract::run(async || Bench { lab, mover: mover.clone() }).await;
    print!("{report}");
    ensure!(report.failed().is_empty(), "the mover breaks its contract");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let contract = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--contract"] => true,
        _ => bail!("usage: custom_mover [--contract]"),
    };
    let lab = Lab::new()?;
    // Before the runtime has threads of its own: they all are to be where the clients are.
    lab.enter()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let work = async { if contract { keep_contract(&lab).await } else { fail_over(&lab).await } };
        tokio::select! {
            ended = work => ended,
            interrupted = ctrl_c() => interrupted.context("signals").and_then(|()| bail!("interrupted")),
        }
    })
}
