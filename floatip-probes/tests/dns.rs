//! The DNS probe against name servers on loopback that follow a script.
#![allow(clippy::disallowed_methods, reason = "a test is outside the monitor, with a clock of its own")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use floatip_core::{HealthProbe, NodeId, ProbeError, Reason, Target, Verdict, Via};
use floatip_probes::DnsProbe;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX};
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const AMPLE: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);

/// A name server on UDP that answers each question with what `answers` makes of it.
async fn server<F>(mut answers: F) -> (SocketAddr, JoinHandle<()>)
where
    F: FnMut(Message) -> Vec<Vec<u8>> + Send + 'static,
{
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut datagram = [0; 1500];
        loop {
            let (length, client) = socket.recv_from(&mut datagram).await.unwrap();
            for answer in answers(Message::from_vec(&datagram[..length]).unwrap()) {
                socket.send_to(&answer, client).await.unwrap();
            }
        }
    });
    (address, serving)
}

/// An answer to the question with this code and these addresses.
fn reply(question: &Message, code: ResponseCode, addresses: &[[u8; 4]]) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.response_code = code;
    answer.add_query(question.queries[0].clone());
    for address in addresses {
        let data = RData::A(A(Ipv4Addr::from(*address)));
        answer.add_answer(Record::from_rdata(question.queries[0].name().clone(), 60, data));
    }
    answer
}

fn asking() -> DnsProbe {
    DnsProbe::new("www.example.com", "A").unwrap()
}

async fn probe(probe: &DnsProbe, address: SocketAddr, timeout: Duration) -> Result<Verdict, ProbeError> {
    let host = address.to_string().parse().unwrap();
    probe.probe(&Target::new(NodeId::new("dns-1").unwrap(), host, Via::Direct, timeout)).await
}

#[tokio::test]
async fn a_server_that_answers_with_a_record_is_healthy_and_was_asked_the_question() {
    let (address, _serving) = server(|question| {
        let (name, record) = (question.queries[0].name().to_string(), question.queries[0].query_type().to_string());
        assert_eq!((&*name, &*record), ("www.example.com.", "A"));
        vec![reply(&question, ResponseCode::NoError, &[[192, 0, 2, 1]]).to_vec().unwrap()]
    })
    .await;
    assert_eq!(probe(&asking(), address, AMPLE).await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn every_expected_record_must_be_there() {
    let (address, _serving) = server(|question| {
        vec![reply(&question, ResponseCode::NoError, &[[192, 0, 2, 1], [192, 0, 2, 2]]).to_vec().unwrap()]
    })
    .await;
    let both = asking().expect(["192.0.2.2", "192.0.2.1"]).unwrap();
    assert!(probe(&both, address, AMPLE).await.unwrap().is_healthy());
    let other = asking().expect(["192.0.2.1", "192.0.2.3"]).unwrap();
    let reason = probe(&other, address, AMPLE).await.unwrap().reason.unwrap();
    assert_eq!(reason.to_string(), "A of www.example.com. is not 192.0.2.3 but 192.0.2.1, 192.0.2.2");
}

#[tokio::test]
async fn a_record_is_compared_as_a_zone_file_has_it() {
    let (address, _serving) = server(|question| {
        let mut answer = reply(&question, ResponseCode::NoError, &[]);
        let name = question.queries[0].name().clone();
        let exchange = RData::MX(MX::new(10, Name::from_ascii("Mail.Example.com.").unwrap()));
        answer.add_answer(Record::from_rdata(name, 60, exchange));
        vec![answer.to_vec().unwrap()]
    })
    .await;
    let probe_of = |record: &str| DnsProbe::new("example.com.", "mx").unwrap().expect([record]).unwrap();
    assert!(probe(&probe_of("10 mail.example.com"), address, AMPLE).await.unwrap().is_healthy());
    assert!(!probe(&probe_of("20 mail.example.com"), address, AMPLE).await.unwrap().is_healthy());
}

#[tokio::test]
async fn refusals_are_told_apart() {
    for (code, said) in [
        (ResponseCode::NXDomain, "answer rejected with 3: NXDOMAIN for A of www.example.com."),
        (ResponseCode::ServFail, "answer rejected with 2: SERVFAIL for A of www.example.com."),
        (ResponseCode::Refused, "answer rejected with 5: REFUSED for A of www.example.com."),
        (ResponseCode::NoError, "www.example.com. has no A record"),
    ] {
        let (address, _serving) = server(move |question| vec![reply(&question, code, &[]).to_vec().unwrap()]).await;
        assert_eq!(probe(&asking(), address, AMPLE).await.unwrap().reason.unwrap().to_string(), said);
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_asked_again_and_is_unhealthy_at_the_deadline() {
    let (told, asked) = std::sync::mpsc::channel();
    let (address, _serving) = server(move |_| {
        told.send(()).unwrap();
        Vec::new()
    })
    .await;
    let started = Instant::now();
    let verdict = probe(&asking(), address, SHORT).await.unwrap();
    assert_eq!(verdict.reason, Some(Reason::TimedOut { stage: "answer".into() }));
    assert!((SHORT..AMPLE / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert!(asked.try_iter().count() >= 2, "one lost datagram would be a verdict");
}

#[tokio::test]
async fn a_datagram_that_is_lost_is_no_verdict() {
    let mut asked = 0;
    let (address, _serving) = server(move |question| {
        asked += 1;
        let answer = reply(&question, ResponseCode::NoError, &[[192, 0, 2, 1]]).to_vec().unwrap();
        if asked == 1 { Vec::new() } else { vec![answer] }
    })
    .await;
    assert!(probe(&asking(), address, Duration::from_secs(3)).await.unwrap().is_healthy());
}

#[tokio::test]
async fn a_port_without_a_server_is_refused() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    assert_eq!(probe(&asking(), address, AMPLE).await.unwrap().reason, Some(Reason::Refused));
}

#[tokio::test]
async fn only_an_answer_to_this_very_question_counts() {
    let (address, _serving) = server(|question| {
        let good = reply(&question, ResponseCode::NoError, &[[192, 0, 2, 1]]);
        let mut other_id = reply(&question, ResponseCode::ServFail, &[]);
        other_id.metadata.id = question.metadata.id.wrapping_add(1);
        let mut other_name = reply(&question, ResponseCode::NXDomain, &[]);
        other_name.queries[0].set_name(Name::from_ascii("evil.example.com.").unwrap());
        let echoed = question.to_vec().unwrap();
        [other_id.to_vec().unwrap(), other_name.to_vec().unwrap(), echoed, good.to_vec().unwrap()].into()
    })
    .await;
    assert_eq!(probe(&asking(), address, AMPLE).await.unwrap(), Verdict::healthy());
}

#[tokio::test]
async fn an_answer_that_is_none_is_unexpected() {
    let (address, _serving) =
        server(|question| vec![[&question.metadata.id.to_be_bytes(), &b"\xff\xff nonsense"[..]].concat()]).await;
    let reason = probe(&asking(), address, AMPLE).await.unwrap().reason.unwrap();
    assert!(matches!(&reason, Reason::Unexpected { stage, .. } if stage == "answer"), "{reason:?}");
}

#[tokio::test]
async fn an_answer_that_is_truncated_is_fetched_by_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let serving = tokio::spawn(async move {
        let mut datagram = [0; 1500];
        let (length, client) = socket.recv_from(&mut datagram).await.unwrap();
        let question = Message::from_vec(&datagram[..length]).unwrap();
        let mut cut = reply(&question, ResponseCode::NoError, &[]);
        cut.metadata.truncation = true;
        socket.send_to(&cut.to_vec().unwrap(), client).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; stream.read_u16().await.unwrap().into()];
        stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(Message::from_vec(&asked).unwrap().queries, question.queries);
        let many: Vec<_> = (0..255).map(|last| [192, 0, 2, last]).collect();
        let whole = reply(&question, ResponseCode::NoError, &many).to_vec().unwrap();
        stream.write_all(&[&(whole.len() as u16).to_be_bytes(), &whole[..]].concat()).await.unwrap();
    });
    let last = asking().expect(["192.0.2.254"]).unwrap();
    assert_eq!(probe(&last, address, AMPLE).await.unwrap(), Verdict::healthy());
    serving.await.unwrap();
}

#[test]
fn what_cannot_be_asked_or_expected_is_refused() {
    assert!(DnsProbe::new("", "A").is_err());
    assert!(DnsProbe::new(&"x".repeat(64), "A").is_err());
    assert!(DnsProbe::new("www.example.com", "AAA").is_err());
    assert!(asking().expect(["fd00::5"]).is_err());
    assert!(asking().port(0).is_err());
}
