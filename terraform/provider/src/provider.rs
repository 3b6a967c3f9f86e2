//! The provider's own configuration.

use std::time::Duration;

use reqwest::Url;

use crate::{
    api::{Api, Connection, Stop},
    diagnostic::Diagnostic,
    schema::{Attribute, Object, Path, Value},
};

/// What it is, in a sentence.
pub(crate) const DOC: &str = "Tenants, plans, apps, servers and keys of a Tenantry control plane.";

/// How long an operation is waited for, unless it is said otherwise: longer than a cloud takes for a server.
const PATIENCE: Duration = Duration::from_hours(1);

/// What the process was started with.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) url: Option<String>,
    pub(crate) api_key: Option<String>,
}

pub(crate) fn attributes() -> Vec<Attribute> {
    vec![
        Attribute::string("url", "Where the control plane is; else TENANTRY_URL.").optional(),
        Attribute::string("api_key", "An operator's API key; else TENANTRY_API_KEY.").optional().sensitive(),
        Attribute::integer(
            "operation_timeout",
            "Seconds that an operation is waited for; 3600 when left out.",
        )
        .optional(),
    ]
}

/// What is wrong with it, as far as it is known.
pub(crate) fn validate(config: &Object) -> Vec<Diagnostic> {
    let url = config.get("url").and_then(Value::as_str).map(parse);
    let seconds = config.get("operation_timeout").and_then(Value::as_i64);
    let negative = seconds.is_some_and(|seconds| seconds < 1).then(|| {
        Diagnostic::error("Invalid operation_timeout", "It must be at least 1 second.")
            .at(Some(Path::to("operation_timeout")))
    });
    url.and_then(Result::err).into_iter().chain(negative).collect()
}

/// The API; none as long as its address or key is not known.
pub(crate) fn connect(
    config: &Object,
    environment: &Environment,
    stop: &Stop,
) -> Result<Option<Api>, Diagnostic> {
    if [config.get("url"), config.get("api_key")].contains(&Some(&Value::Unknown)) {
        return Ok(None);
    }
    let given = |name: &str, variable: &Option<String>| {
        config.get(name).and_then(Value::as_str).map(str::to_owned).or_else(|| variable.clone())
    };
    let missing = |name: &str, variable: &str| {
        Diagnostic::error(
            format!("The provider has no {name}"),
            format!("Set {name} in its configuration, or {variable} in the environment."),
        )
        .at(Some(Path::to(name)))
    };
    let url = given("url", &environment.url).ok_or_else(|| missing("url", "TENANTRY_URL"))?;
    let api_key =
        given("api_key", &environment.api_key).ok_or_else(|| missing("api_key", "TENANTRY_API_KEY"))?;
    let seconds = config.get("operation_timeout").and_then(Value::as_i64);
    let patience = seconds.and_then(|seconds| seconds.try_into().ok()).map_or(PATIENCE, Duration::from_secs);
    Api::new(Connection { url: parse(&url)?, api_key, patience }, stop.clone())
        .map(Some)
        .map_err(|error| Diagnostic::error("The provider cannot speak HTTP", error.to_string()))
}

/// A URL, whose `http://` may be left out, as at the command line.
fn parse(text: &str) -> Result<Url, Diagnostic> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&full) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => Err(Diagnostic::error(
            "Invalid url",
            format!("\"{text}\" must be like https://tenantry.example.com."),
        )
        .at(Some(Path::to("url")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_leave_out_its_scheme() {
        assert_eq!(parse("127.0.0.1:8080").unwrap().as_str(), "http://127.0.0.1:8080/");
        assert_eq!(parse("https://t.example/x").unwrap().as_str(), "https://t.example/x");
        for wrong in ["", "ftp://a", "http://", "a b"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_configuration_comes_before_the_environment() {
        let environment = Environment { url: None, api_key: Some("key".to_owned()) };
        let config = Object::from([("url".to_owned(), Value::string("localhost"))]);
        assert!(connect(&config, &environment, &Stop::new()).unwrap().is_some());
        assert!(connect(&config, &Environment::default(), &Stop::new()).is_err());
        let unknown = Object::from([("url".to_owned(), Value::Unknown)]);
        assert!(connect(&unknown, &environment, &Stop::new()).unwrap().is_none());
    }
}
