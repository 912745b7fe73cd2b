//! What makes a probe's setting unusable.

/// A probe cannot be made of these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The setting may not be empty.
    #[error("{0} may not be empty")]
    Empty(&'static str),
    /// The setting is sent as one line, and a line break in it would smuggle in a second command.
    #[error("{0} may not hold a line break or a NUL character")]
    LineBreak(&'static str),
    /// The setting is outside its bounds.
    #[error("{setting} must lie between {least} and {most}")]
    OutOfRange {
        /// Which one.
        setting: &'static str,
        /// The least value that works.
        least: u16,
        /// The greatest value that works.
        most: u16,
    },
    /// The setting cannot be used as it is written.
    #[error("{setting} cannot be used: {detail}")]
    Unusable {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it, without secrets.
        detail: String,
    },
}

/// A port to connect to, or the error that names its bounds.
#[cfg(feature = "network")]
pub(crate) fn port(port: u16) -> Result<u16, SettingError> {
    if port == 0 {
        return Err(SettingError::OutOfRange { setting: "port", least: 1, most: u16::MAX });
    }
    Ok(port)
}

/// An argument of a command that is one line of text, or the error that says why it cannot be one.
#[cfg(feature = "ftp")]
pub(crate) fn argument<'a>(setting: &'static str, text: &'a str) -> Result<&'a str, SettingError> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(SettingError::LineBreak(setting));
    }
    Ok(text)
}
