//! Servers that PostgreSQL is not here, or not often: other ways to prove a password, messages
//! between messages, and nonsense.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use tenantry_domain::server_tls::ServerTls;

use super::*;
use crate::tls::Tls;

const WELCOME: [u8; 4] = [0, 0, 0, 0];
const SYNC: &[u8] = b"S\0\0\0\x04";

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag][..], &length, body].concat()
}

fn ready(status: u8) -> Vec<u8> {
    message(b'Z', &[status])
}

/// Reads the start of a session.
async fn begin(listener: TcpListener) -> TcpStream {
    let mut stream = listener.accept().await.unwrap().0;
    let length = stream.read_u32().await.unwrap();
    stream.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
    stream
}

async fn listen() -> (TcpListener, LoginTarget) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = LoginTarget {
        host: "localhost".into(),
        port: listener.local_addr().unwrap().port(),
        tls: Tls::new(&ServerTls::Disable),
        database: name("strange"),
        login: name("login"),
        password: "secret".into(),
    };
    (listener, target)
}

/// What a connection makes of a server's answer to one request.
async fn answered(answer: Vec<u8>) -> (Result<Option<String>, TenantQueryError>, bool) {
    let (listener, target) = listen().await;
    let server = async {
        let mut stream = begin(listener).await;
        stream.write_all(&[message(b'R', &WELCOME), ready(b'I')].concat()).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(SYNC) {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(&answer).await.unwrap();
        stream
    };
    let client = async {
        let mut connection = TenantConnection::connect(&target, &ConnectOptions::default()).await.unwrap();
        let answer = ask(&mut connection, "tenant_strange", "SELECT 'word'", &[]).await;
        (answer, connection.is_closed())
    };
    let (outcome, _stream) = tokio::join!(client, server);
    outcome
}

#[tokio::test]
async fn a_server_that_asks_for_the_password_itself_or_its_md5_hash_does_not_get_it() {
    for (request, form) in [(vec![0, 0, 0, 3], "in clear text"), (vec![0, 0, 0, 5, 1, 2, 3, 4], "MD5")] {
        let (listener, target) = listen().await;
        let server = async {
            let mut stream = begin(listener).await;
            stream.write_all(&message(b'R', &request)).await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            got
        };
        let options = ConnectOptions::default();
        let (connection, got) = tokio::join!(TenantConnection::connect(&target, &options), server);
        let error = connection.unwrap_err();
        assert!(error.to_string().contains(form) && error.to_string().contains("scram-sha-256"), "{error}");
        assert_eq!(got, b"");
    }
}

#[tokio::test]
async fn a_way_to_authenticate_that_is_not_known_is_an_error() {
    let (listener, target) = listen().await;
    let server = async {
        let mut stream = begin(listener).await;
        stream.write_all(&message(b'R', &[0, 0, 0, 7])).await.unwrap();
    };
    let options = ConnectOptions::default();
    let (connection, ()) = tokio::join!(TenantConnection::connect(&target, &options), server);
    let error = connection.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { source: LinkError::Protocol(_), .. }), "{error}");
}

#[tokio::test]
async fn messages_that_may_come_at_any_time_change_nothing() {
    let row = message(b'D', b"\0\x01\0\0\0\x04word");
    let answer = [
        message(b'S', b"TimeZone\0UTC\0"),
        message(b'1', b""),
        message(b'2', b""),
        message(b'D', b"\0\x01\0\0\0\x06tenant"),
        message(b'C', b"SELECT 1\0"),
        message(b'1', b""),
        message(b'N', b"SWARNING\0Mmind\0\0"),
        message(b'2', b""),
        row,
        message(b'A', b"\0\0\0\x01channel\0payload\0"),
        message(b'C', b"SELECT 1\0"),
        ready(b'I'),
        message(b'N', b"SWARNING\0Mbye\0\0"),
    ];
    let (answer, closed) = answered(answer.concat()).await;
    assert_eq!(answer.unwrap().unwrap(), "word");
    assert!(!closed);
}

#[tokio::test]
async fn a_server_that_answers_something_else_is_left() {
    let complete = message(b'C', b"BEGIN\0");
    for answer in [
        ready(b'I'),
        [complete.clone(), complete, ready(b'T')].concat(),
        message(b'G', &[0, 0, 0]),
        message(b'?', b"what"),
        b"D\0\0\0\x01".to_vec(),
    ] {
        let (answer, closed) = answered(answer).await;
        assert_eq!(answer.unwrap_err().kind, QueryErrorKind::Connection);
        assert!(closed);
    }
}
