use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::action::Action;
use super::cloud::{Cloud, now};
use super::connection::{Connections, CuttableListener, Cutter};
use super::error::ApiError;
use super::fault::{Fault, Strike};
use super::journal::{Entry, Outcome};
use super::parameters::Parameters;
use super::reply::Reply;

#[derive(Debug, Clone)]
struct Server {
    cloud: Arc<Cloud>,
    requests: Arc<AtomicU64>,
}

/// What the client gets.
#[derive(Debug)]
enum End {
    Answer { status: u16, document: String },
    Cut,
    Silence,
}

/// Serves until it is dropped; the connections live on until they are cut.
pub(super) async fn serve(listener: TcpListener, cloud: Arc<Cloud>, connections: Connections) {
    let server = Server { cloud, requests: Arc::default() };
    let routes = Router::new().fallback(handle).with_state(server).into_make_service_with_connect_info::<Cutter>();
    if let Err(error) = axum::serve(CuttableListener { listener, connections }, routes).await {
        tracing::error!(%error, "the EC2 simulator ended");
    }
}

/// Works on a request in a task of its own: a client that hangs up does not undo what it has sent.
async fn handle(
    State(server): State<Server>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let request_id = format!("00000000-0000-4000-8000-{number:012x}");
    let form = if body.is_empty() { Bytes::from(uri.query().unwrap_or_default().to_owned()) } else { body };
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let signed = headers.get("x-amz-date").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = Request { id: request_id.clone(), form, authorization, signed };
    let cloud = Arc::clone(&server.cloud);
    match tokio::spawn(async move { server.cloud.work(request).await }).await {
        Ok(End::Answer { status, document }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let date = cloud.wall.date().unwrap_or_default();
            let headers = [
                ("content-type", "text/xml;charset=UTF-8"),
                ("x-amzn-requestid", request_id.as_str()),
                ("date", date.as_str()),
            ];
            (status, headers, document).into_response()
        }
        Ok(End::Cut) => {
            cutter.cut();
            pending().await
        }
        Ok(End::Silence) => pending().await,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Debug)]
struct Request {
    id: String,
    form: Bytes,
    authorization: Option<String>,
    /// When it was signed, as it says itself.
    signed: Option<String>,
}

/// How a request ends that gets no answer.
#[derive(Debug)]
enum Unanswered {
    Cut,
    Silence,
}

impl Cloud {
    /// Writes a request into the journal, works on it, and writes down what became of it.
    async fn work(&self, request: Request) -> End {
        let parameters = Parameters::parse(&request.form);
        let name = parameters.as_ref().ok().and_then(|all| all.get("Action")).unwrap_or_default().to_owned();
        self.journal.open(Entry {
            at: now(),
            action: name.clone(),
            parameters: parameters.as_ref().map(Parameters::of_interest).unwrap_or_default(),
            request_id: request.id.clone(),
            outcome: Outcome::Pending,
        });
        let admitted = admit(parameters, request.authorization.as_deref())
            .and_then(|admitted| self.wall.admit(request.signed.as_deref()).map(|()| admitted));
        let answer = match admitted {
            Err(refusal) => Ok(Err(refusal)),
            Ok((action, parameters)) => match self.answer(action, &parameters).await {
                Ok(Ok(reply)) => Ok(Ok(reply.document(action, &request.id))),
                Ok(Err(error)) => Ok(Err(error)),
                Err(unanswered) => Err(unanswered),
            },
        };
        let (outcome, end) = match answer {
            Ok(Ok(document)) => (Outcome::Succeeded, End::Answer { status: 200, document }),
            Ok(Err(error)) => {
                let document = error.document(&request.id);
                (
                    Outcome::Failed { status: error.status, code: error.code },
                    End::Answer { status: error.status, document },
                )
            }
            Err(Unanswered::Cut) => (Outcome::Cut, End::Cut),
            Err(Unanswered::Silence) => (Outcome::Unanswered, End::Silence),
        };
        self.journal.close(&request.id, outcome);
        end
    }

    /// What a request is answered, with the faults that strike it.
    async fn answer(&self, action: Action, parameters: &Parameters) -> Result<Result<Reply, ApiError>, Unanswered> {
        if !self.buckets.admit(action, parameters, now()) {
            return Ok(Err(ApiError::throttled()));
        }
        let strike = self.faults.strike(action, parameters.flag("DryRun").unwrap_or(false));
        sleep(strike.latency / 2).await;
        if strike.has(Fault::Hang) {
            return Err(Unanswered::Silence);
        }
        if strike.has(Fault::RequestLost) {
            return Err(Unanswered::Cut);
        }
        let answer = match refuse(action, parameters, &strike) {
            Err(refusal) => Err(refusal),
            Ok(()) => self.perform(action, parameters, &strike),
        };
        sleep(strike.latency / 2).await;
        if strike.has(Fault::AppliedThenHang) {
            return Err(Unanswered::Silence);
        }
        if strike.has(Fault::ReplyLost) {
            return Err(Unanswered::Cut);
        }
        if strike.has(Fault::AppliedThenInternalError) {
            return Ok(Err(ApiError::internal()));
        }
        Ok(answer)
    }
}

/// What every request must have.
///
/// # Source
/// Amazon EC2 API Reference, "Query requests" and "Error codes for the Amazon EC2 API", Common client errors.
fn admit(
    parameters: Result<Parameters, ApiError>,
    authorization: Option<&str>,
) -> Result<(Action, Parameters), ApiError> {
    let parameters = parameters?;
    let signed = authorization.is_some_and(|header| {
        header.strip_prefix("AWS4-HMAC-SHA256 ").is_some_and(|rest| {
            ["Credential=", "SignedHeaders=", "Signature="].into_iter().all(|part| rest.contains(part))
        })
    });
    if !signed {
        let message = "AWS was not able to validate the provided access credentials";
        return Err(ApiError::new(401, "AuthFailure", message));
    }
    let name = parameters.get("Action").unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::refused("MissingAction", "The request must contain the parameter Action"));
    }
    let action = Action::from_name(name).ok_or_else(|| {
        ApiError::refused("InvalidAction", format!("The action {name} is not valid for this web service."))
    })?;
    match parameters.required("Version")? {
        "2016-11-15" => Ok((action, parameters)),
        version => Err(ApiError::refused("NoSuchVersion", format!("The version {version} is not known."))),
    }
}

/// The answers of faults that keep a request from being applied.
fn refuse(action: Action, parameters: &Parameters, strike: &Strike) -> Result<(), ApiError> {
    if strike.has(Fault::Throttled) {
        return Err(ApiError::throttled());
    }
    if strike.has(Fault::InternalError) {
        return Err(ApiError::internal());
    }
    if strike.has(Fault::Denied) {
        return Err(ApiError::unauthorized(action));
    }
    if strike.has(Fault::DeviceIndexTaken) && action == Action::AttachNetworkInterface {
        let instance = parameters.required("InstanceId")?;
        return Err(ApiError::index_taken(instance, parameters.required_parsed("DeviceIndex")?));
    }
    Ok(())
}
