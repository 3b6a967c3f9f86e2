//! For any request, the SQL holds no byte of it except through parameters, and nothing panics.

use std::sync::LazyLock;

use proptest::prelude::*;
use tenantry_query::{Catalog, HttpRequest, JsonCase, Limits, Method, Options, Planned, Target, plan};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::from_json(include_str!("fixtures/catalog.json")).expect("the fixture is a catalog")
});
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
        "initials",
        "employer",
        "contact_list",
        "count()",
        ".sum()",
        "term=",
        "labels=",
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
    let options = Options { case, ..Options::default() };
    let Ok(planned) = plan(&CATALOG, &options, "tenant_acme", request, &Limits::default()) else {
        return Ok(false);
    };
    check_statement(&planned)?;
    Ok(true)
}

fn check_statement(planned: &Planned) -> Result<(), TestCaseError> {
    let sql = &planned.statement.sql;
    // What the writer keeps to, whatever is asked.
    prop_assert!(sql.len() <= 256 * 1024 && planned.statement.params.len() <= 32_000, "{} bytes", sql.len());
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
    Ok(())
}

/// A request that grows out of random bytes, all of it valid, and what of it is limited.
struct Grown<'r> {
    recipe: std::slice::Iter<'r, u8>,
    /// Makes aliases that differ, with the mark in them.
    named: usize,
    items: usize,
    embeds: usize,
    /// Of embeddings in one another.
    depth: usize,
    filters: usize,
    /// Of logic trees in one another.
    tree_depth: usize,
}

/// Tables as an embedding calls them, their columns, and what can be embedded in them.
type Embeddable = (&'static str, &'static [&'static str], &'static [usize]);
const CONTACTS: usize = 0;
const TABLES: &[Embeddable] = &[
    ("contacts", &["id", "full_name", "score", "meta->zqx->>'zqx'", "created_at::text"], &[1, 2, 3, 4, 6]),
    ("companies", &["id", "name"], &[0]),
    ("tags", &["id", "label"], &[0]),
    ("profiles!left", &["bio"], &[0]),
    ("conversations!conversations_contact_id_fkey", &["id", "status"], &[5]),
    ("messages", &["id", "body"], &[7]),
    ("manager_id!inner", &["id", "full_name"], &[1, 2, 3, 4]),
    ("contacts", &["id", "tags"], &[1, 2, 3]),
];
const CONDITIONS: &[&str] = &[
    "full_name.eq.\"zqx'$1\"",
    "full_name.not.ilike.*zqx*",
    "id.in.(\"zqx,\",zqx--)",
    "score.gt(any).{zqx}",
    "body_search.wfts(zqx).zqx",
    "meta->zqx->0->>zqx.is.null",
    "tags.cs.{zqx;}",
    "company_id.isdistinct.zqx",
];

impl<'r> Grown<'r> {
    fn new(recipe: &'r [u8]) -> Self {
        let recipe = recipe.iter();
        Self { recipe, named: 0, items: 0, embeds: 0, depth: 0, filters: 0, tree_depth: 0 }
    }

    /// One of so many; the last when nothing is left, so that it comes to an end.
    fn one_of(&mut self, count: usize) -> usize {
        self.recipe.next().map_or(count - 1, |byte| usize::from(*byte) % count)
    }

    fn select(&mut self, table: usize, depth: usize) -> String {
        let (_, columns, embeds) = TABLES[table];
        self.depth = self.depth.max(depth);
        let mut items = Vec::new();
        loop {
            self.items += 1;
            self.named += 1;
            let alias = format!("\"zqx'{}\\\\\"", self.named);
            if self.one_of(3) == 0 {
                self.embeds += 1;
                let embedded = embeds[self.one_of(embeds.len())];
                let inner = self.select(embedded, depth + 1);
                items.push(format!("{alias}:{}({inner})", TABLES[embedded].0));
            } else {
                items.push(format!("{alias}:{}", columns[self.one_of(columns.len())]));
            }
            if self.one_of(3) != 0 {
                return items.join(",");
            }
        }
    }

    fn tree(&mut self, depth: usize) -> String {
        self.tree_depth = self.tree_depth.max(depth);
        let mut parts = Vec::new();
        loop {
            self.filters += 1;
            if self.one_of(2) == 0 {
                let word = ["and", "or", "not.and", "not.or"][self.one_of(4)];
                let inner = self.tree(depth + 1);
                parts.push(format!("{word}{inner}"));
            } else {
                parts.push(CONDITIONS[self.one_of(CONDITIONS.len())].to_owned());
            }
            if self.one_of(3) != 0 {
                return format!("({})", parts.join(","));
            }
        }
    }

    fn query(&mut self) -> String {
        let mut parameters = vec![format!("select={}", self.select(CONTACTS, 0))];
        for _ in 0..self.one_of(4) {
            let word = ["and", "or", "not.and", "not.or"][self.one_of(4)];
            parameters.push(format!("{word}={}", self.tree(1)));
        }
        parameters.join("&")
    }
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
    fn calls_of_any_text(method in method(), query in text(0..16), body in text(0..8), format in 0..5_usize) {
        let formats =
            [None, Some("text/csv"), Some("application/x-www-form-urlencoded"), Some("text/plain"), Some("application/json")];
        for function in ["find", "add", "echo", "odd \"fn\\", &query] {
            let request = HttpRequest {
                target: Target::Function(function),
                content_type: formats[format],
                prefer: &["max-affected=1, handling=strict, timezone=zqx, tx=rollback"],
                ..request(method, &query, &body)
            };
            check(&request, JsonCase::Snake)?;
        }
        let request = HttpRequest { content_type: formats[format], accept: Some("text/csv"), ..request(method, &query, &body) };
        check(&request, JsonCase::Snake)?;
    }

    #[test]
    fn well_formed_calls(term in "[ -~&&[^&#%+.]]{0,8}", label in "[a-z\\\\,'${}]{0,6}", accept in 0..3_usize) {
        let accept = [None, Some("text/csv"), Some("application/vnd.pgrst.object+json")][accept];
        let query = format!(
            "term=zqx{term}&labels=zqx{label}&labels=zqx'&select=\"zqx'\":initials,full_name,employer(name),score.sum(),\"zqx\":count()\
             &full_name=eq.zqx'&order=full_name&limit=5"
        );
        let called = HttpRequest { target: Target::Function("find"), accept, ..request(Method::Get, &query, "") };
        prop_assert!(check(&called, JsonCase::Snake)?, "{}", query);
        let body = "{\"it's\":\"zqx\"}";
        let odd = HttpRequest { target: Target::Function("odd \"fn\\"), accept, ..request(Method::Post, "", body) };
        prop_assert!(check(&odd, JsonCase::Snake)?);
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

    #[test]
    fn a_request_is_planned_exactly_if_it_is_within_the_limits(
        recipe in proptest::collection::vec(any::<u8>(), 0..160),
        max_embed_depth in 0..7_usize,
        max_embeds in 0..25_usize,
        max_filters in 0..60_usize,
        max_items in 1..60_usize,
    ) {
        let limits = Limits { max_embed_depth, max_embeds, max_filters, max_items, ..Limits::default() };
        let mut grown = Grown::new(&recipe);
        let query = grown.query();
        let within = grown.depth <= max_embed_depth
            && grown.embeds <= max_embeds
            && grown.filters <= max_filters
            && grown.items <= max_items
            && grown.tree_depth <= 16;
        match plan(&CATALOG, &Options::default(), "tenant_acme", &request(Method::Get, &query, ""), &limits) {
            Ok(planned) => {
                prop_assert!(within, "{query}");
                check_statement(&planned)?;
            }
            Err(error) => {
                prop_assert_eq!(error.code, "too_complex", "{}: {:?}", query, error);
                prop_assert!(!within, "{}: {:?}", query, error);
            }
        }
    }
}
