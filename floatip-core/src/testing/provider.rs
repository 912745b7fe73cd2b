//! The handle on an in-memory floating IP: settings, interference, and what really happened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::Call;
use super::world::{Occupant, Stuck, Tokens, World};
use crate::mover::{MoveError, Placement, Readiness, ReleaseMode};
use crate::node::NodeId;

/// The truth about one floating IP, kept in memory and shared by the movers (and so the monitors) that are made for it.
///
/// It is exclusive as EC2's interfaces are: a claim of an address that somebody has is refused. Requests are accepted
/// at once and take effect after settable durations, during which the address reads as in transition. Cheap to clone;
/// clones are handles on the same address.
#[derive(Debug, Clone)]
pub struct InMemoryProvider {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    world: World,
    journal: Vec<Record>,
}

/// One call of a mover, as the provider's journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When the mover was called.
    pub at: Instant,
    /// The name of the mover.
    pub mover: Arc<str>,
    /// What was asked.
    pub request: Request,
    /// Whether it arrived at the provider, and what that answered, if it was not carried out.
    pub arrived: Answered,
    /// What the caller was told; [`Answered::Pending`] for ever if the call was dropped, hung or panicked.
    pub answered: Answered,
}

/// What a mover was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To read.
    Locate,
    /// To release.
    Release {
        /// The placement that the caller had seen.
        seen: Placement,
        /// How hard.
        mode: ReleaseMode,
    },
    /// To claim.
    Claim {
        /// For which node.
        to: NodeId,
        /// The placement that the caller had seen.
        seen: Placement,
    },
    /// Whether a node could take the address.
    Ready {
        /// The node.
        to: NodeId,
    },
}

impl Request {
    /// The kind of call.
    pub fn call(&self) -> Call {
        match self {
            Self::Locate => Call::Locate,
            Self::Release { .. } => Call::Release,
            Self::Claim { .. } => Call::Claim,
            Self::Ready { .. } => Call::Ready,
        }
    }
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// None yet.
    Pending,
    /// Carried out, or accepted.
    Ok,
    /// An error, in words.
    Failed(String),
}

impl Answered {
    fn from_result<T>(result: &Result<T, MoveError>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(error) => Self::Failed(crate::chain(error)),
        }
    }
}

/// Who truly held the address from one moment until the next entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// Since when.
    pub since: Instant,
    /// Everything that held it: nothing while it was free or on its way to a first holder, and a node that is being
    /// released until the release is complete.
    pub holders: Vec<Occupant>,
}

impl InMemoryProvider {
    /// An address that is free, can go to these nodes, and gives out generation tokens. Everything takes no time.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self::with_tokens(nodes, Tokens::Generation)
    }

    /// The same with tokens of the given kind.
    pub fn with_tokens(nodes: impl IntoIterator<Item = NodeId>, tokens: Tokens) -> Self {
        let world = World::new(nodes.into_iter().collect(), tokens, Instant::now());
        Self { shared: Arc::new(Mutex::new(Shared { world, journal: Vec::new() })) }
    }

    /// How long a release takes from its acceptance. Default: nothing.
    pub fn set_release_duration(&self, takes: Duration) {
        self.with(|world, _| world.release_takes = takes);
    }

    /// How long a forced release takes from its acceptance. Default: as long as a graceful one.
    pub fn set_forced_release_duration(&self, takes: Duration) {
        self.with(|world, _| world.forced_release_takes = Some(takes));
    }

    /// How long a claim takes from its acceptance. Default: nothing.
    pub fn set_claim_duration(&self, takes: Duration) {
        self.with(|world, _| world.claim_takes = takes);
    }

    /// How long every call is on the wire, half of it before the provider sees it. Default: nothing.
    pub fn set_latency(&self, latency: Duration) {
        self.with(|world, _| world.latency = latency);
    }

    /// Whether a claim of an address that somebody has is refused. Default: true. A provider that is not exclusive lets
    /// such a claim put the address on both, so that a mistake of its caller shows in [`history`](Self::history).
    pub fn set_exclusive(&self, exclusive: bool) {
        self.with(|world, _| world.exclusive = exclusive);
    }

    /// Which releases that are requested from now on never end. Default: [`Stuck::Never`].
    pub fn set_stuck_releases(&self, stuck: Stuck) {
        self.with(|world, _| world.stuck_release = stuck);
    }

    /// Whether claims for `node` that are requested from now on never end. Default: false.
    pub fn set_stuck_claims(&self, node: &NodeId, stuck: bool) {
        self.with(|world, _| {
            if stuck {
                world.stuck_claims.insert(node.clone());
            } else {
                world.stuck_claims.remove(node);
            }
        });
    }

    /// How many more claims for its holder a placement needs after a first claim until it is settled. Default: none.
    pub fn set_claims_to_settle(&self, claims: u32) {
        self.with(|world, _| world.claims_to_settle = claims);
    }

    /// Refuses claims for `node` as impossible, for this reason; `None` allows them again. What `ready` says about the
    /// node stays what it was.
    pub fn set_impossible(&self, node: &NodeId, reason: Option<&str>) {
        self.with(|world, _| match reason {
            Some(reason) => drop(world.impossible.insert(node.clone(), reason.to_owned())),
            None => drop(world.impossible.remove(node)),
        });
    }

    /// Keeps one half of the address where it is: claims bring the other half alone to their node, and are refused as
    /// denied, for this reason, if it is there already. `None` lets the next claim bring the whole again.
    pub fn set_immovable_half(&self, reason: Option<&str>) {
        self.with(|world, _| world.immovable_half = reason.map(str::to_owned));
    }

    /// What `ready` says about `node`. Default: [`Readiness::Ready`].
    pub fn set_readiness(&self, node: &NodeId, readiness: Readiness) {
        self.with(|world, _| world.readiness.insert(node.clone(), readiness));
    }

    /// Lets every read show the state of this long ago. Default: nothing.
    pub fn set_read_lag(&self, lag: Duration) {
        self.with(|world, _| world.read_lag = lag);
    }

    /// Lets reads go on showing the state of now for this long.
    pub fn freeze_reads_for(&self, duration: Duration) {
        self.with(|world, now| world.frozen_reads = Some((now, now + duration)));
    }

    /// Somebody outside puts the address on `node`, settled, at once.
    pub fn put_on(&self, node: &NodeId) {
        self.with(|world, now| world.put(vec![Occupant::Node(node.clone())], now));
    }

    /// Somebody outside puts the address on `node`, with so many claims left to do until it is settled.
    pub fn put_unsettled_on(&self, node: &NodeId, claims_left: u32) {
        self.with(|world, now| {
            world.put(vec![Occupant::Node(node.clone())], now);
            world.set_claims_left(claims_left, now);
        });
    }

    /// Somebody outside puts the address on something that is no node.
    pub fn put_on_stranger(&self, description: &str) {
        self.with(|world, now| world.put(vec![Occupant::Stranger(description.to_owned())], now));
    }

    /// Somebody outside takes the address away from whoever holds it.
    pub fn free(&self) {
        self.with(|world, now| world.put(Vec::new(), now));
    }

    /// Somebody outside puts parts of the address on several nodes.
    pub fn split_among(&self, nodes: &[NodeId]) {
        self.with(|world, now| world.put(nodes.iter().cloned().map(Occupant::Node).collect(), now));
    }

    /// Somebody outside starts to move the address; it stays in transition until [`finish_change`](Self::finish_change).
    pub fn put_in_transition(&self, from: Option<&NodeId>, to: Option<&NodeId>) {
        self.with(|world, now| world.put_in_transition(from.cloned(), to.cloned(), now));
    }

    /// Ends a change that is under way, stuck or not, at once.
    pub fn finish_change(&self) {
        self.with(|world, now| world.finish_change(now));
    }

    /// The truth now, whatever reads show.
    pub fn placement(&self) -> Placement {
        self.with(|world, _| world.placement())
    }

    /// The node that truly holds the whole address now, and is not being released.
    pub fn holder(&self) -> Option<NodeId> {
        self.placement().holder().cloned()
    }

    /// The node that packets to the floating address reach now: none while it is in transition or on a stranger.
    pub fn serving(&self) -> Option<NodeId> {
        self.with(|world, _| world.serving().cloned())
    }

    /// True if nothing holds the address now and nothing is under way that would change that.
    pub fn is_lost(&self) -> bool {
        self.placement() == Placement::Free
    }

    /// Who truly held the address since the beginning.
    pub fn history(&self) -> Vec<Holding> {
        self.with(|world, _| {
            let mut history: Vec<Holding> = Vec::new();
            for moment in world.moments() {
                if history.last().is_none_or(|last| last.holders != moment.holders) {
                    history.push(Holding { since: moment.at, holders: moment.holders.clone() });
                }
            }
            history
        })
    }

    /// The nodes that held the address alone, one after the other, without the gaps between them.
    pub fn path(&self) -> Vec<NodeId> {
        let mut path: Vec<NodeId> = Vec::new();
        for holding in self.history() {
            if let [Occupant::Node(node)] = holding.holders.as_slice()
                && path.last() != Some(node)
            {
                path.push(node.clone());
            }
        }
        path
    }

    /// The most that held the address at one time.
    pub fn most_holders(&self) -> usize {
        self.history().iter().map(|holding| holding.holders.len()).max().unwrap_or(0)
    }

    /// # Panics
    /// If the address was ever on two holders at one time.
    #[track_caller]
    pub fn assert_never_two_holders(&self) {
        assert!(self.most_holders() <= 1, "the address was on two holders: {:#?}", self.history());
    }

    /// The calls of all movers, in the order in which they were made.
    pub fn journal(&self) -> Vec<Record> {
        self.with_shared(|shared, _| shared.journal.clone())
    }

    /// The requests (releases and claims) that arrived at the provider, refused ones included.
    pub fn requests(&self) -> Vec<Record> {
        let mut journal = self.journal();
        journal.retain(|record| {
            matches!(record.request.call(), Call::Release | Call::Claim) && record.arrived != Answered::Pending
        });
        journal
    }

    pub(super) fn latency(&self) -> Duration {
        self.with(|world, _| world.latency)
    }

    pub(super) fn begin(&self, mover: Arc<str>, request: Request) -> usize {
        self.with_shared(|shared, at| {
            let (arrived, answered) = (Answered::Pending, Answered::Pending);
            shared.journal.push(Record { at, mover, request, arrived, answered });
            shared.journal.len() - 1
        })
    }

    /// Carries one call out at the provider.
    pub(super) fn arrive<T>(
        &self,
        record: usize,
        work: impl FnOnce(&mut World, Instant) -> Result<T, MoveError>,
    ) -> Result<T, MoveError> {
        self.with_shared(|shared, now| {
            let result = work(&mut shared.world, now);
            shared.journal[record].arrived = Answered::from_result(&result);
            result
        })
    }

    pub(super) fn answer<T>(&self, record: usize, result: Result<T, MoveError>) -> Result<T, MoveError> {
        self.with_shared(|shared, _| shared.journal[record].answered = Answered::from_result(&result));
        result
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut World, Instant) -> T) -> T {
        self.with_shared(|shared, now| work(&mut shared.world, now))
    }

    fn with_shared<T>(&self, work: impl FnOnce(&mut Shared, Instant) -> T) -> T {
        let mut shared: MutexGuard<'_, Shared> = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        shared.world.catch_up(now);
        work(&mut shared, now)
    }
}
