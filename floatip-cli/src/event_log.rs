//! The event log: a file of JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use serde_json::Value;
use tracing::{info, warn};

use crate::exit::Failure;

/// Appends one line an event. The file is opened for each, so that one that was rotated away, removed or on a full disk
/// is written again as soon as it can be; what cannot be written is warned of, and never stops a failover.
#[derive(Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    missed: u64,
}

impl EventLog {
    /// Creates the file if it is missing, readable for owner and group.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        match open(path) {
            Ok(_) => (),
            Err(error) if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
                warn!(path = %path.display(), "nobody reads the event log, which is a FIFO: events are lost until somebody does");
            }
            Err(source) => {
                return Err(Failure::File {
                    action: "write the event log",
                    path: path.to_owned(),
                    hint: " (its folder must be there, and this user must be allowed to write there)",
                    source,
                });
            }
        }
        Ok(Self { path: path.to_owned(), missed: 0 })
    }

    pub(crate) async fn append(&mut self, event: &Value) {
        let path = self.path.clone();
        let line = format!("{event}\n");
        // Not on the threads that drive a failover: a network file system may hang.
        let written = tokio::task::spawn_blocking(move || write(&path, &line)).await;
        match written.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
            Ok(()) if self.missed > 0 => {
                info!(missed = self.missed, "the event log can be written again");
                self.missed = 0;
            }
            Ok(()) => (),
            Err(error) => {
                if self.missed == 0 {
                    warn!(path = %self.path.display(), %error, "the event log cannot be written; monitoring goes on");
                }
                self.missed += 1;
            }
        }
    }
}

/// Appends the whole line or none of it: half a line, as of a full disk, would spoil the next one.
fn write(path: &Path, line: &str) -> io::Result<()> {
    let mut file = open(path)?;
    let before = file.metadata()?.len();
    file.write_all(line.as_bytes()).inspect_err(|_| {
        // What is no regular file has no length to restore.
        file.set_len(before).ok();
    })
}

fn open(path: &Path) -> io::Result<File> {
    // A FIFO that nobody reads would block until somebody does; so it is an error instead, as long as it lasts.
    let flags = OFlag::O_NONBLOCK.bits();
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn events_are_appended_one_a_line_for_owner_and_group_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        for run in 0..2 {
            EventLog::open(&path).unwrap().append(&json!({ "run": run })).await;
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"run\":0}\n{\"run\":1}\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
    }

    #[tokio::test]
    async fn a_log_that_was_rotated_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        log.append(&json!(1)).await;
        std::fs::rename(&path, folder.path().join("events.jsonl.1")).unwrap();
        log.append(&json!(2)).await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_counted_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/events.jsonl");
        assert!(EventLog::open(&path).is_err());
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        let mut log = EventLog::open(&path).unwrap();
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        log.append(&json!(1)).await;
        log.append(&json!(2)).await;
        assert_eq!(log.missed, 2);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        log.append(&json!(3)).await;
        assert_eq!(log.missed, 0);
    }
    #[tokio::test]
    async fn a_fifo_that_nobody_reads_blocks_nothing_and_is_written_once_somebody_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut log = EventLog::open(&path).unwrap();
        log.append(&json!(1)).await;
        assert_eq!(log.missed, 1);
        let mut reader = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&path).unwrap();
        log.append(&json!(2)).await;
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).ok();
        assert_eq!((text.as_str(), log.missed), ("2\n", 0));
    }
}
