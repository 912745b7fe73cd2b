//! The trace of one scenario: a fingerprint always, and a story if it is told.

use std::fmt::Write;
use std::time::Duration;

/// Everything that happens goes through here, in order.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    story: Option<String>,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, story: told.then(String::new) }
    }

    /// Notes numbers that identify what happened; cheap.
    pub(crate) fn mark(&mut self, numbers: [u64; 4]) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// Notes something in words.
    pub(crate) fn tell(&mut self, now: Duration, words: std::fmt::Arguments<'_>) {
        let mut line = String::new();
        // Writing to a string cannot fail.
        if writeln!(line, "{:>10.4} {words}", now.as_secs_f64()).is_ok() {
            for bytes in line.as_bytes().chunks(8) {
                let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
            }
        }
        if let Some(story) = &mut self.story {
            story.push_str(&line);
        }
    }

    /// Notes a detail for who reads the story; the fingerprint has it as numbers.
    pub(crate) fn detail(&mut self, now: Duration, words: std::fmt::Arguments<'_>) {
        if let Some(story) = &mut self.story {
            story.push_str(&format!("{:>10.4}   {words}\n", now.as_secs_f64()));
        }
    }

    pub(crate) fn end(self) -> (u64, Option<String>) {
        (self.hash, self.story)
    }
}
