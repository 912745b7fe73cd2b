//! One request and its response, on a connection of its own.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;

use floatip_core::Reason;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::failure::Failure;
use crate::progress::Progress;

pub(super) const RESPONSE: &str = "response";
pub(super) const BODY: &str = "body";

/// How many bytes the status line and headers may have together.
const LONGEST_HEAD: usize = 64 * 1024;

/// How many headers a response may have.
const MOST_HEADERS: usize = 100;

/// How many bytes of a body are looked through.
pub(super) const LOOKED_THROUGH: usize = 64 * 1024;

/// Sends the request, and reads the response, and as much of its body as `enough` wants to see.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Empty<Bytes>>,
    progress: &mut Progress,
    enough: impl Fn(&Response<()>, &[u8]) -> bool,
) -> Result<(Response<()>, Vec<u8>), Failure> {
    progress.stage = RESPONSE;
    let mut builder = Builder::new();
    builder.max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADERS);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failure(RESPONSE, &error))?;
    let conversation = async {
        let response = sender.send_request(request).await.map_err(|error| failure(RESPONSE, &error))?;
        let (head, body) = response.into_parts();
        let head = Response::from_parts(head, ());
        progress.stage = BODY;
        let body = read(body, |body| enough(&head, body)).await?;
        Ok((head, body))
    };
    alongside(connection, conversation).await
}

/// The body, until it is enough, at its end, or at its bound.
async fn read(mut body: Incoming, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Failure> {
    let mut seen = Vec::new();
    // Looking at ever longer beginnings costs no more than twice the last look, however small the pieces are.
    let mut look_at = 0;
    loop {
        if seen.len() >= look_at && enough(&seen) {
            return Ok(seen);
        }
        if seen.len() >= look_at {
            look_at = (2 * seen.len()).max(1);
        }
        match body.frame().await {
            None => return Ok(seen),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                let room = LOOKED_THROUGH - seen.len();
                seen.extend_from_slice(&data[..data.len().min(room)]);
                if seen.len() == LOOKED_THROUGH {
                    return Ok(seen);
                }
            }
            Some(Err(error)) => return Err(failure(BODY, &error)),
        }
    }
}

/// Keeps the connection going for as long as the conversation on it takes, without a task of its own to leak.
async fn alongside<T>(connection: impl Future<Output = hyper::Result<()>>, conversation: impl Future<Output = T>) -> T {
    let (mut connection, mut conversation) = (pin!(connection), pin!(conversation));
    let mut ended = false;
    loop {
        tokio::select! {
            biased;
            outcome = &mut conversation => return outcome,
            // What ended it, the conversation hears.
            _ = &mut connection, if !ended => ended = true,
        }
    }
}

/// What an error of the exchange says about the server.
fn failure(stage: &'static str, error: &hyper::Error) -> Failure {
    if let Some(error) = error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        return Failure::of_conversation(stage.into(), error);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        let detail = "closed by the server before the end".to_owned();
        return Reason::Disconnected { stage: stage.into(), detail }.into();
    }
    let detail = format!("no HTTP/1.1 whose head has at most 64 KiB and {MOST_HEADERS} lines: {error}");
    Reason::Unexpected { stage: stage.into(), detail }.into()
}
