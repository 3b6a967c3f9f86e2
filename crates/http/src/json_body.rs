//! JSON bodies: [`JsonBody`] turns every way in which one can be wrong into a problem document
//! that names the field.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Value, error::Category};

use crate::{Problem, is_body_too_slow};

/// A JSON body that was understood entirely.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send JSON with the header `Content-Type: application/json`",
            ));
        }
        let body = read(request, state).await?;
        Ok(Self(parse(&body).map_err(|problem| *problem)?))
    }
}

/// Reads a whole body within the limit that the layers set.
///
/// # Errors
/// It is too large, too slow, or ended early.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = "the body is larger than this endpoint takes";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        } else if is_body_too_slow(&rejection) {
            Problem::body_too_slow()
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "body_unreadable", "the body did not arrive whole")
        }
    })
}

/// Whether a request says that its body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

// Boxed on the way: most bodies are not refused.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Problem>> {
    refuse_nul(body)?;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let read = object(serde_path_to_error::Deserializer::new(&mut deserializer, &mut track));
    let value = read.map_err(|error| explain(&track.path().to_string(), &error, body))?;
    deserializer.end().map_err(|error| explain(".", &error, body))?;
    Ok(value)
}

/// Reads a JSON object and nothing else: serde would read `["a", "b"]` as a struct's fields in order.
/// For `deserialize_with` where a struct is within another.
pub fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    value.deserialize_map(Object(PhantomData))
}

/// PostgreSQL's text cannot hold NUL, so no text may.
fn refuse_nul(body: &[u8]) -> Result<(), Box<Problem>> {
    // The only way for JSON to hold one. Most bodies have no such escape and are not parsed twice.
    if !body.windows(6).any(|window| window == b"\\u0000") {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    match find_nul(&value) {
        Some(path) => {
            let field = if path.is_empty() { "body".to_owned() } else { path.replace('\0', "\\u0000") };
            Err(Problem::invalid(field, "must not hold NUL characters").into())
        }
        None => Ok(()),
    }
}

/// The path of the first text with NUL in it.
fn find_nul(value: &Value) -> Option<String> {
    let below = |key: String, rest: String| match rest.as_str() {
        "" => key,
        index if index.starts_with('[') => key + index,
        _ => format!("{key}.{rest}"),
    };
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| find_nul(item).map(|rest| below(format!("[{index}]"), rest))),
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            let rest = if key.contains('\0') { Some(String::new()) } else { find_nul(member) };
            rest.map(|rest| below(key.clone(), rest))
        }),
        _ => None,
    }
}

fn explain(path: &str, error: &serde_json::Error, body: &[u8]) -> Problem {
    let bad = |code: &'static str, field: String, message: String| {
        Problem::new(StatusCode::BAD_REQUEST, code, format!("`{field}` {message}")).with_error(field, message)
    };
    let text = error.to_string();
    let here = if path == "." { "body" } else { path };
    if error.classify() != Category::Data {
        // serde_json calls it bad syntax when a name out of a list (an enum) is no text.
        if serde_json::from_slice::<Value>(body).is_ok() {
            return bad("wrong_type", here.to_owned(), "must be a string".to_owned());
        }
        return Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            format!("the body is not valid JSON: {text}"),
        )
        .with_error("body", "is not valid JSON");
    }
    // serde_json appends where in the text it was; the field's name says more.
    let message = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    // For these the path may or may not include the field itself.
    let within = |rest: &str| {
        let name = rest.split('`').next().unwrap_or_default();
        match path {
            "." | "?" => name.to_owned(),
            _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
            _ => format!("{path}.{name}"),
        }
    };
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let known = rest.split_once("expected ").map_or_else(String::new, |(_, known)| {
            format!("; there is {}", known.trim_start_matches("one of "))
        });
        return bad("unknown_field", within(rest), format!("is not a field{known}"));
    }
    if let Some(rest) = message.strip_prefix("missing field `") {
        return bad("missing_field", within(rest), "is required".to_owned());
    }
    if let Some(rest) = message.strip_prefix("duplicate field `") {
        return bad("invalid_field", within(rest), "is given twice".to_owned());
    }
    let expected = |rest: &str| match rest.split_once(", expected ") {
        Some((found, expected)) => format!("must be {}, not {}", in_json(expected), in_json(found)),
        None => rest.to_owned(),
    };
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return bad("wrong_type", here.to_owned(), expected(rest));
    }
    if let Some(rest) = message.strip_prefix("invalid value: ") {
        return bad("invalid_field", here.to_owned(), expected(rest));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let message = rest.split_once(", expected ").map_or(rest, |(_, known)| known);
        return bad("invalid_field", here.to_owned(), format!("must be {message}"));
    }
    bad("invalid_field", here.to_owned(), message.to_owned())
}

/// serde's words for types, in JSON's.
fn in_json(word: &str) -> &str {
    match word {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0",
        "i64" => "a whole number",
        "a sequence" => "an array",
        "sequence" => "array",
        "a map" => "an object",
        "map" => "object",
        // The Rust type's name says nothing to a client.
        word if word.starts_with("struct ") => "an object",
        word => word,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;
    use tenantry_domain::{Slug, plan::Tier};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its deserialization is tested")]
    struct Outer {
        slug: Option<Slug>,
        tier: Option<Tier>,
        max_users: Option<u32>,
        inner: Option<Inner>,
        #[serde(default, deserialize_with = "object")]
        only: Inner,
        list: Option<Vec<Inner>>,
        settings: Option<serde_json::Map<String, Value>>,
        name: String,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its deserialization is tested")]
    struct Inner {
        a: u8,
    }

    fn refused(body: &str) -> (String, String) {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
        let value = serde_json::to_value(&problem).unwrap();
        assert_eq!(value["status"], 400);
        (
            problem.stable_name().to_owned(),
            value["errors"][0]["field"].as_str().unwrap_or_default().to_owned(),
        )
    }

    #[test]
    fn every_mistake_has_its_code_and_its_field() {
        for (body, code, field) in [
            (r#"{"name": "a", "nme": 1}"#, "unknown_field", "nme"),
            (r#"{"name": "a", "inner": {"a": 1, "b": 1}}"#, "unknown_field", "inner.b"),
            (r#"{"name": "a", "list": [{"a": 1}, {"b": 1}]}"#, "unknown_field", "list[1].b"),
            (r#"{"slug": "a"}"#, "missing_field", "name"),
            (r#"{"name": "a", "inner": {}}"#, "missing_field", "inner.a"),
            (r#"{"name": 5}"#, "wrong_type", "name"),
            (r#"{"name": "a", "maxUsers": "5"}"#, "wrong_type", "maxUsers"),
            (r#"{"name": "a", "maxUsers": -1}"#, "invalid_field", "maxUsers"),
            (r#"{"name": "a", "inner": {"a": 999}}"#, "invalid_field", "inner.a"),
            (r#"{"name": "a", "slug": "a b"}"#, "invalid_field", "slug"),
            (r#"{"name": "a", "tier": "x"}"#, "invalid_field", "tier"),
            (r#"{"name": "a", "tier": 5}"#, "wrong_type", "tier"),
            (r#"{"name": "a", "tier": {}}"#, "wrong_type", "tier"),
            (r#"{"name": "a", "tier": 5"#, "invalid_json", "body"),
            (r#"{"name": "a", "only": {"b": 1}}"#, "unknown_field", "only.b"),
            (r#"{"name": "a", "only": [1]}"#, "wrong_type", "only"),
            (r#"{"name": "a", "name": "b"}"#, "invalid_field", "name"),
            (r#"{"name": "a\u0000b"}"#, "invalid_field", "name"),
            (r#"{"name": "a", "settings": {"x": [1, {"y": "\u0000"}]}}"#, "invalid_field", "settings.x[1].y"),
            (r#"{"name": "a", "settings": {"\u0000": 1}}"#, "invalid_field", "settings.\\u0000"),
            ("[]", "wrong_type", "body"),
            ("5", "wrong_type", "body"),
            ("{", "invalid_json", "body"),
            ("", "invalid_json", "body"),
            (r#"{"name": "a"} x"#, "invalid_json", "body"),
        ] {
            assert_eq!(refused(body), (code.to_owned(), field.to_owned()), "{body}");
        }
    }

    #[test]
    fn an_escaped_backslash_is_no_nul() {
        let body = json!({ "name": "a\\u0000" }).to_string();
        assert_eq!(parse::<Outer>(body.as_bytes()).unwrap().name, "a\\u0000");
    }

    #[test]
    fn only_json_is_json() {
        let with =
            |value: &str| is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]));
        assert!(with("application/json") && with("Application/JSON; charset=utf-8"));
        assert!(with("application/merge-patch+json"));
        assert!(!with("text/plain") && !with("text/json") && !is_json(&HeaderMap::new()));
    }
}
