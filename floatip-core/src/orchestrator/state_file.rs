//! What survives a restart, one file a floating IP, written whole and renamed into place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::durable::Durable;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// Since the Unix epoch.
    saved_at: Duration,
    #[serde(flatten)]
    durable: Durable,
}

#[derive(Debug, Clone)]
pub(super) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(format!("{name}.json")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was remembered, aged by the wall time since it was written; nothing if there is no file.
    pub(super) fn load(&self, now: SystemTime) -> io::Result<Durable> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Durable::default()),
            Err(error) => return Err(error),
        };
        let saved: Saved = serde_json::from_slice(&text)?;
        let elapsed = since_epoch(now).saturating_sub(saved.saved_at);
        Ok(saved.durable.aged(elapsed))
    }

    pub(super) fn save(&self, now: SystemTime, durable: Durable) -> io::Result<()> {
        let saved = Saved { saved_at: since_epoch(now), durable };
        let fresh = self.path.with_extension("json.new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&saved)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_comes_back_older_by_the_time_between() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "ftp");
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(file.load(then).unwrap(), Durable::default());
        let mut durable = Durable { paused: true, pause_reason: Some("works".into()), ..Durable::default() };
        durable.move_ages = vec![Duration::from_secs(5)];
        file.save(then, durable.clone()).unwrap();
        let loaded = file.load(then + Duration::from_secs(60)).unwrap();
        assert_eq!(loaded, durable.aged(Duration::from_secs(60)));
        assert_eq!(loaded.move_ages, [Duration::from_secs(65)]);
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "ftp");
        fs::write(file.path(), "{").unwrap();
        assert!(file.load(SystemTime::UNIX_EPOCH).is_err());
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "{");
    }
}
