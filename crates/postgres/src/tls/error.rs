//! Why a connection could not be protected, and what to do.

use std::io;

use rustls::{CertificateError, Error};

/// A connection could not be protected as it has to be; nothing was sent on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The server has no TLS.
    #[error("it offers no TLS; set `ssl = on` and a certificate there, or another sslMode here")]
    NotOffered,
    /// Something was sent along with the answer to the request for TLS, which PostgreSQL does not do.
    #[error("something between here and there has put data in front of TLS; no password was sent")]
    Injected,
    /// The answer to the request for TLS is none.
    #[error("it does not answer the request for TLS as PostgreSQL does")]
    NotUnderstood,
    /// The host is none that a certificate could be for.
    #[error("no certificate can be for the name {0}")]
    Name(String),
    /// The certificate is for other names.
    #[error(
        "its certificate is not for the name {0}; register it by a name that the certificate has as a subject \
         alternative name, or have another one issued"
    )]
    WrongName(String),
    /// The certificate is signed by somebody else.
    #[error(
        "its certificate is not signed by the CA of sslRootCert; register the certificate of the CA that signed it"
    )]
    UnknownIssuer,
    /// The certificate's time is over.
    #[error("its certificate has expired; have another one issued")]
    Expired,
    /// The certificate's time has not begun.
    #[error("its certificate is not valid yet; check the clocks of both machines")]
    NotYetValid,
    /// The server shows the certificate of a CA.
    #[error("its certificate is one of a CA; have the CA sign one for the server")]
    IsCa,
    /// Anything else of TLS.
    #[error("TLS could not be agreed upon: {0}")]
    Handshake(Error),
    /// The connection was lost meanwhile.
    #[error("the network failed: {0}")]
    Network(io::Error),
}

/// What went wrong where reading or writing failed.
pub(crate) fn from_network(error: io::Error, host: &str) -> TlsError {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return TlsError::Network(error);
    };
    match tls {
        Error::InvalidCertificate(reason) => match reason {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsError::WrongName(host.to_owned())
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsError::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsError::NotYetValid
            }
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                TlsError::IsCa
            }
            _ => TlsError::Handshake(tls.clone()),
        },
        _ => TlsError::Handshake(tls.clone()),
    }
}
