//! `tenantry_tenant`

use serde_json::{Map, Value as Json, json};
use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::exists, member, text};
use crate::{
    api::{OperationError, Request},
    diagnostic::{Diagnostic, Failure},
    schema::{Attribute, Nulls, Object, Type, Value, body_of, state_from},
};

/// One customer organisation.
pub(crate) struct Tenant;

/// What PATCH changes.
const PATCHED: [&str; 5] = ["name", "settings", "features", "maxUsers", "maxStorage"];

#[async_trait]
impl Resource for Tenant {
    fn name(&self) -> &'static str {
        "tenantry_tenant"
    }

    fn doc(&self) -> &'static str {
        "One customer organisation, with a schema, a database or a server of its own."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("id", "Its id.").stable(),
            Attribute::name("slug", "Its name in URLs, a DNS label; made from the name if it is left out.")
                .optional_computed()
                .replaces(),
            Attribute::string("name", "Its name for people.").required(),
            Attribute::string("plan", "What it has bought. Another tier moves it while it is served.")
                .required(),
            Attribute::string(
                "app",
                "The application whose tables it gets; may be left out where there is one.",
            )
            .optional_computed()
            .replaces(),
            Attribute::name("subdomain", "A second label below the base domain.").optional().replaces(),
            Attribute::new(
                "features",
                Type::map_of(Type::Bool),
                "Its own feature switches, over the plan's.",
            )
            .default(Value::Map(Object::new())),
            Attribute::json("settings", "Free-form settings, as JSON.").default_text("{}"),
            Attribute::integer("max_users", "Its own ceiling for users, in place of the plan's.").optional(),
            Attribute::integer("max_storage", "Its own ceiling for data and files in bytes.").optional(),
            Attribute::string(
                "status",
                "active, or suspended: kept and not served. One that was deleted elsewhere is restored.",
            )
            .default_text("active")
            .one_of(&["active", "suspended"]),
            Attribute::bool(
                "allow_downtime",
                "Whether writes may wait for as long as a change of plan takes.",
            )
            .default(Value::Bool(false))
            .of_provider(),
            Attribute::bool(
                "purge_on_destroy",
                "Whether destroy drops its data at once, without the plan's retention.",
            )
            .default(Value::Bool(false))
            .of_provider(),
            Attribute::string("tier", "How its data is isolated now.").of_provider(),
            Attribute::string("server", "The server that holds it now.").of_provider(),
            Attribute::string("created_at", "When it signed up.").stable(),
        ]
    }

    fn state(&self, attributes: &[Attribute], tenant: &Json, before: &Object) -> Object {
        let mut state = state_from(attributes, tenant, before);
        for name in ["tier", "server"] {
            let now = tenant["placement"][name].as_str().map_or(Value::Null, Value::string);
            state.insert(name.to_owned(), now);
        }
        state
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        let name = text(planned, "name");
        let failed = || format!("Tenant {name} could not be created");
        let mut body = body_of(call.attributes, planned, Nulls::LeftOut);
        body.remove("status");
        let request = Request::post(&["tenants"]).with(body);
        let answer = match call.api.send(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let mut failure = call.refused(failed(), &error);
                if error.is("slug_taken") {
                    failure.diagnostics.push(who_has_it(call, planned).await);
                }
                return Err(failure);
            }
        };
        let state = self.state(call.attributes, &answer.body["tenant"], planned);
        if let Err(error) = call.api.follow(&answer).await {
            // It is there, and Terraform must know of it: the next apply replaces it.
            let left = read_again(call, &state).await.unwrap_or(state);
            let mut failure = call.unfinished(failed(), &error).leaving(left);
            if matches!(error, OperationError::Unfinished { .. }) {
                failure.diagnostics.push(tainted(name));
            }
            return Err(failure);
        }
        if text(planned, "status") == "suspended" {
            to_status(call, text(&state, "id"), "suspended")
                .await
                .map_err(|failure| failure.leaving(state.clone()))?;
        }
        Ok(read_again(call, &state).await.unwrap_or(state).into())
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        let tenant = reference(state);
        match call.api.find(&["tenants", tenant]).await {
            Ok(found) => Ok(found
                .filter(|found| !["purging", "purged"].contains(&member(found, "status")))
                .map(|found| self.state(call.attributes, &found, state))),
            Err(error) => Err(call.refused(format!("Tenant {tenant} could not be read"), &error)),
        }
    }

    async fn update(&self, call: &Call<'_>, prior: &Object, planned: &Object) -> Result<Object, Failure> {
        match change(call, prior, planned).await {
            // The plan holds what the provider alone knows.
            Ok(()) => Ok(read_again(call, planned).await.unwrap_or_else(|| planned.clone())),
            Err(failure) => Err(match read_again(call, prior).await {
                Some(left) => failure.leaving(left),
                None => failure,
            }),
        }
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let slug = text(prior, "slug");
        let Some(now) = self.read(call, prior).await? else { return Ok(Warnings::new()) };
        // One that never came to be has no data to keep.
        let purge =
            prior.get("purge_on_destroy").is_some_and(Value::is_true) || text(&now, "status") == "failed";
        let request = Request::delete(&["tenants", reference(prior)]);
        let request = if purge { request.asking("purge", "now") } else { request };
        match call.api.work(request).await {
            Ok(_) => Ok(Warnings::new()),
            Err(OperationError::Api(error)) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) => Err(call.unfinished(format!("Tenant {slug} could not be deleted"), &error)),
        }
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        Ok(Object::from([("slug".to_owned(), Value::string(id))]))
    }
}

/// How the API finds it: by its id, or after an import by what was imported.
fn reference(state: &Object) -> &str {
    match text(state, "id") {
        "" => text(state, "slug"),
        id => id,
    }
}

async fn read_again(call: &Call<'_>, state: &Object) -> Option<Object> {
    Tenant.read(call, state).await.ok().flatten()
}

/// All that is to be another, in an order in which a failure leaves nothing half done that the next apply would not do.
async fn change(call: &Call<'_>, prior: &Object, planned: &Object) -> Result<(), Failure> {
    let id = text(prior, "id");
    let failed = || format!("Tenant {} could not be changed", text(prior, "slug"));
    // Little can be changed of a tenant that is deactivated.
    let (was, wanted) = (text(prior, "status"), text(planned, "status"));
    if was == "deactivated" {
        to_status(call, id, "active").await?;
    }
    let before = body_of(call.attributes, prior, Nulls::Sent);
    let patch: Map<String, Json> = body_of(call.attributes, planned, Nulls::Sent)
        .into_iter()
        .filter(|(name, value)| PATCHED.contains(&name.as_str()) && before.get(name) != Some(value))
        .collect();
    if !patch.is_empty() {
        let sent = call.api.send(Request::patch(&["tenants", id]).with(patch)).await;
        sent.map_err(|error| call.refused(failed(), &error))?;
    }
    if text(prior, "plan") != text(planned, "plan") {
        let downtime = planned.get("allow_downtime").is_some_and(Value::is_true);
        let body =
            json!({ "targetPlan": text(planned, "plan"), "migrationOptions": { "downtime": downtime } });
        let body = body.as_object().cloned().unwrap_or_default();
        let moved = call.api.work(Request::post(&["tenants", id, "migrate"]).with(body)).await;
        moved.map_err(|error| {
            let mut failure = call.unfinished(failed(), &error);
            let at = crate::schema::path_of_field(call.attributes, "plan");
            failure.diagnostics =
                failure.diagnostics.into_iter().map(|d| d.at_if_nowhere(at.clone())).collect();
            failure
        })?;
    }
    if was != wanted {
        to_status(call, id, wanted).await?;
    }
    Ok(())
}

/// Suspends a tenant, or has it served again, whatever keeps it from that.
async fn to_status(call: &Call<'_>, tenant: &str, wanted: &str) -> Result<(), Failure> {
    let failed =
        |error: &OperationError| call.unfinished(format!("Tenant {tenant} could not become {wanted}"), error);
    // A tenant that is restored may be suspended, as it was.
    for _ in 0..2 {
        let now = call.api.find(&["tenants", tenant]).await.map_err(|error| failed(&error.into()))?;
        let action = match (now.as_ref().map_or("", |now| member(now, "status")), wanted) {
            (now, wanted) if now == wanted => break,
            ("deactivated", _) => "restore",
            (_, "suspended") => "suspend",
            _ => "resume",
        };
        let request = Request::post(&["tenants", tenant, action]);
        call.api.work(request).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What to do about a tenant that Terraform takes for a failed one.
fn tainted(name: &str) -> Diagnostic {
    Diagnostic::warning(
        format!("Tenant {name} is in the state as tainted"),
        "Once the operation has succeeded, `terraform untaint` keeps the tenant; without it the next apply replaces it.",
    )
}

/// What to do about a slug that is taken.
async fn who_has_it(call: &Call<'_>, planned: &Object) -> Diagnostic {
    let slug = match text(planned, "slug") {
        "" => likely_slug(text(planned, "name")),
        slug => slug.to_owned(),
    };
    let holder = call.api.find(&["tenants", &slug]).await.ok().flatten().unwrap_or_default();
    if member(&holder, "status") == "deactivated" {
        let until = member(&holder, "purgeAt");
        return Diagnostic::error(
            format!("Tenant {slug} was deleted, and its data is kept until {until}"),
            format!(
                "To have it back with its data, import it: `terraform import tenantry_tenant.NAME {slug}`; the next apply \
                 restores it. To begin anew, drop its data first: `tenantry tenants delete {slug} --purge-now`."
            ),
        );
    }
    exists("tenant", "tenantry_tenant", &slug)
}

/// The slug that the API makes of a name, as good as always.
fn likely_slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}
