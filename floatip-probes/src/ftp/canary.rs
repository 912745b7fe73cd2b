//! A file whose content is known.

use crate::SettingError;
use crate::setting;

/// A file that a check retrieves, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Canary {
    pub(super) path: String,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
}

impl Canary {
    /// The largest file that is retrieved, in bytes: 16 MiB.
    pub const LARGEST: u64 = 16 << 20;

    /// The file at this path, as the server names it. It must arrive whole: with as many bytes as the server itself says
    /// that it has, where the server knows `SIZE` (RFC 3659).
    ///
    /// # Errors
    /// [`SettingError::Empty`] and [`SettingError::LineBreak`].
    pub fn new(path: &str) -> Result<Self, SettingError> {
        if path.is_empty() {
            return Err(SettingError::Empty("the path to retrieve"));
        }
        let path = setting::argument("the path to retrieve", path)?.to_owned();
        Ok(Self { path, size: None, sha256: None })
    }

    /// Expects so many bytes. Default: what the server says.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if that is more than [`LARGEST`](Self::LARGEST).
    pub fn size(mut self, bytes: u64) -> Result<Self, SettingError> {
        if bytes > Self::LARGEST {
            let detail =
                format!("{bytes} bytes are more than {} MiB, which are too many for a check", Self::LARGEST >> 20);
            return Err(SettingError::Unusable { setting: "the size of the file", detail });
        }
        self.size = Some(bytes);
        Ok(self)
    }

    /// Expects a content with this SHA-256, in 64 hexadecimal digits. Default: any.
    ///
    /// # Errors
    /// [`SettingError::Unusable`] if it is none.
    pub fn sha256(mut self, digits: &str) -> Result<Self, SettingError> {
        let detail = "64 hexadecimal digits were expected".to_owned();
        let hash = crate::hex::decode(digits).ok_or(SettingError::Unusable { setting: "the SHA-256", detail })?;
        self.sha256 = Some(hash);
        Ok(self)
    }
}
