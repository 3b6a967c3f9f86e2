//! A worker process for one operation: the engine as it ships, without queue and reconcilers. It ends when
//! the operation is over for it, so that its end says that it has nothing more to send.

use std::{
    env::var_os,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_domain::{SystemClock, envelope::Key};
use tenantry_postgres::{admin::AdminLimits, embedded::Durability};
use tenantry_registry::{ConnectSettings, Part, Registry};
use tenantry_worker::{
    Settings, StepError, Worker,
    dns::SystemResolver,
    engine::{Executed, Moment, Point, Probe},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{
    TestApp,
    freezing::{STEP_MARKER, Watched},
    local_servers,
    probe::point_to_text,
    within::in_time,
};

/// The environment variable that names the operation.
pub const OPERATION: &str = "TENANTRY_TEST_OPERATION";
const FAIL_AT: &str = "TENANTRY_TEST_FAIL_AT";
const STOP_AT: &str = "TENANTRY_TEST_STOP_AT";
const MARK_STEPS: &str = "TENANTRY_TEST_MARK_STEPS";
const LABEL: &str = "TENANTRY_TEST_LABEL";
const WARM_TENANTS: &str = "TENANTRY_TEST_WARM_TENANTS";
const DATABASE_URL: &str = "TENANTRY_DATABASE_URL";
const KEK: &str = "TENANTRY_KEK";

/// How to run it.
#[derive(Debug, Clone)]
pub struct OneOperation<'a> {
    /// `env!("CARGO_BIN_EXE_tenantry-under-test")` of the calling test.
    pub binary: &'a str,
    /// The registry, with the address by which this process is to reach it.
    pub registry_url: &'a SecretString,
    /// The key-encryption key.
    pub kek: &'a Key,
    /// As of all workers of the registry.
    pub label: &'a str,
    /// As of all workers of the registry.
    pub warm_tenants: usize,
    /// Its id.
    pub operation: &'a str,
    /// The point (see [`point_to_text`]) at which it fails for good.
    pub fail_at: Option<&'a str>,
    /// The point at which it stands still, to be killed.
    pub stop_at: Option<&'a str>,
    /// Whether the proxy hears which step a message belongs to.
    pub mark_steps: bool,
}

/// The process. Killed when dropped.
#[derive(Debug)]
pub struct OneOperationProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl<'a> OneOperation<'a> {
    /// It reaches a Tenantry's registry as everybody does, and runs to its end.
    pub fn new(binary: &'a str, app: &'a TestApp, operation: &'a str) -> Self {
        Self {
            binary,
            registry_url: app.registry_url(),
            kek: &app.kek,
            label: app.label(),
            warm_tenants: 0,
            operation,
            fail_at: None,
            stop_at: None,
            mark_steps: false,
        }
    }

    /// Starts it, watched by a proxy or not.
    pub fn start(&self, watched: Option<&Watched>) -> OneOperationProcess {
        let mut command = Command::new(self.binary);
        command
            .env(OPERATION, self.operation)
            .env(DATABASE_URL, self.registry_url.expose_secret())
            .env(KEK, self.kek.to_base64().expose_secret())
            .env(LABEL, self.label)
            .env(WARM_TENANTS, self.warm_tenants.to_string())
            .stdout(Stdio::piped())
            // Of a group of its own: should the test be killed, the system ends what is stopped in it.
            .process_group(0)
            .kill_on_drop(true);
        for (variable, point) in [(FAIL_AT, self.fail_at), (STOP_AT, self.stop_at)] {
            if let Some(point) = point {
                command.env(variable, point);
            }
        }
        if self.mark_steps {
            command.env(MARK_STEPS, "1");
        }
        if let Some(watched) = watched {
            command.env("PGOPTIONS", watched.options());
        }
        let mut child = command.spawn().expect("the binary under test");
        if let Some(watched) = watched {
            watched.is_process(child.id().expect("it runs"));
        }
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        OneOperationProcess { child, lines }
    }
}

impl OneOperationProcess {
    /// Waits for its end; how the operation ended for it, as text.
    pub async fn ended(&mut self) -> String {
        let mut last = String::new();
        let ends = "the worker of one operation ends";
        while let Some(line) = in_time(ends, self.lines.next_line()).await.expect("its output") {
            last = line;
        }
        let status = self.child.wait().await.expect("its end");
        assert!(status.success(), "{status}");
        last
    }

    /// Waits until it stands at its point, and kills it there with SIGKILL.
    pub async fn kill_when_stopped(mut self) {
        let line = in_time("the worker of one operation comes to its point", self.lines.next_line()).await;
        let line = line.expect("its output").unwrap_or_default();
        assert!(line.starts_with("stopped at "), "it ended before it reached the point: {line}");
        self.child.kill().await.expect("the worker is killed");
    }
}

/// Fails, stops and tells as the environment says.
struct Told {
    fail_at: Option<String>,
    stop_at: Option<String>,
    steps: Option<tokio::sync::Mutex<PgConnection>>,
}

impl Told {
    /// Tells the proxy what the messages from here on belong to.
    async fn mark(&self, step: &str) -> Result<(), StepError> {
        let Some(connection) = &self.steps else { return Ok(()) };
        let marker = AssertSqlSafe(format!("{STEP_MARKER}{step}'"));
        let sent = sqlx::raw_sql(marker).execute(&mut *connection.lock().await).await;
        sent.map(drop).map_err(|error| StepError::permanent(error.to_string()))
    }
}

#[async_trait]
impl Probe for Told {
    #[expect(clippy::print_stdout, reason = "how the test hears of it")]
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        let text = point_to_text(point);
        if self.stop_at.as_ref() == Some(&text) {
            println!("stopped at {text}");
            std::future::pending::<()>().await;
        }
        match point.moment {
            Moment::Before => self.mark(point.step).await?,
            Moment::Undone => self.mark(&format!("undone {}", point.step)).await?,
            Moment::Ran | Moment::Recorded => {}
        }
        if self.fail_at.as_ref() == Some(&text) {
            self.mark("undoing").await?;
            return Err(StepError::permanent("the test says so"));
        }
        Ok(())
    }

    fn records_each_step(&self) -> bool {
        self.stop_at.as_ref().is_some_and(|point| point.ends_with("/recorded"))
    }
}

/// What the process does.
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(run());
    ExitCode::SUCCESS
}

fn variable(name: &str) -> Option<String> {
    var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[expect(clippy::print_stdout, reason = "how the test hears of it")]
async fn run() {
    let of = |name: &str| variable(name).unwrap_or_else(|| panic!("{name} is set"));
    let url = of(DATABASE_URL);
    let settings = ConnectSettings { max_connections: 4, answer_timeout: Duration::from_secs(30) };
    let registry = Registry::connect_with(&url, Part::Worker, settings).expect("a URL");
    let kek = Key::from_base64(&of(KEK)).expect("a key");
    let steps = match variable(MARK_STEPS) {
        Some(_) => Some(PgConnection::connect(&url).await.expect("the registry answers").into()),
        None => None,
    };
    let probe = Told { fail_at: variable(FAIL_AT), stop_at: variable(STOP_AT), steps };
    let settings = Settings {
        name: format!("frozen-{}", std::process::id()),
        lease: Duration::from_secs(1),
        retry_base: Duration::from_millis(5),
        retry_cap: Duration::from_millis(50),
        step_tries: 4,
        label: of(LABEL),
        warm_databases: 0,
        move_at_once: 0,
        providers: local_servers::providers(&of(LABEL), Durability::Volatile),
        warm_tenants: of(WARM_TENANTS).parse().expect("a number"),
        admin: AdminLimits { idle_in_transaction_timeout: Duration::from_secs(2), ..AdminLimits::default() },
        ..Settings::default()
    };
    let resolver = Arc::new(SystemResolver::default());
    let worker = Worker::with(registry, kek, SystemClock::shared(), resolver, Arc::new(probe), settings);
    let operation = of(OPERATION).parse().expect("an id");
    loop {
        match worker.engine().execute(operation).await {
            // As the queue would hand it out again.
            Executed::Released | Executed::Waiting(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            ended => return println!("{ended:?}"),
        }
    }
}
