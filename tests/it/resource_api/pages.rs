//! Order and pages.

use reqwest::Method;
use tenantry_tests::TestApp;

use super::{column, get, people, send};

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_order_asked_for() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    for (order, expected) in [
        ("first_name", "ABCDE"),
        ("first_name.asc", "ABCDE"),
        ("first_name.desc", "EDCBA"),
        ("phone.asc,first_name.desc", "ACDEB"),
        ("phone.asc.nullsfirst,first_name", "BEACD"),
        ("phone.desc,first_name", "BEDCA"),
        ("phone.desc.nullslast,first_name", "DCABE"),
        ("phone.nullsfirst,first_name.desc", "EBACD"),
        ("metadata->age.desc.nullslast,first_name", "BADCE"),
    ] {
        let path = format!("/api/contacts?select=first_name&order={order}");
        assert_eq!(column(&api, &path, "first_name").await.concat(), expected, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_asked_for_by_parameter_or_by_header() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    let exact = ("prefer", "count=exact");
    for (query, headers, status, range, expected) in [
        ("", vec![], 200, "0-4/*", "ABCDE"),
        ("&limit=2", vec![], 200, "0-1/*", "AB"),
        ("&limit=2&offset=2", vec![], 200, "2-3/*", "CD"),
        ("&offset=4", vec![], 200, "4-4/*", "E"),
        ("&offset=9", vec![], 200, "*/*", ""),
        ("&limit=0", vec![], 200, "*/*", ""),
        ("", vec![("range", "0-1")], 200, "0-1/*", "AB"),
        ("", vec![("range", "1-2"), ("range-unit", "items")], 200, "1-2/*", "BC"),
        ("", vec![("range", "3-")], 200, "3-4/*", "DE"),
        ("", vec![("range", "1-3"), exact], 206, "1-3/5", "BCD"),
        ("&limit=2", vec![exact], 206, "0-1/5", "AB"),
        ("", vec![exact], 200, "0-4/5", "ABCDE"),
        ("&company=eq.Acme", vec![exact], 200, "0-1/2", "AB"),
        ("&company=eq.Nobody", vec![exact], 200, "*/0", ""),
        ("&company=eq.Acme&limit=1", vec![exact], 206, "0-0/2", "A"),
    ] {
        let path = format!("/api/contacts?select=first_name&order=first_name{query}");
        let answer = get(&api, &path, &headers).await.expect(status);
        assert_eq!(answer.header("content-range").as_deref(), Some(range), "{query} {headers:?}");
        let found: String =
            answer.json().as_array().unwrap().iter().map(|row| row["first_name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query} {headers:?}");
        let applied = answer.header("preference-applied");
        assert_eq!(applied.as_deref(), headers.contains(&exact).then_some("count=exact"));
    }
    let beyond = get(&api, "/api/contacts?offset=9", &[exact]).await.expect_problem(416, "bad_range");
    assert_eq!(beyond.header("content-range").as_deref(), Some("*/5"));
    get(&api, "/api/contacts", &[("range", "3-1")]).await.expect_problem(416, "bad_range");
    let head = send(&api, api.request(Method::HEAD, "/api/contacts?limit=2"), &[exact]).await.expect(206);
    assert_eq!((head.header("content-range").as_deref(), &*head.text), (Some("0-1/5"), ""));
}
