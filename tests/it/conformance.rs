//! What a data plane answers to the language of `PostgREST`, case by case. Each table has a tenant of its own, and its cases
//! run in order, so that a case may build on what those before it wrote.

use std::panic::Location;

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::{Answer, Api, TestApp};

/// The tables, each a test called like its file.
macro_rules! tables {
    ($($name:ident)*) => {
        $(mod $name;)*

        const TABLES: &[(&str, &[Case])] = &[$((stringify!($name), $name::CASES)),*];

        mod table {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::every_case_is_answered_as_the_table_says(stringify!($name), super::$name::CASES).await;
                }
            )*
        }
    };
}

tables! {
    aggregates computed deletes differences domain_representations embedding embedding_ambiguity
    embedding_filters embedding_views errors filters full_text inserts json_paths logic manifest media_types ordering
    preferences rpc rpc_arguments rpc_errors schema select singular spreads types updates upserts views
    windows
}

/// A request and what its answer must be.
#[derive(Clone, Copy)]
struct Case {
    method: &'static str,
    /// Below `/api`.
    path: &'static str,
    headers: List<(&'static str, &'static str)>,
    body: Option<&'static str>,
    status: u16,
    answer: Expected,
    has: List<(&'static str, &'static str)>,
    lacks: List<&'static str>,
    /// JSON pointers into the answer, and the JSON that is there.
    parts: List<(&'static str, &'static str)>,
    at: &'static Location<'static>,
}

#[derive(Clone, Copy)]
enum Expected {
    /// Only what else the case says.
    Anything,
    /// The same value, however it is written.
    Json(&'static str),
    /// The same text.
    Text(&'static str),
    /// An error document with this `code`.
    Error(&'static str),
}

/// A few things, in a constant.
#[derive(Clone, Copy)]
struct List<T> {
    items: [T; 4],
    len: usize,
}

impl<T: Copy> List<T> {
    const fn with(mut self, item: T) -> Self {
        self.items[self.len] = item;
        self.len += 1;
        self
    }

    fn iter(&self) -> impl Iterator<Item = T> {
        self.items.into_iter().take(self.len)
    }
}

const fn pairs() -> List<(&'static str, &'static str)> {
    List { items: [("", ""); 4], len: 0 }
}

#[track_caller]
const fn request(method: &'static str, path: &'static str, body: Option<&'static str>) -> Case {
    Case {
        method,
        path,
        headers: pairs(),
        body,
        status: 0,
        answer: Expected::Anything,
        has: pairs(),
        lacks: List { items: [""; 4], len: 0 },
        parts: pairs(),
        at: Location::caller(),
    }
}

#[track_caller]
const fn get(path: &'static str) -> Case {
    request("GET", path, None)
}

#[track_caller]
const fn head(path: &'static str) -> Case {
    request("HEAD", path, None)
}

#[track_caller]
const fn options(path: &'static str) -> Case {
    request("OPTIONS", path, None)
}

#[track_caller]
const fn post(path: &'static str, body: &'static str) -> Case {
    request("POST", path, Some(body))
}

#[track_caller]
const fn patch(path: &'static str, body: &'static str) -> Case {
    request("PATCH", path, Some(body))
}

#[track_caller]
const fn put(path: &'static str, body: &'static str) -> Case {
    request("PUT", path, Some(body))
}

#[track_caller]
const fn delete(path: &'static str) -> Case {
    request("DELETE", path, None)
}

impl Case {
    const fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers = self.headers.with((name, value));
        self
    }

    const fn prefer(self, value: &'static str) -> Self {
        self.header("prefer", value)
    }

    const fn accept(self, value: &'static str) -> Self {
        self.header("accept", value)
    }

    /// What the body is, instead of JSON.
    const fn sent_as(self, value: &'static str) -> Self {
        self.header("content-type", value)
    }

    /// One object instead of a list of rows.
    const fn singular(self) -> Self {
        self.accept("application/vnd.pgrst.object+json")
    }

    const fn returning(self) -> Self {
        self.prefer("return=representation")
    }

    const fn answers(mut self, status: u16, answer: Expected) -> Self {
        (self.status, self.answer) = (status, answer);
        self
    }

    const fn is(self, status: u16, json: &'static str) -> Self {
        self.answers(status, Expected::Json(json))
    }

    const fn text(self, status: u16, text: &'static str) -> Self {
        self.answers(status, Expected::Text(text))
    }

    const fn empty(self, status: u16) -> Self {
        self.text(status, "")
    }

    const fn status(self, status: u16) -> Self {
        self.answers(status, Expected::Anything)
    }

    const fn fails(self, status: u16, code: &'static str) -> Self {
        self.answers(status, Expected::Error(code))
    }

    /// JSON at a pointer into the answer.
    const fn part(mut self, pointer: &'static str, json: &'static str) -> Self {
        self.parts = self.parts.with((pointer, json));
        self
    }

    /// The error's `message`, as JSON.
    const fn message(self, json: &'static str) -> Self {
        self.part("/message", json)
    }

    /// The error's `details`, as JSON.
    const fn details(self, json: &'static str) -> Self {
        self.part("/details", json)
    }

    /// The error's `hint`, as JSON.
    const fn hint(self, json: &'static str) -> Self {
        self.part("/hint", json)
    }

    const fn has(mut self, header: &'static str, value: &'static str) -> Self {
        self.has = self.has.with((header, value));
        self
    }

    const fn lacks(mut self, header: &'static str) -> Self {
        self.lacks = self.lacks.with(header);
        self
    }

    async fn send(&self, api: &Api) -> Answer {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        let mut request = api.request(method, &format!("/api{}", self.path));
        for (name, value) in self.headers.iter() {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            let typed = self.headers.iter().any(|(name, _)| name == "content-type");
            let json = (!typed).then_some(("content-type", "application/json"));
            request = json.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            request = request.body(body);
        }
        api.send(request).await
    }

    /// What of the answer is not as the case says, in words.
    fn differences(&self, answer: &Answer) -> Vec<String> {
        let mut found = Vec::new();
        if answer.status.as_u16() != self.status {
            found.push(format!("status {} instead of {}", answer.status.as_u16(), self.status));
        }
        let body: Option<Value> = serde_json::from_str(&answer.text).ok();
        match self.answer {
            Expected::Anything => {}
            Expected::Json(expected) => {
                let expected: Value = serde_json::from_str(expected).unwrap_or_else(|error| {
                    panic!("{}: the case expects what is no JSON: {error}", self.at);
                });
                if body.as_ref() != Some(&expected) {
                    found.push(format!("expected {expected}"));
                }
            }
            Expected::Text(expected) => {
                if answer.text != expected {
                    found.push(format!("expected the text {expected:?}"));
                }
            }
            Expected::Error(code) => {
                let document = body.as_ref().unwrap_or(&Value::Null);
                if document["code"] != code {
                    found.push(format!("code {} instead of {code}", document["code"]));
                }
                let kind = answer.header("content-type");
                if kind.as_deref() != Some("application/problem+json") {
                    found.push(format!("an error as {kind:?}"));
                }
                found.extend(
                    ["type", "title", "status", "detail", "requestId", "message"]
                        .into_iter()
                        .filter(|member| document[member].is_null())
                        .map(|member| format!("no `{member}`")),
                );
            }
        }
        for (pointer, expected) in self.parts.iter() {
            let expected: Value = serde_json::from_str(expected).unwrap_or_else(|error| {
                panic!("{}: the case expects what is no JSON: {error}", self.at);
            });
            // A member that is not there is as good as null.
            let got = body.as_ref().and_then(|body| body.pointer(pointer)).cloned().unwrap_or_default();
            if got != expected {
                found.push(format!("{pointer} is {got} instead of {expected}"));
            }
        }
        for (name, expected) in self.has.iter() {
            let got = answer.header(name);
            if got.as_deref() != Some(expected) {
                found.push(format!("{name}: {got:?} instead of {expected:?}"));
            }
        }
        for name in self.lacks.iter() {
            found.extend(
                answer.header(name).map(|value| format!("{name}: {value:?}, which should not be there")),
            );
        }
        found
    }

    /// Where the case is, what was asked, what differs and what came.
    fn report(&self, differences: &[String], answer: &Answer) -> String {
        let mut asked = vec![format!("{}\n  {} {}", self.at, self.method, self.path)];
        asked.extend(self.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
        asked.extend(self.body.map(|body| format!("  {body}")));
        asked.extend(differences.iter().map(|difference| format!("    {difference}")));
        let text: String = answer.text.chars().take(900).collect();
        asked.push(format!("    got {} {text}", answer.status.as_u16()));
        asked.join("\n")
    }
}

const APP: &str = "library";
const SCHEMA: &str = include_str!("conformance/schema.sql");

fn manifest(table: &str) -> Value {
    if table == "manifest" {
        json!({ "aggregates": false, "unfilteredWrites": true, "functions": ["add"] })
    } else {
        json!({ "description": "A library" })
    }
}

/// Runs a table's cases, and fails with all that are not answered so.
async fn every_case_is_answered_as_the_table_says(table: &str, cases: &[Case]) {
    let app = TestApp::build().without_daily_quotas().with_apps(&[]).start().await;
    let path = format!("/api/v1/apps/{APP}");
    app.api.put(&path, json!({ "manifest": manifest(table) })).await.expect(200);
    let version = json!({ "version": 1, "name": "library", "up": SCHEMA });
    app.api.post(&format!("{path}/versions"), version).await.expect(201);
    let tenant = app.sign_up(&table.replace('_', "-"), "basic", APP).await;

    let mut failures = Vec::new();
    for case in cases {
        let answer = case.send(&tenant.data).await;
        let differences = case.differences(&answer);
        if !differences.is_empty() {
            failures.push(case.report(&differences, &answer));
        }
    }
    let (failed, all) = (failures.len(), cases.len());
    assert!(failures.is_empty(), "{table}: {failed} of {all} cases failed\n{}", failures.join("\n"));
}

#[test]
fn there_are_at_least_six_hundred_cases() {
    let counts: Vec<(&str, usize)> = TABLES.iter().map(|(name, cases)| (*name, cases.len())).collect();
    let all: usize = counts.iter().map(|(_, cases)| cases).sum();
    assert!(all >= 600, "{all}: {counts:?}");
}
