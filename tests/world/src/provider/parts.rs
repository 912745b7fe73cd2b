//! An address that consists of several parts, as of one route in each of several tables: each is led elsewhere by itself,
//! at once, or refused.

use std::time::Duration;

use floatip_core::{Accepted, MoveError, NodeId, Part, PartError, Placement, Token};

use super::{Occupant, Provider, conflict};

/// Where each part is.
#[derive(Debug)]
pub(super) struct Parts {
    on: Vec<Option<Occupant>>,
    /// Those that nobody may move.
    refused: Vec<bool>,
}

/// What becomes of a part whose request is not answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unanswered {
    pub(crate) part: usize,
    pub(crate) arrives: bool,
}

impl Parts {
    pub(super) fn new(parts: usize) -> Self {
        Self { on: vec![None; parts], refused: vec![false; parts] }
    }

    pub(super) fn put(&mut self, on: Option<Occupant>) {
        self.on.fill(on);
    }

    pub(super) fn are_on(&self, node: usize) -> bool {
        self.on.contains(&Some(Occupant::Node(node)))
    }

    pub(super) fn are_on_stranger(&self) -> bool {
        self.on.contains(&Some(Occupant::Stranger))
    }

    /// The node that has all of them.
    pub(super) fn holder(&self) -> Option<usize> {
        self.serving().filter(|node| self.on.iter().all(|on| *on == Some(Occupant::Node(*node))))
    }

    /// The node that the first part is on: the monitors' own packets go by that.
    pub(super) fn serving(&self) -> Option<usize> {
        match self.on[0] {
            Some(Occupant::Node(node)) => Some(node),
            Some(Occupant::Stranger) | None => None,
        }
    }

    pub(super) fn placement(&self, nodes: &[NodeId], minted: &Token) -> Placement {
        let state = || Token::snapshot(format!("{:?}", self.on));
        let token = || if matches!(minted, Token::Generation(_)) { minted.clone() } else { state() };
        if self.are_on_stranger() {
            return Placement::Stranger { description: "i-elsewhere".into(), token: token() };
        }
        if self.on.iter().all(Option::is_none) {
            return Placement::Free;
        }
        if let Some(node) = self.holder() {
            return Placement::held(nodes[node].clone(), token());
        }
        let part = |(index, on): (usize, &Option<Occupant>)| match on {
            Some(Occupant::Node(node)) => Part::on(name(index), nodes[*node].clone()),
            Some(Occupant::Stranger) | None => Part::on_no_node(name(index), "nowhere"),
        };
        Placement::Split { parts: self.on.iter().enumerate().map(part).collect(), token: token() }
    }
}

fn name(index: usize) -> String {
    format!("part-{}", index + 1)
}

impl Provider {
    /// A claim of all parts. One that is seen free goes to whoever gets the first part. `reach` are the parts that a monitor
    /// which died meanwhile could still ask for.
    pub(crate) fn claim_parts(
        &mut self,
        now: Duration,
        to: usize,
        seen: &Placement,
        reach: impl Fn(usize) -> bool,
        unanswered: Option<Unanswered>,
    ) -> Result<Accepted, MoveError> {
        let Some(parts) = &self.parts else { return Err(conflict("claim")) };
        if *seen == Placement::Free && parts.on[0].is_some() {
            return Err(conflict("claim"));
        }
        self.leave(now);
        let Some(parts) = &mut self.parts else { return Err(conflict("claim")) };
        let (mut asked, mut changed, mut left) = (0_usize, false, Vec::new());
        for index in (0..parts.on.len()).filter(|index| reach(*index)) {
            if parts.on[index] == Some(Occupant::Node(to)) {
                continue;
            }
            asked += 1;
            let lost = unanswered.filter(|unanswered| unanswered.part % parts.refused.len() == index);
            if lost.is_none_or(|lost| lost.arrives) && !parts.refused[index] {
                parts.on[index] = Some(Occupant::Node(to));
                changed = true;
            }
            let resource = name(index);
            if lost.is_some() {
                let error = MoveError::OutcomeUnknown { call: "claim", resource, source: "no reply".into() };
                left.push(PartError::new(name(index), error));
            } else if parts.refused[index] {
                let error = MoveError::Denied { call: "claim", resource, source: "not this one".into() };
                left.push(PartError::new(name(index), error));
            }
        }
        if changed {
            self.token = self.mint(Some(Occupant::Node(to)));
        }
        self.note(now);
        match left.len() {
            0 => Ok(self.accepted()),
            some if some < asked => Err(MoveError::Partly { call: "claim", resource: "the address".into(), left }),
            _ => {
                let unclear = left.iter().position(|left| left.error.may_have_changed()).unwrap_or(0);
                Err(left.swap_remove(unclear).error)
            }
        }
    }

    pub(crate) fn is_in_parts(&self) -> bool {
        self.parts.is_some()
    }

    /// Nobody may move this part from now on, or somebody may again.
    pub(crate) fn refuse_part(&mut self, part: usize, refused: bool) {
        if let Some(parts) = &mut self.parts {
            let part = part % parts.refused.len();
            parts.refused[part] = refused;
        }
    }

    pub(crate) fn refuse_nothing(&mut self) {
        if let Some(parts) = &mut self.parts {
            parts.refused.fill(false);
        }
    }

    /// Somebody outside puts one part somewhere, at once.
    pub(crate) fn put_part(&mut self, now: Duration, part: usize, on: Option<Occupant>) {
        self.leave(now);
        self.token = self.mint(on);
        if let Some(parts) = &mut self.parts {
            let part = part % parts.on.len();
            parts.on[part] = on;
        }
        self.note(now);
    }
}
