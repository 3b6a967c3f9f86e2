//! Answers Terraform's calls.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use tonic::{Request, Response, Status, async_trait};

use super::{
    describe::schema_of,
    pb::{self, DynamicValue, provider_server::Provider},
};
use crate::{
    api::{Api, Stop},
    data_sources::{self, DataSource},
    diagnostic::{Diagnostic, Failure},
    provider::{self, Environment},
    resources::{self, Call, Done, Resource},
    schema::{Attribute, Object, Path, Value, ValueError, plan, validate},
};

/// A resource with its attributes.
struct Managed {
    resource: Box<dyn Resource>,
    attributes: Vec<Attribute>,
}

/// The provider, as Terraform calls it.
pub(crate) struct Service {
    environment: Environment,
    configuration: Vec<Attribute>,
    managed: HashMap<&'static str, Managed>,
    data_sources: HashMap<&'static str, DataSource>,
    api: RwLock<Option<Arc<Api>>>,
    stop: Stop,
}

impl Service {
    pub(crate) fn new(environment: Environment) -> Self {
        let managed = resources::all().into_iter().map(|resource| {
            let attributes = resource.attributes();
            (resource.name(), Managed { resource, attributes })
        });
        Self {
            environment,
            configuration: provider::attributes(),
            managed: managed.collect(),
            data_sources: data_sources::all()
                .into_iter()
                .map(|source| (source.resource.name(), source))
                .collect(),
            api: RwLock::default(),
            stop: Stop::new(),
        }
    }

    fn managed(&self, name: &str) -> Result<&Managed, Status> {
        self.managed.get(name).ok_or_else(|| Status::not_found(format!("there is no resource {name}")))
    }

    fn data_source(&self, name: &str) -> Result<&DataSource, Status> {
        self.data_sources
            .get(name)
            .ok_or_else(|| Status::not_found(format!("there is no data source {name}")))
    }

    fn api(&self) -> Result<Arc<Api>, Diagnostic> {
        let api = self.api.read().expect("nobody panics with it").clone();
        api.ok_or_else(|| {
            Diagnostic::error(
                "The provider's configuration is not known yet",
                "It depends on something that this apply makes. Apply that first, with -target.",
            )
        })
    }
}

impl From<ValueError> for Status {
    fn from(error: ValueError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

/// The object in a message; none if it is null.
fn read(value: Option<&DynamicValue>, attributes: &[Attribute]) -> Result<Option<Object>, Status> {
    match value {
        Some(value) if !value.msgpack.is_empty() => Ok(Value::decode(&value.msgpack, attributes)?),
        Some(value) if !value.json.is_empty() => Ok(Some(Value::from_state(&value.json, attributes)?)),
        _ => Ok(None),
    }
}

fn write(object: Option<&Object>) -> DynamicValue {
    DynamicValue { msgpack: Value::encode(object), json: Vec::new() }
}

fn messages(diagnostics: impl IntoIterator<Item = Diagnostic>) -> Vec<pb::Diagnostic> {
    diagnostics.into_iter().map(Into::into).collect()
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Provider for Service {
    async fn get_provider_schema(
        &self,
        _: Request<pb::get_provider_schema::Request>,
    ) -> Answer<pb::get_provider_schema::Response> {
        let resource_schemas = self.managed.iter().map(|(name, managed)| {
            ((*name).to_owned(), schema_of(managed.resource.doc(), &managed.attributes))
        });
        let data_source_schemas = self
            .data_sources
            .iter()
            .map(|(name, source)| ((*name).to_owned(), schema_of(source.resource.doc(), &source.attributes)));
        Ok(Response::new(pb::get_provider_schema::Response {
            provider: Some(schema_of(provider::DOC, &self.configuration)),
            resource_schemas: resource_schemas.collect(),
            data_source_schemas: data_source_schemas.collect(),
            diagnostics: Vec::new(),
        }))
    }

    async fn validate_provider_config(
        &self,
        request: Request<pb::validate_provider_config::Request>,
    ) -> Answer<pb::validate_provider_config::Response> {
        let config = read(request.get_ref().config.as_ref(), &self.configuration)?.unwrap_or_default();
        let diagnostics = messages(provider::validate(&config));
        Ok(Response::new(pb::validate_provider_config::Response { diagnostics }))
    }

    async fn validate_resource_config(
        &self,
        request: Request<pb::validate_resource_config::Request>,
    ) -> Answer<pb::validate_resource_config::Response> {
        let request = request.get_ref();
        let attributes = &self.managed(&request.type_name)?.attributes;
        let config = read(request.config.as_ref(), attributes)?.unwrap_or_default();
        let diagnostics = messages(validate(attributes, &config));
        Ok(Response::new(pb::validate_resource_config::Response { diagnostics }))
    }

    async fn validate_data_resource_config(
        &self,
        request: Request<pb::validate_data_resource_config::Request>,
    ) -> Answer<pb::validate_data_resource_config::Response> {
        let request = request.get_ref();
        let attributes = &self.data_source(&request.type_name)?.attributes;
        let config = read(request.config.as_ref(), attributes)?.unwrap_or_default();
        let diagnostics = messages(validate(attributes, &config));
        Ok(Response::new(pb::validate_data_resource_config::Response { diagnostics }))
    }

    async fn upgrade_resource_state(
        &self,
        request: Request<pb::upgrade_resource_state::Request>,
    ) -> Answer<pb::upgrade_resource_state::Response> {
        let request = request.get_ref();
        let attributes = &self.managed(&request.type_name)?.attributes;
        let stored = request.raw_state.as_ref().map(|state| state.json.as_slice()).unwrap_or_default();
        let state = Value::from_state(stored, attributes)?;
        let upgraded_state = Some(write(Some(&state)));
        Ok(Response::new(pb::upgrade_resource_state::Response { upgraded_state, diagnostics: Vec::new() }))
    }

    async fn configure_provider(
        &self,
        request: Request<pb::configure_provider::Request>,
    ) -> Answer<pb::configure_provider::Response> {
        let config = read(request.get_ref().config.as_ref(), &self.configuration)?.unwrap_or_default();
        let diagnostics = match provider::connect(&config, &self.environment, &self.stop) {
            Ok(api) => {
                *self.api.write().expect("nobody panics with it") = api.map(Arc::new);
                Vec::new()
            }
            Err(diagnostic) => messages([diagnostic]),
        };
        Ok(Response::new(pb::configure_provider::Response { diagnostics }))
    }

    async fn read_resource(
        &self,
        request: Request<pb::read_resource::Request>,
    ) -> Answer<pb::read_resource::Response> {
        let request = request.into_inner();
        let Managed { resource, attributes } = self.managed(&request.type_name)?;
        let state = read(request.current_state.as_ref(), attributes)?.unwrap_or_default();
        let found = match self.api() {
            Ok(api) => resource.read(&Call { api: &api, attributes }, &state).await,
            Err(diagnostic) => Err(diagnostic.into()),
        };
        let (new_state, diagnostics) = match found {
            Ok(found) => (Some(write(found.as_ref())), Vec::new()),
            Err(failure) => (request.current_state, messages(failure.diagnostics)),
        };
        Ok(Response::new(pb::read_resource::Response { new_state, diagnostics, private: request.private }))
    }

    async fn plan_resource_change(
        &self,
        request: Request<pb::plan_resource_change::Request>,
    ) -> Answer<pb::plan_resource_change::Response> {
        let request = request.get_ref();
        let Managed { resource, attributes } = self.managed(&request.type_name)?;
        let prior = read(request.prior_state.as_ref(), attributes)?;
        let mut response = pb::plan_resource_change::Response::default();
        if read(request.proposed_new_state.as_ref(), attributes)?.is_none() {
            response.planned_state = Some(write(None));
            return Ok(Response::new(response));
        }
        let config = read(request.config.as_ref(), attributes)?.unwrap_or_default();
        let mut planned = plan(attributes, prior.as_ref(), &config);
        resource.adjust(prior.as_ref(), &mut planned);
        response.planned_state = Some(write(Some(&planned.state)));
        response.requires_replace = planned.replaced_by.into_iter().map(Into::into).collect();
        Ok(Response::new(response))
    }

    async fn apply_resource_change(
        &self,
        request: Request<pb::apply_resource_change::Request>,
    ) -> Answer<pb::apply_resource_change::Response> {
        let request = request.get_ref();
        let Managed { resource, attributes } = self.managed(&request.type_name)?;
        let prior = read(request.prior_state.as_ref(), attributes)?;
        let planned = read(request.planned_state.as_ref(), attributes)?;
        let applied = match self.api() {
            Ok(api) => {
                let call = Call { api: &api, attributes };
                apply(resource.as_ref(), &call, prior.as_ref(), planned.as_ref()).await
            }
            Err(diagnostic) => Err(diagnostic.into()),
        };
        let (state, diagnostics) = match applied {
            Ok((state, warnings)) => (state, warnings),
            Err(Failure { diagnostics, left }) => (left.or(prior), diagnostics),
        };
        Ok(Response::new(pb::apply_resource_change::Response {
            new_state: Some(write(state.as_ref())),
            private: Vec::new(),
            diagnostics: messages(diagnostics),
        }))
    }

    async fn import_resource_state(
        &self,
        request: Request<pb::import_resource_state::Request>,
    ) -> Answer<pb::import_resource_state::Response> {
        let pb::import_resource_state::Request { type_name, id } = request.into_inner();
        let Managed { resource, attributes } = self.managed(&type_name)?;
        let mut response = pb::import_resource_state::Response::default();
        match resource.import(&id) {
            Ok(known) => {
                let state = attributes
                    .iter()
                    .map(|a| (a.name.to_owned(), known.get(a.name).cloned().unwrap_or(Value::Null)))
                    .collect();
                response.imported_resources.push(pb::import_resource_state::ImportedResource {
                    type_name,
                    state: Some(write(Some(&state))),
                    private: Vec::new(),
                });
            }
            Err(wrong) => {
                response.diagnostics = messages([Diagnostic::error(format!("The id {id} {wrong}"), "")]);
            }
        }
        Ok(Response::new(response))
    }

    async fn read_data_source(
        &self,
        request: Request<pb::read_data_source::Request>,
    ) -> Answer<pb::read_data_source::Response> {
        let request = request.get_ref();
        let source = self.data_source(&request.type_name)?;
        let config = read(request.config.as_ref(), &source.attributes)?.unwrap_or_default();
        let (state, diagnostics) = match self.api() {
            Ok(api) => look_up(source, &api, &config).await,
            Err(diagnostic) => (None, vec![diagnostic]),
        };
        let state = Some(write(state.as_ref()));
        Ok(Response::new(pb::read_data_source::Response { state, diagnostics: messages(diagnostics) }))
    }

    async fn stop_provider(
        &self,
        _: Request<pb::stop_provider::Request>,
    ) -> Answer<pb::stop_provider::Response> {
        self.stop.stop();
        Ok(Response::new(pb::stop_provider::Response::default()))
    }
}

/// Creates, changes or deletes, and gives the state after it.
async fn apply(
    resource: &dyn Resource,
    call: &Call<'_>,
    prior: Option<&Object>,
    planned: Option<&Object>,
) -> Result<(Option<Object>, Vec<Diagnostic>), Failure> {
    match (prior, planned) {
        (None, Some(planned)) => {
            let Done { state, warnings } = resource.create(call, planned).await?;
            Ok((Some(state), warnings))
        }
        (Some(prior), Some(planned)) => Ok((Some(resource.update(call, prior, planned).await?), Vec::new())),
        (Some(prior), None) => {
            let warnings = resource.delete(call, prior).await?;
            Ok((None, warnings))
        }
        (None, None) => Ok((None, Vec::new())),
    }
}

async fn look_up(source: &DataSource, api: &Api, config: &Object) -> (Option<Object>, Vec<Diagnostic>) {
    let asked = resources::text(config, source.key());
    match source.read(api, config).await {
        Ok(Some(found)) => (Some(found), Vec::new()),
        Ok(None) => {
            let summary = format!("There is no {} {asked}", source.noun());
            let detail = format!("Nothing is found by {} = \"{asked}\".", source.key());
            (None, vec![Diagnostic::error(summary, detail).at(Some(Path::to(source.key())))])
        }
        Err(error) => (
            None,
            error
                .diagnostics(&format!("The {} {asked} could not be read", source.noun()), &source.attributes),
        ),
    }
}
