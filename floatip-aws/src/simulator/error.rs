use super::action::Action;

/// An error that the EC2 API answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The error code, such as `InvalidNetworkInterface.InUse`.
    pub code: String,
    /// The message.
    pub message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::refused("MissingParameter", format!("The request must contain the parameter {parameter}"))
    }

    pub(super) fn dry_run() -> Self {
        Self::new(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    }

    pub(super) fn unauthorized(action: Action) -> Self {
        Self::new(
            403,
            "UnauthorizedOperation",
            format!("You are not authorized to perform this operation: ec2:{action}."),
        )
    }

    pub(super) fn throttled() -> Self {
        Self::new(503, "RequestLimitExceeded", "Request limit exceeded.")
    }

    pub(super) fn unavailable(zone: &str) -> Self {
        Self::new(503, "Unavailable", format!("The server is overloaded and can't handle the request: {zone}"))
    }

    pub(super) fn internal() -> Self {
        Self::new(500, "InternalError", "An internal error has occurred")
    }

    pub(super) fn index_taken(instance: &str, device_index: u32) -> Self {
        Self::refused(
            "InvalidParameterValue",
            format!("Instance '{instance}' already has an interface attached at device index '{device_index}'."),
        )
    }
}
