//! A password that the FTP client sends and never sees.

use std::io;

use suppaftp::Encoding;

use crate::Secret;

/// Stands for the password in the text of a command, which the client writes to its log.
pub(super) const STAND_IN: &str = "\u{10fffd}";

/// UTF-8, with the password put in where it stands in for itself: encoding comes after logging.
#[derive(Debug)]
pub(super) struct Hidden(pub(super) Secret);

impl Encoding for Hidden {
    fn decode(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn encode(&self, text: &str) -> io::Result<Vec<u8>> {
        Ok(match text.strip_prefix("PASS ") {
            Some(rest) => format!("PASS {}", rest.replace(STAND_IN, self.0.expose())).into_bytes(),
            None => text.as_bytes().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_command_carries_the_password() {
        let hidden = Hidden(Secret::new("s3cret"));
        assert_eq!(hidden.encode(&format!("PASS {STAND_IN}\r\n")).unwrap(), b"PASS s3cret\r\n");
        let path = format!("LIST {STAND_IN}\r\n");
        assert_eq!(hidden.encode(&path).unwrap(), path.as_bytes());
    }
}
