//! A key-encryption key that a key of AWS KMS has encrypted: made, taken in place of another, and needed. Against moto.

use std::{fs, path::PathBuf, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tenantry_domain::envelope::Key;
use tenantry_tests::{Api, TestApp, clients::Workshop, process::RoleProcess, within::in_time};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");
const REGION: &str = "eu-central-1";

/// KMS with two keys, and a folder for what it has encrypted.
struct Kms {
    url: String,
    keys: [String; 2],
    folder: TempDir,
    _moto: Child,
    _workshop: Workshop,
}

impl Kms {
    async fn start() -> Option<Self> {
        let workshop = Workshop::with_python()?;
        let mut program = workshop.python("python", &["moto_kms.py", REGION]);
        // It ends when its standard input does.
        let mut moto =
            program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(moto.stdout.take().unwrap()).lines();
        let line = in_time("moto starts", lines.next_line()).await.unwrap().expect("its URL");
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let [url, one, other] = words.try_into().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Some(Self { url, keys: [one, other], folder, _moto: moto, _workshop: workshop })
    }

    /// A command that knows where KMS is, and who asks.
    fn command(&self, role: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg(role)
            .env("AWS_ENDPOINT_URL_KMS", &self.url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .kill_on_drop(true);
        command
    }

    /// A new key-encryption key in a file.
    async fn new_kek(&self, key: &str) -> PathBuf {
        let made = self.command("new-kek").args(["--kek-kms-key", key]).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file =
            self.folder.path().join(format!("kek-{}", fs::read_dir(self.folder.path()).unwrap().count()));
        fs::write(&file, made.stdout).unwrap();
        file
    }
}

/// What a command says that fails.
async fn refused(mut command: Command) -> String {
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// A data plane with a key-encryption key of KMS.
async fn data_plane(kms: &Kms, app: &TestApp, file: &PathBuf, key: &str) -> (RoleProcess, Api) {
    let mut command = kms.command("data-plane");
    command
        .args(["--admin-addr", "127.0.0.1:0", "--data-plane-addr", "127.0.0.1:0"])
        .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
        .env("TENANTRY_KEK_FILE", file)
        .env("TENANTRY_KEK_KMS_KEY", key)
        .env("TENANTRY_LOG", "info")
        .stderr(Stdio::piped());
    let mut process = RoleProcess::follow(command).await;
    let address = process.serving().await;
    (process, Api::new(address))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_kms_takes_the_place_of_a_plain_one_and_another_of_kms_that_one_s() {
    let Some(kms) = Kms::start().await else { return };
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let [first, second] = &kms.keys;
    let rewrap = async |file: &PathBuf, key: &str, former: &[(&str, &str)]| {
        let mut command = kms.command("rewrap");
        command
            .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
            .env("TENANTRY_KEK_FILE", file)
            .env("TENANTRY_KEK_KMS_KEY", key)
            .envs(former.iter().copied());
        let done = command.output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let serves = async |file: &PathBuf, key: &str| {
        let (_process, data) = data_plane(&kms, &app, file, key).await;
        let acme =
            data.with_host(format!("{}.localhost", acme.slug)).with_key(acme.key.expose_secret().to_owned());
        acme.get("/api/").await.expect(200);
    };

    let kek = kms.new_kek(first).await;
    rewrap(&kek, first, &[("TENANTRY_KEK_ALSO", app.kek.to_base64().expose_secret())]).await;
    serves(&kek, first).await;

    let newer = kms.new_kek(second).await;
    let former =
        [("TENANTRY_KEK_ALSO_FILE", kek.to_str().unwrap()), ("TENANTRY_KEK_ALSO_KMS_KEY", first.as_str())];
    rewrap(&newer, second, &former).await;
    serves(&newer, second).await;

    // The one before is the registry's key no more.
    let mut command = kms.command("rewrap");
    command
        .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
        .env("TENANTRY_KEK_FILE", &kek)
        .env("TENANTRY_KEK_KMS_KEY", first);
    assert!(refused(command).await.contains("key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kms_does_not_decrypt_is_no_key() {
    let Some(kms) = Kms::start().await else { return };
    let [first, second] = &kms.keys;
    let kek = kms.new_kek(first).await;
    let encrypted = fs::read_to_string(&kek).unwrap();
    let mut altered = STANDARD.decode(encrypted.trim()).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    let altered = STANDARD.encode(altered);
    let plain = Key::generate(&mut rand::rng()).to_base64();
    // It is not the key itself that is kept: what was made does not open anything without KMS.
    assert!(Key::from_base64(encrypted.trim()).is_err());
    for (kek, key, says) in [
        (encrypted.as_str(), second.as_str(), "AWS KMS does not decrypt"),
        (&altered, first, "AWS KMS does not decrypt"),
        (plain.expose_secret(), first, "AWS KMS does not decrypt"),
        ("not base64!", first, "no ciphertext of AWS KMS in base64"),
        (encrypted.as_str(), "alias/tenantry", "must be the ARN of a KMS key"),
        (encrypted.as_str(), "arn:aws:kms:eu-central-1:123456789012:key/none", "AWS KMS does not decrypt"),
    ] {
        let mut command = kms.command("rewrap");
        command
            .env("TENANTRY_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .env("TENANTRY_KEK", kek)
            .env("TENANTRY_KEK_KMS_KEY", key);
        let said = refused(command).await;
        assert!(said.contains(says), "{says}: {said}");
        assert!(!said.contains(encrypted.trim()) && !said.contains(plain.expose_secret()), "{said}");
    }
    // The KMS key alone is not enough; nor is an answer without it.
    let mut command = kms.command("rewrap");
    command
        .env("TENANTRY_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .env("TENANTRY_KEK_KMS_KEY", first);
    assert!(refused(command).await.contains("tenantry new-kek"));
    let mut away = kms.command("new-kek");
    away.args(["--kek-kms-key", first]).env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1");
    assert!(refused(away).await.contains("AWS KMS does not make a key-encryption key"));
}
