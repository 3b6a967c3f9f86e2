//! Logging in: the start of a session and the proof of a password.
//!
//! The proof is SCRAM's, bound to the TLS connection where there is one. A server that wants the password itself, or
//! what serves instead of it, does not get it.

use std::{fmt::Display, time::Duration};

use fallible_iterator::FallibleIterator;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256},
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::names::ObjectName;

use super::{ConnectError, LinkError, ServerError, cancel::Canceller, wire::Wire};
use crate::tls::Tls;

/// Where the data plane logs in, and as whom.
#[derive(Debug, Clone)]
pub struct LoginTarget {
    /// The server: a name or an address, not a socket's directory.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// The database.
    pub database: ObjectName,
    /// A role without rights that may become tenants.
    pub login: ObjectName,
    /// Its password.
    pub password: SecretString,
}

/// How to connect, the same for all tenants of a data plane.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long logging in may take.
    pub connect_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// What operators see in `pg_stat_activity`.
    pub application_name: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            application_name: "tenantry-data-plane".into(),
        }
    }
}

/// A session that is ready for a request, and what it takes to cancel one.
pub(super) struct Session {
    pub(super) wire: Wire,
    pub(super) canceller: Option<Canceller>,
}

impl Session {
    pub(super) async fn open(target: &LoginTarget, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let server = || format!("{}:{}", target.host, target.port);
        match tokio::time::timeout(options.connect_timeout, log_in(target, options)).await {
            Err(_) => Err(ConnectError::Timeout { server: server() }),
            Ok(session) => session.map_err(|source| ConnectError::new(server(), source)),
        }
    }
}

async fn log_in(target: &LoginTarget, options: &ConnectOptions) -> Result<Session, LinkError> {
    // A server that vanished without a word: the statement would have ended by then.
    let patience = options.statement_timeout + Duration::from_secs(10);
    let mut wire = Wire::open(&target.host, target.port, &target.tls, patience).await?;
    let settings = format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout=60000 \
         -c client_min_messages=warning -c jit=off -c quote_all_identifiers=off",
        options.statement_timeout.as_millis()
    );
    let parameters = [
        ("client_encoding", "UTF8"),
        ("user", target.login.as_str()),
        ("database", target.database.as_str()),
        // For the session, so that no request has to. Nobody but us writes statements here.
        ("options", &settings),
        ("application_name", &options.application_name),
    ];
    frontend::startup_message(parameters, &mut wire.outgoing).map_err(LinkError::protocol)?;
    wire.send().await?;
    authenticate(&mut wire, &target.password).await?;
    let mut canceller = None;
    loop {
        match wire.next().await? {
            Message::BackendKeyData(body) => {
                let tls = target.tls.as_agreed(wire.stream());
                canceller = Some(Canceller::new(&body, wire.peer, target.host.clone(), tls));
            }
            Message::ReadyForQuery(_) => return Ok(Session { wire, canceller }),
            other => return Err(instead_of("the end of the log-in", &other)),
        }
    }
}

/// Proves to a server that has been told who logs in that the password is known here.
pub(crate) async fn authenticate(wire: &mut Wire, password: &SecretString) -> Result<(), LinkError> {
    match wire.next().await? {
        Message::AuthenticationOk => return Ok(()),
        Message::AuthenticationCleartextPassword => return Err(LinkError::PasswordExposed("in clear text")),
        // Whoever has the hash that the server keeps can log in by it, and the password can be guessed from it.
        Message::AuthenticationMd5Password(_) => return Err(LinkError::PasswordExposed("as an MD5 hash")),
        Message::AuthenticationSasl(body) => {
            scram(wire, &body, password.expose_secret().as_bytes()).await?;
        }
        other => return Err(instead_of("a known way to authenticate", &other)),
    }
    match wire.next().await? {
        Message::AuthenticationOk => Ok(()),
        other => Err(instead_of("a welcome", &other)),
    }
}

/// Each side proves to the other that it knows the password, or what was derived from it.
async fn scram(wire: &mut Wire, offer: &AuthenticationSaslBody, password: &[u8]) -> Result<(), LinkError> {
    let (mut plain, mut bound) = (false, false);
    let mut mechanisms = offer.mechanisms();
    while let Some(mechanism) = mechanisms.next().map_err(LinkError::protocol)? {
        plain |= mechanism == SCRAM_SHA_256;
        bound |= mechanism == SCRAM_SHA_256_PLUS;
    }
    let (mechanism, binding) = match wire.stream().channel_binding() {
        Some(hash) if bound => (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash)),
        // Says that it could be bound, so that a server whose offer was cut short on its way here refuses.
        Some(_) if plain => (SCRAM_SHA_256, ChannelBinding::unrequested()),
        None if bound && !wire.stream().is_encrypted() => {
            return Err(LinkError::protocol("it offers to bind SCRAM to TLS where there is none"));
        }
        None if plain => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        _ => return Err(LinkError::protocol("it offers no SCRAM-SHA-256")),
    };
    let mut scram = ScramSha256::new(password, binding);
    frontend::sasl_initial_response(mechanism, scram.message(), &mut wire.outgoing)
        .map_err(LinkError::protocol)?;
    wire.send().await?;
    match wire.next().await? {
        Message::AuthenticationSaslContinue(body) => {
            scram.update(body.data()).map_err(LinkError::protocol)?;
        }
        other => return Err(instead_of("a challenge", &other)),
    }
    frontend::sasl_response(scram.message(), &mut wire.outgoing).map_err(LinkError::protocol)?;
    wire.send().await?;
    match wire.next().await? {
        Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(LinkError::protocol),
        other => Err(instead_of("the server's proof", &other)),
    }
}

fn instead_of(expected: impl Display, message: &Message) -> LinkError {
    match message {
        Message::ErrorResponse(body) => ServerError::read(body).into(),
        _ => LinkError::protocol(format_args!("it did not send {expected}")),
    }
}
