//! `tenantry_server`

use serde_json::{Map, Value as Json};
use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::Keyed, plan::TIERS};
use crate::{
    api::Request,
    diagnostic::Failure,
    schema::{Attribute, Nulls, Object, Value, body_of},
};

const SERVERS: Keyed =
    Keyed { collection: "servers", noun: "server", taken: "server_exists", resource: "tenantry_server" };

/// A PostgreSQL server that somebody else has made.
pub(crate) struct Server;

fn as_it_is(planned: &Object) -> impl FnOnce(Request) -> Request {
    let check = planned.get("check").is_some_and(Value::is_true);
    move |request| if check { request } else { request.asking("check", "false") }
}

#[async_trait]
impl Resource for Server {
    fn name(&self) -> &'static str {
        SERVERS.resource
    }

    fn doc(&self) -> &'static str {
        "A PostgreSQL server that holds tenants, registered with its address and login."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("id", "Its id.").stable(),
            Attribute::string("name", "Its name.").required().replaces(),
            Attribute::string("region", "Where it runs.").default_text("default"),
            Attribute::name("host", "Host name or address.").required(),
            Attribute::integer("port", "TCP port.").default_number(5432),
            Attribute::string("ssl_mode", "How connections are protected, as libpq's sslmode.")
                .default_text("prefer")
                .one_of(&["disable", "prefer", "require", "verify-ca", "verify-full"]),
            Attribute::string(
                "ssl_root_cert",
                "The CA that has signed its certificate, as PEM text, or system.",
            )
            .optional(),
            Attribute::string("admin_user", "The login with which workers administer it.").required().sent(),
            Attribute::string("admin_password", "Its password.").required().sensitive().sent(),
            Attribute::string("shared_database", "The database that tenants of tier schema share.")
                .default_text("tenants")
                .replaces()
                .sent(),
            Attribute::string("state", "active, cordoned (takes no new tenants) or draining.")
                .default_text("active")
                .one_of(&["active", "cordoned", "draining"]),
            Attribute::new("tiers", crate::schema::Type::set_of_strings(), "The tiers that it may hold.")
                .default(Value::strings(["database", "schema"]))
                .one_of(TIERS),
            Attribute::integer("capacity", "How many tenants it may hold.").required(),
            Attribute::integer("max_connections", "Connections that one data plane may open to it.")
                .default_number(50),
            Attribute::bool(
                "check",
                "Whether a worker tries it before it is registered or its address changes.",
            )
            .default(Value::Bool(true))
            .of_provider(),
            // `provider` is a word of Terraform.
            Attribute::string("made_by", "Who made it: static, local, rds or kubernetes.")
                .api("provider")
                .stable(),
            Attribute::string("class", "The server class that it was made from.").stable(),
            Attribute::integer("tenants", "How many tenants it holds."),
            Attribute::string("created_at", "When it was registered.").stable(),
        ]
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        SERVERS.create(call, planned, as_it_is(planned)).await
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        SERVERS.read(call, state).await
    }

    async fn update(&self, call: &Call<'_>, prior: &Object, planned: &Object) -> Result<Object, Failure> {
        let changed = changed(
            &body_of(call.attributes, prior, Nulls::Sent),
            body_of(call.attributes, planned, Nulls::Sent),
        );
        let request = Request::patch(&[SERVERS.collection, Keyed::name(planned)]).with(changed);
        SERVERS.change(call, planned, as_it_is(planned)(request)).await
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        SERVERS.delete(call, prior).await
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        Ok(Keyed::import(id))
    }
}

/// The members that are to change. A login goes with its password.
fn changed(before: &Map<String, Json>, mut after: Map<String, Json>) -> Map<String, Json> {
    let login = ["adminUser", "adminPassword"];
    let keep = login.iter().any(|name| before.get(*name) != after.get(*name));
    after.retain(
        |name, value| {
            if login.contains(&name.as_str()) { keep } else { before.get(name) != Some(value) }
        },
    );
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_with_its_password() {
        let body = |text: &str| serde_json::from_str::<Map<String, Json>>(text).unwrap();
        let before = body(r#"{"adminUser":"a","adminPassword":"old","port":1}"#);
        let rotated = changed(&before, body(r#"{"adminUser":"a","adminPassword":"new","port":1}"#));
        assert_eq!(rotated, body(r#"{"adminUser":"a","adminPassword":"new"}"#));
        let moved = changed(&before, body(r#"{"adminUser":"a","adminPassword":"old","port":2}"#));
        assert_eq!(moved, body(r#"{"port":2}"#));
    }
}
