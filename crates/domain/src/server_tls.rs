//! How connections to a server are protected, in the terms of libpq's `sslmode` and `sslrootcert`.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The names of libpq's `sslmode`, but for `allow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS where the server offers it. Protects from nobody who can change what is sent.
    Prefer,
    /// Always TLS; the certificate is checked only where a CA is given.
    Require,
    /// Always TLS, with a certificate that the CA has signed for whomever.
    VerifyCa,
    /// Always TLS, with a certificate that the CA has signed for the server's name.
    VerifyFull,
}

crate::names_of! { SslMode {
    Disable = "disable", Prefer = "prefer", Require = "require", VerifyCa = "verify-ca", VerifyFull = "verify-full",
} }

/// Certificates of authorities, each of which can be what a server's certificate is traced back to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CaCertificates(Arc<str>);

/// More than any bundle of a private authority has.
const MAX_PEM: usize = 64 << 10;

impl CaCertificates {
    /// Reads PEM text. What stands around the certificates is left out.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > MAX_PEM {
            return Err(Invalid::because("must have at most 64 KiB"));
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(Invalid::because("holds a private key; give the certificate of the CA only"));
        }
        let mut pem = String::new();
        for (found, number) in CertificateDer::pem_slice_iter(text.as_bytes()).zip(1..) {
            let broken = |why: &dyn fmt::Display| {
                Invalid::because(format!("certificate {number} of the PEM text cannot be read: {why}"))
            };
            let certificate = found.map_err(|error| broken(&error))?;
            webpki::anchor_from_trusted_cert(&certificate).map_err(|error| broken(&error))?;
            append_pem(&mut pem, &certificate);
        }
        if pem.is_empty() {
            return Err(Invalid::because(
                "must be the certificate of a CA as PEM text, which begins with -----BEGIN CERTIFICATE-----",
            ));
        }
        Ok(Self(pem.into()))
    }

    /// The certificates as PEM text, and nothing else.
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// The certificates.
    pub fn certificates(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.0.as_bytes()).filter_map(Result::ok)
    }
}

fn append_pem(pem: &mut String, certificate: &[u8]) {
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for (at, letter) in STANDARD.encode(certificate).chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
}

impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificates({} certificates)", self.certificates().count())
    }
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrustedRoots {
    /// The public authorities that the operating system trusts.
    System,
    /// These.
    Ca(CaCertificates),
}

/// As in libpq's `sslrootcert=system`.
const SYSTEM: &str = "system";

impl TrustedRoots {
    /// `system`, or PEM text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => SYSTEM,
            Self::Ca(ca) => ca.as_pem(),
        }
    }
}

impl FromStr for TrustedRoots {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim() == SYSTEM { Ok(Self::System) } else { CaCertificates::parse(text).map(Self::Ca) }
    }
}

/// How connections to a server are protected.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum ServerTls {
    /// [`SslMode::Disable`]
    Disable,
    /// [`SslMode::Prefer`]
    #[default]
    Prefer,
    /// [`SslMode::Require`]
    Require {
        /// With one, its signature is asked for, as by `verify-ca`.
        ca: Option<CaCertificates>,
    },
    /// [`SslMode::VerifyCa`]
    VerifyCa {
        /// Who must have signed the certificate.
        ca: CaCertificates,
    },
    /// [`SslMode::VerifyFull`]
    VerifyFull {
        /// One of whom must have signed the certificate.
        roots: TrustedRoots,
    },
}

impl ServerTls {
    /// A mode with the roots that it needs.
    ///
    /// # Errors
    /// Says what is wrong with the roots.
    pub fn new(mode: SslMode, roots: Option<TrustedRoots>) -> Result<Self, Invalid> {
        match (mode, roots) {
            (SslMode::Disable, None) => Ok(Self::Disable),
            (SslMode::Prefer, None) => Ok(Self::Prefer),
            (SslMode::Disable | SslMode::Prefer, Some(_)) => Err(Invalid::because(format!(
                "has no use with {mode}, which checks no certificate; choose require, verify-ca or verify-full"
            ))),
            (SslMode::Require, None) => Ok(Self::Require { ca: None }),
            (SslMode::Require, Some(TrustedRoots::Ca(ca))) => Ok(Self::Require { ca: Some(ca) }),
            (SslMode::VerifyCa, Some(TrustedRoots::Ca(ca))) => Ok(Self::VerifyCa { ca }),
            (SslMode::Require | SslMode::VerifyCa, Some(TrustedRoots::System)) => Err(Invalid::because(
                "`system` goes with verify-full only: a public CA vouches for a name, which the other modes do not \
                 check",
            )),
            (SslMode::VerifyFull, Some(roots)) => Ok(Self::VerifyFull { roots }),
            (SslMode::VerifyCa, None) => Err(Invalid::because(
                "is needed with verify-ca: the certificate of the CA that signed the server's, as PEM text",
            )),
            (SslMode::VerifyFull, None) => Err(Invalid::because(
                "is needed with verify-full: the certificate of the CA that signed the server's, as PEM text, or \
                 `system` for the public CAs that the operating system trusts",
            )),
        }
    }

    /// The mode's name.
    pub const fn mode(&self) -> SslMode {
        match self {
            Self::Disable => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Require { .. } => SslMode::Require,
            Self::VerifyCa { .. } => SslMode::VerifyCa,
            Self::VerifyFull { .. } => SslMode::VerifyFull,
        }
    }

    /// Whose signatures count, where any are asked for.
    pub fn roots(&self) -> Option<TrustedRoots> {
        match self {
            Self::Disable | Self::Prefer => None,
            Self::Require { ca } => ca.clone().map(TrustedRoots::Ca),
            Self::VerifyCa { ca } => Some(TrustedRoots::Ca(ca.clone())),
            Self::VerifyFull { roots } => Some(roots.clone()),
        }
    }

    /// The same as text: `system`, or PEM.
    pub fn root_cert(&self) -> Option<&str> {
        match self {
            Self::Disable | Self::Prefer | Self::Require { ca: None } => None,
            Self::Require { ca: Some(ca) } | Self::VerifyCa { ca } => Some(ca.as_pem()),
            Self::VerifyFull { roots } => Some(roots.as_str()),
        }
    }
}

/// As it is written in JSON.
#[derive(Serialize, Deserialize)]
struct Written {
    mode: SslMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roots: Option<String>,
}

impl From<ServerTls> for Written {
    fn from(tls: ServerTls) -> Self {
        Self { mode: tls.mode(), roots: tls.root_cert().map(str::to_owned) }
    }
}

impl TryFrom<Written> for ServerTls {
    type Error = Invalid;

    fn try_from(written: Written) -> Result<Self, Invalid> {
        Self::new(written.mode, written.roots.as_deref().map(str::parse).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut certificate = rcgen::CertificateParams::new(Vec::new()).unwrap();
        certificate.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        certificate.self_signed(&key).unwrap().pem()
    }

    fn roots(text: &str) -> TrustedRoots {
        text.parse().unwrap()
    }

    #[test]
    fn a_mode_has_the_roots_that_it_needs_and_no_others() {
        let pem = pem();
        for (mode, without, with_ca, with_system) in [
            (SslMode::Disable, true, false, false),
            (SslMode::Prefer, true, false, false),
            (SslMode::Require, true, true, false),
            (SslMode::VerifyCa, false, true, false),
            (SslMode::VerifyFull, false, true, true),
        ] {
            assert_eq!(ServerTls::new(mode, None).is_ok(), without, "{mode} without");
            assert_eq!(ServerTls::new(mode, Some(roots(&pem))).is_ok(), with_ca, "{mode} with a CA");
            assert_eq!(
                ServerTls::new(mode, Some(roots("system"))).is_ok(),
                with_system,
                "{mode} with the system's"
            );
        }
    }

    #[test]
    fn only_the_certificates_of_a_pem_text_are_kept() {
        let (one, two) = (pem(), pem());
        let ca = CaCertificates::parse(&format!("subject=/CN=one\r\n{one}\nmore\n{two}")).unwrap();
        assert_eq!(ca.certificates().count(), 2);
        assert!(!ca.as_pem().contains("subject") && !ca.as_pem().contains("more"));
        assert_eq!(CaCertificates::parse(ca.as_pem()).unwrap(), ca);
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_the_reason() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (text, says) in [
            ("", "BEGIN CERTIFICATE"),
            ("/etc/ssl/ca.pem", "BEGIN CERTIFICATE"),
            ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----", "certificate 1"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "certificate 1"),
            (&format!("{}{key}", pem()), "private key"),
            (&"x".repeat(MAX_PEM + 1), "64 KiB"),
        ] {
            let refused = CaCertificates::parse(text).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let full = ServerTls::new(SslMode::VerifyFull, Some(roots(&pem()))).unwrap();
        for tls in [ServerTls::Disable, ServerTls::Prefer, ServerTls::Require { ca: None }, full] {
            let text = serde_json::to_string(&tls).unwrap();
            assert_eq!(serde_json::from_str::<ServerTls>(&text).unwrap(), tls);
        }
        assert!(serde_json::from_str::<ServerTls>(r#"{"mode":"verify-ca"}"#).is_err());
    }
}
