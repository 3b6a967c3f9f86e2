//! Several versions of an app, carried out together; and the sample apps, whose authors meant well.

use std::{fs, path::Path};

use tenantry_domain::app::{App, AppName, AppVersion, Migration};
use tenantry_lint::{Known, Weight, lint_versions};

fn version(number: i64) -> AppVersion {
    number.try_into().expect("versions are positive")
}

fn app(ups: &[&str]) -> App {
    let mut app = App::new(AppName::parse("crm").expect("a name"));
    app.migrations = (1..)
        .zip(ups)
        .map(|(number, up)| Migration {
            version: version(number),
            name: "m".into(),
            up: (*up).to_owned(),
            down: None,
        })
        .collect();
    app
}

fn found(app: &App, from: Option<i64>, to: i64) -> Vec<(i64, String, u32)> {
    lint_versions(app, from.map(version), version(to), &Known::nothing())
        .into_iter()
        .map(|(version, finding)| (version.number(), finding.rule.to_string(), finding.line))
        .collect()
}

#[test]
fn what_a_version_makes_is_new_to_those_that_are_carried_out_with_it() {
    let app = app(&[
        "CREATE TABLE a (x int);",
        "CREATE TABLE b (x int);",
        "CREATE INDEX a_x ON a (x);\nCREATE INDEX b_x ON b (x);\nDROP INDEX a_x;",
        "ALTER TABLE b DROP COLUMN x;\nALTER TABLE a DROP COLUMN x;",
    ]);
    let index = "require-concurrent-index-creation".to_owned();
    let column = "ban-drop-column".to_owned();
    let deletion = "require-concurrent-index-deletion".to_owned();
    assert_eq!(found(&app, None, 4), []);
    let from_1 = [(3, index.clone(), 1), (3, deletion.clone(), 3), (4, column.clone(), 2)];
    assert_eq!(found(&app, Some(1), 4), from_1);
    let from_2 = [(3, index.clone(), 1), (3, index, 2), (3, deletion, 3)];
    assert_eq!(found(&app, Some(2), 3), from_2);
    assert_eq!(found(&app, Some(3), 4), [(4, column.clone(), 1), (4, column, 2)]);
    assert_eq!(found(&app, Some(4), 4), []);
}

#[test]
fn a_column_is_made_not_null_over_three_versions() {
    let app = app(&[
        "CREATE TABLE a (x int);",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (x IS NOT NULL) NOT VALID;",
        "ALTER TABLE a VALIDATE CONSTRAINT c;",
        "ALTER TABLE a ALTER x SET NOT NULL;\nALTER TABLE a DROP CONSTRAINT c;",
    ]);
    assert_eq!(found(&app, Some(1), 4), [(4, "ban-drop-constraint".to_owned(), 2)]);
}

#[test]
fn what_is_marked_as_contract_may_drop_what_clients_knew() {
    let app = app(&[
        "CREATE TABLE a (x int, y int);",
        "-- contract\nALTER TABLE a DROP COLUMN x;",
        "DROP TABLE a;",
    ]);
    assert_eq!(found(&app, Some(1), 3), [(3, "ban-drop-table".to_owned(), 1)]);
}

#[test]
fn a_version_that_is_replaced_is_not_carried_out() {
    let app = app(&["CREATE TABLE a (x int);", "DROP TABLE a;", "-- replaces 2\nALTER TABLE a ADD y int;"]);
    assert_eq!(found(&app, Some(1), 3), []);
    assert_eq!(found(&app, Some(1), 2), [(2, "ban-drop-table".to_owned(), 1)]);
}

#[test]
fn a_version_that_cannot_be_read_hides_none_of_the_others() {
    let app = app(&["CREATE TABLE a (x int);", "CREATE TABLE b (", "DROP TABLE a;"]);
    let expected = [(2, "unread".to_owned(), 1), (3, "ban-drop-table".to_owned(), 1)];
    assert_eq!(found(&app, Some(1), 3), expected);
}

#[test]
fn the_sample_apps_have_nothing_unsafe_for_a_new_tenant() {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/tenant");
    let mut count = 0;
    for folder in fs::read_dir(apps).unwrap() {
        let mut files: Vec<_> =
            fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.retain(|file| file.to_str().unwrap().ends_with(".up.sql"));
        let ups: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let app = app(&ups.iter().map(String::as_str).collect::<Vec<_>>());
        let findings = lint_versions(&app, None, app.version().unwrap(), &Known::nothing());
        let findings: Vec<_> = findings
            .iter()
            .filter(|(_, finding)| finding.weight == Weight::Unsafe || &finding.rule == "unread")
            .collect();
        assert!(findings.is_empty(), "{files:?}\n{findings:#?}");
        count += 1;
    }
    assert!(count >= 5);
}
