//! The history on disk, one file a floating IP, written whole and renamed into place.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::history::Decision;

#[derive(Debug, Clone)]
pub(super) struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(format!("{name}.history.json")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written; nothing if there is no file. One that cannot be understood is set aside: the past is worth less
    /// than a start.
    pub(super) fn load(&self) -> Vec<Decision> {
        let read = fs::read(&self.path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
        match read {
            Ok(decisions) => decisions,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let aside = self.path.with_extension("json.unreadable");
                let path = self.path.display();
                tracing::warn!(%error, "the history in {path} cannot be read; it is begun anew, and the old one set aside");
                if let Err(error) = fs::rename(&self.path, aside) {
                    tracing::warn!(%error, "it could not be set aside");
                }
                Vec::new()
            }
        }
    }

    pub(super) fn save(&self, decisions: &[Decision]) -> io::Result<()> {
        let fresh = self.path.with_extension("json.new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(decisions)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}
