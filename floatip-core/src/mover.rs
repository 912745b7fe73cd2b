//! The second seam: reading and requesting the place of one floating IP by one mechanism.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::BoxError;
use crate::node::NodeId;

/// Moves one floating IP by one mechanism.
///
/// A mover only *reads* ([`locate`](Self::locate)) and *requests* ([`release`](Self::release),
/// [`claim`](Self::claim)). It never waits for a request to take effect, never retries and never sleeps: the engine
/// confirms every request by reading again, and owns deadlines, poll cadence, escalation and the next candidate.
///
/// # Guarantees that an implementation gives
/// - `locate` answers from a provider call that was *sent after* it was asked. A cached answer is no answer.
/// - `release` and `claim` send one request (or the fixed few that belong together) once, without retries.
/// - A token that is no longer current is answered with [`MoveError::Conflict`] where the provider can tell
///   ([`Precondition::Enforced`]); elsewhere the mover re-reads immediately before it sends.
/// - Every error says truthfully whether anything may have changed: see [`MoveError::may_have_changed`].
///
/// # In a chain
/// A floating IP may have several movers: other mechanisms for the same address, in the order in which they are tried.
/// Each reads its own placement, and tells whatever it cannot move itself as [`Placement::Stranger`]: a mover of private
/// IPs so reads an address that is on a moving interface, and the mover of that interface one that has left it for
/// another. At most one of them ever reads [`Placement::Held`] at a time, and [`Placement::Free`] means that nobody holds
/// the address by any mechanism. A mover that takes over from another is asked to claim with the stranger that it read.
///
/// # Idempotency
/// The engine repeats a request only after a reading that shows that it is still wanted. A claim of a placement that is
/// held by the target but not settled (or split) finishes what is left to do, and does nothing else.
///
/// # Cancel safety
/// Dropping `locate` and `ready` is harmless. Dropping `release` or `claim`, a panic or a timeout in them means
/// "outcome unknown"; the orchestrator spawns each call and never sends a second request while one may be on the wire.
#[async_trait]
pub trait AddressMover: fmt::Debug + Send + Sync + 'static {
    /// What this mechanism can do. Constant for the life of the mover.
    fn capabilities(&self) -> Capabilities;

    /// Whether this mover knows how to give the address to `node`. Building an orchestrator fails on a node that no
    /// mover serves.
    fn serves(&self, node: &NodeId) -> bool;

    /// Reads where the provider says that the address is: the only truth about a move.
    ///
    /// # Errors
    /// Any [`MoveError`] means that the holder is *unknown*. It is never a reason to move.
    async fn locate(&self) -> Result<Placement, MoveError>;

    /// Requests that the address leave the holder of `seen`, a placement from an earlier `locate`. Accepted is not done.
    ///
    /// Movers whose strategy is [`Strategy::Overwrite`] are never asked to release.
    ///
    /// # Errors
    /// [`MoveError::Conflict`] if `seen` is no longer current.
    async fn release(&self, seen: &Placement, mode: ReleaseMode) -> Result<Accepted, MoveError>;

    /// Requests that the address be given to `to`. Accepted is not done.
    ///
    /// Seen [`Placement::Free`] the request is put-if-absent. Seen held by `to` but not settled, or
    /// [`Placement::Split`], it finishes what is left. Seen held by another node, or by a stranger (only with
    /// [`Strategy::Overwrite`]), it takes the address over.
    ///
    /// # Errors
    /// [`MoveError::Conflict`] if `seen` is no longer current, [`MoveError::Impossible`] if `to` can never take it, and
    /// [`MoveError::Partly`] if `to` has taken a part of it, and another part was refused.
    async fn claim(&self, to: &NodeId, seen: &Placement) -> Result<Accepted, MoveError>;

    /// Whether `to` could take the address, as far as the provider can tell without trying.
    ///
    /// # Errors
    /// Any [`MoveError`] means that it is not known; the node stays what it was.
    async fn ready(&self, to: &NodeId) -> Result<Readiness, MoveError> {
        let _ = to;
        Ok(Readiness::Ready)
    }
}

/// What a mover's mechanism can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The mechanism in one word, as `kind` of a configuration has it, for events and status.
    pub kind: &'static str,
    /// Whether the address must be released before it can be claimed.
    pub strategy: Strategy,
    /// Whether a release can be forced when the graceful one does not end.
    pub can_force: bool,
    /// How long one call may take before the mover itself gives up with [`MoveError::OutcomeUnknown`] or
    /// [`MoveError::TimedOut`]. The orchestrator ends the call half a second later.
    pub call_timeout: Duration,
    /// Whether the provider itself refuses a stale token.
    pub precondition: Precondition,
}

impl Capabilities {
    /// The given strategy; the kind `mover`, no force, two seconds a call, and [`Precondition::BestEffort`].
    pub fn new(strategy: Strategy) -> Self {
        Self {
            kind: "mover",
            strategy,
            can_force: false,
            call_timeout: Duration::from_secs(2),
            precondition: Precondition::BestEffort,
        }
    }

    /// Names the mechanism. Default: `mover`.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Says whether a release can be forced. Default: false.
    #[must_use]
    pub fn can_force(mut self, can_force: bool) -> Self {
        self.can_force = can_force;
        self
    }

    /// Sets the longest time that one call takes. Default: 2 s.
    #[must_use]
    pub fn call_timeout(mut self, call_timeout: Duration) -> Self {
        self.call_timeout = call_timeout;
        self
    }

    /// Says whether the provider refuses a stale token. Default: [`Precondition::BestEffort`].
    #[must_use]
    pub fn precondition(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }
}

/// The order of requests that brings an address from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Release, wait until released, claim.
    ReleaseFirst,
    /// Claim at once; the provider takes the address from its holder.
    Overwrite,
}

/// Whether the provider itself refuses a request whose token is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precondition {
    /// A true compare-and-swap.
    Enforced,
    /// The mover re-reads immediately before the request: the race is narrowed, not closed.
    BestEffort,
}

/// How hard a release is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseMode {
    /// With the cooperation of the holder.
    Graceful,
    /// Without it. A last resort: it may leave side effects on the old holder.
    Forced,
}

/// What identifies one assignment of the address to a holder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Token {
    /// Never used twice, such as an attachment id or an association id: a reading that shows a generation which has
    /// been superseded is known to be stale.
    Generation(Arc<str>),
    /// May come back later, such as the owner of a private IP or the targets of a route.
    Snapshot(Arc<str>),
}

impl Token {
    /// A token that is never used twice.
    pub fn generation(id: impl Into<Arc<str>>) -> Self {
        Self::Generation(id.into())
    }

    /// A token that may come back.
    pub fn snapshot(id: impl Into<Arc<str>>) -> Self {
        Self::Snapshot(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Generation(id) | Self::Snapshot(id) => id,
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What one read of the provider says about the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// A node holds it.
    Held {
        /// The node.
        node: NodeId,
        /// What identifies this assignment.
        token: Token,
        /// False while something that belongs to the claim is left to do; [`AddressMover::claim`] finishes it.
        settled: bool,
    },
    /// It is on its way, and nothing can be requested but patience (or a forced release).
    Transition {
        /// The node that it leaves; `None` if it leaves none.
        from: Option<NodeId>,
        /// The node that it goes to; `None` if it goes to none.
        to: Option<NodeId>,
        /// What identifies the assignment that is beginning or ending.
        token: Token,
    },
    /// Nobody holds it.
    Free,
    /// It is on something that is no node of this floating IP.
    Stranger {
        /// What holds it, in words and provider ids.
        description: String,
        /// What identifies this assignment.
        token: Token,
    },
    /// Parts of it are on different holders, as when some of several route tables have been changed.
    Split {
        /// Every part and where it is, in an order that does not change from reading to reading.
        parts: Vec<Part>,
        /// What identifies this state.
        token: Token,
    },
}

impl Placement {
    /// A settled placement on a node.
    pub fn held(node: NodeId, token: Token) -> Self {
        Self::Held { node, token, settled: true }
    }

    /// The node that holds the whole address now.
    pub fn holder(&self) -> Option<&NodeId> {
        match self {
            Self::Held { node, .. } => Some(node),
            Self::Transition { .. } | Self::Free | Self::Stranger { .. } | Self::Split { .. } => None,
        }
    }

    /// The token of the assignment; a free address has none.
    pub fn token(&self) -> Option<&Token> {
        match self {
            Self::Held { token, .. }
            | Self::Transition { token, .. }
            | Self::Stranger { token, .. }
            | Self::Split { token, .. } => Some(token),
            Self::Free => None,
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { node, settled: true, .. } => write!(f, "on {node}"),
            Self::Held { node, settled: false, .. } => write!(f, "on {node}, not yet settled"),
            Self::Transition { from: Some(from), to: Some(to), .. } => write!(f, "moving from {from} to {to}"),
            Self::Transition { from: Some(from), to: None, .. } => write!(f, "leaving {from}"),
            Self::Transition { from: None, to: Some(to), .. } => write!(f, "going to {to}"),
            Self::Transition { from: None, to: None, .. } => write!(f, "in transition"),
            Self::Free => write!(f, "on no node"),
            Self::Stranger { description, .. } => write!(f, "on a stranger: {description}"),
            Self::Split { parts, .. } => {
                write!(f, "split: ")?;
                parts.iter().enumerate().try_for_each(|(i, part)| write!(f, "{}{part}", if i == 0 { "" } else { ", " }))
            }
        }
    }
}

/// One part of an address that is made of several, such as its route in one of several route tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Part {
    /// What the provider calls it, as in `rtb-0a1b2c3d`.
    pub name: String,
    /// The node that holds it; absent if nobody or a stranger does.
    pub node: Option<NodeId>,
    /// What is known beyond that, in words, as in `blackhole` or the id of the stranger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Part {
    /// A part that a node holds.
    pub fn on(name: impl Into<String>, node: NodeId) -> Self {
        Self { name: name.into(), node: Some(node), detail: None }
    }

    /// A part that no node holds, and what is known of it.
    pub fn on_no_node(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: name.into(), node: None, detail: Some(detail.into()) }
    }

    /// Adds what is known beyond its holder.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.node.as_ref().map_or("no node", NodeId::as_str))?;
        self.detail.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

/// A request reached the provider and was accepted. It is not done until a reading shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The id that the call returned, if it returned one: later readings are matched against it.
    pub token: Option<Token>,
}

impl Accepted {
    /// An accepted request that returned an id.
    pub fn with_token(token: Token) -> Self {
        Self { token: Some(token) }
    }

    /// An accepted request that returned none.
    pub fn without_token() -> Self {
        Self { token: None }
    }
}

/// Whether a node could take the address.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// Nothing is known that would prevent it.
    Ready,
    /// It cannot, until somebody changes something: the node is no candidate.
    Impossible {
        /// What prevents it, and what to do.
        reason: String,
    },
}

/// A read or a request failed. The variants say what the caller should do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoveError {
    /// Credentials are missing, expired or lack a permission. Nothing changed; retrying will not help until somebody
    /// mends them.
    #[error("not permitted to {call} {resource}")]
    Denied {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// What the provider said.
        source: BoxError,
    },
    /// The provider does not know the resource (yet). Nothing changed.
    #[error("{resource} was not found by {call}")]
    NotFound {
        /// The provider's name of the call.
        call: &'static str,
        /// What was not found.
        resource: String,
        /// What the provider said.
        source: BoxError,
    },
    /// The token is stale, or somebody else was first. Nothing changed by this request: locate, then decide afresh.
    #[error("{call} on {resource} lost a race")]
    Conflict {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// What the provider said.
        source: BoxError,
    },
    /// The provider asks for fewer requests. Nothing changed; back off.
    #[error("{call} was throttled")]
    Throttled {
        /// The provider's name of the call.
        call: &'static str,
        /// What the provider said.
        source: BoxError,
    },
    /// The mover held the call back, so as not to exceed what the provider allows. Nothing was sent; ask again after
    /// `after`, and by then the mover will have a turn for it. Waiting so long within the call would outlast what was
    /// checked before it was dispatched, such as a lease.
    #[error("{call} waits {after:?} for its turn among the calls that the provider allows")]
    Deferred {
        /// The provider's name of the call.
        call: &'static str,
        /// When its turn comes, from now.
        after: Duration,
    },
    /// The resource is in a state that does not allow the request yet. Nothing changed; locate and try again soon.
    #[error("{resource} is not in a state that allows {call} yet")]
    NotYet {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// What the provider said.
        source: BoxError,
    },
    /// No reply, or one that does not tell. The request may have taken effect: locate before anything else.
    #[error("the outcome of {call} on {resource} is unknown")]
    OutcomeUnknown {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// What is known.
        source: BoxError,
    },
    /// This node can never take the address by this mechanism (wrong zone, no free slot). Nothing changed.
    #[error("{resource} cannot be moved there by {call}: {reason}")]
    Impossible {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// Why, in words.
        reason: String,
        /// What the provider said.
        source: BoxError,
    },
    /// The request took effect for some parts of the address and not for others: locate, then ask for the rest.
    #[error("{call} on {resource} succeeded in part: {}", words(left))]
    Partly {
        /// The provider's name of the call.
        call: &'static str,
        /// What it was about.
        resource: String,
        /// Each part for which it did not, or is not known to have; one at least.
        left: Vec<PartError>,
    },
    /// A read was not answered in time, or failed on the way. Nothing changed, and nothing is known.
    #[error("{call} was not answered")]
    TimedOut {
        /// The provider's name of the call.
        call: &'static str,
        /// What is known.
        source: BoxError,
    },
}

impl MoveError {
    /// True if the request may have taken effect all the same.
    pub fn may_have_changed(&self) -> bool {
        match self {
            Self::OutcomeUnknown { .. } | Self::Partly { .. } => true,
            Self::Denied { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::Throttled { .. }
            | Self::Deferred { .. }
            | Self::NotYet { .. }
            | Self::Impossible { .. }
            | Self::TimedOut { .. } => false,
        }
    }
}

/// A part of the address for which a request did not take effect.
#[derive(Debug)]
#[non_exhaustive]
pub struct PartError {
    /// What the provider calls the part: the name of its [`Part`].
    pub part: String,
    /// What came of it.
    pub error: MoveError,
}

impl PartError {
    /// That part and what came of it.
    pub fn new(part: impl Into<String>, error: MoveError) -> Self {
        Self { part: part.into(), error }
    }
}

fn words(left: &[PartError]) -> String {
    let word = |left: &PartError| format!("{} is left: {}", left.part, crate::chain(&left.error));
    left.iter().map(word).collect::<Vec<_>>().join("; ")
}
