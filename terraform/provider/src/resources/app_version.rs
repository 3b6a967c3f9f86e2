//! `tenantry_app_version`

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use tonic::async_trait;

use super::{Call, Done, Resource, Warnings, member, text};
use crate::{
    api::{ApiError, Request},
    diagnostic::{Diagnostic, Failure},
    schema::{Attribute, Nulls, Object, Path, Planned, Value, body_of, state_from},
};

/// A migration of an app.
pub(crate) struct AppVersion;

/// What belongs to the app and not to the version.
const OF_APP: [&str; 2] = ["manifest", "seed"];

#[async_trait]
impl Resource for AppVersion {
    fn name(&self) -> &'static str {
        "tenantry_app_version"
    }

    fn doc(&self) -> &'static str {
        "A version of an app: SQL that every tenant's tables are made and changed by. The app is made with its first."
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            Attribute::string("app", "The app.").required().replaces().of_provider(),
            Attribute::integer("version", "Its place in the order, by custom a time.").required().replaces(),
            Attribute::string("name", "What it does.").required().replaces(),
            Attribute::string("up", "The SQL that applies it.").required().sent(),
            Attribute::string("down", "The SQL that takes it back.").optional().sent(),
            Attribute::bool("promote", "Whether new tenants get it, or a later one.")
                .default(Value::Bool(true))
                .of_provider(),
            Attribute::json(
                "manifest",
                "What the app asks for, as JSON; left out: as it is. Give it in one version.",
            )
            .optional()
            .of_provider(),
            Attribute::string("seed", "Default data of a new tenant, as SQL; goes with the manifest.")
                .optional()
                .of_provider(),
            Attribute::string("checksum", "SHA-256 over its SQL.").stable(),
            Attribute::bool("reversible", "Whether it can be taken back.").stable(),
        ]
    }

    fn adjust(&self, prior: Option<&Object>, planned: &mut Planned) {
        let Some(prior) = prior else { return };
        // Versions never change: other SQL makes another, which the API accepts where no tenant has it. The same SQL does
        // not, even if the state does not know it after an import.
        match checksum(&planned.state) {
            Some(sum) if text(prior, "checksum") == sum => {}
            _ => {
                planned.replaced_by.push(Path::to("up"));
                for name in ["checksum", "reversible"] {
                    planned.state.insert(name.to_owned(), Value::Unknown);
                }
            }
        }
    }

    async fn create(&self, call: &Call<'_>, planned: &Object) -> Result<Done, Failure> {
        let app = text(planned, "app");
        let failed = || format!("Version {} of app {app} could not be pushed", number(planned));
        put_app(call, planned).await.map_err(|error| call.refused(failed(), &error))?;
        let body = body_of(call.attributes, planned, Nulls::LeftOut);
        let request = Request::post(&["apps", app, "versions"]).with(body);
        let answer = call.api.send(request).await.map_err(|error| call.refused(failed(), &error))?.body;
        let state = state_from(call.attributes, &answer, planned);
        if planned.get("promote").is_some_and(Value::is_true) {
            promote(call, planned).await.map_err(|failure| failure.leaving(state.clone()))?;
        }
        let trial = answer["trial"]["warnings"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let warnings = trial.map(|text| {
            Diagnostic::warning(
                format!("Version {} of app {app}", number(planned)),
                crate::api::sentence(text),
            )
        });
        Ok(Done { state, warnings: warnings.collect() })
    }

    async fn read(&self, call: &Call<'_>, state: &Object) -> Result<Option<Object>, Failure> {
        let app = text(state, "app");
        let found = match call.api.find(&["apps", app]).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(call.refused(format!("App {app} could not be read"), &error)),
        };
        let version = number(state);
        let mut versions = found["versions"].as_array().into_iter().flatten();
        let Some(own) = versions.find(|own| own["version"].as_i64() == Some(version)) else {
            return Ok(None);
        };
        let mut read = state_from(call.attributes, own, state);
        let promoted = found["promotedVersion"].as_i64().is_some_and(|promoted| promoted >= version);
        if !promoted || state.get("promote").is_none_or(Value::is_null) {
            read.insert("promote".to_owned(), Value::Bool(promoted));
        }
        if OF_APP.iter().any(|name| !text(state, name).is_empty()) {
            read_app(&found, state, &mut read);
        }
        Ok(Some(read))
    }

    async fn update(&self, call: &Call<'_>, prior: &Object, planned: &Object) -> Result<Object, Failure> {
        let app = text(planned, "app");
        if OF_APP.iter().any(|name| prior.get(*name) != planned.get(*name)) {
            let put = put_app(call, planned).await;
            put.map_err(|error| call.refused(format!("App {app} could not be changed"), &error))?;
        }
        if planned.get("promote").is_some_and(Value::is_true)
            && prior.get("promote") != planned.get("promote")
        {
            promote(call, planned).await?;
        }
        Ok(planned.clone())
    }

    async fn delete(&self, call: &Call<'_>, prior: &Object) -> Result<Warnings, Failure> {
        let (app, version) = (text(prior, "app"), number(prior).to_string());
        let failed = |error: &ApiError| {
            call.refused(format!("Version {version} of app {app} could not be deleted"), error)
        };
        step_back(call, app, number(prior)).await.map_err(|error| failed(&error))?;
        match call.api.send(Request::delete(&["apps", app, "versions", &version])).await {
            Ok(_) => Ok(Warnings::new()),
            Err(error) if error.is_not_found() => Ok(Warnings::new()),
            Err(error) => Err(failed(&error)),
        }
    }

    fn import(&self, id: &str) -> Result<Object, String> {
        let wrong = "must be APP/VERSION, e.g. crm/20261120093000";
        let (app, version) = id.split_once('/').ok_or(wrong)?;
        let version: i64 = version.parse().map_err(|_| wrong)?;
        Ok(Object::from([
            ("app".to_owned(), Value::string(app)),
            ("version".to_owned(), Value::Number(version.into())),
        ]))
    }
}

fn number(object: &Object) -> i64 {
    object.get("version").and_then(Value::as_i64).unwrap_or_default()
}

/// The API's checksum of a version's SQL; none if it is not known yet.
fn checksum(object: &Object) -> Option<String> {
    let part = |name: &str| match object.get(name) {
        Some(Value::String(sql)) => Some(sql.as_str()),
        Some(Value::Unknown) => None,
        _ => Some(""),
    };
    let down = part("down")?;
    let mut hash = Sha256::new();
    hash.update(part("up")?);
    hash.update([0]);
    // The API takes a blank one for none.
    hash.update(if down.trim().is_empty() { "" } else { down });
    Some(hexadecimal(&hash.finalize()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Makes the app; or changes it, if the version tells what it is to be.
async fn put_app(call: &Call<'_>, planned: &Object) -> Result<(), ApiError> {
    let app = text(planned, "app");
    let (manifest, seed) = (text(planned, "manifest"), text(planned, "seed"));
    if manifest.is_empty() && seed.is_empty() && call.api.find(&["apps", app]).await?.is_some() {
        return Ok(());
    }
    let mut body = Map::new();
    if !manifest.is_empty() {
        body.insert("manifest".to_owned(), serde_json::from_str(manifest).unwrap_or_default());
    }
    if !seed.is_empty() {
        body.insert("seed".to_owned(), seed.into());
    }
    call.api.send(Request::put(&["apps", app]).with(body)).await.map(drop)
}

/// What is told of the app, if it is not as it was told.
fn read_app(app: &Json, state: &Object, read: &mut Object) {
    if let Ok(told) = serde_json::from_str::<Json>(text(state, "manifest")) {
        let members = told.as_object().into_iter().flatten();
        let now: Map<String, Json> =
            members.map(|(name, _)| (name.clone(), app["manifest"][name].clone())).collect();
        if json!(now) != told {
            read.insert("manifest".to_owned(), Value::String(json!(now).to_string()));
        }
    }
    if !text(state, "seed").is_empty() {
        read.insert("seed".to_owned(), app["seed"].as_str().map_or(Value::Null, Value::string));
    }
}

/// Gives new tenants this version, unless they get a later one.
async fn promote(call: &Call<'_>, planned: &Object) -> Result<(), Failure> {
    let (app, version) = (text(planned, "app"), number(planned));
    let failed = |error: &ApiError| {
        call.refused(format!("Version {version} of app {app} could not be promoted"), error)
    };
    let found = call.api.find(&["apps", app]).await.map_err(|error| failed(&error))?.unwrap_or_default();
    if found["promotedVersion"].as_i64().is_some_and(|promoted| promoted >= version) {
        return Ok(());
    }
    let request = Request::post(&["apps", app, "versions", &version.to_string(), "promote"]);
    call.api.send(request).await.map(drop).map_err(|error| failed(&error))
}

/// Gives new tenants the version before this one, if they get this one, so that it can be deleted.
async fn step_back(call: &Call<'_>, app: &str, version: i64) -> Result<(), ApiError> {
    let Some(found) = call.api.find(&["apps", app]).await? else { return Ok(()) };
    if found["promotedVersion"].as_i64() != Some(version) || member(&found, "name").is_empty() {
        return Ok(());
    }
    let versions =
        found["versions"].as_array().into_iter().flatten().filter_map(|own| own["version"].as_i64());
    match versions.filter(|other| *other < version).max() {
        Some(before) => {
            let path = ["apps", app, "versions", &before.to_string(), "promote"];
            call.api.send(Request::post(&path)).await.map(drop)
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(down: Value) -> Object {
        Object::from([("up".to_owned(), Value::string("SELECT 1")), ("down".to_owned(), down)])
    }

    #[test]
    fn the_checksum_is_the_apis() {
        let sum = checksum(&version(Value::string("SELECT 2")));
        assert_eq!(sum.unwrap(), hexadecimal(&Sha256::digest("SELECT 1\0SELECT 2")));
        assert_eq!(checksum(&version(Value::Null)), checksum(&version(Value::string(" \n"))));
        assert_eq!(checksum(&version(Value::Unknown)), None);
    }

    #[test]
    fn the_same_sql_is_the_same_version_after_an_import() {
        let imported =
            Object::from([("checksum".to_owned(), Value::String(checksum(&version(Value::Null)).unwrap()))]);
        let mut planned = Planned { state: version(Value::Null), ..Planned::default() };
        AppVersion.adjust(Some(&imported), &mut planned);
        assert_eq!(planned.replaced_by, []);
        planned.state.insert("up".to_owned(), Value::string("SELECT 3"));
        AppVersion.adjust(Some(&imported), &mut planned);
        assert_eq!(planned.replaced_by, [Path::to("up")]);
    }
}
