//! `tenantry_api_key`

use serde_json::Value as Json;
use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::having, member, text};
use crate::{
    api::Request,
    diagnostic::{Diagnostic, Failure},
    schema::{Attribute, Nulls, Object, Type, Value, body_of, state_from},
};

/// A key of the control plane, or of one tenant's data.
pub(crate) struct ApiKey;

/// The keys that this one is among.
fn collection(object: &Object) -> Vec<&str> {
    match text(object, "tenant") {
        "" => vec!["keys"],
        tenant => vec!["tenants", tenant, "keys"],
    }
}

#[async_trait]
impl Resource for ApiKey {
    fn name(&self) -> &'static str {
        "tenantry_api_key"
    }

    fn doc(&self) -> &'static str {
        "A key of the control plane, or with `tenant` one of that tenant's data."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("id", "Its id.").stable(),
            Attribute::string(
                "tenant",
                "The tenant, by slug or id, whose data it opens; left out: the control plane.",
            )
            .optional()
            .replaces()
            .of_provider(),
            Attribute::string("name", "What it is for.").required().replaces(),
            Attribute::new(
                "scopes",
                Type::set_of_strings(),
                "What it may do; for a tenant's data both when left out.",
            )
            .optional_computed()
            .replaces(),
            // The API cannot change it, and may write the same time otherwise.
            Attribute::string("expires_at", "When it stops working, as RFC 3339 time.")
                .optional()
                .replaces()
                .sent(),
            Attribute::string("key", "The key itself; the API shows it once.").sensitive().stable(),
            Attribute::string("created_at", "When it was made.").stable(),
        ]
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        let name = text(planned, "name");
        let failed = || format!("API key {name} could not be created");
        let collection = collection(planned);
        let others =
            call.api.list(Request::get(&collection)).await.map_err(|error| call.refused(failed(), &error))?;
        let request = Request::post(&collection).with(body_of(call.attributes, planned, Nulls::LeftOut));
        let answer = call.api.send(request).await.map_err(|error| call.refused(failed(), &error))?.body;
        let state = state_from(call.attributes, &answer, planned);
        // A repeat of the same request is answered with the same key.
        let warnings =
            having(&others, "name", name).filter(|other| other["id"] != answer["id"]).map(twin).collect();
        Ok(Done { state, warnings })
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        let id = text(state, "id");
        let keys = match call.api.list(Request::get(&collection(state))).await {
            Ok(keys) => keys,
            // With its tenant.
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(call.refused(format!("API key {id} could not be read"), &error)),
        };
        let Some(found) = having(&keys, "id", id).next() else { return Ok(None) };
        let mut read = state_from(call.attributes, found, state);
        if let (Some(Value::Null), Some(end)) = (read.get("expires_at"), found["expiresAt"].as_str()) {
            read.insert("expires_at".to_owned(), Value::string(end));
        }
        Ok(Some(read))
    }

    async fn update(&self, _: &Call<'_>, _: &Object, planned: &Object) -> Result<Object, Failure> {
        // Whatever changes replaces it.
        Ok(planned.clone())
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let id = text(prior, "id");
        let path: Vec<&str> = collection(prior).into_iter().chain([id]).collect();
        match call.api.send(Request::delete(&path)).await {
            Ok(_) => Ok(Warnings::new()),
            Err(error) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) => Err(call.refused(format!("API key {id} could not be revoked"), &error)),
        }
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        let (tenant, id) = match id.split_once('/') {
            Some((tenant, id)) => (Value::string(tenant), id),
            None => (Value::Null, id),
        };
        Ok(Object::from([("tenant".to_owned(), tenant), ("id".to_owned(), Value::string(id))]))
    }
}

/// A key that nobody may know of.
fn twin(other: &Json) -> Diagnostic {
    Diagnostic::warning(
        format!("There is another API key named {}", member(other, "name")),
        format!(
            "It has the id {} and was made at {}. If an apply that was interrupted has left it, revoke it: nobody has the \
             key itself.",
            member(other, "id"),
            member(other, "createdAt"),
        ),
    )
}
