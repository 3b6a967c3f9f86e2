//! How a command that failed says so: in words, or as one JSON object for programs.

use std::{ffi::OsString, fmt};

use serde_json::{Value, json};

use super::{
    problem::{Problem, Unreachable},
    progress::Unsuccessful,
};

/// An error as a problem document: the control plane's own, or one of the same shape.
#[derive(Debug)]
pub(crate) struct ErrorDocument(Value);

impl ErrorDocument {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return Self(problem.document());
        }
        if let Some(ended) = error.downcast_ref::<Unsuccessful>() {
            let mut document = own("operation_unsuccessful", "The operation did not succeed", error);
            document["operationId"] = ended.operation_id.clone().into();
            document["state"] = ended.state.clone().into();
            return Self(document);
        }
        if error.downcast_ref::<Unreachable>().is_some() {
            return Self(own("unreachable", "The control plane does not answer", error));
        }
        Self(own("command_failed", "The command failed", error))
    }
}

/// What is wrong with a command line that asks for JSON; nothing if it does not, or if the "error" is
/// the help that was asked for.
pub(crate) fn of_usage(
    error: &clap::Error,
    args: &[OsString],
    from_env: Option<OsString>,
) -> Option<ErrorDocument> {
    if !error.use_stderr() || !asks_for_json(args, from_env) {
        return None;
    }
    let text = error.render().to_string();
    let detail = text.trim().trim_start_matches("error: ");
    Some(ErrorDocument(document("usage", "The command line is not understood", detail)))
}

/// By the bare words: a line that clap does not understand has no values. The last word counts.
fn asks_for_json(args: &[OsString], from_env: Option<OsString>) -> bool {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).take_while(|arg| arg != "--").collect();
    let value = |at: usize, arg: &str| match arg {
        "-o" | "--output" => args.get(at + 1).map(ToString::to_string),
        _ => arg.strip_prefix("--output=").or_else(|| arg.strip_prefix("-o")).map(ToOwned::to_owned),
    };
    let given = args.iter().enumerate().filter_map(|(at, arg)| value(at, arg)).next_back();
    given.map_or_else(
        || from_env.is_some_and(|value| value == "json"),
        |value| value.trim_start_matches('=') == "json",
    )
}

fn own(code: &str, title: &str, error: &anyhow::Error) -> Value {
    document(code, title, &format!("{error:#}"))
}

fn document(code: &str, title: &str, detail: &str) -> Value {
    json!({ "type": format!("urn:tenantry:problem:{code}"), "title": title, "detail": detail, "code": code })
}

impl fmt::Display for ErrorDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for ErrorDocument {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_by_flag_or_environment() {
        let asks = |line: &str, env: Option<&str>| {
            asks_for_json(&line.split(' ').map(Into::into).collect::<Vec<_>>(), env.map(Into::into))
        };
        for line in [
            "x -o json",
            "x -ojson",
            "x -o=json",
            "x --output json y",
            "x --output=json",
            "x -o table -o json",
        ] {
            assert!(asks(line, None), "{line}");
        }
        for line in ["x", "x -o table", "x --output", "x -- -o json", "x -o json -o table"] {
            assert!(!asks(line, None), "{line}");
        }
        assert!(asks("x", Some("json")) && !asks("x -o table", Some("json")));
    }

    #[test]
    fn an_error_of_our_own_has_the_shape_of_a_problem_document() {
        let error = anyhow::anyhow!("no such file").context("the password cannot be read");
        assert_eq!(
            ErrorDocument::of(&error).0,
            json!({
                "type": "urn:tenantry:problem:command_failed", "title": "The command failed",
                "detail": "the password cannot be read: no such file", "code": "command_failed",
            })
        );
    }
}
