//! TLS between Terraform and the plugin: each has a certificate of its own making and trusts the other's, and no other.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;

use crate::log;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("Terraform's certificate (PLUGIN_CLIENT_CERT) is none: {0}")]
    Client(#[from] rustls::pki_types::pem::Error),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The plugin's side.
pub(crate) struct Tls {
    /// Its certificate, for Terraform to trust.
    pub(crate) certificate: Vec<u8>,
    acceptor: TlsAcceptor,
}

/// Connections of Terraform.
pub(crate) type Incoming = ReceiverStream<Result<TlsStream<TcpStream>, std::io::Error>>;

impl Tls {
    /// A new certificate, and trust in the client's.
    pub(crate) fn new(client: &str) -> Result<Self, TlsError> {
        let client = CertificateDer::from_pem_slice(client.as_bytes())?;
        let key = KeyPair::generate()?;
        let own = CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(Arc::new(OnlyThis::new(client)))
            .with_single_cert(vec![own.der().clone()], private)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { certificate: own.der().to_vec(), acceptor: Arc::new(config).into() })
    }

    /// Takes connections; one that fails does not keep others from coming.
    pub(crate) fn incoming(self, listener: TcpListener) -> Incoming {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, sender) = (self.acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    match acceptor.accept(stream).await {
                        // Nobody takes it any more when the plugin is about to end.
                        Ok(stream) => drop(sender.send(Ok(stream)).await),
                        Err(error) => log::debug(&format!("a connection was refused: {error}")),
                    }
                });
            }
        });
        ReceiverStream::new(receiver)
    }
}

/// Lets in who has the key of one certificate.
///
/// The usual verifier would not do: Terraform's certificate is its own CA, and its key is on P-521.
#[derive(Debug)]
struct OnlyThis {
    certificate: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OnlyThis {
    fn new(certificate: CertificateDer<'static>) -> Self {
        Self { certificate, algorithms: aws_lc_rs::default_provider().signature_verification_algorithms }
    }
}

impl ClientCertVerifier for OnlyThis {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if *certificate == self.certificate {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::PKCS_ECDSA_P521_SHA512;
    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio::io::AsyncReadExt as _;
    use tokio_rustls::TlsConnector;
    use tokio_stream::StreamExt as _;

    use super::*;

    /// A certificate as Terraform makes it: its own CA, on P-521.
    struct Client {
        certificate: CertificateDer<'static>,
        pem: String,
        key: PrivateKeyDer<'static>,
    }

    impl Client {
        fn new() -> Self {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let own = params.self_signed(&key).unwrap();
            let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            Self { certificate: own.der().clone(), pem: own.pem(), key: private }
        }
    }

    /// Whether a plugin that expects one client lets in who shows up.
    async fn lets_in(expected: &Client, shown: Option<&Client>) -> bool {
        let tls = Tls::new(&expected.pem).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(tls.certificate.clone())).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match shown {
            Some(shown) => {
                config.with_client_auth_cert(vec![shown.certificate.clone()], shown.key.clone_key()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = tls.incoming(listener);
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        // With TLS 1.3 a client hears only then that it was refused.
        tokio::select! {
            accepted = incoming.next() => accepted.unwrap().is_ok(),
            read = client.read_u8() => { assert!(read.is_err()); false }
        }
    }

    #[tokio::test]
    async fn only_the_client_that_terraform_has_named_is_let_in() {
        let (terraform, other) = (Client::new(), Client::new());
        assert!(lets_in(&terraform, Some(&terraform)).await);
        assert!(!lets_in(&terraform, Some(&other)).await);
        assert!(!lets_in(&terraform, None).await);
    }
}
