//! A TCP service that can be killed.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// A TCP service that greets every client with its own name, on any number of addresses, until it is killed.
#[derive(Debug)]
pub struct Service {
    name: String,
    /// What it listens on; `None` once it is dead.
    listening: Mutex<Option<BTreeMap<SocketAddr, AbortHandle>>>,
}

impl Service {
    /// A service that listens nowhere yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), listening: Mutex::new(Some(BTreeMap::new())) }
    }

    /// Serves on a listener too. A dead service closes it.
    ///
    /// # Errors
    /// If the operating system does not let it.
    pub fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        if let Some(listening) = &mut *self.listening() {
            let greeting = format!("{}\n", self.name);
            let serving = tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    // A client that is gone already, as a health check's, misses nothing.
                    drop(client.write_all(greeting.as_bytes()).await);
                }
            });
            listening.insert(address, serving.abort_handle());
        }
        Ok(())
    }

    /// Serves on this address no more.
    pub fn leave(&self, address: SocketAddr) {
        if let Some(serving) = self.listening().as_mut().and_then(|listening| listening.remove(&address)) {
            serving.abort();
        }
    }

    /// Ends it for good: whoever connects from here on is refused.
    pub fn kill(&self) {
        for serving in self.listening().take().iter().flat_map(BTreeMap::values) {
            serving.abort();
        }
    }

    fn listening(&self) -> MutexGuard<'_, Option<BTreeMap<SocketAddr, AbortHandle>>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name with which a service greets whoever connects to `address`, within two seconds.
///
/// # Errors
/// If nobody answers there.
pub async fn greeting(address: &str) -> Result<String> {
    let ask = async {
        let mut text = String::new();
        TcpStream::connect(address).await?.read_to_string(&mut text).await?;
        Ok::<_, io::Error>(text.trim().to_owned())
    };
    timeout(Duration::from_secs(2), ask).await?.with_context(|| format!("{address} does not serve"))
}
