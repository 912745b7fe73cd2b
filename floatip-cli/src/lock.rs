//! The lock file that keeps two monitors of one configuration apart.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// Held for as long as it lives. The file stays: taking it away would let two monitors lock two files of one name.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "dropping it unlocks")] File);

impl Lock {
    /// Takes the lock, without waiting for it.
    pub(crate) fn acquire(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::File {
            action: "lock",
            path: path.to_owned(),
            hint: " (say with --control or `state_dir` where this user may write)",
            source,
        };
        create_folder(path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(failed)?;
                return Err(Failure::Busy { holds: format!("process {} holds {}", pid.trim(), path.display()) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        note_pid(&mut file).map_err(failed)?;
        Ok(Self(file))
    }
}

fn note_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The lock that belongs to a control socket.
pub(crate) fn beside(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Makes the folder of a file, for owner and group only.
pub(crate) fn create_folder(file: &Path) -> Result<(), Failure> {
    let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) else {
        return Ok(());
    };
    DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(|source| Failure::File {
        action: "create",
        path: folder.to_owned(),
        hint: " (say with --control or `state_dir` where this user may write)",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_by_one_at_a_time_and_names_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/x.lock");
        let first = Lock::acquire(&path).unwrap();
        let refused = Lock::acquire(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} holds", std::process::id())), "{refused}");
        drop(first);
        Lock::acquire(&path).unwrap();
    }
}
