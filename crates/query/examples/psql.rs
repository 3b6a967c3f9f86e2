//! Prints a psql script for requests on standard input, to see what a statement does:
//! `METHOD /table[/id][?query] [accept=...] [range=...] [prefer=...]... [body]`, fields separated by ` | `.
//!
//! `cargo run -p tenantry-query --example psql -- catalog.json tenant_acme [camel] < requests | psql`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::io::{BufRead as _, stdin};

use tenantry_query::{Catalog, HttpRequest, JsonCase, Limits, Method, Options, Target, plan};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let json = std::fs::read_to_string(&args[1]).expect("the first argument is the catalog's file");
    let catalog = Catalog::from_json(&json).expect("the file is a catalog");
    let case = if args.get(3).is_some() { JsonCase::Camel } else { JsonCase::Snake };
    println!("\\set VERBOSITY verbose\nSET ROLE {};", args[2]);
    for line in stdin().lock().lines() {
        let line = line.expect("standard input is text");
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut fields = line.split(" | ");
        let (method, target) = fields.next().and_then(|f| f.split_once(' ')).expect("METHOD /table");
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let (table, id) =
            path[1..].split_once('/').map_or((&path[1..], None), |(table, id)| (table, Some(id)));
        let (mut accept, mut range, mut prefer, mut body) = (None, None, Vec::new(), "");
        for field in fields {
            match field.split_once('=') {
                Some(("accept", value)) => accept = Some(value),
                Some(("range", value)) => range = Some(value),
                Some(("prefer", value)) => prefer.push(value),
                _ => body = field,
            }
        }
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PATCH" => Method::Patch,
            "PUT" => Method::Put,
            _ => Method::Delete,
        };
        let request = HttpRequest {
            method,
            target: Target::Table { name: table, id },
            profile: None,
            query,
            prefer: &prefer,
            range,
            accept,
            content_type: None,
            body: body.as_bytes(),
        };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        println!("\\echo\n\\echo {}", quoted(&line));
        match plan(&catalog, &Options { case, ..Options::default() }, &args[2], &request, &Limits::default())
        {
            Err(error) => println!("\\echo {}", quoted(&format!("  {} {error}", error.status))),
            Ok(planned) => {
                let statement = planned.statement;
                let types = vec!["text"; statement.params.len()].join(",");
                let values: Vec<String> =
                    statement.params.iter().map(|p| p.as_deref().map_or("NULL".to_owned(), quoted)).collect();
                let (types, values) = if values.is_empty() {
                    (String::new(), String::new())
                } else {
                    (format!("({types})"), format!("({})", values.join(",")))
                };
                println!("\\echo {}", quoted(&statement.sql));
                println!(
                    "BEGIN; PREPARE s{types} AS {}; EXECUTE s{values}; ROLLBACK; DEALLOCATE ALL;",
                    statement.sql
                );
            }
        }
    }
}
