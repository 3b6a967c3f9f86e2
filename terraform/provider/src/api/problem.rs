//! What the API refuses, and why it could not be asked.

use serde::Deserialize;

use crate::{
    diagnostic::Diagnostic,
    schema::{Attribute, path_of_field},
};

/// A problem document (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) errors: Vec<FieldError>,
    pub(crate) request_id: Option<String>,
    /// The operation that is in the way.
    pub(crate) operation_id: Option<String>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// A request without the answer that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    #[error("{0}")]
    Unreachable(String),
}

impl ApiError {
    /// Whether the API has refused with a code.
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == code)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.status == 404)
    }

    /// What a person is told of it, beside the attributes that are meant.
    pub(crate) fn diagnostics(&self, summary: &str, attributes: &[Attribute]) -> Vec<Diagnostic> {
        match self {
            Self::Unreachable(reason) => vec![Diagnostic::error(
                summary,
                format!("{reason}. Check the provider's url, and that the control plane is ready."),
            )],
            Self::Problem(problem) => problem.diagnostics(summary, attributes),
        }
    }
}

impl Problem {
    fn diagnostics(&self, summary: &str, attributes: &[Attribute]) -> Vec<Diagnostic> {
        let source = self.source();
        if self.errors.is_empty() {
            return vec![Diagnostic::error(summary, format!("{}\n\n{source}", sentence(&self.detail)))];
        }
        // Where the detail is one of them, it is no summary of all.
        let summed_up = !self.errors.iter().any(|error| self.detail.contains(&error.message));
        self.errors
            .iter()
            .map(|error| {
                let path = path_of_field(attributes, &error.field);
                let mut detail = format!("`{}` {}.", error.field, error.message.trim_end_matches('.'));
                if summed_up {
                    detail = format!("{detail} {}", sentence(&self.detail));
                }
                Diagnostic::error(summary, format!("{detail}\n\n{source}")).at(path)
            })
            .collect()
    }

    fn source(&self) -> String {
        match &self.request_id {
            Some(id) => format!("({}, HTTP {}, request {id})", self.code, self.status),
            None => format!("({}, HTTP {})", self.code, self.status),
        }
    }
}

/// A text with a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    let rest = chars.as_str().trim_end_matches('.');
    first.into_iter().flatten().chain(rest.chars()).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Path, Type};

    #[test]
    fn each_field_that_is_wrong_is_told_where_it_is() {
        let limits = Type::Object(vec![Attribute::integer("max_users", "").optional()]);
        let attributes =
            [Attribute::string("name", "").required(), Attribute::new("limits", limits, "").optional()];
        let problem: Problem = serde_json::from_str(
            r#"{"status":400,"code":"invalid_field","detail":"two fields are wrong",
                "errors":[{"field":"name","message":"is empty"},{"field":"limits.maxUsers","message":"is negative"}]}"#,
        )
        .unwrap();
        let found = problem.diagnostics("No plan", &attributes);
        let at = |text: &str, path| {
            let detail = format!("{text}. Two fields are wrong.\n\n(invalid_field, HTTP 400)");
            Diagnostic::error("No plan", detail).at(Some(path))
        };
        assert_eq!(
            found,
            [
                at("`name` is empty", Path::to("name")),
                at("`limits.maxUsers` is negative", Path::to("limits")),
            ]
        );
    }
}
