//! What a target said, fit to be shown.

/// How many characters are shown.
const SHOWN: usize = 200;

/// How many bytes are looked at.
const LOOKED_AT: usize = 4096;

/// The beginning of what was said: on one line, without control characters, bounded.
pub(crate) fn excerpt(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(LOOKED_AT)]);
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count() {
        0 => "(no words)".to_owned(),
        1..=SHOWN if said.len() <= LOOKED_AT => line,
        _ => line.chars().take(SHOWN).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_without_control_characters() {
        assert_eq!(excerpt(b"one\r\n\x1b[31m two\x07"), "one [31m two");
        assert_eq!(excerpt(b" \r\n"), "(no words)");
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn an_excerpt_is_bounded_and_says_that_it_is_cut() {
        let cut = excerpt("é".repeat(100_000).as_bytes());
        assert!(cut.chars().count() == SHOWN + 1 && cut.ends_with('…'), "{cut}");
        assert_eq!(excerpt(&[b"begin ".as_slice(), &[b' '; 2 * LOOKED_AT], b"end"].concat()), "begin…");
    }
}
