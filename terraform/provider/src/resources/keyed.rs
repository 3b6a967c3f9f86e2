//! What plans, servers and server classes have in common: the API knows them by a name, and makes them at once.

use serde_json::{Map, Value as Json};

use super::{Call, Done, Warnings, text};
use crate::{
    api::{ApiError, Request},
    diagnostic::{Diagnostic, Failure},
    schema::{Nulls, Object, Value, body_of, state_from},
};

/// A collection of the API whose items have names.
pub(super) struct Keyed {
    /// Its path.
    pub(super) collection: &'static str,
    /// An item, for a person.
    pub(super) noun: &'static str,
    /// What the API says of a name that is taken.
    pub(super) taken: &'static str,
    /// The resource's type.
    pub(super) resource: &'static str,
}

impl Keyed {
    /// An item's name.
    pub(super) fn name(object: &Object) -> &str {
        text(object, "name")
    }

    /// Makes an item; `ask` adds what the request asks for beside.
    pub(super) async fn create(
        &self,
        call: &Call<'_>,
        planned: &Object,
        ask: impl FnOnce(Request) -> Request,
    ) -> Result<Done, Failure> {
        let request =
            Request::post(&[self.collection]).with(body_of(call.attributes, planned, Nulls::LeftOut));
        match call.api.send(ask(request)).await {
            Ok(answer) => Ok(state_from(call.attributes, &answer.body, planned).into()),
            Err(error) => Err(self.not_created(call, planned, &error)),
        }
    }

    fn not_created(&self, call: &Call<'_>, planned: &Object, error: &ApiError) -> Failure {
        let name = Self::name(planned);
        let mut failure = call.refused(format!("{} {name} could not be created", capital(self.noun)), error);
        if error.is(self.taken) {
            failure.diagnostics.push(exists(self.noun, self.resource, name));
        }
        failure
    }

    pub(super) async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        let name = Self::name(state);
        match call.api.find(&[self.collection, name]).await {
            Ok(found) => Ok(found.map(|found| state_from(call.attributes, &found, state))),
            Err(error) => {
                Err(call.refused(format!("{} {name} could not be read", capital(self.noun)), &error))
            }
        }
    }

    /// Sends a change, and gives the state after it.
    pub(super) async fn change(
        &self,
        call: &Call<'_>,
        planned: &Object,
        request: Request,
    ) -> Result<Object, Failure> {
        match call.api.send(request).await {
            Ok(answer) => Ok(state_from(call.attributes, &answer.body, planned)),
            Err(error) => Err(self.not_changed(call, planned, &error)),
        }
    }

    /// Makes it what is planned. What this provider does not know of it yet stays as it is.
    pub(super) async fn replace(&self, call: &Call<'_>, planned: &Object) -> Result<Object, Failure> {
        let path = [self.collection, Self::name(planned)];
        let found = call.api.find(&path).await.map_err(|error| self.not_changed(call, planned, &error))?;
        let mut body = match found {
            Some(Json::Object(members)) => members,
            _ => Map::new(),
        };
        body.retain(|member, _| !call.attributes.iter().any(|a| a.api == *member && !a.is_configurable()));
        body.extend(body_of(call.attributes, planned, Nulls::Sent));
        self.change(call, planned, Request::put(&path).with(body)).await
    }

    fn not_changed(&self, call: &Call<'_>, planned: &Object, error: &ApiError) -> Failure {
        call.refused(format!("{} {} could not be changed", capital(self.noun), Self::name(planned)), error)
    }

    /// Takes an item away, and waits if that takes work.
    pub(super) async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let name = Self::name(prior);
        match call.api.work(Request::delete(&[self.collection, name])).await {
            Err(crate::api::OperationError::Api(error)) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) => {
                Err(call.unfinished(format!("{} {name} could not be deleted", capital(self.noun)), &error))
            }
            Ok(_) => Ok(Warnings::new()),
        }
    }

    pub(super) fn import(id: &str) -> Object {
        Object::from([("name".to_owned(), Value::string(id))])
    }
}

/// What to do about a thing that is there already.
pub(super) fn exists(noun: &str, resource: &str, id: &str) -> Diagnostic {
    Diagnostic::error(
        format!("There is a {noun} {id} already"),
        format!(
            "An apply that was interrupted may have made it, or somebody else. To manage it here, import it: `terraform \
             import {resource}.NAME {id}`, with the name that the resource has in the configuration; the next plan shows \
             how it differs. Otherwise choose another name, or delete it."
        ),
    )
}

/// A word at the beginning of a sentence.
pub(super) fn capital(word: &str) -> String {
    let (head, tail) = word.split_at(word.len().min(1));
    head.to_ascii_uppercase() + tail
}

/// The items of a listing that have a member with a value.
pub(super) fn having<'a>(items: &'a [Json], name: &'a str, value: &'a str) -> impl Iterator<Item = &'a Json> {
    items.iter().filter(move |item| item[name].as_str() == Some(value))
}
