//! What can go wrong, or right again.

use std::time::Duration;

/// What a monitor asks of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// To read.
    Locate,
    /// To release.
    Release,
    /// To claim.
    Claim,
    /// Whether a node could take the address.
    Ready,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// The provider asks for fewer requests.
    Throttled,
    /// A permission is missing.
    Denied,
    /// The provider does not know the resource.
    NotFound,
    /// The resource is not in a state for it yet.
    NotYet,
    /// The provider says that the token is stale.
    Conflict,
    /// The request never arrives.
    RequestLost,
    /// The request takes effect, and its reply never arrives.
    ReplyLost,
}

/// How a lease store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// It answers with an error at once.
    Fails,
    /// It does not answer, and nothing is written.
    Hangs,
    /// It writes, and its answer is lost.
    RepliesLost,
}

/// How the hooks answer that are asked before a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// The move may be made.
    Allows,
    /// It may not.
    Vetoes,
    /// They could not do their work.
    Fails,
    /// They take too long, and are ended at their bound.
    Hangs,
    /// Nobody ever answers.
    Dies,
}

/// Which releases never end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// None.
    Never,
    /// Graceful ones.
    Graceful,
    /// All.
    Always,
}

/// What somebody outside does to the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meddling {
    /// Puts it on a node.
    Puts,
    /// Takes it away.
    Frees,
    /// Puts it on something that is no node.
    PutsOnStranger,
    /// Puts it on a node, and something that belongs to it is left to do.
    PutsUnsettled,
    /// Begins to release it, and never ends.
    Releases,
}

/// What an operator says to one monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Start no automatic move.
    Pause {
        /// For how long.
        lasts: Option<Duration>,
    },
    /// End the pause and the freeze.
    Resume,
    /// End the freeze.
    Acknowledge,
    /// The node is no candidate, and the address leaves it.
    Drain,
    /// The node is a candidate again.
    Undrain,
    /// Move the address to the node.
    Switchover {
        /// Whatever is known of the node.
        force: bool,
        /// Answer at the end of the move.
        wait: bool,
    },
}

/// One thing that goes wrong, or right again. Nodes and monitors are counted modulo their number.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// A node is well, and answers after this long.
    Well { node: usize, latency: Duration },
    /// A node refuses connections.
    Refuses { node: usize },
    /// A node answers nothing.
    Hangs { node: usize },
    /// A node is known for certain to be gone.
    Terminated { node: usize },
    /// A node answers some probes only.
    Lossy { node: usize, percent: u8 },
    /// A node is down and up again, several times.
    Flaps { node: usize, times: u8, down: Duration, up: Duration },
    /// Whoever holds the address refuses, or hangs.
    HolderFails { hangs: bool },
    /// A node does not answer through the floating address, whatever it does otherwise.
    Mute { node: usize, mute: bool },
    /// One path of a monitor is cut: to a node's own host, or to the floating address there.
    PathCut { monitor: usize, node: usize, floating: bool, lasts: Duration },
    /// A monitor is cut off from all nodes, from one sooner than from the other, and back in another order.
    Isolated { monitor: usize, first: usize, apart: Duration, lasts: Duration, back_first: usize, deaf: bool },
    /// A monitor's prober cannot work for a node.
    ProberBroken { monitor: usize, node: usize, lasts: Duration },
    /// A monitor cannot reach the provider.
    ProviderLost { monitor: usize, lasts: Duration },
    /// A monitor's process stands still; with its clock if it is suspended.
    Stalled { monitor: usize, suspended: bool, lasts: Duration },
    /// A monitor is killed, and started again.
    Killed { monitor: usize, down: Duration },
    /// A monitor is killed at its so-many-th call or reply from now on.
    KilledAt { monitor: usize, calls: u8, down: Duration },
    /// A monitor is stopped as by SIGTERM, and started again.
    Stopped { monitor: usize, down: Duration },
    /// The next calls of a monitor fail.
    CallsFail { monitor: usize, call: Call, fault: CallFault, count: u8 },
    /// Releases and claims take so long from now on.
    ChangesTake { release: Duration, claim: Duration },
    /// Reads show the state of this long ago.
    ReadsLag { lag: Duration },
    /// Reads go on showing the state of now for so long.
    ReadsFreeze { lasts: Duration },
    /// Which releases never end.
    ReleasesStuck { stuck: Stuck },
    /// Claims for a node never end.
    ClaimsStuck { node: usize, stuck: bool },
    /// Claims for a node are impossible.
    Impossible { node: usize, impossible: bool },
    /// The provider says beforehand that a node could not take the address.
    NotReady { node: usize, ready: bool },
    /// Somebody outside interferes.
    Meddled { meddling: Meddling, node: usize },
    /// A monitor's lease store fails for a while.
    StoreFails { monitor: usize, fault: StoreFault, lasts: Duration },
    /// A witness answers nobody.
    WitnessFails { witness: usize, lasts: Duration },
    /// A monitor cannot reach a witness.
    WitnessCut { monitor: usize, witness: usize, lasts: Duration },
    /// The hooks answer like this from now on.
    HooksAre { mood: Mood },
    /// Somebody uses a node, or nobody does any more.
    InUse { node: usize, in_use: bool },
    /// Somebody maintains a node, and its checks say so, or nobody does any more.
    Maintained { node: usize, maintained: bool },
    /// Claims of one part of the address are refused, or are not any more.
    PartRefused { part: usize, refused: bool },
    /// Somebody outside puts one part of the address on a node, or nowhere.
    PartMoved { part: usize, node: Option<usize> },
    /// So many claims are answered for all parts but one.
    PartsUnanswered { count: u8 },
    /// A node ends some probes late, well or not, and the others at once, so that they overtake one another.
    Uneven { node: usize, percent: u8, slow: Duration },
    /// Probes of a monitor wait up to so long for their turn before they begin.
    ProbesQueue { monitor: usize, wait: Duration, lasts: Duration },
    /// Requests of a monitor are on their way for almost as long as a call may take.
    RequestsDawdle { monitor: usize, lasts: Duration },
    /// From now on claims take so much longer than they are waited for.
    ClaimsOutlast { by: Duration },
    /// An operator says something to a monitor.
    Ordered { monitor: usize, order: Order, node: usize },
}
