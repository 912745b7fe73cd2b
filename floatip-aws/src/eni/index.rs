use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::primitives::DateTime;
use floatip_core::{NodeId, Token};

/// What is known of the device indexes of the nodes.
///
/// # Source
/// Amazon EC2 API Reference, DetachNetworkInterface, `Force`: the index may stay unusable until the instance is stopped
/// and started.
#[derive(Debug, Default)]
pub(super) struct DeviceIndexes {
    /// Where other interfaces are, by the newest description and the refusals since.
    taken: BTreeMap<NodeId, BTreeSet<i32>>,
    /// Where the interface was when it was detached by force, since the node's newest known launch.
    forced: BTreeMap<NodeId, BTreeSet<i32>>,
    launched: BTreeMap<NodeId, DateTime>,
    /// Where the newest reading showed the interface.
    seen: Option<(Token, NodeId, i32)>,
}

impl DeviceIndexes {
    /// The first index from `preferred` on that is not known to be unusable.
    pub(super) fn next(&self, node: &NodeId, preferred: i32) -> i32 {
        let is_in =
            |known: &BTreeMap<NodeId, BTreeSet<i32>>, index| known.get(node).is_some_and(|them| them.contains(&index));
        let usable = |index: &i32| !is_in(&self.taken, *index) && !is_in(&self.forced, *index);
        (preferred..).find(usable).unwrap_or(i32::MAX)
    }

    /// EC2 refused this index.
    pub(super) fn refused(&mut self, node: &NodeId, index: i32) {
        self.taken.entry(node.clone()).or_default().insert(index);
    }

    /// The instance of a node was described: which indexes other interfaces take, and when it was last launched.
    pub(super) fn described(&mut self, node: &NodeId, taken: BTreeSet<i32>, launched: Option<DateTime>) {
        self.taken.insert(node.clone(), taken);
        if let Some(launched) = launched
            && self.launched.insert(node.clone(), launched).is_some_and(|before| before != launched)
        {
            self.forced.remove(node);
        }
    }

    /// The interface was read to be at an index of a node, by the attachment `token`.
    pub(super) fn seen(&mut self, token: &Token, node: &NodeId, index: i32) {
        self.seen = Some((token.clone(), node.clone(), index));
    }

    /// The attachment `token` was, or may have been, detached by force.
    pub(super) fn forced(&mut self, token: &Token) {
        if let Some((_, node, index)) = self.seen.take_if(|(seen, ..)| seen == token) {
            self.forced.entry(node).or_default().insert(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_was_left_by_force_is_usable_again_after_the_next_launch_and_not_before() {
        let (node, token) = (NodeId::new("a").unwrap(), Token::generation("eni-attach-1"));
        let launch = |second| Some(DateTime::from_secs(second));
        let mut indexes = DeviceIndexes::default();
        indexes.seen(&token, &node, 1);
        indexes.forced(&Token::generation("eni-attach-0"));
        assert_eq!(indexes.next(&node, 1), 1, "another attachment");
        indexes.forced(&token);
        for launched in [None, launch(7), launch(7), None] {
            indexes.described(&node, BTreeSet::from([2]), launched);
            assert_eq!(indexes.next(&node, 1), 3);
        }
        indexes.described(&node, BTreeSet::new(), launch(9));
        assert_eq!(indexes.next(&node, 1), 1);
    }
}
