//! What `tenantry servers add` and `update` say of a server.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

/// What a server is to be.
#[derive(Debug, Args)]
pub(super) struct ServerChangeArgs {
    /// Host name or address, without a port; a new server needs one.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// TCP port. [default for a new server: 5432]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// How connections to it are protected: disable, prefer, require, verify-ca or verify-full, as libpq's sslmode.
    /// [default for a new server: prefer]
    #[arg(long, value_name = "MODE")]
    ssl_mode: Option<String>,

    /// A file with the certificate of the CA that signed the server's, as PEM; `system` with verify-full: the public
    /// CAs that the operating system trusts, there where workers and data planes run.
    #[arg(long, value_name = "FILE")]
    ssl_root_cert: Option<PathBuf>,

    /// Where it runs, e.g. eu-central. [default for a new server: default]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// A login that may create roles and databases; a new server needs one.
    #[arg(long, value_name = "USER")]
    admin_user: Option<String>,

    /// Its password.
    #[arg(long, env = "TENANTRY_SERVER_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    admin_password: Option<SecretString>,

    /// A file that holds its password; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "admin_password")]
    admin_password_file: Option<PathBuf>,

    /// A tier that it may hold; may be given several times. [default for a new server: schema and database]
    #[arg(long = "tier", value_name = "TIER")]
    tiers: Vec<String>,

    /// How many tenants it may hold; a new server needs it.
    #[arg(long, value_name = "COUNT")]
    capacity: Option<u32>,

    /// Connections that one data plane may open to it. [default for a new server: 50]
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,

    /// Take the server as it is, e.g. because it is not up yet, instead of trying first whether it can hold tenants.
    #[arg(long)]
    no_check: bool,
}

impl ServerChangeArgs {
    /// What the flags say, in the API's words.
    pub(super) fn body(&self) -> anyhow::Result<Map<String, Value>> {
        let given = [
            ("host", self.host.clone().into()),
            ("port", self.port.into()),
            ("sslMode", self.ssl_mode.clone().into()),
            ("sslRootCert", self.root_cert()?.into()),
            ("region", self.region.clone().into()),
            ("adminUser", self.admin_user.clone().into()),
            ("adminPassword", self.password()?.map(|password| password.expose_secret().to_owned()).into()),
            ("tiers", if self.tiers.is_empty() { Value::Null } else { self.tiers.clone().into() }),
            ("capacity", self.capacity.into()),
            ("maxConnections", self.max_connections.into()),
        ];
        let given = given.into_iter().filter(|(_, value)| !value.is_null());
        Ok(given.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// How they are to be taken.
    pub(super) fn query(&self) -> Vec<(&'static str, String)> {
        if self.no_check { vec![("check", "false".to_owned())] } else { Vec::new() }
    }

    fn root_cert(&self) -> anyhow::Result<Option<String>> {
        match &self.ssl_root_cert {
            None => Ok(None),
            Some(system) if system.as_os_str() == "system" => Ok(Some("system".to_owned())),
            Some(file) => {
                let text = std::fs::read_to_string(file);
                text.map(Some)
                    .with_context(|| format!("the certificate in {} cannot be read", file.display()))
            }
        }
    }

    fn password(&self) -> anyhow::Result<Option<SecretString>> {
        let Some(file) = &self.admin_password_file else { return Ok(self.admin_password.clone()) };
        let text = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())
        } else {
            std::fs::read_to_string(file)
        };
        let text = text.with_context(|| format!("the password in {} cannot be read", file.display()))?;
        // The line's end belongs to the file, not to the password.
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned().into()))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    fn body(line: &[&str]) -> Value {
        let command = ServerChangeArgs::augment_args(Command::new("x")).no_binary_name(true);
        // Not what the machine's own environment says.
        let matches = command.mut_args(|arg| arg.env(None::<&str>)).get_matches_from(line);
        ServerChangeArgs::from_arg_matches(&matches).unwrap().body().unwrap().into()
    }

    #[test]
    fn only_what_is_named_is_sent() {
        assert_eq!(
            body(&["--capacity=9", "--tier=database", "--tier=schema"]),
            json!({"capacity": 9, "tiers": ["database", "schema"]})
        );
        assert_eq!(body(&[]), json!({}));
    }

    #[test]
    fn the_certificate_of_a_ca_comes_from_a_file_unless_the_system_s_are_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "-----BEGIN").unwrap();
        let given = body(&["--ssl-mode=verify-ca", "--ssl-root-cert", file.path().to_str().unwrap()]);
        assert_eq!(given, json!({"sslMode": "verify-ca", "sslRootCert": "-----BEGIN"}));
        assert_eq!(body(&["--ssl-root-cert=system"]), json!({"sslRootCert": "system"}));
    }

    #[test]
    fn a_password_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " secret \r\n").unwrap();
        let body = body(&["--admin-password-file", file.path().to_str().unwrap()]);
        assert_eq!(body["adminPassword"], " secret ");
    }
}
