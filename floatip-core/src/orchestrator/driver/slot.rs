//! One floating IP: its engine, and what the driver keeps beside it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::Span;

use crate::command::{CommandError, Done};
use crate::durable::Durable;
use crate::engine::{CheckSettings, CommandId, Engine, Settings, WitnessSettings};
use crate::history::History;
use crate::hook::Occasion;
use crate::orchestrator::history_file::HistoryFile;
use crate::orchestrator::hooks::Told;
use crate::orchestrator::state_file::StateFile;
use crate::setup::Setup;
use crate::witness::Witness;

/// What all floating IPs of a process share.
pub(super) struct Common<'a> {
    pub(super) witnesses: &'a [Witness],
    pub(super) witness_quorum: usize,
    pub(super) sweep: Duration,
    pub(super) origin: Instant,
    pub(super) seed: u64,
}

/// One floating IP.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) setup: Setup,
    pub(super) engine: Engine,
    pub(super) state: Option<StateFile>,
    pub(super) saving: bool,
    pub(super) unsaved: Option<Durable>,
    pub(super) save_failed: bool,
    pub(super) due: Option<Instant>,
    pub(super) waiting: HashMap<CommandId, oneshot::Sender<Result<Done, CommandError>>>,
    pub(super) history: History,
    pub(super) history_file: Option<HistoryFile>,
    pub(super) saving_history: bool,
    pub(super) history_unsaved: bool,
    pub(super) hooks: Vec<Told>,
    pub(super) span: Span,
    pub(super) move_span: Option<Span>,
}

impl Slot {
    /// At the start, with what was remembered.
    pub(super) fn new(
        (setup, state, remembered, history_file): (Setup, Option<StateFile>, Durable, Option<HistoryFile>),
        common: &Common<'_>,
    ) -> Self {
        let settings = Settings {
            floating_ip: setup.floating_ip.clone(),
            nodes: setup.nodes.clone(),
            checks: setup.checks.iter().map(check_settings).collect(),
            witnesses: common.witnesses.iter().map(witness_settings).collect(),
            witness_quorum: common.witness_quorum,
            pre_move: hooks_timeout(&setup),
            movers: setup.movers.iter().map(|mover| mover.capabilities()).collect(),
            policy: setup.policy.clone(),
            leased: setup.lease.is_some(),
            sweep: common.sweep,
            origin: common.origin,
            seed: common.seed,
        };
        Self {
            span: tracing::info_span!("floating_ip", floating_ip = %setup.floating_ip.name),
            engine: Engine::new(common.origin, settings, &remembered),
            history: History::new(history_file.as_ref().map(HistoryFile::load).unwrap_or_default()),
            history_file,
            saving_history: false,
            history_unsaved: false,
            hooks: setup.hooks.iter().cloned().map(Told::new).collect(),
            setup,
            state,
            saving: false,
            unsaved: None,
            save_failed: false,
            due: None,
            waiting: HashMap::new(),
            move_span: None,
        }
    }
}

fn check_settings(check: &crate::setup::Check) -> CheckSettings {
    let crate::setup::Check { probe, role, health, direct, verifies } = check;
    CheckSettings { kind: probe.kind(), role: *role, health: *health, direct: *direct, verifies: *verifies }
}

/// How long the hooks may take that are asked before a move.
fn hooks_timeout(setup: &Setup) -> Option<Duration> {
    setup.hooks.iter().filter(|hook| hook.wants(Occasion::PreMove)).map(|hook| hook.timeout()).max()
}

fn witness_settings(witness: &Witness) -> WitnessSettings {
    let Witness { name, host, probe, health } = witness;
    WitnessSettings { name: name.clone(), host: host.clone(), kind: probe.kind(), health: *health }
}
