//! For any request, the SQL holds no byte of it except through parameters, and nothing panics.

use proptest::prelude::*;
use tenantry_query::{Catalog, HttpRequest, JsonCase, Limits, Method, Options, Target, plan};

const CATALOG: &str = include_str!("fixtures/catalog.json");
/// Occurs in no catalog name and in nothing that the renderer writes.
const MARK: &str = "zqx";

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Get),
        Just(Method::Head),
        Just(Method::Post),
        Just(Method::Patch),
        Just(Method::Put),
        Just(Method::Delete)
    ]
}

/// Pieces that make up valid requests, with the mark wherever a client's text may stand.
fn piece() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "select=",
        "order=",
        "or=",
        "and=",
        "not.or=",
        "limit=",
        "columns=",
        "on_conflict=",
        "id",
        "full_name",
        "meta",
        "score",
        "companies",
        "conversations",
        "tags",
        "contact_id",
        "!inner",
        "!",
        "(",
        ")",
        ",",
        ":",
        "::",
        "->",
        "->>",
        ".",
        "=",
        "&",
        "eq.",
        "in.",
        "is.null",
        "not.",
        "like.",
        "fts(",
        "cs.",
        "any",
        "\"",
        "\\",
        "*",
        "...",
        "text",
        "desc",
        "nullslast",
        "%22",
        "%5C",
        "%00",
        "'",
        ";",
        "--",
        "/*",
        "$1",
        "E'",
        "{",
        "}",
        "1",
        "zqx",
        "'zqx",
        "\"zqx\"",
        "zqx:",
        "zqx\"--",
    ];
    prop_oneof![8 => proptest::sample::select(WORDS).prop_map(str::to_owned), 1 => "\\PC{0,3}"]
}

fn text(pieces: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), pieces).prop_map(|pieces| pieces.concat())
}

/// Requests that mostly plan, so that the property is not only about errors.
fn shaped() -> impl Strategy<Value = String> {
    let parameter = prop_oneof![
        "full_name=(not\\.)?(eq|like|ilike|match|neq|fts|isdistinct)\\.[ -~&&[^&#%+]]{0,8}zqx[ -~&&[^&#%+]]{0,8}",
        "full_name=in\\.\\((\"zqx[a-z\\\\,'$]{0,3}x\"|zqx|'){1}(,zqx;--){0,3}\\)",
        "or=\\(full_name\\.eq\\.\"zqx'\\$1\",and\\(score\\.gt\\.zqx,meta->zqx->>'zqx\\.eq\\.\\{zqx\\}\\)\\)",
        "body_search=wfts\\(zqx\\)\\.zqx'",
        "score=(eq|gt)\\((any|all)\\)\\.\\{zqx'\\}",
        Just("companies.name=eq.zqx'".to_owned()),
    ];
    let select = "select=\\*,(zqx'|\"zqx:\\\\\"\"):full_name,meta->(zqx|'zqx')->>0,companies(!inner)?\\(\"zqx\\$1\":name\\),zqxtags:tags\\(\\*\\)&order=(meta->zqx|meta->>\"zqx'\"|id)\\.desc";
    (select, proptest::collection::vec(parameter, 0..4))
        .prop_map(|(select, parameters)| format!("{select}&{}", parameters.join("&")))
}

fn check(request: &HttpRequest<'_>, case: JsonCase) -> Result<bool, TestCaseError> {
    let catalog = Catalog::from_json(CATALOG).expect("the fixture is a catalog");
    let Ok(planned) =
        plan(&catalog, &Options { case, ..Options::default() }, "tenant_acme", request, &Limits::default())
    else {
        return Ok(false);
    };
    let sql = planned.statement.sql;
    prop_assert!(!sql.contains(MARK), "{sql}");
    // Every quote and parenthesis is the renderer's own, so they balance.
    for quote in ['"', '\''] {
        prop_assert!(sql.matches(quote).count() % 2 == 0, "{sql}");
    }
    prop_assert_eq!(sql.matches('(').count(), sql.matches(')').count());
    prop_assert!(!sql.contains(';') && !sql.contains("--") && !sql.contains("/*"), "{sql}");
    let highest =
        (1..=planned.statement.params.len() + 1).take_while(|n| sql.contains(&format!("${n}"))).count();
    prop_assert_eq!(highest, planned.statement.params.len());
    Ok(true)
}

fn request<'a>(method: Method, query: &'a str, body: &'a str) -> HttpRequest<'a> {
    HttpRequest {
        method,
        target: Target::Table { name: "contacts", id: None },
        profile: None,
        query: Some(query),
        prefer: &["return=representation"],
        range: None,
        accept: None,
        content_type: None,
        body: body.as_bytes(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_at_all(method in method(), query in text(0..24), body in text(0..8), id in proptest::option::of(text(1..4)), camel: bool) {
        let case = if camel { JsonCase::Camel } else { JsonCase::Snake };
        let request = HttpRequest {
            target: Target::Table { name: "contacts", id: id.as_deref() },
            accept: None,
            ..request(method, &query, &body)
        };
        check(&request, case)?;
        check(&HttpRequest { target: Target::Table { name: &body, id: None }, range: Some(&query), prefer: &[], accept: Some(&body), ..request }, case)?;
    }

    #[test]
    fn well_formed_reads(query in shaped()) {
        prop_assert!(check(&request(Method::Get, &query, ""), JsonCase::Snake)?, "{}", query);
    }

    #[test]
    fn well_formed_writes(query in shaped(), value in "[ -~&&[^\"\\\\]]{0,20}") {
        let body = format!("{{\"full_name\":\"zqx{value}\",\"meta\":{{\"zqx'\":\"zqx\"}}}}");
        prop_assert!(check(&request(Method::Post, &query[..query.find('&').unwrap_or(query.len())], &body), JsonCase::Snake)?);
        check(&request(Method::Patch, &query, &body), JsonCase::Snake)?;
        check(&request(Method::Delete, &query, ""), JsonCase::Snake)?;
    }
}
