//! A client of the floating address: it knocks all the time, and knows afterwards how long nobody answered.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use suppaftp::tokio::AsyncFtpStream;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::netns::{self, Namespace};
use crate::reaper::lock;

/// From the start of one attempt to the start of the next: attempts do not wait for one another.
const PERIOD: Duration = Duration::from_millis(10);
/// How long one attempt waits for a greeting.
const PATIENCE: Duration = Duration::from_millis(250);

/// One knock that was answered with a greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// When the client began to connect.
    pub asked: Instant,
    /// When the greeting was there.
    pub answered: Instant,
    /// The greeting, which names the node.
    pub text: String,
}

/// The time during which a client was not served.
#[derive(Debug, Clone)]
pub struct Outage {
    /// The last greeting before.
    pub before: Greeting,
    /// The first greeting after.
    pub after: Greeting,
}

impl Outage {
    /// From the last greeting before to the first after.
    pub fn duration(&self) -> Duration {
        self.after.answered.saturating_duration_since(self.before.answered)
    }
}

/// A client that connects every ten milliseconds, each time anew, and reads the greeting. Dropping it ends it.
#[derive(Debug)]
pub struct Client {
    log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Log {
    greetings: Mutex<Vec<Greeting>>,
    more: Condvar,
}

impl Client {
    /// Starts it, in a namespace or in this process's own network.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn start(place: Option<&Namespace>, address: SocketAddr) -> Result<Self> {
        let log = Arc::<Log>::default();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let namespace = place.map(|place| place.name().to_owned());
        let thread = thread::spawn({
            let log = log.clone();
            move || {
                let entered = namespace.map_or(Ok(()), |name| netns::enter(&name));
                let failed = entered.is_err();
                if ready.send(entered).is_err() || failed {
                    return;
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    tokio::select! {
                        () = knock(address, &log) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        is_ready.recv().context("the client's thread ended")??;
        Ok(Self { log, stop: Some(stop), thread: Some(thread) })
    }

    /// All greetings until now, in the order of their arrival.
    pub fn greetings(&self) -> Vec<Greeting> {
        lock(&self.log.greetings).clone()
    }

    /// Waits for a greeting of `node` to an attempt that begins from now on.
    ///
    /// # Errors
    /// If there is none within `patience`; it says what there was last.
    pub fn await_greeting(&self, node: &str, patience: Duration) -> Result<Greeting> {
        let now = Instant::now();
        let greetings = lock(&self.log.greetings);
        let find = |greetings: &[Greeting]| {
            greetings
                .iter()
                .rev()
                .take_while(|it| it.answered >= now)
                .find(|it| it.asked >= now && names(it, node))
                .cloned()
        };
        let (greetings, _) = self
            .log
            .more
            .wait_timeout_while(greetings, patience, |greetings| find(greetings).is_none())
            .unwrap_or_else(PoisonError::into_inner);
        find(&greetings).with_context(|| {
            let last = greetings.last().map(|it| format!("{:?}, {:?} ago", it.text, it.answered.elapsed()));
            format!("no greeting of {node} within {patience:?}; the last one was {last:?}")
        })
    }

    /// The time between the last greeting of `from` and the first of `to`.
    ///
    /// # Errors
    /// If there is no greeting of one of them, or `from` greeted again after `to`: then the address was on two nodes.
    pub fn outage(&self, from: &str, to: &str) -> Result<Outage> {
        let greetings = self.greetings();
        let after = greetings.iter().position(|it| names(it, to)).with_context(|| format!("{to} never answered"))?;
        let (past, future) = greetings.split_at(after);
        ensure!(!future.iter().any(|it| names(it, from)), "{from} answered after {to} had");
        let before = past.iter().rev().find(|it| names(it, from)).with_context(|| format!("{from} never answered"))?;
        Ok(Outage { before: before.clone(), after: future[0].clone() })
    }

    /// The longest time between two greetings, whoever gave them.
    pub fn longest_silence(&self) -> Duration {
        let greetings = self.greetings();
        greetings.windows(2).map(|pair| pair[1].answered - pair[0].answered).max().unwrap_or_default()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the client panicked");
        }
    }
}

fn names(greeting: &Greeting, node: &str) -> bool {
    greeting.text.split_whitespace().any(|word| word == node)
}

async fn knock(address: SocketAddr, log: &Arc<Log>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let log = log.clone();
        tokio::spawn(async move {
            let asked = Instant::now();
            if let Ok(Ok(text)) = timeout(PATIENCE, greeting(address)).await
                && !text.is_empty()
            {
                lock(&log.greetings).push(Greeting { asked, answered: Instant::now(), text });
                log.more.notify_all();
            }
        });
    }
}

async fn greeting(address: SocketAddr) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(address).await?).read_line(&mut line).await?;
    Ok(line)
}

/// Logs in at `address` as a person would, and lists the folder over a data connection.
///
/// # Errors
/// What the server or the network said, or that it took longer than `patience`.
pub fn login_and_list(
    place: Option<&Namespace>,
    address: SocketAddr,
    user: &str,
    password: &str,
    patience: Duration,
) -> Result<Vec<String>> {
    let session = || -> Result<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let session = async {
                let mut ftp = AsyncFtpStream::connect(address).await.context("connect")?;
                ftp.login(user, password).await.context("login")?;
                let names = ftp.nlst(None).await.context("list")?;
                ftp.quit().await.context("quit")?;
                anyhow::Ok(names)
            };
            match timeout(patience, session).await {
                Ok(names) => names,
                Err(_) => bail!("an FTP session at {address} took longer than {patience:?}"),
            }
        })
    };
    match place {
        Some(namespace) => namespace.enter(session)?,
        None => session(),
    }
}
