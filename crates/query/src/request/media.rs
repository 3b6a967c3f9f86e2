//! `Accept` and `Content-Type`.

use crate::error::{QueryError, excerpt};

/// What an answer is made of rows, or of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Format {
    /// An array of objects.
    Json { nulls_stripped: bool },
    /// One object.
    Object { nulls_stripped: bool },
    /// A line of names, and a line per row.
    Csv,
    /// The text of one column's values.
    Text,
    /// The bytes of one column's values.
    Bytes,
    /// What a function or an aggregate of the app's makes, which returns a domain called like this media type.
    Own(String),
}

impl Format {
    pub(crate) fn nulls_stripped(&self) -> bool {
        matches!(self, Self::Json { nulls_stripped: true } | Self::Object { nulls_stripped: true })
    }

    pub(crate) fn is_json(&self) -> bool {
        matches!(self, Self::Json { .. } | Self::Object { .. })
    }

    /// `Content-Type`.
    pub(crate) fn content_type(&self) -> String {
        let text = match self {
            Self::Json { nulls_stripped: false } => "application/json; charset=utf-8",
            Self::Json { nulls_stripped: true } => {
                "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"
            }
            Self::Object { nulls_stripped: false } => "application/vnd.pgrst.object+json; charset=utf-8",
            Self::Object { nulls_stripped: true } => {
                "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"
            }
            Self::Csv => "text/csv; charset=utf-8",
            Self::Text => "text/plain; charset=utf-8",
            Self::Bytes => "application/octet-stream",
            Self::Own(media) => media,
        };
        text.to_owned()
    }
}

/// The media types that a client would take, the best first; empty: any.
#[derive(Debug)]
pub(crate) struct Accepted<'a> {
    /// With the parameters that are not a weight.
    ranges: Vec<(String, bool)>,
    header: &'a str,
}

/// Media types in one header that count; more are nobody's.
const MAX_RANGES: usize = 32;

pub(crate) fn accepted(accept: Option<&str>) -> Accepted<'_> {
    let header = accept.unwrap_or_default();
    let mut weighed: Vec<(f32, String, bool)> = Vec::new();
    for range in header.split(',').take(MAX_RANGES) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        if media.is_empty() {
            continue;
        }
        let (mut weight, mut stripped) = (1.0, false);
        for part in parts {
            if let Some(q) = part.strip_prefix("q=") {
                weight = q.parse().unwrap_or(1.0);
            }
            stripped |= part == "nulls=stripped";
        }
        if weight > 0.0 {
            weighed.push((weight, media, stripped));
        }
    }
    weighed.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
    let ranges = weighed.into_iter().map(|(_, media, stripped)| (media, stripped)).collect();
    Accepted { ranges, header }
}

impl Accepted<'_> {
    /// The first that can be made. `own` are media types of the app's for this answer; `usual` is the one of them that
    /// a client gets that takes anything.
    /// `one_column`: the answer can be the text or the bytes of its one column.
    pub(crate) fn format(
        &self,
        own: &[&str],
        usual: Option<&str>,
        one_column: bool,
    ) -> Result<Format, QueryError> {
        let any = || usual.map_or(Format::Json { nulls_stripped: false }, |own| Format::Own(own.to_owned()));
        if self.header.trim().is_empty() {
            return Ok(any());
        }
        for (media, stripped) in &self.ranges {
            let nulls_stripped = *stripped;
            return Ok(match media.as_str() {
                "*/*" => any(),
                media if let Some(own) = own.iter().find(|own| is_in_range(own, media)) => {
                    Format::Own((*own).to_owned())
                }
                "application/json" | "application/*" => Format::Json { nulls_stripped: false },
                "application/vnd.pgrst.array" | "application/vnd.pgrst.array+json" => {
                    Format::Json { nulls_stripped }
                }
                "application/vnd.pgrst.object" | "application/vnd.pgrst.object+json" => {
                    Format::Object { nulls_stripped }
                }
                "text/csv" => Format::Csv,
                "text/plain" | "text/*" if one_column => Format::Text,
                "application/octet-stream" if one_column => Format::Bytes,
                _ => continue,
            });
        }
        Err(self.refused())
    }

    /// None of them can be made.
    pub(crate) fn refused(&self) -> QueryError {
        let detail = format!(
            "None of these media types are available: {}; ask for application/json, \
             application/vnd.pgrst.object+json or text/csv",
            excerpt(self.header)
        );
        let message = format!("None of these media types are available: {}", excerpt(self.header));
        QueryError::new(406, "not_acceptable", detail).field("accept").with_message(message)
    }
}

/// `image/png` is in `image/*`.
fn is_in_range(media: &str, range: &str) -> bool {
    match range.strip_suffix("/*") {
        Some(kind) => media.split_once('/').is_some_and(|(own, _)| own.eq_ignore_ascii_case(kind)),
        None => media.eq_ignore_ascii_case(range),
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Csv,
    Form,
    /// For a function that takes it as it is.
    Text,
    Bytes,
    Xml,
}

/// The body's format by `Content-Type`; JSON where there is none.
pub(crate) fn body_format(content_type: Option<&str>) -> Result<BodyFormat, QueryError> {
    let Some(content_type) = content_type else { return Ok(BodyFormat::Json) };
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    Ok(match media.as_str() {
        ""
        | "application/json"
        | "application/vnd.pgrst.object+json"
        | "application/vnd.pgrst.array+json" => BodyFormat::Json,
        "text/csv" => BodyFormat::Csv,
        "application/x-www-form-urlencoded" => BodyFormat::Form,
        "text/plain" => BodyFormat::Text,
        "application/octet-stream" => BodyFormat::Bytes,
        "text/xml" | "application/xml" => BodyFormat::Xml,
        _ => return Err(unsupported()),
    })
}

pub(crate) fn unsupported() -> QueryError {
    let detail = "send the body as application/json, text/csv or application/x-www-form-urlencoded";
    QueryError::new(415, "unsupported_media_type", detail).field("content-type")
}
