//! A real FTP server inside this process.

use std::io;
use std::net::TcpListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libunftp::ServerBuilder;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use unftp_core::auth::{AuthenticationError, Authenticator, Credentials, Principal};
use unftp_sbe_fs::Filesystem;

/// Who may log in.
pub(super) const USER: &str = "demo";
/// It protects nothing: the servers listen on loopback, and serve a file that says whose it is.
pub(super) const PASSWORD: &str = "floatip";

const GREETING: &str = "floatip demo";
/// How long to wait after a connection could not be accepted: the want of descriptors passes.
const RESPITE: Duration = Duration::from_millis(10);

/// One server that listens at one address. Dropping it ends it at once, with all its sessions and data connections.
///
/// It has a runtime of its own, as a process has threads of its own: libunftp gives no hold on the tasks of its
/// sessions, and the end of the runtime is the end of them all.
#[derive(Debug)]
pub(super) struct FtpServer {
    accepting: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl FtpServer {
    /// Serves a folder.
    pub(super) fn start(name: &str, folder: &Path, listener: StdListener) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _within = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let accepting = runtime.spawn(accept(listener, folder.into()));
        Ok(Self { accepting: Some(accepting), runtime: Some(runtime) })
    }

    /// Ends it; the address is free again when this returns.
    pub(super) async fn stop(mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // An error says that it was aborted, which is what was asked for.
            accepting.await.ok();
        }
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, folder: Arc<Path>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(RESPITE).await;
            continue;
        };
        let folder = folder.clone();
        let storage = move || Filesystem::new(&*folder).expect("the folder outlives its server");
        let server = ServerBuilder::with_authenticator(Box::new(storage), Arc::new(OneUser)).greeting(GREETING);
        // libunftp leaves Nagle's algorithm on, which would cost each login 40 ms.
        match (stream.set_nodelay(true), server.build()) {
            (Ok(()), Ok(server)) => drop(tokio::spawn(server.service(stream))),
            (Err(error), _) => tracing::debug!(%error, "a client left at once"),
            (Ok(()), Err(error)) => tracing::error!(%error, "the FTP server is misconfigured"),
        }
    }
}

#[derive(Debug)]
struct OneUser;

#[async_trait]
impl Authenticator for OneUser {
    async fn authenticate(&self, username: &str, credentials: &Credentials) -> Result<Principal, AuthenticationError> {
        if username != USER {
            return Err(AuthenticationError::BadUser);
        }
        match credentials.password.as_deref() {
            Some(PASSWORD) => Ok(Principal { username: username.to_owned() }),
            Some(_) | None => Err(AuthenticationError::BadPassword),
        }
    }
}
