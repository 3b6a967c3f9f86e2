//! How a command that failed says so: in words, or as one JSON object for programs.

use std::fmt;

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

fn own(code: &str, title: &str, error: &anyhow::Error) -> Value {
    json!({
        "type": format!("urn:tenantry:problem:{code}"),
        "title": title,
        "detail": format!("{error:#}"),
        "code": code,
    })
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
