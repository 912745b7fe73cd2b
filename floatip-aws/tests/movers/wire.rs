//! Answers that EC2 never gives, but that something on the way to it may.

use floatip_aws::EniMover;
use floatip_core::{AddressMover, Placement};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const STOPS_HALFWAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n<?xml version=\"1.0\"?><Describe";
const LOGIN_PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n<html><body>Hello</body></html";
const NOTHING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const PROXY_ERROR: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad";
const NO_HTTP: &str = "SSH-2.0-OpenSSH_9.6\r\n";

/// Something that answers every connection with these bytes and then only listens.
async fn answering(bytes: &'static str) -> EniMover {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(bytes.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    EniMover::new(ec2(endpoint).await, INTERFACE, 1, [(node("ftp-1"), INSTANCE_1)]).unwrap()
}

#[tokio::test]
async fn an_answer_that_is_none_of_ec2s_is_unknown_in_time() {
    for bytes in [STOPS_HALFWAY, LOGIN_PAGE, NOTHING, PROXY_ERROR, NO_HTTP] {
        let mover = answering(bytes).await;
        let limit = mover.capabilities().call_timeout;
        let read = timeout(limit, mover.locate()).await.unwrap_or_else(|_| panic!("{bytes}: too late"));
        assert_eq!(class(read), "timed out", "{bytes}");
        let to = node("ftp-1");
        let claimed = timeout(limit, mover.claim(&to, &Placement::Free));
        let claimed = claimed.await.unwrap_or_else(|_| panic!("{bytes}: too late"));
        assert_eq!(class(claimed), "outcome unknown", "{bytes}");
    }
}
