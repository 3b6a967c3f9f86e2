//! `docs/migrations.md` lists the rules as they are.

use std::collections::BTreeSet;

use tenantry_lint::Rule;

const PAGE: &str = include_str!("../../../docs/migrations.md");

/// The rows of the table below a heading.
fn rows(heading: &str) -> Vec<&'static str> {
    let section =
        PAGE.split("\n## ").find(|section| section.starts_with(heading)).expect("the section is there");
    section.lines().filter(|line| line.starts_with("| `")).collect()
}

#[test]
fn the_page_has_each_rule_that_is_on() {
    let expected: Vec<_> = Rule::all()
        .map(|rule| {
            format!("| `{rule}` | {} | {} | {} |", rule.weight().as_str(), rule.finds(), rule.safer())
        })
        .collect();
    assert_eq!(rows("The rules\n"), expected, "the table should be\n{}", expected.join("\n"));
}

#[test]
fn the_page_has_each_rule_that_is_off() {
    let expected: Vec<_> = Rule::off().map(|(rule, why)| format!("| `{rule}` | {why} |")).collect();
    let heading = "Rules of squawk that are off\n";
    assert_eq!(rows(heading), expected, "the table should be\n{}", expected.join("\n"));
}

#[test]
fn what_covers_a_check_of_atlas_is_a_rule() {
    let rules: BTreeSet<_> = Rule::all().map(Rule::name).collect();
    for row in rows("What Atlas finds\n") {
        let here = row.trim_end_matches('|').rsplit(" | ").next().expect("the last column");
        // Names have hyphens; the other words in backticks are SQL.
        let named = here.split('`').skip(1).step_by(2).filter(|name| name.contains('-'));
        for name in named {
            assert!(rules.contains(name), "{row}");
        }
    }
}
