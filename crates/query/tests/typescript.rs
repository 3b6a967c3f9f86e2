//! Catalogs as TypeScript types. That they compile and infer is tested with `tsc`, by `tests/it/clients.rs`.

#![allow(missing_docs, reason = "a test")]

use tenantry_query::{Catalog, JsonCase};

const CATALOG: &str = include_str!("fixtures/catalog.json");

/// What is in braces after this line, without how it is indented.
fn after<'a>(types: &'a str, line: &str) -> Vec<&'a str> {
    let (before, rest) = types.split_once(&format!("{line} {{\n")).expect("the line is there");
    let indent = before.rsplit('\n').next().expect("a line");
    let (inner, _) = rest.split_once(&format!("\n{indent}}}")).expect("its end");
    inner.lines().map(str::trim).collect()
}

#[test]
fn a_table_has_rows_inserts_updates_and_what_its_keys_refer_to() {
    let types = Catalog::from_json(CATALOG).unwrap().typescript(JsonCase::Snake, None);
    let contacts = after(&types, "contacts:").join("\n");
    for line in [
        "id: string",
        "full_name: string",
        "email: string | null",
        "tags: string[] | null",
        "meta: Json | null",
        "score?: number | null",
        "body_search?: never",
        "foreignKeyName: \"contacts_company_id_fkey\"",
        "columns: [\"company_id\"]",
        "referencedRelation: \"companies\"",
        "referencedColumns: [\"id\"]",
    ] {
        assert!(contacts.lines().any(|found| found == line), "{line}: {contacts}");
    }
    assert!(after(&types, "profiles:").contains(&"isOneToOne: true"), "{types}");
    assert!(after(&types, "messages:").contains(&"isOneToOne: false"), "{types}");
}

#[test]
fn names_are_those_that_json_has_and_quoted_where_they_must_be() {
    let types = Catalog::from_json(CATALOG).unwrap().typescript(JsonCase::Camel, None);
    assert!(after(&types, "contacts:").contains(&"fullName: string"), "{types}");
    assert!(after(&types, "contacts:").contains(&"columns: [\"companyId\"]"), "{types}");
    assert!(after(&types, r#""odd \"name\\":"#).contains(&r#""it's": string | null"#), "{types}");
}
