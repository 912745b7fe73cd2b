//! Where an FTP server waits for a data connection.

use std::net::Ipv4Addr;

use suppaftp::types::Response;

/// What a server answered to PASV or EPSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passive {
    /// The address that the reply names; EPSV names none.
    pub(crate) named: Option<Ipv4Addr>,
    pub(crate) port: u16,
}

impl Passive {
    /// Reads `227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)`, whose parentheses and words servers vary.
    ///
    /// # Source
    /// RFC 959, sections 4.1.2 and 5.3.2; RFC 1123, section 4.1.2.6 (scan for the digits).
    pub(crate) fn from_pasv(reply: &Response) -> Option<Self> {
        let text = String::from_utf8_lossy(reply.body.get(4..)?);
        text.split(|c: char| c != ',' && !c.is_ascii_digit()).find_map(|token| {
            let bytes: Vec<u8> = token.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
            let [a, b, c, d, high, low] = bytes.try_into().ok()?;
            Some(Self { named: Some(Ipv4Addr::new(a, b, c, d)), port: u16::from_be_bytes([high, low]) })
        })
    }

    /// Reads `229 Entering Extended Passive Mode (|||port|)`.
    ///
    /// # Source
    /// RFC 2428, section 3: any character may stand for the bar.
    pub(crate) fn from_epsv(reply: &Response) -> Option<Self> {
        let text = String::from_utf8_lossy(&reply.body);
        let (_, inner) = text.split_once('(')?;
        let bar = inner.chars().next()?;
        let mut fields = inner.split(bar).skip(3);
        Some(Self { named: None, port: fields.next()?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use suppaftp::Status;

    use super::*;

    fn reply(text: &str) -> Response {
        Response::new(Status::Unknown, text.as_bytes().to_vec())
    }

    #[test]
    fn a_passive_reply_is_read_with_and_without_parentheses() {
        let expected = Some(Passive { named: Some([10, 0, 0, 5].into()), port: 50001 });
        for text in [
            "227 Entering Passive Mode (10,0,0,5,195,81).\r\n",
            "227 Entering Passive Mode 10,0,0,5,195,81\r\n",
            "227 =10,0,0,5,195,81\r\n",
        ] {
            assert_eq!(Passive::from_pasv(&reply(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn an_extended_passive_reply_is_read_with_any_delimiter() {
        for text in ["229 Entering Extended Passive Mode (|||50001|)\r\n", "229 ok (!!!50001!)\r\n"] {
            assert_eq!(Passive::from_epsv(&reply(text)), Some(Passive { named: None, port: 50001 }), "{text:?}");
        }
    }

    #[test]
    fn a_reply_without_a_port_is_refused() {
        for text in ["", "227", "227 no", "227 (10,0,0,5,195)", "227 (10,0,0,5,195,256)", "227 (1,2,3,4,5,6,7)"] {
            assert_eq!(Passive::from_pasv(&reply(text)), None, "{text:?}");
        }
        for text in ["", "229 no", "229 (", "229 (|||)", "229 (|||70000|)", "229 (||50001|)"] {
            assert_eq!(Passive::from_epsv(&reply(text)), None, "{text:?}");
        }
    }
}
