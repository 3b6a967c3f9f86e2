//! Problem documents (RFC 9457) and lost connections, as errors for people.

use std::fmt;

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    human::one_line,
    wording::{flag, in_commands},
};

/// The version of this command line.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The control plane does not answer.
#[derive(Debug)]
pub(crate) struct Unreachable {
    pub(crate) url: Url,
    pub(crate) source: reqwest::Error,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_str().trim_end_matches('/');
        write!(f, "the control plane at {url} does not answer; is it running? Set --url or TENANTRY_URL")
    }
}

impl std::error::Error for Unreachable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A request that the control plane refused.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    status: u16,
    title: String,
    detail: String,
    /// Stable, for programs.
    pub(crate) code: String,
    errors: Vec<FieldError>,
    /// All that is wrong with a server.
    problems: Vec<ServerProblem>,
    /// The texts that DNS has instead of a domain's proof.
    found: Vec<String>,
    request_id: Option<String>,
    /// The unfinished operation that is in the way.
    operation_id: Option<String>,
    /// The app version whose SQL PostgreSQL refused: the one that was pushed, or an earlier one.
    pub(crate) version: Option<i64>,
    /// Which of its SQL: `up`, `up_again`, `down`; `seed` and `extensions` are of no version.
    pub(crate) part: Option<String>,
    /// The line of that SQL.
    pub(crate) line: Option<u64>,
    /// As it was received, for programs.
    #[serde(skip)]
    document: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerProblem {
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldError {
    field: String,
    message: String,
}

/// Whether the same request may well succeed later.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    let overloaded = |problem: &Problem| problem.status >= 500 || problem.status == 429;
    error.is::<Unreachable>() || error.downcast_ref().is_some_and(overloaded)
}

/// The most that is shown of an answer that is no problem document, in characters.
const EXCERPT: usize = 200;

/// The refusal that an answer with an error status holds.
pub(crate) async fn read(response: Response) -> Problem {
    let status = response.status();
    let request_id =
        response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
    let body = response.text().await.unwrap_or_default();
    let mut problem = parse(status, &body);
    problem.request_id = problem.request_id.or(request_id);
    problem
}

fn parse(status: StatusCode, body: &str) -> Problem {
    let received: Value = serde_json::from_str(body).unwrap_or_default();
    let document = Problem::deserialize(&received).ok().filter(|problem| !problem.title.is_empty());
    // Something in between answered, or no control plane at all.
    let mut problem = document.unwrap_or_else(|| Problem {
        detail: body.trim().chars().take(EXCERPT).collect(),
        ..Problem::default()
    });
    problem.document = received;
    problem.status = status.as_u16();
    if problem.title.is_empty() {
        problem.title = status.canonical_reason().unwrap_or("an error").into();
    }
    problem
}

impl Problem {
    /// Whether the control plane knows no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 && !self.code.is_empty()
    }

    /// Whether there is no such endpoint, or only an older one: nothing that the user typed is wrong.
    fn is_about_the_endpoint(&self) -> bool {
        matches!(self.code.as_str(), "endpoint_not_found" | "method_not_allowed" | "unknown_parameter")
    }

    /// Whether the detail is no more than the one field error, which has a line of its own.
    fn is_said_by_field(&self) -> bool {
        matches!(&self.errors[..], [only] if self.detail == format!("`{}` {}", only.field, only.message))
    }

    /// The document as it was received; one of the same shape where there was none.
    pub(crate) fn document(&self) -> Value {
        if self.document.get("title").is_some() {
            return self.document.clone();
        }
        json!({
            "type": "about:blank", "title": self.title, "status": self.status, "detail": one_line(&self.detail),
            "requestId": self.request_id,
        })
    }

    /// What to do about it, where the control plane cannot know.
    fn advice(&self) -> Option<String> {
        if self.status == 401 {
            return Some(
                "keep an operator's key with `tenantry login`, or give one with --api-key or TENANTRY_API_KEY \
                 (`tenantry dev` prints one)"
                    .into(),
            );
        }
        if let Some(id) = &self.operation_id {
            return Some(format!("tenantry operations watch {}", one_line(id)));
        }
        (self.status == 404 && self.code.is_empty())
            .then(|| "is there a control plane at --url (TENANTRY_URL)?".into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(&self.title))?;
        if self.code.is_empty() {
            write!(f, " ({})", self.status)?;
        } else {
            write!(f, " ({})", one_line(&self.code))?;
        }
        if self.is_about_the_endpoint() {
            write!(
                f,
                ": the control plane does not know this command; is it of another version than tenantry {VERSION}?"
            )?;
        } else if !self.detail.is_empty() && !self.is_said_by_field() {
            write!(f, ": {}", in_commands(&self.detail))?;
        }
        for error in self.errors.iter().filter(|_| !self.is_about_the_endpoint()) {
            write!(f, "\n  {}: {}", flag(&error.field), in_commands(&error.message))?;
        }
        for problem in &self.problems {
            write!(f, "\n  {}", in_commands(&problem.message))?;
        }
        for text in &self.found {
            write!(f, "\n  found: {}", one_line(text))?;
        }
        if let Some(advice) = self.advice() {
            write!(f, "\n  -> {advice}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "\n  request id: {}", one_line(id))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_each_field_and_the_request() {
        let body = r#"{"type": "urn:tenantry:problem:invalid_input", "title": "Bad Request", "status": 400,
            "detail": "2 fields are wrong", "code": "invalid_input", "requestId": "r-1", "more": 1,
            "errors": [{"field": "maxUsers", "message": "is negative"}, {"field": "plan", "message": "is missing"}]}"#;
        let problem = parse(StatusCode::BAD_REQUEST, body);
        assert_eq!(
            problem.to_string(),
            "Bad Request (invalid_input): 2 fields are wrong\n  --max-users: is negative\n  --plan: is missing\n  \
             request id: r-1"
        );
        assert_eq!(problem.document(), serde_json::from_str::<Value>(body).unwrap());
    }

    #[test]
    fn all_that_is_wrong_with_a_server_is_named() {
        let body = r#"{"title": "Unprocessable Entity", "code": "server_unusable", "detail": "it cannot hold tenants",
            "problems": [{"code": "wal_level", "message": "wal_level is replica"}, {"code": "x", "message": "y"}]}"#;
        let shown = parse(StatusCode::UNPROCESSABLE_ENTITY, body).to_string();
        assert!(shown.ends_with("it cannot hold tenants\n  wal_level is replica\n  y"), "{shown}");
    }

    #[test]
    fn what_dns_has_instead_of_a_proof_is_shown() {
        let body = r#"{"title": "Unprocessable Entity", "code": "domain_unproven", "detail": "there is no such record",
            "found": ["tenantry-verification=old"]}"#;
        let shown = parse(StatusCode::UNPROCESSABLE_ENTITY, body).to_string();
        assert!(shown.ends_with("there is no such record\n  found: tenantry-verification=old"), "{shown}");
    }

    #[test]
    fn what_is_wrong_with_one_field_is_said_once() {
        let body = r#"{"title": "Bad Request", "code": "invalid_field", "detail": "`slug` is reserved",
            "errors": [{"field": "slug", "message": "is reserved"}]}"#;
        let problem = parse(StatusCode::BAD_REQUEST, body);
        assert_eq!(problem.to_string(), "Bad Request (invalid_field)\n  --slug: is reserved");
    }

    #[test]
    fn a_missing_key_is_answered_with_how_to_give_one() {
        let body = r#"{"title": "Unauthorized", "code": "unauthenticated", "detail": "send a key"}"#;
        assert!(parse(StatusCode::UNAUTHORIZED, body).to_string().contains("TENANTRY_API_KEY"));
    }

    #[test]
    fn an_operation_in_the_way_can_be_watched() {
        let body = r#"{"title": "Conflict", "code": "operation_in_progress", "detail": "wait", "operationId": "0199"}"#;
        assert!(parse(StatusCode::CONFLICT, body).to_string().contains("tenantry operations watch 0199"));
    }

    #[test]
    fn an_older_control_plane_is_named_as_one() {
        let body = r#"{"title": "Method Not Allowed", "code": "method_not_allowed",
            "detail": "this endpoint has other methods; see /docs"}"#;
        let shown = parse(StatusCode::METHOD_NOT_ALLOWED, body).to_string();
        assert!(shown.contains("does not know this command") && !shown.contains("endpoint"), "{shown}");
    }

    #[test]
    fn what_is_no_problem_document_is_shown_in_part_and_harmlessly() {
        let shown =
            parse(StatusCode::BAD_GATEWAY, &format!("<html>\u{1b}[31m{}", "x".repeat(5000))).to_string();
        assert!(shown.starts_with("Bad Gateway (502): <html>") && shown.len() < 300, "{shown}");
        assert!(!shown.contains('\u{1b}'));
        let nothing = parse(StatusCode::NOT_FOUND, "");
        assert_eq!(nothing.to_string().lines().count(), 2);
        assert_eq!(nothing.document()["title"], "Not Found");
    }
}
