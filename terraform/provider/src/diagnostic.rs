//! What a person is told by Terraform.

use crate::{
    protocol::pb::{Diagnostic as Message, diagnostic::Severity},
    schema::{Object, Path},
};

/// An error or a warning, with the attribute that it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Diagnostic {
    severity: Severity,
    summary: String,
    detail: String,
    path: Option<Path>,
}

impl Diagnostic {
    pub(crate) fn error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), detail: detail.into(), path: None }
    }

    pub(crate) fn warning(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(summary, detail) }
    }

    #[must_use]
    pub(crate) fn at(self, path: Option<Path>) -> Self {
        Self { path, ..self }
    }

    /// The same, about an attribute unless it is about one already.
    #[must_use]
    pub(crate) fn at_if_nowhere(self, path: Option<Path>) -> Self {
        Self { path: self.path.or(path), ..self }
    }
}

impl From<Diagnostic> for Message {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            severity: diagnostic.severity.into(),
            summary: diagnostic.summary,
            detail: diagnostic.detail,
            attribute: diagnostic.path.map(Into::into),
        }
    }
}

/// What could not be done.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What is there nevertheless, so that Terraform does not forget it.
    pub(crate) left: Option<Object>,
}

impl Failure {
    #[must_use]
    pub(crate) fn leaving(self, state: Object) -> Self {
        Self { left: Some(state), ..self }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { diagnostics: vec![diagnostic], left: None }
    }
}
