//! A password that cannot be printed by accident.

use std::fmt;

/// What stands where a secret would have been.
const MASK: &str = "***";

/// A password. Its `Debug` is masked, it has no `Display`, and only [`expose`](Self::expose) gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the password as it is, white space included: the reader of a password file strips the last line break.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The password, to be sent and never to be printed.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text with every occurrence of the password masked.
    pub(crate) fn masked(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, MASK) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_nothing_about_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), format!("{:?}", Secret::new("")));
    }
}
