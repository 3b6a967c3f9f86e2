//! The flags that every client command has: where the control plane is and how to answer.

use clap::Args;
use secrecy::SecretString;
use url::Url;

use super::{http::Api, output::Output};

/// How to reach the control plane.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ConnectionArgs {
    /// Where the control plane is.
    #[arg(
        long,
        env = "TENANTRY_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL",
        value_parser = base_url,
        global = true
    )]
    url: Url,

    /// An operator's API key.
    #[arg(long, env = "TENANTRY_API_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    api_key: Option<SecretString>,

    /// How to print what the control plane answers.
    #[arg(
        long,
        short = 'o',
        env = "TENANTRY_OUTPUT",
        value_enum,
        default_value = "table",
        value_name = "FORMAT",
        global = true
    )]
    output: Output,
}

impl ConnectionArgs {
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        Api::new(self.url.clone(), self.api_key.clone())
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; it looks like http://127.0.0.1:8080"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must begin with http:// or https://".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither ? nor #".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_to_talk_and_to_whom() {
        assert!(base_url("https://tenantry.example.com/control/").is_ok());
        for text in ["localhost:8080", "127.0.0.1:8080", "ftp://x", "", "http://", "http://x?y=z"] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
