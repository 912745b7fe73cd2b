//! `POST /v1/report`: a node reports itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use floatip_probes::Report;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::debug;

use crate::reports::Reports;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportRequest {
    pub(crate) node: String,
    pub(crate) healthy: bool,
    /// Why it is not healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The one floating IP that it is about; all that have the node, if it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floating_ip: Option<String>,
}

pub(super) async fn take(State(reports): State<Reports>, Json(request): Json<ReportRequest>) -> Response {
    let ReportRequest { node, healthy, reason, floating_ip } = request;
    let report = match (healthy, &reason) {
        (true, None) => Report::healthy(),
        (false, Some(reason)) => Report::unhealthy(reason),
        (true, Some(_)) | (false, None) => {
            let message = "a report is healthy without a `reason`, or not healthy with one";
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": message }))).into_response();
        }
    };
    match reports.take(&node, floating_ip.as_deref(), &report) {
        Ok(floating_ips) => {
            debug!(node, healthy, "a node has reported");
            Json(json!({ "floating_ips": floating_ips })).into_response()
        }
        Err(unknown) => (StatusCode::NOT_FOUND, Json(json!({ "message": unknown.to_string() }))).into_response(),
    }
}
