//! How long planning takes: `cargo run --release -p tenantry-query --example plan_time -- tests/fixtures/catalog.json`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{hint::black_box, time::Instant};

use tenantry_query::{Catalog, HttpRequest, Limits, Method, Options, Target, plan};

fn main() {
    let path = std::env::args().nth(1).expect("the first argument is the catalog's file");
    let catalog = Catalog::from_json(&std::fs::read_to_string(path).expect("readable")).expect("a catalog");
    let limits = Limits::default();
    for (name, id, query) in [
        ("by id", Some("00000000-0000-0000-0000-000000000001"), None),
        ("list", None, Some("score=gte.5&full_name=eq.x&order=created_at.desc&limit=20")),
        ("embed", None, Some("select=id,companies(name),conversations!contact_id(id,messages(*))&limit=20")),
    ] {
        let request = HttpRequest {
            method: Method::Get,
            target: Target::Table { name: "contacts", id },
            profile: None,
            query,
            prefer: &[],
            range: None,
            accept: None,
            content_type: None,
            body: b"",
        };
        let times = 100_000;
        let start = Instant::now();
        for _ in 0..times {
            black_box(
                plan(&catalog, &Options::default(), "tenant_acme", black_box(&request), &limits)
                    .expect("plans"),
            );
        }
        println!("{name}: {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(times));
    }
}
