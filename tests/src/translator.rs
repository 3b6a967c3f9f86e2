//! In front of a server whose messages are in a language that nobody knows: what a server says to people is replaced, what
//! it says to programs (codes, routines, names) stays.

use std::{io, net::SocketAddr};

use tenantry_postgres::embedded::EmbeddedPostgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::DropGuard;

use crate::{
    listen::listen,
    pooler::{begin, startup},
};

/// See the module.
#[derive(Debug)]
pub struct Translator {
    /// Where to connect to.
    pub address: SocketAddr,
    _stop: DropGuard,
}

impl Translator {
    /// In front of a server of these tests.
    pub async fn before(server: &EmbeddedPostgres) -> Self {
        let server = SocketAddr::from(([127, 0, 0, 1], server.port()));
        let (address, stop) = listen(move |client| forward(client, server)).await;
        Self { address, _stop: stop }
    }
}

async fn forward(mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let startup = startup(&mut client).await?;
    let server = begin(server, &startup).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((mut asks, hears), (says, mut listens)) = (client.into_split(), server.into_split());
    tokio::select! {
        asked = tokio::io::copy(&mut asks, &mut listens) => asked.map(drop),
        translated = translate(says, hears) => translated,
    }
}

async fn translate(from: OwnedReadHalf, to: OwnedWriteHalf) -> io::Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    loop {
        if from.buffer().is_empty() {
            to.flush().await?;
        }
        let kind = from.read_u8().await?;
        let length = from.read_u32().await?;
        let mut message = vec![0; usize::try_from(length).expect("a length") - 4];
        from.read_exact(&mut message).await?;
        // Errors and notices.
        if matches!(kind, b'E' | b'N') {
            in_another_language(&mut message);
        }
        to.write_u8(kind).await?;
        to.write_u32(length).await?;
        to.write_all(&message).await?;
    }
}

/// Each field is a letter and a text that a zero byte ends. Names stand between quotation marks, and stay.
fn in_another_language(fields: &mut [u8]) {
    for field in fields.split_mut(|byte| *byte == 0) {
        if let [b'S' | b'M' | b'D' | b'H' | b'W', text @ ..] = field {
            for words in text.split_mut(|byte| *byte == b'"').step_by(2) {
                words.iter_mut().filter(|byte| byte.is_ascii_alphabetic()).for_each(|letter| *letter = b'x');
            }
        }
    }
}
