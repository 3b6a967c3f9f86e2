//! `tenantry_domain`

use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, keyed::having, text};
use crate::{
    api::Request,
    diagnostic::Failure,
    schema::{Attribute, Nulls, Object, Type, Value, body_of, state_from},
};

/// A custom domain of a tenant.
pub(crate) struct Domain;

#[async_trait]
impl Resource for Domain {
    fn name(&self) -> &'static str {
        "tenantry_domain"
    }

    fn doc(&self) -> &'static str {
        "A custom domain of a tenant. It is served once its TXT record is seen."
    }

    fn attributes(&self) -> Vec<Attribute> {
        let record = Type::Object(vec![
            Attribute::string("type", "TXT."),
            Attribute::string("name", "The record's name."),
            Attribute::string("value", "The record's text."),
        ]);
        vec![
            Attribute::string("tenant", "The tenant, by slug or id.").required().replaces().of_provider(),
            Attribute::name("domain", "The host name.").required().replaces(),
            Attribute::new("record", record, "The DNS record that proves it, to be set within a week.")
                .stable(),
            Attribute::bool("verified", "Whether it is proven, and so served.").stable(),
            Attribute::string("created_at", "When it was added.").stable(),
        ]
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        // One that the tenant has already is answered as it is.
        let request = Request::post(&["tenants", text(planned, "tenant"), "domains"]).with(body_of(
            call.attributes,
            planned,
            Nulls::LeftOut,
        ));
        match call.api.send(request).await {
            Ok(answer) => Ok(state_from(call.attributes, &answer.body, planned).into()),
            Err(error) => {
                Err(call.refused(format!("Domain {} could not be added", text(planned, "domain")), &error))
            }
        }
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        let domain = text(state, "domain");
        match call.api.list(Request::get(&["tenants", text(state, "tenant"), "domains"])).await {
            Ok(domains) => Ok(having(&domains, "domain", &domain.to_ascii_lowercase())
                .next()
                .map(|found| state_from(call.attributes, found, state))),
            // With its tenant.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(call.refused(format!("Domain {domain} could not be read"), &error)),
        }
    }

    async fn update(&self, _: &Call<'_>, _: &Object, planned: &Object) -> Result<Object, Failure> {
        // Whatever changes replaces it.
        Ok(planned.clone())
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let domain = text(prior, "domain");
        match call.api.send(Request::delete(&["tenants", text(prior, "tenant"), "domains", domain])).await {
            Ok(_) => Ok(Warnings::new()),
            Err(error) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) => Err(call.refused(format!("Domain {domain} could not be removed"), &error)),
        }
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        let (tenant, domain) =
            id.split_once('/').ok_or("must be TENANT/DOMAIN, e.g. acme/shop.example.com")?;
        Ok([("tenant", tenant), ("domain", domain)].map(|(k, v)| (k.to_owned(), Value::string(v))).into())
    }
}
