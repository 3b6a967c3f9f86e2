//! `Accept` and `Content-Type`.

use crate::error::QueryError;

/// Whether the client wants one object instead of an array. An error when it wants neither.
pub(crate) fn wants_object(accept: Option<&str>) -> Result<bool, QueryError> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else { return Ok(false) };
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut refused = false;
        let mut stripped = false;
        for part in parts {
            refused |= part.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
            stripped |= part == "nulls=stripped";
        }
        if refused || stripped {
            continue;
        }
        match media.as_str() {
            "*/*"
            | "application/*"
            | "application/json"
            | "application/vnd.pgrst.array"
            | "application/vnd.pgrst.array+json" => {
                return Ok(false);
            }
            "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => return Ok(true),
            _ => {}
        }
    }
    let detail = "answers are application/json or application/vnd.pgrst.object+json; ask for one of them";
    Err(QueryError::new(406, "not_acceptable", detail).field("accept"))
}

/// JSON is the only body.
pub(crate) fn check_body_type(content_type: Option<&str>) -> Result<(), QueryError> {
    let Some(content_type) = content_type else { return Ok(()) };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        ""
        | "application/json"
        | "application/vnd.pgrst.object+json"
        | "application/vnd.pgrst.array+json" => Ok(()),
        _ => Err(QueryError::new(415, "unsupported_media_type", "send the body as application/json")
            .field("content-type")),
    }
}
