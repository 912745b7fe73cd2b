//! Passwords: where they are, never what they are.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use floatip_probes::Secret;
use toml::de::DeValue;

use super::Purpose;
use super::diagnostic::Report;
use super::table::{Fault, Setting};

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PasswordSource {
    /// An environment variable.
    Env(String),
    /// A file, whose last line break is not part of the password.
    File(PathBuf),
}

impl Setting for PasswordSource {
    const EXPECTED: &'static str =
        "password = { env = \"FLOATIP_FTP_PASSWORD\" } or { file = \"/etc/floatip/ftp.password\" }";

    fn read(value: &DeValue<'_>) -> Result<Self, Fault> {
        let hint = format!("write {}", Self::EXPECTED);
        if value.is_str() {
            return Err(Fault::invalid(
                "a password may not stand in the configuration, which is copied, committed and shown around",
                hint,
            ));
        }
        let table = value.as_table().ok_or(Fault::WrongType)?;
        let key = |key| table.get(key).filter(|_| table.len() == 1).and_then(|value| value.get_ref().as_str());
        match (key("env"), key("file")) {
            (Some(name), None) if !name.is_empty() && !name.contains(['=', '\0']) => Ok(Self::Env(name.to_owned())),
            (None, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            (Some(_) | None, Some(_) | None) => {
                Err(Fault::invalid("it takes one of the keys `env` and `file`, and nothing else", hint))
            }
        }
    }
}

/// A password is not where the configuration says.
#[derive(Debug)]
pub(crate) enum Missing {
    Unset(String),
    NotUnicode(String),
    Unreadable(PathBuf, io::Error),
    Empty(String),
    LineBreak(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset(name) => write!(f, "the environment variable {name} is not set"),
            Self::NotUnicode(name) => write!(f, "the environment variable {name} is not valid UTF-8"),
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Empty(place) => write!(f, "the password in {place} is empty"),
            Self::LineBreak(place) => write!(f, "the password in {place} has more than one line"),
        }
    }
}

impl std::error::Error for Missing {}

impl Missing {
    fn hint(&self) -> &'static str {
        match self {
            Self::Unset(_) => "set it for the process that runs floatip (for systemd: EnvironmentFile=)",
            Self::Unreadable(..) => "create the file, and let the user that runs floatip read it, and nobody else",
            Self::NotUnicode(_) | Self::Empty(_) | Self::LineBreak(_) => "put the password there, on one line",
        }
    }
}

/// The password itself, if it is where the source says. What prevents that is an error where it is needed, and a
/// warning where the file is only checked.
pub(super) fn fetch(
    source: &PasswordSource,
    span: Range<usize>,
    report: &Report<'_>,
    purpose: Purpose,
) -> Option<Secret> {
    let read = match source {
        PasswordSource::Env(name) => from_env(name),
        PasswordSource::File(path) => from_file(path),
    };
    if let PasswordSource::File(path) = source
        && fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
    {
        let path = path.display();
        report.warning(span.clone(), format!("everybody may read {path}"), format!("chmod o= {path}"));
    }
    match (read, purpose) {
        (Ok(secret), Purpose::Check | Purpose::Use) => Some(secret),
        (Err(missing), Purpose::Check) => {
            let hint = format!("{}; `probe` and `run` refuse to start without it", missing.hint());
            report.warning(span, missing.to_string(), hint);
            None
        }
        (Err(missing), Purpose::Use) => {
            report.error(span, missing.to_string(), missing.hint());
            None
        }
    }
}

/// The secret in this file, else in this environment variable.
pub(crate) fn token(file: Option<&Path>, name: &str) -> Result<Secret, Missing> {
    file.map_or_else(|| from_env(name), from_file)
}

fn from_env(name: &str) -> Result<Secret, Missing> {
    let value = std::env::var_os(name).ok_or_else(|| Missing::Unset(name.to_owned()))?;
    let value = value.into_string().map_err(|_| Missing::NotUnicode(name.to_owned()))?;
    one_line(value, name)
}

fn from_file(path: &Path) -> Result<Secret, Missing> {
    let mut value = fs::read_to_string(path).map_err(|error| Missing::Unreadable(path.to_owned(), error))?;
    if value.ends_with('\n') {
        value.pop();
    }
    if value.ends_with('\r') {
        value.pop();
    }
    one_line(value, &path.display().to_string())
}

fn one_line(value: String, place: &str) -> Result<Secret, Missing> {
    if value.is_empty() {
        Err(Missing::Empty(place.to_owned()))
    } else if value.contains(['\r', '\n', '\0']) {
        Err(Missing::LineBreak(place.to_owned()))
    } else {
        Ok(Secret::new(value))
    }
}
