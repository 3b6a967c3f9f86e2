//! What a configuration can look up: what the resources manage, by the name that the API knows it by.

use crate::{
    api::{Api, ApiError},
    resources::{Plan, Resource, Server, ServerClass, Tenant, text},
    schema::{Attribute, Object, Source, Type},
};

/// A kind of thing that can be looked up.
pub(crate) struct DataSource {
    pub(crate) resource: Box<dyn Resource>,
    pub(crate) attributes: Vec<Attribute>,
    /// The attribute that it is found by.
    key: &'static str,
    collection: &'static str,
}

/// All of them.
pub(crate) fn all() -> Vec<DataSource> {
    vec![
        DataSource::of(Tenant, "tenants", "slug"),
        DataSource::of(Plan, "plans", "name"),
        DataSource::of(Server, "servers", "name"),
        DataSource::of(ServerClass, "server-classes", "name"),
    ]
}

impl DataSource {
    fn of(resource: impl Resource + 'static, collection: &'static str, key: &'static str) -> Self {
        let attributes = resource
            .attributes()
            .into_iter()
            // Not what goes to the API or the provider, and does not come back.
            .filter(|a| a.source == Source::Api || !a.is_configurable())
            .map(|a| if a.name == key { looked_up_by(a) } else { computed(a) })
            .collect();
        Self { resource: Box::new(resource), attributes, key, collection }
    }

    /// What a configuration asks for; none if it is not there.
    pub(crate) async fn read(&self, api: &Api, config: &Object) -> Result<Option<Object>, ApiError> {
        let Some(found) = api.find(&[self.collection, text(config, self.key)]).await? else {
            return Ok(None);
        };
        let mut state = self.resource.state(&self.attributes, &found, &Object::new());
        // As it was asked for: a name with `_`, or an id.
        if let Some(asked) = config.get(self.key) {
            state.insert(self.key.to_owned(), asked.clone());
        }
        Ok(Some(state))
    }

    /// What it is, for a person.
    pub(crate) fn noun(&self) -> String {
        self.resource.name().trim_start_matches("tenantry_").replace('_', " ")
    }

    /// What it is found by.
    pub(crate) fn key(&self) -> &'static str {
        self.key
    }
}

fn looked_up_by(attribute: Attribute) -> Attribute {
    Attribute { replaces: false, ..attribute }.required()
}

fn computed(attribute: Attribute) -> Attribute {
    let kind = match attribute.kind {
        Type::Object(members) => Type::Object(members.into_iter().map(computed).collect()),
        kind => kind,
    };
    Attribute {
        api: attribute.api,
        sensitive: attribute.sensitive,
        source: attribute.source,
        ..Attribute::new(attribute.name, kind, attribute.doc)
    }
}
