//! How many sessions a server has, by its own words.

/// The words before the number, in small letters, and whose they are.
const BEFORE: [&str; 2] = [
    // pure-ftpd's greeting; proftpd's, with `You are user number %N of %M` in DisplayConnect or DisplayLogin.
    "user number ",
    // vsftpd's answer to STAT: as many as there were when this session began, itself included.
    "client count was ",
];

/// The sessions of which a greeting or an answer to STAT speaks, the asking one included.
pub(super) fn count(words: &str) -> Option<u32> {
    let words = words.to_ascii_lowercase();
    BEFORE.iter().find_map(|before| {
        let (_, after) = words.split_once(before)?;
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_are_counted_in_the_words_of_the_servers_that_tell() {
        for (words, expected) in [
            ("220-You are user number 12 of 50 allowed.\r\n220 Bye after 15 minutes", Some(12)),
            ("211-FTP server status:\r\n     At session startup, client count was 3\r\n211 End of status", Some(3)),
            ("220 (vsFTPd 3.0.3)", None),
            ("220 user number nine", None),
            ("220 user number 99999999999999999999", None),
            ("220 client count was 7", Some(7)),
        ] {
            assert_eq!(count(words), expected, "{words}");
        }
    }
}
