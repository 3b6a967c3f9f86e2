//! A proxy in front of PostgreSQL that freezes a worker's process at a chosen message: before the server
//! sees it, or when the server has answered it and the worker has not heard.
//!
//! It follows the frontend protocol of the connections of one process (its registry's and its tenant
//! servers' alike) and numbers what makes the server do something: simple queries, and groups of the extended
//! protocol with an `Execute` in them. Which process a connection belongs to is said in its startup options
//! (`PGOPTIONS`); all other connections pass through untouched.

use std::{
    collections::HashMap,
    io::Write as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::Command,
    sync::watch,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The codes of a client that asks for TLS, or for encryption by GSSAPI.
const ENCRYPTION_REQUESTS: [i32; 2] = [80_877_103, 80_877_104];

/// The setting that says whose a connection is. PostgreSQL takes any with a dot in its name.
const SETTING: &str = "tenantry_test.worker";

/// What a test's own connection in the worker announces the beginning of a step with; not a message of the
/// worker's.
pub const STEP_MARKER: &str = "SELECT 'tenantry-test step ";

/// When to freeze, relative to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Before the server sees it.
    Before,
    /// When the server has answered, and the worker has not heard.
    After,
}

/// At which message to freeze.
#[derive(Debug, Clone)]
pub enum At {
    /// The one with this number, from 0.
    Number(usize),
    /// The first whose text contains this.
    Text(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct FreezingProxy {
    /// Where to connect to.
    pub address: SocketAddr,
    workers: Arc<Mutex<HashMap<String, Arc<Watched>>>>,
    _stop: DropGuard,
}

/// A worker whose messages are counted, and that freezes at one of them.
#[derive(Debug)]
pub struct Watched {
    id: String,
    freeze: Option<(At, Side)>,
    pid: watch::Sender<Option<u32>>,
    messages: Mutex<Vec<Message>>,
    next: AtomicUsize,
    frozen: CancellationToken,
    released: CancellationToken,
}

/// A message that a worker sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The step in which it was sent, where the worker says so.
    pub step: String,
    /// Its SQL.
    pub text: String,
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FreezingProxy {
    /// A proxy in front of a server.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let workers = Arc::<Mutex<HashMap<String, Arc<Watched>>>>::default();
        let stop = CancellationToken::new();
        let (known, until) = (Arc::clone(&workers), stop.clone());
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = until.run_until_cancelled(listener.accept()).await {
                let (known, until) = (Arc::clone(&known), until.clone());
                // Ends with either of the connection's ends; whatever ended it is no news to the other.
                tokio::spawn(async move { until.run_until_cancelled(forward(client, server, known)).await });
            }
        });
        Self { address, workers, _stop: stop.drop_guard() }
    }

    /// Watches a worker that is to be started with [`Watched::options`], and freezes it at a message, if any.
    pub fn watch(&self, freeze: Option<(At, Side)>) -> Arc<Watched> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = format!("w{}e", COUNT.fetch_add(1, Ordering::Relaxed));
        let watched = Arc::new(Watched {
            id: id.clone(),
            freeze,
            pid: watch::Sender::new(None),
            messages: Mutex::default(),
            next: AtomicUsize::new(0),
            frozen: CancellationToken::new(),
            released: CancellationToken::new(),
        });
        held(&self.workers).insert(id, Arc::clone(&watched));
        watched
    }
}

impl Watched {
    /// The value of `PGOPTIONS` by which its connections are known.
    pub fn options(&self) -> String {
        format!("-c {SETTING}={}", self.id)
    }

    /// The process to freeze.
    pub fn is_process(&self, pid: u32) {
        self.pid.send_replace(Some(pid));
    }

    /// Waits until it is frozen.
    pub async fn frozen(&self) {
        self.frozen.cancelled().await;
    }

    /// Whether it was frozen.
    pub fn was_frozen(&self) -> bool {
        self.frozen.is_cancelled()
    }

    /// Delivers what was held, and lets the process go on.
    pub async fn release(&self) {
        self.released.cancel();
        self.signal("CONT").await;
    }

    /// What it has sent.
    pub fn messages(&self) -> Vec<Message> {
        held(&self.messages).clone()
    }

    async fn signal(&self, name: &str) {
        let pid = *self.pid.subscribe().wait_for(Option::is_some).await.expect("the sender is ours");
        let pid = pid.expect("waited for").to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill runs");
        assert!(status.success(), "{name} to {pid}");
    }

    async fn freeze(&self) {
        self.signal("STOP").await;
        self.frozen.cancel();
        self.released.cancelled().await;
    }

    /// Notes a message; when to freeze, if at this one.
    fn note(&self, text: &str) -> Option<Side> {
        if is_idle_talk(text) {
            return None;
        }
        let mut messages = held(&self.messages);
        if let Some(rest) = text.strip_prefix(STEP_MARKER) {
            let step = rest.split('\'').next().unwrap_or_default().to_owned();
            messages.push(Message { step, text: String::new() });
            return None;
        }
        let step = messages.last().map_or_else(|| "lease".to_owned(), |last| last.step.clone());
        // The marker of a step made room for the step's first message.
        if messages.last().is_some_and(|last| last.text.is_empty()) {
            messages.pop();
        }
        messages.push(Message { step, text: text.to_owned() });
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let (at, side) = self.freeze.as_ref()?;
        let here = match at {
            At::Number(wanted) => *wanted == number,
            At::Text(wanted) => text.contains(wanted) && !self.frozen.is_cancelled(),
        };
        here.then_some(*side)
    }
}

/// What comes at any time and changes nothing but the lease's end, or nothing at all.
fn is_idle_talk(text: &str) -> bool {
    text.is_empty()
        || text.contains("SQLx ping")
        || text.contains("SELECT current_user::text")
        || text.contains("SET lease_expires_at = now() + $3, message = coalesce")
}

/// A connection from its first byte.
async fn forward(
    mut client: TcpStream,
    server: SocketAddr,
    known: Arc<Mutex<HashMap<String, Arc<Watched>>>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut startup = startup(&mut client).await?;
    while ENCRYPTION_REQUESTS.iter().any(|code| startup.starts_with(&code.to_be_bytes())) {
        client.write_all(b"N").await?;
        startup = self::startup(&mut client).await?;
    }
    let mut server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    server.write_i32(i32::try_from(startup.len() + 4).expect("a short message")).await?;
    server.write_all(&startup).await?;
    let text = String::from_utf8_lossy(&startup);
    let setting = format!("{SETTING}=");
    let id = text.split_once(&setting).map(|(_, rest)| rest.split([' ', '\0']).next().unwrap_or_default());
    let watched = id.and_then(|id| held(&known).get(id).cloned());
    let Some(watched) = watched else {
        return copy_bidirectional(&mut client, &mut server).await.map(drop);
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The number of the group of messages whose answer is held; the start of the session counts as the first.
    let hold = Arc::new(AtomicU64::new(0));
    tokio::select! {
        ended = requests(from_client, to_server, &watched, &hold) => ended,
        ended = answers(from_server, to_client, &watched, &hold) => ended,
    }
}

async fn startup(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = client.read_i32().await?;
    let mut message = vec![0; usize::try_from(length - 4).unwrap_or_default()];
    client.read_exact(&mut message).await?;
    Ok(message)
}

/// A message with its kind and length, as it was read.
async fn message(from: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let (kind, length) = (from.read_u8().await?, from.read_i32().await?);
    let mut message = vec![0; usize::try_from(length + 1).unwrap_or(5)];
    message[0] = kind;
    message[1..5].copy_from_slice(&length.to_be_bytes());
    from.read_exact(&mut message[5..]).await?;
    Ok(message)
}

async fn requests(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    watched: &Watched,
    hold: &AtomicU64,
) -> std::io::Result<()> {
    let mut from = tokio::io::BufReader::new(from);
    let mut statements = HashMap::<String, String>::new();
    let (mut group, mut bound, mut text, mut sent) = (Vec::new(), String::new(), None, 1);
    loop {
        let message = message(&mut from).await?;
        let mut texts = message[5..].split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let mut next = || texts.next().unwrap_or_default().into_owned();
        match message[0] {
            b'Q' => text = Some(next()),
            b'P' => {
                let name = next();
                statements.insert(name, next());
            }
            b'B' => {
                let _portal = next();
                bound = statements.get(&next()).cloned().unwrap_or_default();
            }
            b'E' => text = Some(bound.clone()),
            _ => {}
        }
        let kind = message[0];
        group.extend(message);
        if matches!(kind, b'P' | b'B' | b'D' | b'E' | b'C') {
            continue;
        }
        let answered = matches!(kind, b'Q' | b'S');
        let freeze = text.take().filter(|_| answered).and_then(|text| watched.note(&text));
        if freeze == Some(Side::Before) {
            watched.freeze().await;
        }
        if answered {
            sent += 1;
        }
        if freeze == Some(Side::After) {
            hold.store(sent, Ordering::SeqCst);
        }
        to.write_all(&group).await?;
        group.clear();
    }
}

async fn answers(
    from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    watched: &Watched,
    hold: &AtomicU64,
) -> std::io::Result<()> {
    let mut from = tokio::io::BufReader::new(from);
    let (mut answered, mut kept) = (0, Vec::new());
    loop {
        let message = match message(&mut from).await {
            Ok(message) => message,
            Err(end) => {
                // The server ended the session instead of an answer.
                if !kept.is_empty() {
                    watched.freeze().await;
                    to.write_all(&kept).await?;
                }
                return Err(end);
            }
        };
        let ready = message[0] == b'Z';
        if hold.load(Ordering::SeqCst) == answered + 1 {
            // `COPY FROM` is answered before its data is sent.
            let awaits_data = message[0] == b'G';
            kept.extend(message);
            if ready || awaits_data {
                hold.store(0, Ordering::SeqCst);
                watched.freeze().await;
                to.write_all(&kept).await?;
                kept.clear();
            }
        } else {
            to.write_all(&message).await?;
        }
        answered += u64::from(ready);
    }
}

/// Says what was tried, on stderr itself: what `eprintln!` says is shown only of tests that fail.
pub fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
