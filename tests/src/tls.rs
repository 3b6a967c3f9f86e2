//! Certificates of a test's own, servers that show them, and those who get in between.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_postgres::embedded::EmbeddedPostgres;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::DropGuard;

use crate::{listen::listen, server, within::within};

/// An `SSLRequest`.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Who signs certificates.
#[allow(missing_debug_implementations, reason = "it holds a key")]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a server shows, and its key, as PEM.
#[allow(missing_debug_implementations, reason = "it holds a key")]
pub struct ServerCertificate {
    certificate: String,
    key: String,
}

impl Authority {
    /// One of its own name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server of that name.
    pub fn certificate(&self, name: &str) -> ServerCertificate {
        self.certificate_for(vec![name.to_owned()])
    }

    /// A certificate for a server of several names.
    pub fn certificate_for(&self, names: Vec<String>) -> ServerCertificate {
        self.sign(&CertificateParams::new(names).expect("names"))
    }

    /// One whose time is over.
    pub fn expired_certificate(&self, name: &str) -> ServerCertificate {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> ServerCertificate {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        ServerCertificate { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Has a server offer TLS with a certificate, to all who connect from now on. `label` is one that it had none by yet.
pub async fn show(server: &EmbeddedPostgres, label: &str, shown: &ServerCertificate) {
    let mut connection = server::admin(server, "postgres").await;
    for (text, name) in [(&shown.certificate, "crt"), (&shown.key, "key")] {
        // Written by the server, whose user alone may read the key.
        run(
            &mut connection,
            format!(
                "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > {label}.{name}'",
                text.replace('\r', "")
            ),
        )
        .await;
    }
    run(&mut connection, format!("ALTER SYSTEM SET ssl_cert_file = '{label}.crt'")).await;
    run(&mut connection, format!("ALTER SYSTEM SET ssl_key_file = '{label}.key'")).await;
    run(&mut connection, "ALTER SYSTEM SET ssl = on".to_owned()).await;
    run(&mut connection, "SELECT pg_reload_conf()".to_owned()).await;
    // Sessions that the server begins once it has read its settings again show them.
    within(std::time::Duration::from_secs(30), "the server shows its certificate", async || {
        let mut new = server::admin(server, "postgres").await;
        let shown = "SELECT current_setting('ssl') || current_setting('ssl_cert_file')";
        let shown: String = sqlx::query_scalar(shown).fetch_one(&mut new).await.expect("settings");
        shown == format!("on{label}.crt")
    })
    .await;
}

async fn run(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect("a setting");
}

/// What somebody in between, or a strange server, does with a client.
#[derive(Debug, Clone, Copy)]
pub enum Conduct {
    /// Declines TLS, and reads on.
    Declines,
    /// Sends more along with the consent to TLS.
    Injects,
    /// Without TLS: asks for the password in clear text.
    AsksForThePassword,
}

/// Who gets in between, or is no PostgreSQL: notes all that is sent to it.
#[derive(Debug)]
pub struct Eavesdropper {
    /// Where to connect to.
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    _stop: DropGuard,
}

impl Eavesdropper {
    /// One that does so with every connection.
    pub async fn start(conduct: Conduct) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        let (address, stop) = listen(move |client| {
            let notes = Arc::clone(&notes);
            async move {
                let heard = hear(client, conduct).await?;
                notes.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                Ok(())
            }
        })
        .await;
        Self { address, heard, _stop: stop }
    }

    /// What came on the connections that have ended.
    pub async fn heard(&self, connections: usize) -> Vec<Vec<u8>> {
        let notes = || self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let limit = std::time::Duration::from_secs(30);
        within(limit, "the connections end", async || notes().len() >= connections).await;
        notes()
    }
}

async fn hear(mut client: TcpStream, conduct: Conduct) -> std::io::Result<Vec<u8>> {
    let mut heard = vec![0; 8];
    client.read_exact(&mut heard).await?;
    match conduct {
        Conduct::Declines => client.write_all(b"N").await?,
        Conduct::Injects => client.write_all(b"SR\0\0\0\x08\0\0\0\x03").await?,
        Conduct::AsksForThePassword => {
            client.write_all(b"N").await?;
            let length = client.read_u32().await?;
            client.read_exact(&mut vec![0; length as usize - 4]).await?;
            client.write_all(b"R\0\0\0\x08\0\0\0\x03").await?;
        }
    }
    // A client that was sent what it did not read ends the connection the hard way.
    let _ = client.read_to_end(&mut heard).await;
    Ok(heard)
}

/// Somebody in between with a certificate of their own, who passes on what is said within TLS.
#[derive(Debug)]
pub struct Interceptor {
    /// Where to connect to.
    pub address: SocketAddr,
    _stop: DropGuard,
}

/// What an interceptor makes of the server's offer of ways to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Passes it on.
    Whole,
    /// Leaves out the one that is bound to the connection.
    Unbound,
}

impl Interceptor {
    /// In front of a server; it encrypts what it sends there if the server has TLS.
    pub async fn start(target: SocketAddr, shown: &ServerCertificate, offer: Offer) -> Self {
        let acceptor = acceptor(shown);
        let (address, stop) = listen(move |client| intercept(client, target, acceptor.clone(), offer)).await;
        Self { address, _stop: stop }
    }
}

async fn intercept(
    mut client: TcpStream,
    target: SocketAddr,
    acceptor: TlsAcceptor,
    offer: Offer,
) -> std::io::Result<()> {
    client.read_exact(&mut [0; 8]).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(target).await?;
    server.write_all(&SSL_REQUEST).await?;
    if server.read_u8().await? == b'N' {
        return pass_on(&mut client, &mut server, offer).await;
    }
    let name = "localhost".try_into().expect("a name");
    let mut server = trusting_connector().connect(name, server).await?;
    pass_on(&mut client, &mut server, offer).await
}

async fn pass_on<C, S>(client: &mut C, server: &mut S, offer: Offer) -> std::io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    if offer == Offer::Unbound {
        let length = client.read_u32().await?;
        let mut start = vec![0; length as usize - 4];
        client.read_exact(&mut start).await?;
        server.write_u32(length).await?;
        server.write_all(&start).await?;
        server.flush().await?;
        let mut head = [0; 5];
        server.read_exact(&mut head).await?;
        let mut body = vec![0; u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize - 4];
        server.read_exact(&mut body).await?;
        assert!(body.starts_with(&[0, 0, 0, 10]), "SASL is asked for");
        client.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").await?;
        client.flush().await?;
    }
    copy_bidirectional(client, server).await.map(drop)
}

pub(crate) fn acceptor(shown: &ServerCertificate) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate with its key");
    TlsAcceptor::from(Arc::new(config))
}

/// As `sslmode=require`: an interceptor does not care who the server is.
fn trusting_connector() -> tokio_rustls::TlsConnector {
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody::Anybody))
        .with_no_client_auth();
    Arc::new(config).into()
}

mod anybody {
    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, UnixTime},
    };

    /// Trusts everybody.
    #[derive(Debug)]
    pub(super) struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
