//! The HTTP probe against web servers on loopback that follow a script.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::{HttpProbe, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

mod ports;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);

/// A web server on loopback, and what it was asked.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A server that sends, to each connection, what `answers` makes of its request, and then closes it, or waits.
async fn server(answers: impl Fn(&str) -> Vec<u8> + Send + 'static, closes: bool) -> Server {
    let (listener, address) = ports::listener().await;
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = requests.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            let request = String::from_utf8(request).unwrap();
            let answer = answers(&request);
            heard.lock().unwrap().push(request);
            // The client may have seen enough.
            stream.write_all(&answer).await.ok();
            if !closes {
                drop(stream.read(&mut [0]).await);
            }
        }
    });
    Server { address, requests }
}

/// A server that answers everything with this.
async fn saying(answer: impl Into<Vec<u8>>) -> Server {
    let answer = answer.into();
    server(move |_| answer.clone(), true).await
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nServer: nginx/1.26\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn probe(probe: &HttpProbe, address: SocketAddr, timeout: Duration) -> Result<Verdict, ProbeError> {
    let host = address.to_string().parse().unwrap();
    probe.probe(&Target::new(NodeId::new("web-1").unwrap(), host, Via::Direct, timeout)).await
}

async fn reason(http: &HttpProbe, server: &Server) -> String {
    probe(http, server.address, AMPLE).await.unwrap().reason.unwrap().to_string()
}

fn get(path: &str) -> HttpProbe {
    HttpProbe::new(path).unwrap()
}

#[tokio::test]
async fn a_server_that_answers_200_is_healthy_and_hears_one_plain_request_a_check() {
    let server = saying(ok("hello")).await;
    for _ in 0..2 {
        assert_eq!(probe(&get("/health?deep=1"), server.address, AMPLE).await.unwrap(), Verdict::healthy());
    }
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2, "each check has a connection of its own");
    let request = requests[0].to_ascii_lowercase();
    assert!(request.starts_with("get /health?deep=1 http/1.1\r\n"), "{request}");
    for line in [format!("\r\nhost: {}\r\n", server.address), "\r\nconnection: close\r\n".to_owned()] {
        assert!(request.contains(&line), "{request}");
    }
}

#[tokio::test]
async fn method_host_headers_and_credentials_are_sent_as_set() {
    let server = saying(ok("")).await;
    let secret = Secret::new("s3cret");
    let http = get("/").method("HEAD").unwrap().host("www.example.com").unwrap().header("X-Check", "floatip").unwrap();
    let basic = http.clone().basic("monitor", &secret).unwrap();
    assert!(probe(&basic, server.address, AMPLE).await.unwrap().is_healthy());
    assert!(probe(&http.bearer(&secret).unwrap(), server.address, AMPLE).await.unwrap().is_healthy());
    let requests = server.requests.lock().unwrap().clone();
    assert!(requests[0].starts_with("HEAD / HTTP/1.1\r\n"), "{requests:?}");
    let lower = requests[0].to_ascii_lowercase();
    assert!(lower.contains("\r\nhost: www.example.com\r\n") && lower.contains("\r\nx-check: floatip\r\n"), "{lower}");
    assert!(requests[0].contains("Basic bW9uaXRvcjpzM2NyZXQ="), "{requests:?}");
    assert!(requests[1].contains("Bearer s3cret"), "{requests:?}");
}

#[tokio::test]
async fn a_status_outside_the_set_is_a_refusal_with_its_code() {
    let server = saying("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let verdict = probe(&get("/"), server.address, AMPLE).await.unwrap();
    let said = "response rejected with 503: Service Unavailable (healthy: 200-399)";
    assert_eq!(verdict.reason.unwrap().to_string(), said);
    let wanted = get("/").status("503".parse().unwrap());
    assert!(probe(&wanted, server.address, AMPLE).await.unwrap().is_healthy());
}

#[tokio::test]
async fn a_body_must_match_where_a_pattern_is_set() {
    let server = saying(ok("{\"status\":\"up\"}")).await;
    let up = get("/").body(r#""status":\s*"up""#).unwrap();
    assert!(probe(&up, server.address, AMPLE).await.unwrap().is_healthy());
    let said = reason(&get("/").body("^down").unwrap(), &server).await;
    assert!(said.starts_with("unexpected answer at body: it does not match ^down; it begins with"), "{said}");
    assert!(said.contains("status"), "{said}");
}

#[tokio::test]
async fn a_body_in_chunks_matches_as_a_whole_and_as_soon_as_it_does() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = server(move |_| format!("{head}2\r\nhe\r\n3\r\nllo\r\n").into(), false).await;
    let hello = get("/").body("hello").unwrap();
    assert!(probe(&hello, endless.address, AMPLE).await.unwrap().is_healthy(), "the end of the body never comes");
    let verdict = probe(&get("/").body("bye").unwrap(), endless.address, SHORT).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "body".into() }));
}

#[tokio::test]
async fn a_body_is_looked_through_for_64_kib_and_no_further() {
    let long = |at: usize| format!("{}hello{}", "x".repeat(at), "y".repeat(1 << 20));
    let hello = get("/").body("hello").unwrap();
    let early = saying(ok(&long(60_000))).await;
    assert!(probe(&hello, early.address, AMPLE).await.unwrap().is_healthy());
    let late = saying(ok(&long(70_000))).await;
    let said = reason(&hello, &late).await;
    assert!(said.contains("the first 64 KiB do not match hello") && said.len() < 500, "{said}");
}

#[tokio::test]
async fn headers_of_the_response_must_match_where_patterns_are_set() {
    let server = saying(ok("")).await;
    let nginx = get("/").expect_header("Server", "^nginx/").unwrap();
    assert!(probe(&nginx, server.address, AMPLE).await.unwrap().is_healthy());
    let said = reason(&get("/").expect_header("Server", "^apache").unwrap(), &server).await;
    assert_eq!(said, "unexpected answer at response: header server is \"nginx/1.26\", not ^apache");
    let said = reason(&get("/").expect_header("X-Node", "").unwrap(), &server).await;
    assert_eq!(said, "unexpected answer at response: there is no header x-node");
}

#[tokio::test]
async fn a_redirect_is_a_response_unless_it_is_to_be_followed_within_the_server() {
    let redirecting = |to: &'static str| {
        server(
            move |request| match request.starts_with("GET /new ") {
                true => ok("here").into(),
                false => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into(),
            },
            true,
        )
    };
    let inside = redirecting("/new").await;
    assert!(probe(&get("/old"), inside.address, AMPLE).await.unwrap().is_healthy(), "302 is within 200-399");
    assert_eq!(inside.requests.lock().unwrap().len(), 1, "and is not followed");
    let following = get("/old").follow(1).unwrap().body("^here$").unwrap();
    assert!(probe(&following, inside.address, AMPLE).await.unwrap().is_healthy());
    let outside = redirecting("http://192.0.2.1/new").await;
    let said = reason(&following, &outside).await;
    assert_eq!(said, "redirects to http://192.0.2.1/new, which is not this server");
    let round = redirecting("/old").await;
    let said = reason(&get("/old").follow(3).unwrap(), &round).await;
    assert_eq!(said, "unexpected answer at response: more than 3 redirects, the last to /old");
    assert_eq!(round.requests.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_not_http_is_shown_for_what_it_is() {
    let ssh = saying("SSH-2.0-OpenSSH_9.9\r\n").await;
    let said = reason(&get("/"), &ssh).await;
    assert!(said.starts_with("unexpected answer at response: no HTTP/1.1 "), "{said}");
    let silent = saying("").await;
    let said = reason(&get("/"), &silent).await;
    assert_eq!(said, "connection lost at response: closed by the server before the end");
    let cut = saying("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhel").await;
    let said = reason(&get("/").body("hello").unwrap(), &cut).await;
    assert!(said.starts_with("connection lost at body"), "{said}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let lines = |n: usize| (0..n).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let many = saying(format!("HTTP/1.1 200 OK\r\n{}\r\n", lines(101))).await;
    let said = reason(&get("/"), &many).await;
    assert!(said.contains("too large"), "{said}");
    let long = saying(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20))).await;
    let said = reason(&get("/"), &long).await;
    assert!(said.contains("too large"), "{said}");
}

#[tokio::test]
async fn a_server_that_hangs_is_unhealthy_at_the_deadline_with_the_stage() {
    let server = server(|_| Vec::new(), false).await;
    let started = Instant::now();
    let verdict = probe(&get("/"), server.address, SHORT).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "response".into() }));
    assert!((SHORT..AMPLE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    let (mute, _mute) = ports::mute_port().await;
    let verdict = probe(&get("/"), mute, SHORT).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "connect".into() }));
}

#[tokio::test]
async fn a_port_that_nobody_has_open_is_refused() {
    let (address, _closed) = ports::closed_port();
    assert_eq!(probe(&get("/"), address, AMPLE).await.unwrap().reason, Some(Reason::Refused));
}

#[tokio::test]
async fn a_secret_stands_in_no_verdict_even_if_the_server_repeats_it() {
    let echo = server(|request| ok(request).into(), true).await;
    let secret = Secret::new("s3cret");
    for http in [get("/").basic("monitor", &secret).unwrap(), get("/").bearer(&secret).unwrap()] {
        let http = http.body("never").unwrap();
        let said = reason(&http, &echo).await;
        assert!(said.contains("***") && !said.contains("s3cret") && !said.contains("bW9uaXRvcjpzM2NyZXQ="), "{said}");
        let shown = format!("{http:?} {http}");
        assert!(!shown.contains("s3cret") && !shown.contains("bW9uaXRvcjpzM2NyZXQ="), "{shown}");
    }
}

#[test]
fn what_cannot_be_sent_or_matched_is_refused() {
    for path in ["", "health", "http://example.com/", "/a b"] {
        assert!(HttpProbe::new(path).is_err(), "{path}");
    }
    assert!(get("/").method("GE T").is_err() && get("/").method("CONNECT").is_err());
    assert!(get("/").host("a b").is_err() && get("/").host("").is_err() && get("/").host("a\r\nX: y").is_err());
    assert!(get("/").header("X", "a\r\nY: b").is_err() && get("/").header("Host", "a").is_err());
    assert!(get("/").bearer(&Secret::new("a\nb")).is_err() && get("/").basic("a:b", &Secret::new("c")).is_err());
    assert!(get("/").body("(").is_err() && get("/").body("x{1000}{1000}").is_err());
    assert!(get("/").follow(11).is_err());
}
