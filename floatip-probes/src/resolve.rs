//! From a host to its addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use floatip_core::{Host, ProbeError};
use tokio::sync::Semaphore;

/// How many lookups may run at once in the process. A lookup cannot be cancelled and holds a thread until the system's
/// resolver gives up, long after the check that asked: a dead name server must not take every thread.
static LOOKUPS: Semaphore = Semaphore::const_new(32);

/// The addresses of the host, in the order of preference of the system's resolver; at least one.
pub(crate) async fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, ProbeError> {
    if let Some(ip) = host.ip() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let addresses = lookup(host.name().to_owned(), port).await;
    addresses.map_err(|error| ProbeError::Resolve { host: host.name().to_owned(), source: error.into() })
}

async fn lookup(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let lookup = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)
    });
    let addresses = lookup.await.map_err(io::Error::other)??;
    if addresses.is_empty() { Err(io::Error::other("the name has no address")) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_its_own_resolution() {
        let host = "fd00::5".parse().unwrap();
        assert_eq!(resolve(&host, 21).await.unwrap(), ["[fd00::5]:21".parse().unwrap()]);
    }

    #[tokio::test]
    async fn the_machine_itself_is_found_by_name() {
        let addresses = resolve(&"localhost".parse().unwrap(), 21).await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 21), "{addresses:?}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_exist_is_no_verdict() {
        let error = resolve(&"a..b".parse().unwrap(), 21).await.unwrap_err();
        assert!(matches!(&error, ProbeError::Resolve { host, .. } if host == "a..b"), "{error:?}");
    }
}
