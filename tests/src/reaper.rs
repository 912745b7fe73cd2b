//! What the tests made outside their own memory, and its end: by guard, by signal, or by the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

/// Something that outlives a panic unless it is ended.
#[derive(Debug, Clone)]
pub(crate) enum Estate {
    /// A process that this test started, not yet waited for or waited for through this very handle.
    Process(Arc<Mutex<Child>>),
    /// A network namespace with everything that runs in it, and its folder in `/etc/netns`.
    Namespace(String),
    /// A folder.
    Folder(PathBuf),
}

impl Estate {
    fn end(&self) {
        match self {
            Self::Process(child) => {
                let mut child = lock(child);
                if let Err(error) = child.kill().and_then(|()| child.wait()) {
                    eprintln!("could not end process {}: {error}", child.id());
                }
            }
            Self::Namespace(name) => end_namespace(name),
            Self::Folder(path) => end_folder(path),
        }
    }
}

/// The ownership of one [`Estate`]: dropping it ends what is owned.
#[derive(Debug)]
#[must_use = "dropped, it ends what it owns"]
pub(crate) struct Owned {
    number: u64,
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut estates = lock(&ESTATES);
        if let Some(at) = estates.list.iter().position(|(number, _)| *number == self.number) {
            let (_, estate) = estates.list.remove(at);
            drop(estates);
            estate.end();
        }
    }
}

#[derive(Debug)]
struct Estates {
    next: u64,
    list: Vec<(u64, Estate)>,
}

static ESTATES: Mutex<Estates> = Mutex::new(Estates { next: 0, list: Vec::new() });

/// Notes that `estate` exists, or is about to.
pub(crate) fn own(estate: Estate) -> Owned {
    static WATCH: OnceLock<()> = OnceLock::new();
    WATCH.get_or_init(watch_signals);
    let mut estates = lock(&ESTATES);
    let number = estates.next;
    estates.next += 1;
    estates.list.push((number, estate));
    Owned { number }
}

/// A folder under the system's temporary one, removed with its owner.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _owned: Owned,
}

impl Folder {
    /// Makes a folder that others may enter, as daemons with users of their own need.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let path = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?
            .keep();
        Ok(Self { _owned: own(Estate::Folder(path.clone())), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Ends everything that is still owned, the newest first. For the end of a test program, and for signals.
pub fn end_all() {
    loop {
        let Some((_, estate)) = lock(&ESTATES).list.pop() else { return };
        estate.end();
    }
}

/// What every namespace and folder of a test process is named: this, the process id, and a dash.
pub(crate) const PREFIX: &str = "floatip-test-";

/// Removes the namespaces and folders of test processes that are no longer there.
pub fn sweep() {
    for name in names_in(Path::new("/run/netns")).chain(names_in(Path::new("/etc/netns"))) {
        if is_of_a_dead_process(&name) {
            eprintln!("removing namespace {name} of an earlier run");
            end_namespace(&name);
        }
    }
    for name in names_in(&std::env::temp_dir()) {
        if is_of_a_dead_process(&name) {
            end_folder(&std::env::temp_dir().join(name));
        }
    }
}

fn names_in(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).ok();
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok())
}

fn is_of_a_dead_process(name: &str) -> bool {
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).and_then(|(pid, _)| pid.parse().ok());
    pid.is_some_and(|pid: i32| kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH))
}

/// Ends what runs in a namespace of ours, then the namespace, then its folder in `/etc/netns`.
fn end_namespace(name: &str) {
    if Path::new("/run/netns").join(name).exists() {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !kill_inhabitants(name) && Instant::now() < deadline {
            thread::yield_now();
        }
        let deleted = Command::new("ip").args(["netns", "del", name]).stdin(Stdio::null()).output();
        if let Ok(output) = deleted
            && !output.status.success()
        {
            eprintln!("could not delete namespace {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    end_folder(&Path::new("/etc/netns").join(name));
    // Gone only if it is empty: another lab may use it.
    fs::remove_dir("/etc/netns").unwrap_or(());
}

/// Kills every process whose network is the namespace's; true once there is none.
fn kill_inhabitants(name: &str) -> bool {
    let Ok(output) = Command::new("ip").args(["netns", "pids", name]).stdin(Stdio::null()).output() else {
        return true;
    };
    let pids = String::from_utf8_lossy(&output.stdout).into_owned();
    let own = std::process::id().cast_signed();
    let others: Vec<i32> = pids.lines().filter_map(|pid| pid.trim().parse().ok()).filter(|pid| *pid != own).collect();
    for pid in &others {
        kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap_or(());
    }
    others.is_empty()
}

fn end_folder(path: &Path) {
    if path.exists()
        && let Err(error) = fs::remove_dir_all(path)
    {
        eprintln!("could not remove {}: {error}", path.display());
    }
}

/// Ends everything and then this process when it is told to end.
fn watch_signals() {
    let (armed, is_armed) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let number = runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).expect("a handler");
            let mut terminate = signal(SignalKind::terminate()).expect("a handler");
            let mut hangup = signal(SignalKind::hangup()).expect("a handler");
            armed.send(()).expect("somebody waits");
            tokio::select! {
                _ = interrupt.recv() => Signal::SIGINT,
                _ = terminate.recv() => Signal::SIGTERM,
                _ = hangup.recv() => Signal::SIGHUP,
            }
        });
        end_all();
        std::process::exit(128 + number as i32);
    });
    is_armed.recv().expect("the handlers were set");
}

/// Locks, also after a panic elsewhere: cleaning up must go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
