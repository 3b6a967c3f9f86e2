//! The flags that every client command has: where the control plane is and how to answer.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    output::Output,
    profiles::{Profile, ProfileName},
};

/// How to reach the control plane.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Control plane")]
pub(crate) struct ConnectionArgs {
    /// Where the control plane is; `http://` may be left out. [default: the profile's, or else
    /// `http://127.0.0.1:8080`]
    #[arg(long, env = "TENANTRY_URL", value_name = "URL", value_parser = base_url, global = true)]
    url: Option<Url>,

    /// An operator's API key. [default: the profile's, if --url is the profile's too]
    #[arg(long, env = "TENANTRY_API_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    api_key: Option<SecretString>,

    /// The profile to use, as kept by `tenantry login`. [default: `default`, if there is one]
    #[arg(long, env = "TENANTRY_PROFILE", value_name = "NAME", global = true)]
    profile: Option<ProfileName>,

    /// How to print answers and errors.
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

/// Where the control plane is when nobody says.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

impl ConnectionArgs {
    /// Where the control plane is: what is given wins over the profile.
    pub(crate) fn url(&self, profile: Option<&Profile>) -> Url {
        let kept = || profile.map(|profile| profile.url.clone());
        self.url.clone().or_else(kept).unwrap_or_else(|| DEFAULT_URL.parse().expect("a URL"))
    }

    /// The key for a control plane: what is given wins over the profile. A kept key is sent to the
    /// address that it was kept for and to no other.
    pub(crate) fn api_key(&self, url: &Url, profile: Option<&Profile>) -> Option<SecretString> {
        let kept = || profile.filter(|profile| profile.url == *url).map(|profile| profile.api_key.clone());
        self.given_key().or_else(kept)
    }

    /// The key that a flag or the environment gives; an empty one is none.
    pub(crate) fn given_key(&self) -> Option<SecretString> {
        self.api_key.clone().filter(|key| !key.expose_secret().is_empty())
    }

    /// Whether a profile is asked for, or could add something.
    pub(crate) fn needs_profile(&self) -> bool {
        self.profile.is_some() || self.url.is_none() || self.given_key().is_none()
    }

    pub(crate) fn profile(&self) -> Option<&ProfileName> {
        self.profile.as_ref()
    }

    pub(crate) fn output(&self) -> Output {
        self.output
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    // `localhost:8080` would be read as a URL of the scheme `localhost`.
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&text).map_err(|error| format!("{error}; it looks like http://127.0.0.1:8080"))?;
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
    use clap::{Command, FromArgMatches};

    use super::*;

    fn args(line: &[&str]) -> ConnectionArgs {
        // Not what the machine's own environment says.
        let command = ConnectionArgs::augment_args(Command::new("x")).no_binary_name(true);
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        ConnectionArgs::from_arg_matches(&command.get_matches_from(line)).unwrap()
    }

    fn profile() -> Profile {
        Profile { url: "https://kept.example.com".parse().unwrap(), api_key: "kept".to_owned().into() }
    }

    #[test]
    fn an_address_without_a_scheme_is_one() {
        for (text, url) in [
            ("localhost:8080", "http://localhost:8080/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("[::1]:8080", "http://[::1]:8080/"),
            ("control.internal", "http://control.internal/"),
            ("https://tenantry.example.com/control/", "https://tenantry.example.com/control/"),
        ] {
            assert_eq!(base_url(text).unwrap().as_str(), url);
        }
    }

    #[test]
    fn what_cannot_be_a_control_plane_is_refused() {
        for text in ["ftp://x", "", "http://", "http://x?y=z", "localhost:80#a", "a b", "localhost:port"] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_given_wins_over_the_profile() {
        let (given, profile) = (args(&["--url=localhost:1", "--api-key=given"]), profile());
        let url = given.url(Some(&profile));
        assert_eq!(url.as_str(), "http://localhost:1/");
        assert_eq!(given.api_key(&url, Some(&profile)).unwrap().expose_secret(), "given");

        let nothing = args(&[]);
        let url = nothing.url(Some(&profile));
        assert_eq!(url, profile.url);
        assert_eq!(nothing.api_key(&url, Some(&profile)).unwrap().expose_secret(), "kept");
        assert_eq!(nothing.url(None).as_str(), "http://127.0.0.1:8080/");
    }

    #[test]
    fn a_kept_key_is_sent_to_no_other_address() {
        let given = args(&["--url=localhost:1", "--api-key="]);
        let url = given.url(Some(&profile()));
        assert!(given.api_key(&url, Some(&profile())).is_none());
    }
}
