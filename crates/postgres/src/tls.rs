//! TLS to tenant servers, for the worker and the data plane alike: asking for it, checking the certificate as
//! `sslmode` says, and what SCRAM is bound to.

mod binding;
mod error;
mod stream;
mod verifier;

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tenantry_domain::server_tls::{CaCertificates, ServerTls, TrustedRoots};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

pub use error::TlsError;
pub(crate) use error::from_network;
pub(crate) use stream::Stream;

use verifier::{Trust, Verifier};

/// How to connect to one server, prepared once: a connection reads no certificate of a CA.
#[derive(Clone)]
pub struct Tls {
    asked: Asked,
}

#[derive(Clone)]
enum Asked {
    Never,
    IfOffered(TlsConnector),
    Always(TlsConnector),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.asked {
            Asked::Never => "Tls(never)",
            Asked::IfOffered(_) => "Tls(if offered)",
            Asked::Always(_) => "Tls(always)",
        })
    }
}

impl Tls {
    /// Prepares to connect. Reads the operating system's certificates where they are asked for.
    pub fn new(tls: &ServerTls) -> Self {
        let signed_by = |roots, checks_name| Trust::SignedBy { roots, checks_name };
        let asked = match tls {
            ServerTls::Disable => Asked::Never,
            ServerTls::Prefer => Asked::IfOffered(connector(Trust::Anybody)),
            ServerTls::Require { ca: None } => Asked::Always(connector(Trust::Anybody)),
            ServerTls::Require { ca: Some(ca) } | ServerTls::VerifyCa { ca } => {
                Asked::Always(connector(signed_by(these(ca), false)))
            }
            ServerTls::VerifyFull { roots: TrustedRoots::Ca(ca) } => {
                Asked::Always(connector(signed_by(these(ca), true)))
            }
            ServerTls::VerifyFull { roots: TrustedRoots::System } => {
                Asked::Always(connector(signed_by(of_the_system(), true)))
            }
        };
        Self { asked }
    }

    /// The same for another connection to the same server, which is not to be less protected than the first.
    pub(crate) fn as_agreed(&self, first: &Stream) -> Self {
        match &self.asked {
            Asked::IfOffered(connector) if first.is_encrypted() => {
                Self { asked: Asked::Always(connector.clone()) }
            }
            _ => self.clone(),
        }
    }

    /// Protects a new connection as far as it is to be; nothing was sent on it yet.
    pub(crate) async fn protect(&self, mut stream: TcpStream, host: &str) -> Result<Stream, TlsError> {
        let (connector, needed) = match &self.asked {
            Asked::Never => return Ok(Stream::Plain(stream)),
            Asked::IfOffered(connector) => (connector, false),
            Asked::Always(connector) => (connector, true),
        };
        if !is_offered(&mut stream).await? {
            return if needed { Err(TlsError::NotOffered) } else { Ok(Stream::Plain(stream)) };
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        let encrypted = connector.connect(name, stream).await;
        encrypted.map(|stream| Stream::Encrypted(Box::new(stream))).map_err(|error| from_network(error, host))
    }
}

/// Length and code of an `SSLRequest`.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Asks a server for TLS. What it says until TLS begins may come from anybody in between: one letter is read, and more
/// than one with it is refused.
async fn is_offered(stream: &mut TcpStream) -> Result<bool, TlsError> {
    stream.write_all(&SSL_REQUEST).await.map_err(TlsError::Network)?;
    let mut answer = [0; 2];
    match (stream.read(&mut answer).await.map_err(TlsError::Network)?, answer[0]) {
        (0, _) => Err(TlsError::Network(std::io::ErrorKind::UnexpectedEof.into())),
        (1, b'S') => Ok(true),
        (1, b'N') => Ok(false),
        (_, b'S' | b'N') => Err(TlsError::Injected),
        _ => Err(TlsError::NotUnderstood),
    }
}

fn connector(trust: Trust) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new(trust, provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn these(ca: &CaCertificates) -> RootCertStore {
    store(ca.certificates())
}

/// Without any that can be read, nobody is trusted; the log says why.
fn of_the_system() -> RootCertStore {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a certificate of the operating system cannot be read");
    }
    store(loaded.certs)
}

fn store(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    store
}
