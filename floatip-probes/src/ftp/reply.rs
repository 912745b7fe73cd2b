//! What an FTP server's replies and silences say about it.

use floatip_core::{Reason, Stage};
use suppaftp::types::Response;
use suppaftp::{FtpError, Status};

use super::data::DATA_CHANNEL;
use crate::Secret;
use crate::failure::Failure;

/// How many characters of a server's words go into a verdict.
const WORDS: usize = 200;

/// How many bytes of a reply are looked at for words.
const READ: usize = 4096;

/// What an error of the FTP client at this stage says about the server.
pub(crate) fn failure(stage: &'static str, secret: &Secret, error: FtpError) -> Failure {
    let stage = Stage::from(stage);
    match error {
        FtpError::ConnectionError(error) => Failure::of_conversation(stage, &error),
        FtpError::UnexpectedResponse(reply) => refusal(stage, secret, &reply).into(),
        FtpError::BadResponse => Reason::Unexpected { stage, detail: "not a reply of FTP".to_owned() }.into(),
        FtpError::SecureError(_) | FtpError::InvalidAddress(_) | FtpError::DataConnectionAlreadyOpen => {
            Reason::Unexpected { stage, detail: error.to_string() }.into()
        }
    }
}

/// What a reply says that is not the one hoped for: a refusal, or a reply that has no place here.
///
/// # Source
/// RFC 959, section 4.2: 4yz and 5yz are refusals; 120 is "not yet", 332 is "not without an account".
fn refusal(stage: Stage, secret: &Secret, reply: &Response) -> Reason {
    let code = code(reply);
    let detail = words(secret, &reply.body);
    // The client asks for a file, and the server tells of its connection: RFC 959, section 4.2.2.
    let stage = if matches!(code, 425 | 426) { DATA_CHANNEL.into() } else { stage };
    match code {
        120 | 332 | 400..=599 => Reason::Rejected { stage, code, detail },
        _ => Reason::Unexpected { stage, detail: format!("{code} {detail}") },
    }
}

/// The reply's code, also where the client has no name for it.
pub(crate) fn code(reply: &Response) -> u32 {
    if reply.status != Status::Unknown {
        return reply.status.code();
    }
    let digits = reply.body.get(..3).and_then(|code| std::str::from_utf8(code).ok());
    digits.and_then(|code| code.parse().ok()).unwrap_or_default()
}

/// The server's words, fit for a log line: without reply codes, control characters and the secret, on one line, bounded.
pub(crate) fn words(secret: &Secret, reply: &[u8]) -> String {
    let (reply, cut) = (&reply[..reply.len().min(READ)], reply.len() > READ);
    let text = secret.masked(&String::from_utf8_lossy(reply));
    let lines = text.lines().map(|line| match line.as_bytes() {
        [a, b, c, b' ' | b'-', ..] if [a, b, c].iter().all(|byte| byte.is_ascii_digit()) => &line[4..],
        _ => line,
    });
    let line = lines.collect::<Vec<_>>().join(" ");
    let line = line.chars().filter(|c| !c.is_control()).collect::<String>();
    // Taking characters away may have put the secret together again, and the cut may have left the beginning of one.
    let line = secret.masked(&line.split_whitespace().collect::<Vec<_>>().join(" "));
    let doubtful = if cut { secret.expose().chars().count() } else { 0 };
    let length = line.chars().count().saturating_sub(doubtful);
    match length {
        0 => "(no words)".to_owned(),
        1..=WORDS => line.chars().take(length).collect(),
        _ => line.chars().take(WORDS).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reply: &str) -> String {
        words(&Secret::new("s3cret"), reply.as_bytes())
    }

    #[test]
    fn words_are_one_line_without_codes() {
        assert_eq!(said("530-Login\r\n530-is  not\r\n530 allowed.\r\n"), "Login is not allowed.");
    }

    #[test]
    fn words_carry_no_control_characters() {
        assert_eq!(said("220 \x1b[31mred\x07\r\n"), "[31mred");
    }

    #[test]
    fn words_are_bounded() {
        let words = said(&format!("530 {}\r\n", "é".repeat(100_000)));
        assert_eq!(words.chars().count(), WORDS + 1);
    }

    #[test]
    fn words_never_repeat_the_secret() {
        assert_eq!(said("530 s3cret is wrong\r\n"), "*** is wrong");
        assert_eq!(said("530 s3\x01cret is wrong\r\n"), "*** is wrong");
        assert_eq!(words(&Secret::new("a \t b"), b"530 a \t b is wrong\r\n"), "*** is wrong");
    }

    #[test]
    fn words_that_are_cut_off_do_not_end_in_a_part_of_the_secret() {
        let at_the_bound = said(&format!("530 {}s3cret\r\n", "x".repeat(WORDS - 3)));
        assert!(!at_the_bound.contains("s3"), "{at_the_bound}");
        let at_the_cut = said(&format!("530 words{}s3cret\r\n", "\x01".repeat(READ - 12)));
        assert_eq!(at_the_cut, "wo");
    }

    #[test]
    fn a_reply_without_words_says_so() {
        assert_eq!(said("530 \r\n"), "(no words)");
    }

    #[test]
    fn a_code_without_a_name_is_kept() {
        let reply = Response::new(Status::from(599), b"599 odd\r\n".to_vec());
        let reason = refusal("login".into(), &Secret::new("x"), &reply);
        assert!(matches!(reason, Reason::Rejected { code: 599, .. }), "{reason:?}");
    }
}
