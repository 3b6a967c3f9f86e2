//! Rows of related tables, embedded.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::TestApp;

use super::{insert, rows, write};

#[tokio::test(flavor = "multi_thread")]
async fn related_rows_are_embedded_in_both_directions_and_across_a_junction() {
    let app = TestApp::build().without_daily_quotas().start().await;
    for plan in ["basic", "premium"] {
        let api = app.sign_up(plan, plan, "salesflow").await.data;
        let contacts = insert(
            &api,
            "contacts",
            json!([{ "firstName": "Ann", "lastName": "A" }, { "firstName": "Bob", "lastName": null }]),
        )
        .await;
        let (ann, bob) = (&contacts[0]["id"], &contacts[1]["id"]);
        let tags =
            insert(&api, "tags", json!([{ "name": "hot" }, { "name": "old" }, { "name": "unused" }])).await;
        let tied = |contact: &Value, tag: usize| json!({ "contactId": contact, "tagId": tags[tag]["id"] });
        insert(&api, "contact_tags", json!([tied(ann, 0), tied(ann, 1), tied(bob, 1)])).await;
        insert(
            &api,
            "activities",
            json!([
                { "contactId": ann, "type": "call", "subject": "First", "occurredAt": "2026-01-01T00:00:00Z" },
                { "contactId": ann, "type": "note", "subject": "Second", "occurredAt": "2026-01-02T00:00:00Z" },
            ]),
        )
        .await;

        for (path, expected) in [
            // To many.
            (
                "contacts?select=firstName,activities(subject)&order=firstName&activities.order=occurredAt",
                json!([
                    { "firstName": "Ann", "activities": [{ "subject": "First" }, { "subject": "Second" }] },
                    { "firstName": "Bob", "activities": [] },
                ]),
            ),
            // To one.
            (
                "activities?select=subject,contacts(firstName)&order=subject&limit=1",
                json!([{ "subject": "First", "contacts": { "firstName": "Ann" } }]),
            ),
            (
                "activities?select=subject,...contacts(firstName)&subject=eq.First",
                json!([{ "subject": "First", "firstName": "Ann" }]),
            ),
            // Many to many.
            (
                "contacts?select=firstName,tags(name)&order=firstName&tags.order=name.desc",
                json!([
                    { "firstName": "Ann", "tags": [{ "name": "old" }, { "name": "hot" }] },
                    { "firstName": "Bob", "tags": [{ "name": "old" }] },
                ]),
            ),
            (
                "tags?select=name,contacts(firstName)&name=in.(hot,old,unused)&order=name&contacts.order=firstName",
                json!([
                    { "name": "hot", "contacts": [{ "firstName": "Ann" }] },
                    { "name": "old", "contacts": [{ "firstName": "Ann" }, { "firstName": "Bob" }] },
                    { "name": "unused", "contacts": [] },
                ]),
            ),
            // The junction itself.
            (
                "contactTags?select=contacts(firstName),tags!inner(name)&tags.name=eq.hot",
                json!([{ "contacts": { "firstName": "Ann" }, "tags": { "name": "hot" } }]),
            ),
            // Filters, pages and names of the embedded.
            (
                "contacts?select=firstName,last:activities(subject)&firstName=eq.Ann&last.order=occurredAt.desc&last.limit=1",
                json!([{ "firstName": "Ann", "last": [{ "subject": "Second" }] }]),
            ),
            (
                "contacts?select=firstName,activities(subject)&activities.type=eq.call&order=firstName",
                json!([{ "firstName": "Ann", "activities": [{ "subject": "First" }] }, { "firstName": "Bob", "activities": [] }]),
            ),
            (
                "contacts?select=firstName,activities!inner(subject)&activities.type=eq.call",
                json!([{ "firstName": "Ann", "activities": [{ "subject": "First" }] }]),
            ),
            ("contacts?select=firstName,tags!inner()&tags.name=eq.hot", json!([{ "firstName": "Ann" }])),
            // Nested.
            (
                "activities?select=subject,contacts(firstName,tags(name))&subject=eq.First&contacts.tags.order=name",
                json!([{ "subject": "First", "contacts": { "firstName": "Ann", "tags": [{ "name": "hot" }, { "name": "old" }] } }]),
            ),
            (
                "activities?select=subject,contacts(firstName)&order=contacts(firstName),subject.desc",
                json!([
                    { "subject": "Second", "contacts": { "firstName": "Ann" } },
                    { "subject": "First", "contacts": { "firstName": "Ann" } },
                ]),
            ),
        ] {
            assert_eq!(rows(&api, &format!("/api/{path}")).await, expected, "{path}");
        }
        api.get("/api/tags?select=*,activities(*)").await.expect_problem(400, "unknown_relationship");
        // What was written may be answered with what belongs to it.
        let made = write(
            &api,
            Method::POST,
            "/api/activities?select=subject,contacts(firstName)",
            "return=representation",
            json!({ "contactId": bob, "subject": "Third" }),
        )
        .await;
        let expected = json!([{ "subject": "Third", "contacts": { "firstName": "Bob" } }]);
        assert_eq!(made.expect(201).json(), expected);
    }
}
