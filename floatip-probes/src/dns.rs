//! Does a name server answer?

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict};
use hickory_resolver::proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use crate::SettingError;
use crate::connection::connect;
use crate::excerpt::excerpt;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve::resolve;
use crate::setting;

const ANSWER: &str = "answer";
const ANSWER_BY_TCP: &str = "answer by TCP";

/// The port of name servers.
const PORT: u16 = 53;

/// How often a question is sent by UDP, evenly within the timeout: one lost datagram is no verdict.
const SENDINGS: u32 = 3;

/// The longest UDP answer that is taken, in bytes.
const LONGEST_DATAGRAM: usize = 4096;

/// A question to the target's name server: healthy if it answers with the expected records.
///
/// The question is sent by UDP, up to three times within the timeout, and by TCP if the answer is truncated. `NXDOMAIN`,
/// `SERVFAIL`, `REFUSED` and the like are refusals with the server's code, an answer without records of the type is told
/// from them, and so is silence (`timed out at answer`), a closed port (`connection refused`) and an answer that is none.
///
/// # Guarantees
/// At most 64 KiB of an answer are read. Datagrams that do not answer this very question are ignored.
///
/// # Source
/// RFC 1035 (messages, and TCP in section 4.2.2), RFC 7766 (truncation), RFC 5452 section 9 (what answers a question).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsProbe {
    name: Name,
    record_type: RecordType,
    expect: Vec<String>,
    port: u16,
}

impl DnsProbe {
    /// Asks for the records of this type (`A`, `AAAA`, `CNAME`, `MX`, `NS`, `PTR`, `SOA`, `SRV`, `TXT`, ...) of this
    /// name. The name counts as complete, with or without a dot at its end.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the name is no DNS name or the type is not known.
    pub fn new(name: &str, record_type: &str) -> Result<Self, SettingError> {
        let unusable = |setting, detail: String| SettingError::Unusable { setting, detail };
        let mut parsed = Name::from_ascii(name).map_err(|error| unusable("the name to ask for", error.to_string()))?;
        if name.is_empty() {
            return Err(SettingError::Empty("the name to ask for"));
        }
        parsed.set_fqdn(true);
        let record_type = RecordType::from_str(&record_type.to_ascii_uppercase())
            .map_err(|_| unusable("the type of record", format!("{record_type:?} is none, \"A\" is")))?;
        Ok(Self { name: parsed, record_type, expect: Vec::new(), port: PORT })
    }

    /// Expects each of these among the records of the answer, as a zone file has them: an address, a name, `10 mail` of
    /// `MX`. Capital letters and a dot at the end make no difference. Default: any record will do.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if an `A` or `AAAA` record is expected to be something else than an address.
    pub fn expect<R: Into<String>>(mut self, records: impl IntoIterator<Item = R>) -> Result<Self, SettingError> {
        for record in records {
            let record = record.into();
            let fits = if self.record_type == RecordType::A {
                record.parse::<Ipv4Addr>().is_ok()
            } else if self.record_type == RecordType::AAAA {
                record.parse::<Ipv6Addr>().is_ok()
            } else {
                !record.trim().is_empty()
            };
            if !fits {
                let detail = format!("{record:?} is no {} record", self.record_type);
                return Err(SettingError::Unusable { setting: "an expected record", detail });
            }
            self.expect.push(normal(&record));
        }
        Ok(self)
    }

    /// The port of each target whose host does not name another. Default: 53.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`] if the port is zero.
    pub fn port(mut self, port: u16) -> Result<Self, SettingError> {
        self.port = setting::port(port)?;
        Ok(self)
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let addresses = resolve(&target.host, target.host.port().unwrap_or(self.port)).await?;
        progress.stage = ANSWER;
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(self.name.clone(), self.record_type));
        let wire = question.to_vec().map_err(|error| ProbeError::Unusable {
            what: "the question cannot be written".to_owned(),
            source: error.into(),
        })?;
        let mut failure: Option<Failure> = None;
        for address in addresses {
            match ask(address, &question, &wire, target.timeout / SENDINGS).await {
                Ok(answer) if answer.metadata.truncation => {
                    return self.judge(&ask_by_tcp(target, self.port, &question, &wire, progress).await?);
                }
                Ok(answer) => return self.judge(&answer),
                Err(later) => {
                    failure = Some(match failure {
                        Some(first) => first.or(later),
                        None => later,
                    });
                }
            }
        }
        Err(failure.expect("a name resolves to at least one address"))
    }

    fn judge(&self, answer: &Message) -> Result<Verdict, Failure> {
        let code = answer.metadata.response_code;
        if code != ResponseCode::NoError {
            let detail = format!("{} for {} of {}", mnemonic(code), self.record_type, self.name);
            return Err(Reason::Rejected { stage: ANSWER.into(), code: u16::from(code).into(), detail }.into());
        }
        let records = answer.answers.iter().filter(|record| record.record_type() == self.record_type);
        let records: Vec<_> = records.map(|record| normal(&record.data.to_string())).collect();
        if records.is_empty() {
            let detail = format!("{} has no {} record", self.name, self.record_type);
            return Err(Reason::Failed { detail }.into());
        }
        let Some(missing) = self.expect.iter().find(|expected| !records.contains(expected)) else {
            return Ok(Verdict::healthy());
        };
        let found = excerpt(records.join(", ").as_bytes());
        let detail = format!("{} of {} is not {missing} but {found}", self.record_type, self.name);
        Err(Reason::Failed { detail }.into())
    }
}

/// A record as it is compared.
fn normal(record: &str) -> String {
    record.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// What operators and their tools call a response code.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is rare, and has its words")]
fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => other.to_string(),
    }
}

/// Asks by UDP, and again after each `patience`, until an answer comes. Forever: the caller has the deadline.
async fn ask(address: SocketAddr, question: &Message, wire: &[u8], patience: Duration) -> Result<Message, Failure> {
    let local = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    };
    let socket = UdpSocket::bind(local).await.map_err(|error| Failure::of_prober("open a UDP socket", error))?;
    let of_contact = |error| Failure::of_contact("send a question", ANSWER.into(), error);
    // Only what this very server sends arrives, and its "port unreachable" does.
    socket.connect(address).await.map_err(of_contact)?;
    let mut datagram = vec![0; LONGEST_DATAGRAM];
    loop {
        socket.send(wire).await.map_err(of_contact)?;
        let again = Instant::now() + patience;
        while let Ok(received) = timeout_at(again, socket.recv(&mut datagram)).await {
            let length = received.map_err(of_contact)?;
            if let Some(answer) = answer(&datagram[..length], question)? {
                return Ok(answer);
            }
        }
    }
}

/// Asks by TCP, for an answer of any length.
async fn ask_by_tcp(
    target: &Target,
    port: u16,
    question: &Message,
    wire: &[u8],
    progress: &mut Progress,
) -> Result<Message, Failure> {
    let mut stream = connect(target, port, progress).await?;
    progress.stage = ANSWER_BY_TCP;
    // Worth a TIME_WAIT entry, not a verdict.
    stream.set_zero_linger().ok();
    let lost = |error| Failure::of_conversation(ANSWER_BY_TCP.into(), &error);
    let length = u16::try_from(wire.len())
        .map_err(|error| ProbeError::Unusable { what: "the question is too long".to_owned(), source: error.into() })?;
    let framed = [&length.to_be_bytes(), wire].concat();
    stream.write_all(&framed).await.map_err(lost)?;
    let length = stream.read_u16().await.map_err(lost)?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.map_err(lost)?;
    answer(&message, question)?.ok_or_else(|| {
        let detail = "an answer to another question".to_owned();
        Reason::Unexpected { stage: ANSWER_BY_TCP.into(), detail }.into()
    })
}

/// The answer, if these bytes are one to this question.
fn answer(bytes: &[u8], question: &Message) -> Result<Option<Message>, Failure> {
    if !bytes.starts_with(&question.metadata.id.to_be_bytes()) {
        return Ok(None);
    }
    let message = Message::from_vec(bytes).map_err(|error| {
        let detail = format!("not a DNS message: {}", excerpt(error.to_string().as_bytes()));
        Failure::from(Reason::Unexpected { stage: ANSWER.into(), detail })
    })?;
    // A server that cannot read the question may leave it out.
    let answers = message.metadata.message_type == MessageType::Response
        && (message.queries == question.queries || message.queries.is_empty());
    Ok(answers.then_some(message))
}

impl fmt::Display for DnsProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DNS question for {} of {}", self.record_type, self.name)?;
        match &self.expect[..] {
            [] => Ok(()),
            expected => write!(f, ", expecting {}", expected.join(", ")),
        }
    }
}

#[async_trait]
impl HealthProbe for DnsProbe {
    fn kind(&self) -> &'static str {
        "dns"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}
