//! `tenantry login` and `tenantry logout`: keeping a control plane's address and key as a profile.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{Context, bail, ensure};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    connection::ConnectionArgs,
    http::Api,
    problem::Problem,
    profiles::{Profile, Profiles},
};

/// `tenantry login`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry login
  tenantry login --url control.internal:8080 --profile staging
  tenantry tenants list --profile staging
  printf %s \"$KEY\" | tenantry login

The key is asked for, or read from standard input; it is tried before it is kept. Profiles are in
$XDG_CONFIG_HOME/tenantry/profiles.toml, which only you may read. Flags and environment win over them.")]
pub struct LoginArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// `tenantry logout`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry logout
  tenantry logout --profile staging

The key itself stays valid: `tenantry keys revoke` makes it useless.")]
pub struct LogoutArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

pub(super) async fn login(args: &ConnectionArgs) -> anyhow::Result<()> {
    let mut profiles = Profiles::load()?;
    let name = args.profile().cloned().unwrap_or_default();
    let url = args.url(profiles.get(&name));
    let api_key = match args.given_key() {
        Some(key) => key,
        None => ask(format!("API key for {url}: ")).await?,
    };
    ensure!(!api_key.expose_secret().is_empty(), "no key was given");
    check(&Api::new(url.clone(), Some(api_key.clone()))?).await?;

    let answer = json!({ "profile": name.to_string(), "url": url, "file": profiles.file() });
    let sentence = format!("logged in to {url} as profile {name}, kept in {}", profiles.file().display());
    profiles.put(name, Profile { url, api_key })?;
    args.output().done(&answer, &sentence)
}

pub(super) fn logout(args: &ConnectionArgs) -> anyhow::Result<()> {
    let mut profiles = Profiles::load()?;
    let name = args.profile().cloned().unwrap_or_default();
    if !profiles.remove(&name)? {
        bail!("there is no profile {name} ({})", profiles.known());
    }
    args.output().done(&json!({ "profile": name.to_string() }), &format!("the profile {name} is forgotten"))
}

/// Whether the control plane knows the key. One that may not list tenants is a key too.
async fn check(api: &Api) -> anyhow::Result<()> {
    match api.get(&["tenants"], &[("limit", "1".to_owned())]).await {
        Ok(_) => Ok(()),
        Err(error) if error.downcast_ref::<Problem>().is_some_and(|p| p.code == "scope_missing") => Ok(()),
        Err(error) => Err(error.context("nothing was kept")),
    }
}

/// The key, without an echo; a line of standard input where that is no terminal.
async fn ask(prompt: String) -> anyhow::Result<SecretString> {
    // Blocking: standard input has no other reader, and Ctrl-C ends the process.
    let read = tokio::task::spawn_blocking(move || {
        if io::stdin().is_terminal() {
            return rpassword::prompt_password(prompt);
        }
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await?.context("the key cannot be read; give it with --api-key")?;
    Ok(line.trim().to_owned().into())
}
