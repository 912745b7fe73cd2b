//! The monitor's side of the control socket.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use floatip_core::{Command, CommandError, Handle, NodeId, Status, Switchover};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::watch;

use super::{DrainRequest, MoveRequest, PauseRequest, report, socket_hint};
use crate::exit::Failure;
use crate::journal::Newest;
use crate::lock;
use crate::reports::Reports;

/// How many names are told to whoever used one that is not known.
const MOST_NAMES: usize = 5;

/// A bound control socket. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: UnixListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the control socket could not be removed");
        }
    }
}

#[derive(Debug, Clone)]
struct Monitor {
    handle: Handle,
    newest: watch::Receiver<Newest>,
}

impl Server {
    /// Listens at `path`, in place of a socket that a dead monitor has left.
    pub(crate) fn bind(path: &Path) -> Result<Self, Failure> {
        lock::create_folder(path)?;
        make_room(path)?;
        let failed = |source| Failure::File {
            action: "listen at",
            path: path.to_owned(),
            hint: socket_hint(&source, " (say with --control where this user may write)"),
            source,
        };
        // Nobody can connect before the mode is set, because nobody knows it by its name yet.
        let mut unnamed = path.as_os_str().to_owned();
        unnamed.push("~");
        match fs::remove_file(&unnamed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => (),
        }
        let listener = UnixListener::bind(&unnamed).map_err(failed)?;
        fs::set_permissions(&unnamed, Permissions::from_mode(0o660)).map_err(failed)?;
        fs::rename(&unnamed, path).map_err(failed)?;
        Ok(Self { listener, file: SocketFile(path.to_owned()) })
    }

    /// Answers until `shutdown` completes and the requests under way are answered.
    pub(crate) async fn serve(
        self,
        handle: Handle,
        newest: watch::Receiver<Newest>,
        reports: Reports,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let Self { listener, file: _file } = self;
        let app = Router::new()
            .route("/v1/status", get(status))
            .route("/v1/floating-ips/{name}/history", get(history))
            .route("/v1/floating-ips/{name}/move", post(switch_over))
            .route("/v1/floating-ips/{name}/pause", post(pause))
            .route("/v1/floating-ips/{name}/resume", post(resume))
            .route("/v1/floating-ips/{name}/ack", post(acknowledge))
            .route("/v1/floating-ips/{name}/drain", post(drain))
            .route("/v1/floating-ips/{name}/undrain", post(undrain))
            .with_state(Monitor { handle, newest })
            .merge(Router::new().route("/v1/report", post(report::take)).with_state(reports));
        axum::serve(listener, app).with_graceful_shutdown(shutdown).await
    }
}

/// Takes away a socket that nobody listens at any more, and nothing else.
fn make_room(path: &Path) -> Result<(), Failure> {
    let failed = |source| Failure::File { action: "replace", path: path.to_owned(), hint: "", source };
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !file.file_type().is_socket() {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is no socket")));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(Failure::Busy { holds: format!("it listens at {}", path.display()) }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

async fn status(State(monitor): State<Monitor>) -> Response {
    let statuses = match monitor.handle.status().await {
        Ok(statuses) => statuses,
        Err(error) => return refusal(&error, &[]),
    };
    let newest = monitor.newest.borrow().clone();
    match statuses.iter().map(|status| with_newest(status, &newest)).collect::<Result<Vec<_>, _>>() {
        Ok(floating_ips) => Json(json!({ "floating_ips": floating_ips })).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn with_newest(status: &Status, newest: &Newest) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(status)?;
    value["last_event"] = newest.get(&status.name).cloned().unwrap_or_default();
    Ok(value)
}

async fn history(State(monitor): State<Monitor>, UrlPath(name): UrlPath<String>) -> Response {
    match monitor.handle.history(&name).await {
        Ok(decisions) => Json(json!({ "decisions": decisions })).into_response(),
        Err(error) => {
            let known = known(&monitor.handle, &error).await;
            refusal(&error, &known)
        }
    }
}

async fn switch_over(
    State(monitor): State<Monitor>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<MoveRequest>,
) -> Response {
    let MoveRequest { to, force, dry_run, wait } = request;
    let Ok(to) = NodeId::new(&to) else {
        return refusal(&CommandError::UnknownNode { floating_ip: name, node: to }, &[]);
    };
    let switchover = Switchover::to(to).force(force).dry_run(dry_run).wait(wait);
    command(&monitor, &name, Command::Switchover(switchover)).await
}

async fn pause(
    State(monitor): State<Monitor>,
    UrlPath(name): UrlPath<String>,
    request: Option<Json<PauseRequest>>,
) -> Response {
    let PauseRequest { reason, for_ms } = request.map(|Json(request)| request).unwrap_or_default();
    command(&monitor, &name, Command::Pause { reason, duration: for_ms.map(Duration::from_millis) }).await
}

async fn resume(State(monitor): State<Monitor>, UrlPath(name): UrlPath<String>) -> Response {
    command(&monitor, &name, Command::Resume).await
}

async fn acknowledge(State(monitor): State<Monitor>, UrlPath(name): UrlPath<String>) -> Response {
    command(&monitor, &name, Command::Acknowledge).await
}

async fn drain(
    State(monitor): State<Monitor>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<DrainRequest>,
) -> Response {
    of_node(&monitor, name, request, |node| Command::Drain { node }).await
}

async fn undrain(
    State(monitor): State<Monitor>,
    UrlPath(name): UrlPath<String>,
    Json(request): Json<DrainRequest>,
) -> Response {
    of_node(&monitor, name, request, |node| Command::Undrain { node }).await
}

async fn of_node(
    monitor: &Monitor,
    name: String,
    DrainRequest { node }: DrainRequest,
    wanted: impl FnOnce(NodeId) -> Command,
) -> Response {
    match NodeId::new(&node) {
        Ok(node) => command(monitor, &name, wanted(node)).await,
        Err(_) => refusal(&CommandError::UnknownNode { floating_ip: name, node }, &[]),
    }
}

async fn command(monitor: &Monitor, name: &str, command: Command) -> Response {
    match monitor.handle.command(name, command).await {
        Ok(done) => Json(done).into_response(),
        Err(error) => {
            let known = known(&monitor.handle, &error).await;
            refusal(&error, &known)
        }
    }
}

/// The names that may have been meant where one is not known, the most similar ones first.
async fn known(handle: &Handle, error: &CommandError) -> Vec<String> {
    let statuses = handle.status().await.unwrap_or_default();
    let (unknown, mut names): (&str, Vec<_>) = match error {
        CommandError::UnknownFloatingIp { name } => (name, statuses.iter().map(|ip| ip.name.to_string()).collect()),
        CommandError::UnknownNode { floating_ip, node } => {
            let nodes = statuses.iter().filter(|ip| *ip.name == **floating_ip).flat_map(|ip| &ip.nodes);
            (node, nodes.map(|node| node.name.to_string()).collect())
        }
        CommandError::Refused { .. } | CommandError::MoveFailed { .. } | CommandError::Stopped | _ => {
            return Vec::new();
        }
    };
    let similarity = |name: &String| strsim::jaro_winkler(unknown, name);
    names.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
    names.truncate(MOST_NAMES);
    names
}

fn refusal(error: &CommandError, known: &[String]) -> Response {
    let status = match error {
        CommandError::UnknownFloatingIp { .. } | CommandError::UnknownNode { .. } => StatusCode::NOT_FOUND,
        CommandError::Refused { .. } => StatusCode::CONFLICT,
        CommandError::MoveFailed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        CommandError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut body = serde_json::to_value(error).unwrap_or_default();
    body["message"] = Value::String(match known {
        [] => error.to_string(),
        names => format!("{error}; known: {}", names.join(", ")),
    });
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_goes_with_its_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/control.sock");
        let server = Server::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o007, 0);
        drop(server);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_live_socket_is_refused_and_a_dead_one_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let live = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(Server::bind(&path), Err(Failure::Busy { .. })));
        drop(live);
        assert!(path.exists());
        Server::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(Server::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }
}
