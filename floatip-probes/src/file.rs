//! Has somebody asked for maintenance?

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use floatip_core::{HealthProbe, ProbeError, Reason, Role, Target, Verdict};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::SettingError;
use crate::excerpt::excerpt;
use crate::failure::lacking;

/// What stands for the node's name in a path.
const NODE: &str = "{node}";

/// How many bytes of a file are read for its first line.
const READ: u64 = 1024;

/// How many files may be looked at at once in the process. A look cannot be cancelled, and a network file system that
/// hangs must not take every thread.
static LOOKS: Semaphore = Semaphore::const_new(16);

/// A file on the monitor's own machine by which people, or programs, speak to it: `touch` it, and the node is in
/// maintenance; remove it, and it is as before. Its first line, if it has one, is the reason that is shown.
///
/// Maintenance is no failure: the node stays healthy, is no candidate, and the address leaves it gently, as it leaves a
/// drained node. With [`must_exist`](Self::must_exist) the file is a sign of life instead: without it the node is
/// unhealthy.
///
/// It does not contact the node and says nothing through the floating address: use it beside another check.
///
/// # Errors
/// A file that cannot be looked at (a folder without permission, a file system that hangs) is no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProbe {
    path: String,
    must_exist: bool,
}

impl FileProbe {
    /// Looks for this file, in which `{node}` stands for the node's name: `/run/floatip/maintenance/{node}`. There it
    /// means maintenance.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if the path is relative, which would depend on where the monitor was started.
    pub fn new(path: &str) -> Result<Self, SettingError> {
        if !Path::new(path).is_absolute() || path.contains('\0') {
            let detail = "it must begin with a slash and hold no NUL character".to_owned();
            return Err(SettingError::Unusable { setting: "the path", detail });
        }
        Ok(Self { path: path.to_owned(), must_exist: false })
    }

    /// Makes the file a sign of life: a node without it is unhealthy. Default: false, the file means maintenance.
    #[must_use]
    pub fn must_exist(mut self, must_exist: bool) -> Self {
        self.must_exist = must_exist;
        self
    }

    fn path_for(&self, target: &Target) -> Result<PathBuf, ProbeError> {
        let node = target.node.as_str();
        let is_segment = !node.contains('/') && node != "." && node != "..";
        if self.path.contains(NODE) && !is_segment {
            let source = io::Error::from(ErrorKind::InvalidFilename).into();
            return Err(ProbeError::Unusable {
                what: format!("the node's name {node} cannot stand in a path"),
                source,
            });
        }
        Ok(self.path.replace(NODE, node).into())
    }

    fn verdict(&self, path: &Path, found: Option<String>) -> Verdict {
        let path = path.display();
        match (found, self.must_exist) {
            (Some(_), true) | (None, false) => Verdict::healthy(),
            (Some(words), false) if words.is_empty() => Verdict::healthy().in_maintenance(format!("{path} exists")),
            (Some(words), false) => Verdict::healthy().in_maintenance(format!("{words} ({path})")),
            (None, true) => Verdict::unhealthy(Reason::Failed { detail: format!("{path} does not exist") }),
        }
    }
}

impl fmt::Display for FileProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.must_exist { "sign of life" } else { "maintenance file" };
        write!(f, "{sign} {}", self.path)
    }
}

/// The first line of the file, if it exists. Only a regular file is read: opening a FIFO would wait for a writer.
fn look(path: &Path) -> io::Result<Option<String>> {
    let absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let mut beginning = Vec::new();
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => match File::open(path) {
            Ok(file) => {
                file.take(READ).read_to_end(&mut beginning)?;
            }
            Err(error) if absent(&error) => return Ok(None),
            // That it is there is enough.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        },
        Ok(_) => {}
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Some(if line.trim_ascii().is_empty() { String::new() } else { excerpt(line) }))
}

#[async_trait]
impl HealthProbe for FileProbe {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn probe(&self, target: &Target) -> Result<Verdict, ProbeError> {
        let path = self.path_for(target)?;
        let looking = async {
            let permit = LOOKS.acquire().await.map_err(io::Error::other)?;
            let path = path.clone();
            let look = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                look(&path)
            });
            look.await.map_err(io::Error::other)?
        };
        let found = match timeout(target.timeout, looking).await {
            Ok(found) => found,
            Err(elapsed) => Err(io::Error::new(ErrorKind::TimedOut, elapsed)),
        };
        match found {
            Ok(found) => Ok(self.verdict(&path, found)),
            Err(error) => Err(match lacking(&error) {
                Some(what) => ProbeError::Exhausted { what, source: error.into() },
                None => {
                    ProbeError::Unusable { what: format!("cannot look at {}", path.display()), source: error.into() }
                }
            }),
        }
    }

    /// The file is the monitor's: nothing passes through the floating address.
    fn runs_through_address(&self) -> bool {
        false
    }

    /// The file is not on the node, and so is no sign that the node can be reached; only a sign of life decides.
    fn role(&self) -> Role {
        if self.must_exist { Role::Decides } else { Role::Corroborates }
    }
}
