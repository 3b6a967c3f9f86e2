//! A request of the resource API, planned: no panic, one statement within its bounds, and nothing in it but what the
//! renderer writes.
//!
//! The input is the request, line by line: options, target, query string, headers, and the body to the end.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenantry_query::{Catalog, HttpRequest, JsonCase, Limits, Method, Options, Target, plan};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::from_json(include_str!("../../crates/query/tests/fixtures/catalog.json"))
        .expect("the fixture is a catalog")
});

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(9, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (options, target, id, query) = (line(), line(), line(), line());
    let (prefer, range, accept, content_type, body) = (line(), line(), line(), line(), line());
    let has = |letter: char| options.contains(letter);
    let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
    let method = [
        ('h', Method::Head),
        ('p', Method::Post),
        ('a', Method::Patch),
        ('u', Method::Put),
        ('d', Method::Delete),
    ]
    .into_iter()
    .find_map(|(letter, method)| has(letter).then_some(method));
    let request = HttpRequest {
        method: method.unwrap_or(Method::Get),
        target: if has('f') {
            Target::Function(target)
        } else {
            Target::Table { name: target, id: given(id) }
        },
        query: Some(query),
        prefer: &[prefer],
        range: given(range),
        accept: given(accept),
        content_type: given(content_type),
        profile: None,
        body: body.as_bytes(),
    };
    let options = Options {
        case: if has('c') { JsonCase::Camel } else { JsonCase::Snake },
        unfiltered_writes: has('w'),
        ..Options::default()
    };
    let Ok(planned) = plan(&CATALOG, &options, "tenant_acme", &request, &Limits::default()) else { return };
    let (sql, parameters) = (planned.statement.sql, planned.statement.params.len());
    // The bounds that the writer keeps.
    assert!(sql.len() <= 256 * 1024 && parameters <= 32_000, "{} bytes, {parameters} parameters", sql.len());
    // No quote and no parenthesis is the client's, so they balance, and nothing ends the statement or comments it out.
    for quote in ['"', '\''] {
        assert!(sql.matches(quote).count() % 2 == 0, "{sql}");
    }
    assert_eq!(sql.matches('(').count(), sql.matches(')').count(), "{sql}");
    assert!(!sql.contains(';') && !sql.contains("--") && !sql.contains("/*"), "{sql}");
    assert!(sql.is_ascii(), "{sql}");
    if parameters > 0 {
        assert!(sql.contains(&format!("${parameters}")), "{sql}");
    }
    assert!(!sql.contains(&format!("${}", parameters + 1)), "{sql}");
});
