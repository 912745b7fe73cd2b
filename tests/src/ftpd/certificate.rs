//! The certificates of servers that speak TLS.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};

/// Whether a certificate is still good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// For decades.
    Current,
    /// Since the first day of 2021.
    Expired,
}

/// A certificate on disk, with its key and the authority that has signed it.
#[derive(Debug)]
pub struct Certificate {
    /// The authority's certificate, in PEM.
    pub authority: PathBuf,
    /// The server's certificate, in PEM.
    pub certificate: PathBuf,
    /// The server's key, in PEM.
    pub key: PathBuf,
    /// Certificate and key in one file.
    pub both: PathBuf,
}

impl Certificate {
    /// Has an authority of its own sign a certificate for `names`, and writes all of it into `folder`.
    ///
    /// # Errors
    /// What could not be made or written.
    pub fn write(folder: &Path, names: &[&str], validity: Validity) -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let mut server = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        server.not_before = date_time_ymd(2020, 1, 1);
        server.not_after = match validity {
            Validity::Current => date_time_ymd(2090, 1, 1),
            Validity::Expired => date_time_ymd(2021, 1, 1),
        };
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &Issuer::new(authority, authority_key))?.pem();
        let written = Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            both: folder.join("both.pem"),
        };
        fs::write(&written.authority, authority_pem)?;
        fs::write(&written.certificate, &certificate)?;
        fs::write(&written.key, key.serialize_pem())?;
        fs::write(&written.both, format!("{certificate}{}", key.serialize_pem()))?;
        use std::os::unix::fs::PermissionsExt;
        for secret in [&written.key, &written.both] {
            fs::set_permissions(secret, fs::Permissions::from_mode(0o600))?;
        }
        Ok(written)
    }
}
