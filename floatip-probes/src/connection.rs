//! A TCP connection to a target.

use floatip_core::Target;
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve::resolve;

/// The stage of a check that opens the connection.
pub(crate) const CONNECT: &str = "connect";

/// Connects to the target, on its own port or else this one. The addresses of a name are tried in turn.
pub(crate) async fn connect(target: &Target, port: u16, progress: &mut Progress) -> Result<TcpStream, Failure> {
    let addresses = resolve(&target.host, target.host.port().unwrap_or(port)).await?;
    progress.stage = CONNECT;
    let mut failure: Option<Failure> = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let later = Failure::of_contact(CONNECT, CONNECT.into(), error);
                failure = Some(match failure {
                    Some(first) => first.or(later),
                    None => later,
                });
            }
        }
    }
    Err(failure.expect("a name resolves to at least one address"))
}
