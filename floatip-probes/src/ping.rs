//! Does the machine answer?

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Target, Verdict};
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::time::timeout;

use crate::SettingError;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::resolve::resolve;

const ECHO: &str = "echo reply";

/// What is sent: as many bytes as `ping` sends.
const PAYLOAD: [u8; 56] = [0; 56];

/// How many echoes one check may take at the most.
const MOST_ECHOES: u8 = 16;

/// How often in a row an echo may be answered with advice about the way (a redirect) before it counts as lost.
const REDIRECTS: usize = 3;

/// ICMP echoes, over IPv4 or IPv6: healthy if the target itself replies, and where asked to, if it does so often and soon
/// enough. Only an echo reply counts, never the
/// "destination unreachable" of a router on the way, which some sockets receive and others do not.
///
/// It proves that the machine and the way there work, and nothing about the service: use it beside another check. Port
/// numbers of the target's host are ignored.
///
/// # Sockets
/// One socket for each IP version is opened when first needed and shared by all checks *and all clones* of this probe:
/// make one and clone it. An unprivileged datagram socket is tried first, then a raw one. A raw socket sees the ICMP
/// traffic of the whole machine, so that each further one costs every other; and only there does "unreachable" arrive
/// before the timeout. The sockets belong to the Tokio runtime of the first check.
///
/// # Errors
/// Without permission for either, every check is [`ProbeError::NotPermitted`], which names what to set on Linux: the
/// sysctl `net.ipv4.ping_group_range` (for both IP versions), or the capability `CAP_NET_RAW`.
///
/// # Source
/// RFC 792 and RFC 1122 section 3.2.2 (ICMP), RFC 4443 section 4 (ICMPv6), icmp(7) for `ping_group_range`.
#[derive(Debug, Clone)]
pub struct PingProbe {
    count: u8,
    bounds: Bounds,
    warnings: Bounds,
    v4: Arc<Lane>,
    v6: Arc<Lane>,
}

impl Default for PingProbe {
    fn default() -> Self {
        Self::new()
    }
}

impl PingProbe {
    /// One echo a check; `fall` is what tolerates the loss of a packet.
    pub fn new() -> Self {
        Self {
            count: 1,
            bounds: Bounds::NONE,
            warnings: Bounds::NONE,
            v4: Arc::new(Lane::new(ICMP::V4)),
            v6: Arc::new(Lane::new(ICMP::V6)),
        }
    }

    /// How many echoes a check may take before the target is unhealthy, from 1 to 16. Default: 1.
    ///
    /// They are sent one after the other, and each has its share of the timeout: `timeout / count` must be well above
    /// the round trip. Without a bound on loss or round trips the first reply ends the check.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`].
    pub fn count(mut self, count: u8) -> Result<Self, SettingError> {
        if !(1..=MOST_ECHOES).contains(&count) {
            return Err(SettingError::OutOfRange { setting: "count", least: 1, most: MOST_ECHOES.into() });
        }
        self.count = count;
        Ok(self)
    }

    /// How many of a hundred echoes may be lost before the target is unhealthy, from 0 to 99: with 40, three replies of
    /// five are enough, and two are not. Default: no bound, one reply is enough.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`].
    pub fn max_loss(mut self, percent: u8) -> Result<Self, SettingError> {
        self.bounds.loss = Some(Bounds::percent("the greatest loss", percent)?);
        Ok(self)
    }

    /// How long a round trip may take, on average over the replies of one check, before the target is unhealthy. It has
    /// an effect below `timeout / count` only. Default: no bound.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is zero.
    pub fn max_round_trip(mut self, round_trip: Duration) -> Result<Self, SettingError> {
        self.bounds.round_trip = Some(Bounds::round_trip("the longest round trip", round_trip)?);
        Ok(self)
    }

    /// As [`max_loss`](Self::max_loss), but beyond it the verdict bears a warning only. Default: none.
    ///
    /// # Errors
    /// [`SettingError::OutOfRange`].
    pub fn warn_loss(mut self, percent: u8) -> Result<Self, SettingError> {
        self.warnings.loss = Some(Bounds::percent("the loss that is warned of", percent)?);
        Ok(self)
    }

    /// As [`max_round_trip`](Self::max_round_trip), but beyond it the verdict bears a warning only. Default: none.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is zero.
    pub fn warn_round_trip(mut self, round_trip: Duration) -> Result<Self, SettingError> {
        self.warnings.round_trip = Some(Bounds::round_trip("the round trip that is warned of", round_trip)?);
        Ok(self)
    }

    async fn check(&self, target: &Target, progress: &mut Progress) -> Result<Verdict, Failure> {
        let addresses = resolve(&target.host, 0).await?;
        progress.stage = ECHO;
        let mut failure: Option<Failure> = None;
        for address in addresses {
            match self.reach(address, target.timeout / u32::from(self.count)).await {
                Ok(tally) => return Ok(self.judge(&tally)),
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

    /// Sends echoes until it is clear what they say: the replies, or what the last one met if there was none.
    async fn reach(&self, address: SocketAddr, patience: Duration) -> Result<Tally, Failure> {
        let lane = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let client = lane.client()?;
        let measures = self.bounds != Bounds::NONE || self.warnings != Bounds::NONE;
        let mut tally = Tally { of: self.count, ..Tally::default() };
        let mut failure = Reason::TimedOut { stage: ECHO.into() };
        for _ in 0..self.count {
            match lane.echo(&client, address, patience).await {
                Ok(round_trip) => {
                    tally.replies += 1;
                    tally.round_trips += round_trip;
                }
                Err(Failure::Target(reason)) => {
                    tally.lost += 1;
                    failure = reason;
                }
                Err(Failure::Prober(error)) => return Err(error.into()),
            }
            let decided = if measures { self.bounds.are_lost(&tally) } else { tally.replies > 0 };
            if decided {
                break;
            }
        }
        if tally.replies == 0 { Err(failure.into()) } else { Ok(tally) }
    }

    fn judge(&self, tally: &Tally) -> Verdict {
        if let Some(detail) = self.bounds.exceeded(tally) {
            return Verdict::unhealthy(Reason::Failed { detail });
        }
        match self.warnings.exceeded(tally) {
            Some(warning) => Verdict::healthy().with_warning(warning),
            None => Verdict::healthy(),
        }
    }
}

/// What the echoes of one check met.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// How many were to be sent.
    of: u8,
    replies: u8,
    lost: u8,
    /// All round trips together.
    round_trips: Duration,
}

/// From where on echoes tell of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    /// In percent of those that were to be sent.
    loss: Option<u8>,
    round_trip: Option<Duration>,
}

impl Bounds {
    const NONE: Self = Self { loss: None, round_trip: None };

    fn percent(setting: &'static str, percent: u8) -> Result<u8, SettingError> {
        if percent > 99 {
            return Err(SettingError::OutOfRange { setting, least: 0, most: 99 });
        }
        Ok(percent)
    }

    fn round_trip(setting: &'static str, round_trip: Duration) -> Result<Duration, SettingError> {
        if round_trip.is_zero() {
            return Err(SettingError::Unusable { setting, detail: "no reply takes no time".to_owned() });
        }
        Ok(round_trip)
    }

    /// True if more are lost than may be, whatever becomes of those that are still to be sent.
    fn are_lost(self, tally: &Tally) -> bool {
        self.loss.is_some_and(|percent| 100 * u32::from(tally.lost) > u32::from(percent) * u32::from(tally.of))
    }

    fn exceeded(self, tally: &Tally) -> Option<String> {
        if self.are_lost(tally) {
            let percent = self.loss.unwrap_or_default();
            return Some(format!("{} of {} echoes were lost, more than {percent} %", tally.lost, tally.of));
        }
        let average = tally.round_trips / u32::from(tally.replies.max(1));
        self.round_trip.filter(|bound| average > *bound).map(|bound| {
            let [average, bound] = [average, bound].map(|time| time.as_secs_f64() * 1e3);
            format!("a round trip takes {average:.1} ms on average, more than {bound:.1} ms")
        })
    }
}

impl fmt::Display for PingProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("ping"),
            count => write!(f, "ping, up to {count} echoes"),
        }
    }
}

#[async_trait]
impl HealthProbe for PingProbe {
    fn kind(&self) -> &'static str {
        "ping"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let mut progress = Progress::new();
        let outcome = timeout(target.timeout, self.check(target, &mut progress)).await;
        progress.conclude(target, outcome)
    }
}

/// The socket of one IP version, and what tells its echoes apart.
struct Lane {
    icmp: ICMP,
    client: Mutex<Option<Client>>,
    /// Raw sockets hear the replies to other programs too, so it is random: process ids repeat among containers.
    identifier: PingIdentifier,
    /// Taken anew for each echo: a late reply never passes for that of a later one, nor do concurrent checks mix.
    sequence: AtomicU16,
}

impl Lane {
    fn new(icmp: ICMP) -> Self {
        let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_ne_bytes();
        let (identifier, sequence) = (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]));
        Self { icmp, client: Mutex::new(None), identifier: identifier.into(), sequence: sequence.into() }
    }

    /// The client over this lane's socket. A refusal is not remembered: permissions may be granted later.
    fn client(&self) -> Result<Client, Failure> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let opened = Client::new(&Config::builder().kind(self.icmp).build()).map_err(refused_socket)?;
        Ok(client.insert(opened).clone())
    }

    async fn echo(&self, client: &Client, address: SocketAddr, patience: Duration) -> Result<Duration, Failure> {
        let mut pinger = client.pinger(address.ip(), self.identifier).await;
        pinger.timeout(patience);
        if let SocketAddr::V6(address) = address {
            pinger.scope_id(address.scope_id());
        }
        let (mut answer, mut took) = (Answer::Advice, Duration::ZERO);
        for _ in 0..=REDIRECTS {
            let sequence = PingSequence(self.sequence.fetch_add(1, Ordering::Relaxed));
            let (packet, round_trip) = pinger.ping(sequence, &PAYLOAD).await.map_err(unanswered)?;
            (answer, took) = (Answer::of(&packet), round_trip);
            if answer != Answer::Advice {
                break;
            }
        }
        match answer {
            Answer::Reply => Ok(took),
            Answer::Unreachable(detail) => Err(Reason::Unreachable { detail }.into()),
            Answer::Advice => Err(Reason::TimedOut { stage: ECHO.into() }.into()),
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("icmp", &self.icmp).field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// What an ICMP message says about the echo that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// The target replied.
    Reply,
    /// Something on the way could not deliver the echo.
    Unreachable(String),
    /// The echo went its way; its own answer is still to come, but nobody waits for it any more.
    Advice,
}

impl Answer {
    /// # Source
    /// The IANA registries of ICMP and ICMPv6 types: 0, 3, 4, 5, 11 and 12; 1 to 4, 129 and 137.
    fn of(packet: &IcmpPacket) -> Self {
        let (sender, kind, code, meaning) = match packet {
            IcmpPacket::V4(packet) => {
                let meaning = match packet.get_icmp_type().0 {
                    0 => return Self::Reply,
                    4 | 5 => return Self::Advice,
                    3 => "destination unreachable",
                    11 => "time exceeded",
                    _ => "not delivered",
                };
                (IpAddr::V4(packet.get_source()), packet.get_icmp_type().0, packet.get_icmp_code().0, meaning)
            }
            IcmpPacket::V6(packet) => {
                let meaning = match packet.get_icmpv6_type().0 {
                    129 => return Self::Reply,
                    137 => return Self::Advice,
                    1 => "destination unreachable",
                    3 => "time exceeded",
                    _ => "not delivered",
                };
                (IpAddr::V6(packet.get_source()), packet.get_icmpv6_type().0, packet.get_icmpv6_code().0, meaning)
            }
        };
        Self::Unreachable(format!("{meaning}, says {sender} (ICMP type {kind}, code {code})"))
    }
}

/// What it says that an echo had no answer.
fn unanswered(error: SurgeError) -> Failure {
    match error {
        SurgeError::Timeout { .. } => Reason::TimedOut { stage: ECHO.into() }.into(),
        SurgeError::IOError(error) => Failure::of_contact("send an ICMP echo", ECHO.into(), error),
        SurgeError::IdenticalRequests { .. } => {
            ProbeError::Exhausted { what: "ICMP sequence numbers", source: error.into() }.into()
        }
        SurgeError::IncorrectBufferSize
        | SurgeError::MalformedPacket(_)
        | SurgeError::EchoRequestPacket
        | SurgeError::NetworkError
        | SurgeError::ClientDestroyed => {
            ProbeError::Unusable { what: "the ICMP socket is gone".to_owned(), source: error.into() }.into()
        }
    }
}

/// What it says that no ICMP socket could be opened.
fn refused_socket(error: io::Error) -> Failure {
    if error.kind() != ErrorKind::PermissionDenied {
        return Failure::of_prober("open an ICMP socket", error);
    }
    let hint = "let the sysctl net.ipv4.ping_group_range include this process's group, or give it CAP_NET_RAW";
    // The error's own advice names a sysctl that does not exist.
    let source = io::Error::from(ErrorKind::PermissionDenied).into();
    ProbeError::NotPermitted { action: "open an ICMP socket", hint: hint.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use surge_ping::{Icmpv4Packet, Icmpv6Packet};

    use super::*;

    /// An ICMP message of this type that quotes an echo to `192.0.2.1`.
    fn v4(kind: u8, code: u8) -> IcmpPacket {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend([0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
        message.extend([8, 0, 0, 0, 0, 7, 0, 9]);
        // Raw sockets of Linux, and any of other systems, see the IP header.
        let sees_header = cfg!(not(target_os = "linux"));
        let header = [0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 254, 10, 0, 0, 1];
        let message = if sees_header { [&header[..], &message].concat() } else { message };
        let datagram = Config::default().sock_type_hint;
        let (router, us) = (Ipv4Addr::new(10, 0, 0, 254), Ipv4Addr::new(10, 0, 0, 1));
        IcmpPacket::V4(Icmpv4Packet::decode(&message, datagram, router, us).unwrap())
    }

    fn v6(kind: u8, code: u8) -> IcmpPacket {
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend([0x60, 0, 0, 0, 0, 8, 58, 64]);
        message.extend(Ipv6Addr::LOCALHOST.octets());
        message.extend(Ipv6Addr::LOCALHOST.octets());
        message.extend([128, 0, 0, 0, 0, 7, 0, 9]);
        IcmpPacket::V6(Icmpv6Packet::decode(&message, "fd00::fe".parse().unwrap()).unwrap())
    }

    #[test]
    fn only_an_echo_reply_is_a_reply() {
        let replies = |kinds: std::ops::RangeInclusive<u8>, packet: fn(u8, u8) -> IcmpPacket, request: u8| {
            kinds.filter(|kind| *kind != request && Answer::of(&packet(*kind, 0)) == Answer::Reply).collect::<Vec<_>>()
        };
        assert_eq!(replies(0..=255, v4, 8), [0]);
        assert_eq!(replies(0..=255, v6, 128), [129]);
    }

    #[test]
    fn unreachable_names_who_says_so() {
        let Answer::Unreachable(detail) = Answer::of(&v4(3, 1)) else { panic!("a reply") };
        assert_eq!(detail, "destination unreachable, says 10.0.0.254 (ICMP type 3, code 1)");
        let Answer::Unreachable(detail) = Answer::of(&v6(1, 3)) else { panic!("a reply") };
        assert_eq!(detail, "destination unreachable, says fd00::fe (ICMP type 1, code 3)");
    }

    #[test]
    fn a_redirect_is_neither_a_reply_nor_a_failure() {
        assert_eq!((Answer::of(&v4(5, 1)), Answer::of(&v6(137, 0))), (Answer::Advice, Answer::Advice));
    }

    #[test]
    fn a_refused_socket_names_what_to_set() {
        let Failure::Prober(error) = refused_socket(ErrorKind::PermissionDenied.into()) else { panic!("a verdict") };
        let said = error.to_string();
        assert!(said.contains("net.ipv4.ping_group_range") && said.contains("CAP_NET_RAW"), "{said}");
    }

    #[test]
    fn a_count_outside_its_bounds_is_refused() {
        assert!(PingProbe::new().count(0).is_err());
        assert!(PingProbe::new().count(17).is_err());
        assert_eq!(PingProbe::new().count(16).unwrap().to_string(), "ping, up to 16 echoes");
    }

    #[test]
    fn more_loss_than_is_allowed_is_unhealthy_and_told_as_soon_as_it_is_certain() {
        let probe = PingProbe::new().count(5).unwrap().max_loss(40).unwrap();
        let tally = |replies, lost| Tally { of: 5, replies, lost, round_trips: Duration::ZERO };
        assert!(probe.judge(&tally(3, 2)).is_healthy());
        assert!(!probe.bounds.are_lost(&tally(0, 2)) && probe.bounds.are_lost(&tally(0, 3)));
        let reason = probe.judge(&tally(1, 3)).reason.unwrap().to_string();
        assert_eq!(reason, "3 of 5 echoes were lost, more than 40 %");
        let lossless = PingProbe::new().count(5).unwrap().max_loss(0).unwrap();
        assert!(!lossless.judge(&tally(4, 1)).is_healthy());
    }

    #[test]
    fn a_round_trip_that_is_too_long_on_average_is_unhealthy_or_a_warning() {
        let tally = Tally { of: 2, replies: 2, lost: 0, round_trips: Duration::from_millis(60) };
        let probe = PingProbe::new().warn_round_trip(Duration::from_millis(20)).unwrap();
        let said = "a round trip takes 30.0 ms on average, more than 20.0 ms";
        assert_eq!(probe.judge(&tally), Verdict::healthy().with_warning(said));
        let probe = probe.max_round_trip(Duration::from_millis(29)).unwrap();
        assert!(!probe.judge(&tally).is_healthy());
        assert!(probe.max_round_trip(Duration::from_millis(30)).unwrap().judge(&tally).is_healthy());
    }
}
