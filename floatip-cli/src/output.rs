//! What commands print on stdout.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Prints a line; colours are left out where stdout is no terminal. A reader that has gone away, as `head` does, is
/// no failure.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    match writeln!(anstream::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::System { action: "write to stdout", source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints one JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::System { action: "write JSON", source: error.into() })?;
    line(text)
}
