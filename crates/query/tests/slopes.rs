//! What a request costs to be understood: whatever it is made of, four times as much of it takes about four times as
//! long. What grows with the square of its input is a way to stop everybody else.

use std::time::{Duration, Instant};

use tenantry_query::{Catalog, HttpRequest, Limits, Method, Options, Target, plan};

const CATALOG: &str = include_str!("fixtures/catalog.json");

/// A request of a size: its query string, its preferences, and its body.
#[derive(Default)]
struct Input {
    query: String,
    prefer: String,
    accept: String,
    body: String,
    content_type: Option<&'static str>,
    /// It is for a function.
    function: Option<&'static str>,
}

fn repeated(count: usize, between: &str, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(between)
}

fn body(body: String) -> Input {
    Input { body, ..Input::default() }
}

fn query(query: String) -> Input {
    Input { query, ..Input::default() }
}

fn csv(body: String) -> Input {
    Input { body, content_type: Some("text/csv"), ..Input::default() }
}

fn form(body: String) -> Input {
    Input { body, content_type: Some("application/x-www-form-urlencoded"), ..Input::default() }
}

fn call(input: Input) -> Input {
    Input { function: Some("find"), ..input }
}

type Grow = fn(usize) -> Input;

/// What grows, and how. Sizes go up to 40,000: bodies of some megabytes; query strings end at their limit.
const INPUTS: &[(&str, Grow)] = &[
    ("keys of an object", |n| body(format!("{{{}}}", repeated(n, ",", |i| format!("\"k{i}\":1"))))),
    ("one key again and again", |n| body(format!("{{{}}}", repeated(n, ",", |_| "\"full_name\":1".into())))),
    ("keys written with escapes", |n| {
        body(format!("{{{}}}", repeated(n, ",", |i| format!("\"\\u006b{i}\":1"))))
    }),
    ("objects alike", |n| body(format!("[{}]", repeated(n, ",", |i| format!("{{\"full_name\":\"{i}\"}}"))))),
    ("objects whose keys come in another order each time", |n| {
        body(format!(
            "[{}]",
            repeated(n, ",", |i| {
                if i % 2 == 0 {
                    "{\"full_name\":1,\"score\":1}".into()
                } else {
                    "{\"score\":1,\"full_name\":1}".into()
                }
            })
        ))
    }),
    ("objects of many sets of keys", |n| {
        body(format!("[{}]", repeated(n, ",", |i| format!("{{\"k{}\":1,\"full_name\":1}}", i % 16))))
    }),
    ("depth of an object", |n| body(format!("{{\"meta\":{}1{}}}", "[".repeat(n), "]".repeat(n)))),
    ("a long text", |n| body(format!("{{\"full_name\":\"{}\"}}", "a\\\\".repeat(n)))),
    ("quotes in a text", |n| body(format!("{{\"full_name\":\"{}\"}}", "\\\"".repeat(n)))),
    ("brackets that do not close", |n| body("[{".repeat(n))),
    ("filters", |n| query(repeated(n, "&", |i| format!("full_name=eq.{i}")))),
    ("values of a list", |n| query(format!("id=in.({})", repeated(n, ",", |i| i.to_string())))),
    ("quoted values of a list", |n| {
        query(format!("id=in.({})", repeated(n, ",", |i| format!("\"{i}\\\"\""))))
    }),
    ("quotes that do not close", |n| query(format!("id=in.({})", repeated(n, ",", |_| "\"\\\"a".into())))),
    ("braces that do not close", |n| query(format!("or=({})", repeated(n, ",", |_| "id.eq.{".into())))),
    ("depth of a tree", |n| query(format!("or={}id.eq.1{}", "(and".repeat(n), ")".repeat(n)))),
    ("columns of select", |n| query(format!("select={}", repeated(n, ",", |i| format!("a{i}:id"))))),
    ("depth of select", |n| query(format!("select={}*{}", "companies(".repeat(n), ")".repeat(n)))),
    ("columns of order", |n| query(format!("order={}", repeated(n, ",", |_| "id".into())))),
    ("columns", |n| query(format!("columns={}", repeated(n, ",", |i| format!("c{i}"))))),
    ("conflict columns", |n| query(format!("on_conflict={}", repeated(n, ",", |i| format!("c{i}"))))),
    ("parameters that name the tenant", |n| query(repeated(n, "&", |_| "tenant=a".into()))),
    ("escapes", |n| query(format!("full_name=eq.{}", "%61".repeat(n)))),
    ("steps of a path", |n| query(format!("select=meta{}", "->a".repeat(n)))),
    ("preferences", |n| Input { prefer: repeated(n, ",", |i| format!("p{i}")), ..Input::default() }),
    ("rows of CSV", |n| csv(format!("full_name\n{}", repeated(n, "\n", |i| i.to_string())))),
    ("names of CSV", |n| csv(repeated(n, ",", |i| format!("c{i}")))),
    ("a long name of CSV, in many rows", |n| {
        csv(format!("{}\n{}", "a".repeat(n), repeated(n, "\n", |_| "1".into())))
    }),
    ("fields of a form", |n| form(repeated(n, "&", |i| format!("f{i}=1")))),
    ("arguments of a call", |n| call(query(repeated(n, "&", |i| format!("a{i}=1"))))),
    ("arguments in a form", |n| call(form(repeated(n, "&", |i| format!("a{i}=1"))))),
    ("arguments in a body", |n| call(body(format!("{{{}}}", repeated(n, ",", |i| format!("\"a{i}\":1")))))),
    ("values of one argument", |n| call(form(repeated(n, "&", |i| format!("labels={i}"))))),
    ("rows of CSV for a call", |n| call(csv(format!("term\n{}", repeated(n, "\n", |i| i.to_string()))))),
    ("media types", |n| Input { accept: repeated(n, ",", |i| format!("a/{i};q=0.1")), ..Input::default() }),
];

/// The least of some tries: what else the machine does only adds to it.
fn cost(catalog: &Catalog, input: &Input) -> Duration {
    let prefer = [&*input.prefer];
    let request = HttpRequest {
        method: if input.body.is_empty() { Method::Get } else { Method::Post },
        target: match input.function {
            Some(function) => Target::Function(function),
            None => Target::Table { name: "contacts", id: None },
        },
        profile: None,
        query: Some(&input.query),
        prefer: &prefer,
        range: None,
        accept: Some(&input.accept),
        content_type: input.content_type,
        body: input.body.as_bytes(),
    };
    let tries = (0..5).map(|_| {
        let started = Instant::now();
        // Most are refused at some size, which must not cost more than to take them.
        let _ = plan(catalog, &Options::default(), "tenant_acme", &request, &Limits::default());
        started.elapsed()
    });
    tries.min().expect("five tries")
}

#[test]
fn no_input_costs_more_than_in_proportion_to_its_size() {
    let catalog = Catalog::from_json(CATALOG).expect("the fixture is a catalog");
    for (what, grow) in INPUTS {
        let sizes = [2_500, 10_000, 40_000];
        for size in &sizes[1..] {
            let compare = || [size / 4, *size].map(|size| cost(&catalog, &grow(size)));
            // What takes less than a millisecond is measured too badly to be compared. A machine that is busy with something
            // else may slow down all tries of one size, and hardly does so three times.
            let in_proportion = |[less, more]: [Duration; 2]| more < less.max(Duration::from_millis(1)) * 8;
            let in_vain: Vec<_> =
                (0..3).map(|_| compare()).take_while(|costs| !in_proportion(*costs)).collect();
            assert!(in_vain.len() < 3, "{what}: a quarter of {size}, and {size}, took {in_vain:?}");
        }
    }
}
