//! Ids of AWS resources, and what can be wrong with a mover's setup.

use floatip_core::NodeId;

/// A mover cannot be built of these parts. Nothing was sent to EC2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An id is not of its kind's shape.
    #[error("{given:?} is no {kind} id: expected one like {prefix}0a1b2c3d4e5f60001")]
    Id {
        /// What was expected, as in "network interface".
        kind: &'static str,
        /// What such an id begins with.
        prefix: &'static str,
        /// What was given.
        given: String,
    },
    /// There is no node.
    #[error("a mover needs at least one node")]
    NoNodes,
    /// A node is named twice.
    #[error("the node {0} is given twice")]
    DuplicateNode(NodeId),
    /// Two nodes would be one holder, so that nobody could say which of them has the address.
    #[error("the nodes {first} and {second} both stand for {resource}")]
    SameHolder {
        /// The first of the two.
        first: NodeId,
        /// The second of the two.
        second: NodeId,
        /// What both stand for.
        resource: String,
    },
    /// A node has neither an instance nor a network interface.
    #[error("the node {0} needs an instance or a network interface")]
    NoTarget(NodeId),
    /// The route tables are none, more than EC2 describes at once, or not distinct.
    #[error("a route needs 1 to 200 different route tables, or a tag that they have")]
    RouteTables,
    /// Index 0 is an instance's primary interface, which can be neither attached nor detached.
    #[error("device index 0 is the instance's primary interface: the first index that can move is 1")]
    PrimaryIndex,
}

/// EC2's own ids end in 8 or 17 hexadecimal digits. Words are let through, because simulated clouds have them.
fn checked(kind: &'static str, prefix: &'static str, given: &str) -> Result<String, SetupError> {
    let valid = given
        .strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z' | b'-')));
    if valid { Ok(given.to_owned()) } else { Err(SetupError::Id { kind, prefix, given: given.to_owned() }) }
}

pub(crate) fn network_interface(given: &str) -> Result<String, SetupError> {
    checked("network interface", "eni-", given)
}

pub(crate) fn instance(given: &str) -> Result<String, SetupError> {
    checked("instance", "i-", given)
}

pub(crate) fn allocation(given: &str) -> Result<String, SetupError> {
    checked("Elastic IP allocation", "eipalloc-", given)
}

pub(crate) fn route_table(given: &str) -> Result<String, SetupError> {
    checked("route table", "rtb-", given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_another_kind_or_with_foreign_characters_are_refused_with_what_was_expected() {
        for given in ["eni-0a1b2c3d", "eni-0a1b2c3d4e5f60001", "eni-float"] {
            assert_eq!(network_interface(given).as_deref(), Ok(given));
        }
        for given in ["", "eni-", "i-0a1b2c3d4e5f60011", "eni-0A1B2C3D", " eni-0a1b2c3d", "eni-0a1b2c3d,eni-0a1b2c3e"] {
            let error = network_interface(given).unwrap_err();
            assert!(error.to_string().contains("expected one like eni-0a1b"), "{error}");
        }
        assert_eq!(
            allocation("eni-0a1b2c3d").unwrap_err().to_string(),
            "\"eni-0a1b2c3d\" is no Elastic IP allocation id: expected one like eipalloc-0a1b2c3d4e5f60001"
        );
    }
}
