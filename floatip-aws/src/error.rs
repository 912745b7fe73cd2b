//! The one place that turns what EC2 answers, or does not answer, into a [`MoveError`].
//!
//! Codes alone do not tell: `InvalidParameterValue`, `InvalidInstanceID` and others mean several things, so messages are
//! looked at too. What is not known goes down one path: nobody knows what happened, read again, then decide.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;
use floatip_core::{BoxError, MoveError, PartError, Readiness};

use crate::limiter::Hold;

/// An error that EC2 itself answered: found by downcasting the source of a [`MoveError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message} (HTTP {status}, request id {})", request_id.as_deref().unwrap_or("unknown"))]
#[non_exhaustive]
pub struct Refusal {
    /// The error code, such as `InvalidAttachmentID.NotFound`.
    pub code: String,
    /// The message.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// What AWS support asks for.
    pub request_id: Option<String>,
}

/// One call as errors name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    name: &'static str,
    resource: &'a str,
    mutates: bool,
}

impl<'a> Call<'a> {
    pub(crate) fn read(name: &'static str, resource: &'a str) -> Self {
        Self { name, resource, mutates: false }
    }

    pub(crate) fn request(name: &'static str, resource: &'a str) -> Self {
        Self { name, resource, mutates: true }
    }

    /// What a failed call means.
    ///
    /// No difference is made between a connection that failed before anything was sent and one that failed later: the
    /// SDK does not tell them apart, and a connection from the pool may have carried the request.
    pub(crate) fn failed<E>(self, error: SdkError<E>) -> MoveError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        self.told(Failure::of(error))
    }

    /// What a failure means for this call, one of several perhaps that shared it.
    pub(crate) fn told(self, failure: Failure) -> MoveError {
        match failure.cause {
            Cause::Refused(refusal) => self.meaning(failure.class, refusal.into()),
            Cause::Unanswered(error) => self.meaning(failure.class, error.into()),
        }
    }

    /// It was not sent, and may be later.
    pub(crate) fn held(self, hold: Hold, now: Instant) -> MoveError {
        match hold {
            Hold::Until(at) => MoveError::Deferred { call: self.name, after: at.saturating_duration_since(now) },
            Hold::Throttled(_) => {
                let source = "EC2 has throttled such calls lately, so this one was not sent".into();
                MoveError::Throttled { call: self.name, source }
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    pub(crate) fn resource(self) -> &'a str {
        self.resource
    }

    /// What the token of `seen` refers to is no longer what is there, or cannot be asked for in this state.
    pub(crate) fn conflict(self, why: impl Into<BoxError>) -> MoveError {
        self.meaning(Class::Conflict, why.into())
    }

    pub(crate) fn not_found(self, why: impl Into<BoxError>) -> MoveError {
        self.meaning(Class::NotFound, why.into())
    }

    /// An answer that says nothing that could be used.
    pub(crate) fn unclear(self, why: impl Into<BoxError>) -> MoveError {
        self.meaning(Class::Unclear, why.into())
    }

    /// It took effect, but not for these parts.
    pub(crate) fn partly(self, left: Vec<PartError>) -> MoveError {
        MoveError::Partly { call: self.name, resource: self.resource.to_owned(), left }
    }

    /// What was found out before the request was sent.
    pub(crate) fn impossible(self, reason: impl Into<String>) -> MoveError {
        let (resource, reason) = (self.resource.to_owned(), reason.into());
        MoveError::Impossible { call: self.name, resource, reason, source: "the request was not sent".into() }
    }

    fn meaning(self, class: Class, source: BoxError) -> MoveError {
        let Self { name: call, mutates, .. } = self;
        let resource = self.resource.to_owned();
        match class {
            Class::Denied => MoveError::Denied { call, resource, source },
            Class::NotFound => MoveError::NotFound { call, resource, source },
            Class::Conflict => MoveError::Conflict { call, resource, source },
            Class::Throttled => MoveError::Throttled { call, source },
            Class::NotYet | Class::IndexTaken => MoveError::NotYet { call, resource, source },
            Class::Impossible(reason) => MoveError::Impossible { call, resource, reason: reason.to_owned(), source },
            Class::Unclear if mutates => MoveError::OutcomeUnknown { call, resource, source },
            Class::Unclear => MoveError::TimedOut { call, source },
        }
    }
}

/// A call that failed, as all who shared it are told.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    class: Class,
    cause: Cause,
}

#[derive(Debug, Clone)]
enum Cause {
    Refused(Refusal),
    Unanswered(Shared),
}

/// An error that several are told.
#[derive(Debug, Clone)]
struct Shared(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Failure {
    pub(crate) fn of<E>(error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(answer) = &error {
            let refusal = Refusal {
                code: error.code().unwrap_or_default().to_owned(),
                message: error.message().unwrap_or_default().to_owned(),
                status: answer.raw().status().as_u16(),
                request_id: error.request_id().map(str::to_owned),
            };
            return Self { class: classify(&refusal.code, &refusal.message), cause: Cause::Refused(refusal) };
        }
        let class = if lacks_credentials(&error) { Class::Denied } else { Class::Unclear };
        Self { class, cause: Cause::Unanswered(Shared(Arc::new(error))) }
    }

    /// An answer that says nothing that could be used.
    pub(crate) fn unclear(why: &'static str) -> Self {
        let error: BoxError = why.into();
        Self { class: Class::Unclear, cause: Cause::Unanswered(Shared(error.into())) }
    }

    pub(crate) fn is_throttled(&self) -> bool {
        self.class == Class::Throttled
    }
}

/// What a check of a node found: an obstacle is an answer, other errors are none.
pub(crate) fn readiness(checked: Result<(), MoveError>) -> Result<Readiness, MoveError> {
    match checked {
        Ok(()) => Ok(Readiness::Ready),
        Err(MoveError::Impossible { reason, .. }) => Ok(Readiness::Impossible { reason }),
        Err(error) => Err(error),
    }
}

/// Whether EC2 refused because something else is at the device index that was asked for.
pub(crate) fn is_index_taken(error: &MoveError) -> bool {
    let refusal = error.source().and_then(|source| source.downcast_ref::<Refusal>());
    refusal.is_some_and(|refusal| classify(&refusal.code, &refusal.message) == Class::IndexTaken)
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<CredentialsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Denied,
    NotFound,
    Conflict,
    Throttled,
    NotYet,
    IndexTaken,
    Impossible(&'static str),
    Unclear,
}

fn classify(code: &str, message: &str) -> Class {
    let says = |words: &str| message.to_ascii_lowercase().contains(words);
    match code {
        "RequestLimitExceeded"
        | "EC2ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown" => Class::Throttled,

        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "RequestExpired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification" => Class::Denied,

        // The token's own id is gone. That does not mean that the address is free.
        "InvalidAttachmentID.NotFound"
        | "InvalidNetworkInterfaceAttachmentID.NotFound"
        | "InvalidNetworkInterfaceAttachmentId.NotFound"
        | "InvalidAssociationID.NotFound" => Class::Conflict,
        "InvalidNetworkInterface.InUse"
        | "Resource.AlreadyAssociated"
        | "Resource.AlreadyAssigned"
        | "RouteAlreadyExists"
        | "InvalidRoute.NotFound" => Class::Conflict,

        "InvalidNetworkInterfaceID.NotFound"
        | "InvalidInstanceID.NotFound"
        | "InvalidAllocationID.NotFound"
        | "InvalidAddress.NotFound" => Class::NotFound,
        "InvalidInstanceID" | "IncorrectInstanceState" | "IncorrectState"
            if says("terminated instance") || says("shutting-down instance") =>
        {
            Class::Impossible("the instance has ended or is about to; give the node another instance")
        }
        "IncorrectInstanceState" | "IncorrectState" => Class::NotYet,

        "InvalidInstanceID" if says("multiple interfaces") => {
            Class::Impossible("the instance has several interfaces, so the interface itself must be named")
        }
        "InvalidInstanceID" if says("not in a valid state") => Class::NotYet,

        "InvalidParameterValue" if says("already has an interface attached at device index") => Class::IndexTaken,
        "InvalidParameterValue" if says("in use") || says("move is not allowed") => Class::Conflict,
        // It was there when it was read: somebody has taken it away.
        "InvalidParameterValue" if says("no route defined") || says("addresses are not assigned to interface") => {
            Class::Conflict
        }
        "InvalidParameterValue" if says("more specific than one of this vpc") => Class::Impossible(
            "the address lies within the VPC's own ranges, where no such route is allowed; choose one outside of them",
        ),
        "InvalidParameterValue" if says("belong to different networks") => {
            Class::Impossible("the route table and the interface are in different VPCs")
        }
        "InvalidParameterValue" if says("does not fall within the subnet") => {
            Class::Impossible("the address is outside the subnet of the interface, and cannot leave its own")
        }
        "InvalidParameterValue" if says("primary") => {
            Class::Impossible("a primary address cannot leave its interface; only a secondary one can be reassigned")
        }

        "InvalidParameterValue" if says("not assigned to") => {
            Class::Impossible("the interface does not have that private address")
        }

        "InvalidParameterCombination" if says("same vpc") => {
            Class::Impossible("the interface and the instance are in different VPCs")
        }
        "InvalidParameterCombination" if says("availability zone") => {
            Class::Impossible("the interface and the instance are in different Availability Zones")
        }
        "AttachmentLimitExceeded" => Class::Impossible(
            "the instance has as many interfaces as its type allows; detach one or choose a larger type",
        ),
        "PrivateIpAddressLimitExceeded" | "InvalidInterface.IpAddressLimitExceeded" => {
            Class::Impossible("the interface has as many addresses as the instance type allows")
        }
        "RouteLimitExceeded" => Class::Impossible("the route table has as many routes as it may"),
        "OperationNotPermitted" => {
            Class::Impossible("EC2 does not permit it: a primary interface, or one that a service manages")
        }
        "UnsupportedOperation" | "Unsupported" => Class::Impossible("EC2 does not support it here"),
        "Gateway.NotAttached" => {
            Class::Impossible("the VPC has no internet gateway, so no Elastic IP can be used in it")
        }
        "InvalidRouteTableID.NotFound" => Class::Impossible("the route table does not exist"),
        _ if code.ends_with(".Malformed") => Class::Impossible("EC2 does not accept the id"),

        // InternalError, InternalFailure, ServerInternal, ServiceUnavailable, Unavailable, and what nobody has met yet.
        _ => Class::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use floatip_core::chain;

    use super::*;

    const INDEX_TAKEN: &str = "Instance 'i-0a1b2c3d4e5f60011' already has an interface attached at device index '1'.";
    const OTHER_ZONE: &str = "You may not attach a network interface to an instance if they are not in the same \
                              availability zone";

    const NOT_ASSIGNED: &str = "Some of the specified addresses are not assigned to interface eni-0a1b2c3d";
    const WITHIN_VPC: &str = "The destination CIDR block 10.0.0.9/32 is equal to or more specific than one of this \
                              VPC's CIDR blocks. This route can target only an interface or an instance.";
    const OTHER_SUBNET: &str = "Address does not fall within the subnet's address range";
    const TERMINATED: &str = "The terminated instance 'i-1' is not in a valid state for this operation.";
    const SHUTTING_DOWN: &str = "The shutting-down instance to which 'eni-1' is attached is not in a valid state for \
                                 this operation";

    fn meaning(code: &str, message: &str, mutates: bool) -> MoveError {
        let call = Call { name: "AttachNetworkInterface", resource: "eni-0a1b2c3d", mutates };
        let request_id = Some("r-1".to_owned());
        let refusal = Refusal { code: code.into(), message: message.into(), status: 400, request_id };
        call.meaning(classify(code, message), refusal.into())
    }

    fn variant(error: &MoveError) -> &'static str {
        match error {
            MoveError::Denied { .. } => "denied",
            MoveError::NotFound { .. } => "not found",
            MoveError::Conflict { .. } => "conflict",
            MoveError::Throttled { .. } => "throttled",
            MoveError::Deferred { .. } => "deferred",
            MoveError::NotYet { .. } => "not yet",
            MoveError::OutcomeUnknown { .. } => "outcome unknown",
            MoveError::Impossible { .. } => "impossible",
            MoveError::TimedOut { .. } => "timed out",
            MoveError::Partly { .. } => "partly",
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_code_and_its_message_tell_what_to_do_next() {
        for (code, message, request, read) in [
            ("RequestLimitExceeded", "Request limit exceeded.", "throttled", "throttled"),
            ("EC2ThrottledException", "", "throttled", "throttled"),
            ("Throttling", "", "throttled", "throttled"),
            ("ThrottlingException", "", "throttled", "throttled"),
            ("RequestThrottled", "", "throttled", "throttled"),
            ("SlowDown", "", "throttled", "throttled"),
            ("InternalError", "", "outcome unknown", "timed out"),
            ("InternalFailure", "", "outcome unknown", "timed out"),
            ("ServerInternal", "", "outcome unknown", "timed out"),
            ("ServiceUnavailable", "", "outcome unknown", "timed out"),
            ("Unavailable", "", "outcome unknown", "timed out"),
            ("InvalidNetworkInterfaceID.NotFound", "", "not found", "not found"),
            ("InvalidInstanceID.NotFound", "", "not found", "not found"),
            ("InvalidAllocationID.NotFound", "", "not found", "not found"),
            ("IncorrectInstanceState", "", "not yet", "not yet"),
            ("IncorrectState", "", "not yet", "not yet"),
            ("InvalidInstanceID", "The pending instance 'i-1' is not in a valid state", "not yet", "not yet"),
            ("InvalidInstanceID", TERMINATED, "impossible", "impossible"),
            ("IncorrectInstanceState", SHUTTING_DOWN, "impossible", "impossible"),
            ("InvalidInstanceID", "There are multiple interfaces attached to i-1", "impossible", "impossible"),
            ("InvalidInstanceID", "something new", "outcome unknown", "timed out"),
            ("InvalidAddress.NotFound", "", "not found", "not found"),
            ("InvalidAttachmentID.NotFound", "", "conflict", "conflict"),
            ("InvalidAssociationID.NotFound", "", "conflict", "conflict"),
            ("InvalidNetworkInterface.InUse", "", "conflict", "conflict"),
            ("InvalidParameterValue", "Interface: [eni-1] in use.", "conflict", "conflict"),
            ("InvalidParameterValue", "[10.0.0.9] assigned, but move is not allowed", "conflict", "conflict"),
            ("InvalidParameterValue", INDEX_TAKEN, "not yet", "not yet"),
            ("InvalidParameterValue", "There is no route defined for '10.9.9.9/32'", "conflict", "conflict"),
            ("InvalidParameterValue", NOT_ASSIGNED, "conflict", "conflict"),
            ("InvalidRoute.NotFound", "", "conflict", "conflict"),
            ("InvalidParameterValue", WITHIN_VPC, "impossible", "impossible"),
            ("InvalidParameterValue", OTHER_SUBNET, "impossible", "impossible"),
            ("InvalidParameterValue", "something new", "outcome unknown", "timed out"),
            ("Resource.AlreadyAssociated", "", "conflict", "conflict"),
            ("Resource.AlreadyAssigned", "", "conflict", "conflict"),
            ("RouteAlreadyExists", "", "conflict", "conflict"),
            ("InvalidParameterCombination", OTHER_ZONE, "impossible", "impossible"),
            ("InvalidParameterCombination", "They are not in the same VPC", "impossible", "impossible"),
            ("InvalidParameterCombination", "something new", "outcome unknown", "timed out"),
            ("AttachmentLimitExceeded", "", "impossible", "impossible"),
            ("PrivateIpAddressLimitExceeded", "", "impossible", "impossible"),
            ("InvalidInterface.IpAddressLimitExceeded", "", "impossible", "impossible"),
            ("OperationNotPermitted", "", "impossible", "impossible"),
            ("InvalidNetworkInterfaceAttachmentId.Malformed", "", "impossible", "impossible"),
            ("Gateway.NotAttached", "", "impossible", "impossible"),
            ("InvalidRouteTableID.NotFound", "", "impossible", "impossible"),
            ("RouteLimitExceeded", "", "impossible", "impossible"),
            ("UnsupportedOperation", "", "impossible", "impossible"),
            ("UnauthorizedOperation", "", "denied", "denied"),
            ("OptInRequired", "", "denied", "denied"),
            ("AuthFailure", "", "denied", "denied"),
            ("RequestExpired", "", "denied", "denied"),
            ("InvalidClientTokenId", "", "denied", "denied"),
            ("SignatureDoesNotMatch", "", "denied", "denied"),
            ("NobodyHasMetThis", "", "outcome unknown", "timed out"),
            ("", "", "outcome unknown", "timed out"),
        ] {
            assert_eq!(variant(&meaning(code, message, true)), request, "{code} {message} of a request");
            assert_eq!(variant(&meaning(code, message, false)), read, "{code} {message} of a read");
        }
    }

    #[test]
    fn only_an_unclear_outcome_of_a_request_may_have_changed_something() {
        assert!(meaning("InternalError", "", true).may_have_changed());
        assert!(!meaning("InternalError", "", false).may_have_changed());
        assert!(!meaning("InvalidNetworkInterface.InUse", "", true).may_have_changed());
    }

    #[test]
    fn an_error_tells_the_whole_story_once_with_the_request_id() {
        assert_eq!(
            chain(&meaning("AttachmentLimitExceeded", "Interface count 4 exceeds the limit", true)),
            "eni-0a1b2c3d cannot be moved there by AttachNetworkInterface: the instance has as many interfaces as its \
             type allows; detach one or choose a larger type: AttachmentLimitExceeded: Interface count 4 exceeds the \
             limit (HTTP 400, request id r-1)"
        );
    }

    #[test]
    fn a_taken_index_is_told_from_an_interface_in_use() {
        assert_eq!(classify("InvalidParameterValue", INDEX_TAKEN), Class::IndexTaken);
        assert_eq!(classify("InvalidParameterValue", "Interface: [eni-1] in use."), Class::Conflict);
    }
}
