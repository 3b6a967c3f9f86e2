//! Collecting what is wrong with several fields, so that a client hears of all at once.

use std::fmt::Display;

use tenantry_http::{FieldError, Problem};

use crate::refusal::Refusal;

/// The fields of one input that were found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<FieldError>);

impl Fields {
    /// The value, or `None` and a note of what is wrong.
    pub(crate) fn take<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.wrong(field, error.to_string())).ok()
    }

    /// As [`Fields::take`], for a field that may be absent.
    pub(crate) fn take_some<T, E: Display>(
        &mut self,
        field: &str,
        result: Option<Result<T, E>>,
    ) -> Option<T> {
        result.and_then(|result| self.take(field, result))
    }

    /// Notes that a field is wrong.
    pub(crate) fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(FieldError { field: field.to_owned(), message: message.into() });
    }

    /// Notes that a field is wrong unless `ok`.
    pub(crate) fn check(&mut self, field: &str, ok: bool, message: &str) {
        if !ok {
            self.wrong(field, message);
        }
    }

    /// Refuses the input if anything is wrong with it.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        let mut errors = self.0.into_iter();
        let Some(first) = errors.next() else { return Ok(()) };
        let problem = Problem::invalid(first.field, first.message);
        Err(errors.fold(problem, |problem, error| problem.with_error(error.field, error.message)).into())
    }
}

/// Texts that people choose for their own use: 1 to 200 characters without control characters.
pub(crate) fn label(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 {
        return Err("must have 1 to 200 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(text.to_owned())
}
