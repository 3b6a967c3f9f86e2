//! What the provider manages, one file each.

mod api_key;
mod app_version;
mod domain;
mod keyed;
mod plan;
mod server;
mod server_class;
mod tenant;

use serde_json::Value as Json;
use tonic::async_trait;

use crate::{
    api::{Api, ApiError, OperationError},
    diagnostic::{Diagnostic, Failure},
    schema::{Attribute, Object, state_from},
};

pub(crate) use self::{plan::Plan, server::Server, server_class::ServerClass, tenant::Tenant};

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Resource>> {
    vec![
        Box::new(Tenant),
        Box::new(Plan),
        Box::new(app_version::AppVersion),
        Box::new(Server),
        Box::new(ServerClass),
        Box::new(api_key::ApiKey),
        Box::new(domain::Domain),
    ]
}

/// What a change has to work with.
pub(crate) struct Call<'a> {
    pub(crate) api: &'a Api,
    pub(crate) attributes: &'a [Attribute],
}

/// What to say about something that was done.
pub(crate) type Warnings = Vec<Diagnostic>;

/// A state, with what to say about it.
pub(crate) struct Done {
    pub(crate) state: Object,
    pub(crate) warnings: Warnings,
}

impl From<Object> for Done {
    fn from(state: Object) -> Self {
        Self { state, warnings: Vec::new() }
    }
}

/// A kind of thing that is created, read, changed and deleted.
#[async_trait]
pub(crate) trait Resource: Send + Sync {
    /// Its type in a configuration.
    fn name(&self) -> &'static str;

    /// What it is, in a sentence.
    fn doc(&self) -> &'static str;

    /// What it is made of.
    fn attributes(&self) -> Vec<Attribute>;

    /// The state after an answer of the API.
    fn state(&self, attributes: &[Attribute], answer: &Json, before: &Object) -> Object {
        state_from(attributes, answer, before)
    }

    /// Changes a plan where attributes depend on each other. `prior` is none for a creation.
    fn adjust(&self, _prior: Option<&Object>, _planned: &mut crate::schema::Planned) {}

    /// Makes it.
    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure>;

    /// Looks it up; none if it is gone.
    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure>;

    /// Changes it in place.
    async fn update(&self, call: &Call<'_>, prior: &Object, planned: &Object) -> Result<Object, Failure>;

    /// Takes it away. One that is gone is no failure.
    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure>;

    /// What `read` needs to find it by an import's id; or what is wrong with the id.
    fn import(&self, id: &str) -> Result<Object, String>;
}

impl Call<'_> {
    /// A failure of a request.
    pub(crate) fn refused(&self, summary: impl AsRef<str>, error: &ApiError) -> Failure {
        Failure { diagnostics: error.diagnostics(summary.as_ref(), self.attributes), left: None }
    }

    /// A failure of an operation.
    pub(crate) fn unfinished(&self, summary: impl AsRef<str>, error: &OperationError) -> Failure {
        Failure { diagnostics: error.diagnostics(summary.as_ref(), self.attributes), left: None }
    }
}

/// A text attribute; empty if it is none.
pub(crate) fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(|value| value.as_str()).unwrap_or_default()
}

/// A text of an answer; empty if it is none.
pub(crate) fn member<'a>(answer: &'a Json, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_default()
}
