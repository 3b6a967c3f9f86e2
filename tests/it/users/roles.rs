//! What each role may do with each table and function.

use serde_json::{Value, json};
use tenantry_tests::{Answer, Api, TestApp};

use super::{log_in, register_as, with_token};

const APP: &str = "
    CREATE TABLE companies (id int PRIMARY KEY, name text);
    CREATE TABLE deals (id int PRIMARY KEY, company_id int REFERENCES companies, amount int);
    CREATE TABLE salaries (id int PRIMARY KEY, company_id int REFERENCES companies, amount int);
    CREATE VIEW totals AS SELECT sum(amount) AS total FROM deals;
    CREATE FUNCTION total() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT sum(amount) FROM deals $$;
    CREATE FUNCTION all_deals() RETURNS SETOF deals LANGUAGE sql STABLE AS $$ SELECT * FROM deals $$;
    CREATE FUNCTION pay(companies) RETURNS int LANGUAGE sql STABLE AS $$ SELECT amount FROM salaries WHERE company_id = $1.id $$;
    INSERT INTO companies VALUES (1, 'Acme');
    INSERT INTO deals VALUES (1, 1, 10);
    INSERT INTO salaries VALUES (1, 1, 99);";

/// A tenant whose app's tables are these, with these roles; and who has each.
async fn tenant_with(app: &TestApp, roles: Value, users: &[&str]) -> (String, Api, Vec<Api>) {
    app.api.put("/api/v1/apps/deals", json!({ "manifest": { "registration": "open" } })).await.expect(200);
    let version = json!({ "version": 1, "name": "deals", "up": APP });
    app.api.post("/api/v1/apps/deals/versions", version).await.expect(201);
    let acme = app.sign_up("acme", "basic", "deals").await;
    let config = format!("/api/v1/tenants/{}/config/auth.roles", acme.id);
    app.api.put(&config, json!({ "configValue": roles })).await.expect(201);
    app.routes_caught_up().await;
    let mut apis = Vec::new();
    for roles in users {
        let name = roles.replace(' ', "-");
        register_as(&acme.data, &name, &roles.split(' ').collect::<Vec<_>>()).await;
        apis.push(with_token(&acme.data, &log_in(&acme.data, &name).await));
    }
    (acme.id, acme.data, apis)
}

/// Whether it was done: if not, for want of a permission.
fn allowed(answer: Answer) -> bool {
    if answer.status.is_success() {
        return true;
    }
    // A HEAD has no body to say why.
    if !answer.text.is_empty() {
        answer.expect_problem(403, "permission_missing");
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_does_with_each_table_and_function_what_it_is_given_and_no_more() {
    let app = TestApp::build().with_apps(&[]).start().await;
    let roles = json!({
        "reader": { "*": ["select"], "salaries": [] },
        "editor": { "deals": ["select", "insert", "update"], "total": ["execute"] },
        "clerk": { "deals": ["insert"] },
        "cleaner": { "deals": ["delete", "select"] },
        "blind": { "deals": ["update", "delete"] },
        "caller": { "all_deals": ["execute"] },
    });
    let users = [
        "owner",
        "admin",
        "member",
        "reader",
        "editor",
        "clerk",
        "cleaner",
        "blind",
        "caller",
        "clerk cleaner",
    ];
    let (_, data, apis) = tenant_with(&app, roles, &users).await;
    let mut cases = 0;
    for (user, api) in users.iter().zip(apis) {
        let all = ["owner", "admin", "member"].contains(user);
        let is = |names: &[&str]| all || names.iter().any(|name| user.split(' ').any(|role| role == *name));
        data.delete("/api/deals?id=gt.1").await.expect(204);
        data.post("/api/deals", json!([{ "id": 2, "amount": 1 }, { "id": 3, "amount": 1 }]))
            .await
            .expect(201);
        let deal = |id: i32| json!({ "id": id, "amount": 5 });
        let merge = |path: &str| {
            let request = api.request(reqwest::Method::POST, path).json(&deal(2));
            api.send(request.header("prefer", "resolution=merge-duplicates"))
        };
        let returned = |id: i32| {
            let request = api.request(reqwest::Method::POST, "/api/deals").json(&deal(id));
            api.send(request.header("prefer", "return=representation"))
        };
        let rows = [
            ("read deals", allowed(api.get("/api/deals").await), is(&["reader", "editor", "cleaner"])),
            (
                "head deals",
                allowed(api.send(api.request(reqwest::Method::HEAD, "/api/deals")).await),
                is(&["reader", "editor", "cleaner"]),
            ),
            ("read one", allowed(api.get("/api/deals/1").await), is(&["reader", "editor", "cleaner"])),
            ("read salaries", allowed(api.get("/api/salaries").await), all),
            ("read a view", allowed(api.get("/api/totals").await), is(&["reader"])),
            ("embed", allowed(api.get("/api/companies?select=name,deals(amount)").await), is(&["reader"])),
            (
                "embed what is hidden",
                allowed(api.get("/api/companies?select=name,salaries(amount)").await),
                all,
            ),
            (
                "embed it two levels down",
                allowed(api.get("/api/deals?select=id,companies(salaries(amount))").await),
                all,
            ),
            (
                "filter by what is hidden",
                allowed(api.get("/api/companies?select=name,salaries()&salaries.amount=gt.1").await),
                all,
            ),
            ("insert", allowed(api.post("/api/deals", deal(10)).await), is(&["editor", "clerk"])),
            ("insert and return", allowed(returned(11).await), is(&["editor"]) || *user == "clerk cleaner"),
            ("merge", allowed(merge("/api/deals").await), is(&["editor"])),
            ("insert nothing", allowed(api.post("/api/deals", json!([])).await), is(&["editor", "clerk"])),
            (
                "update",
                allowed(api.patch("/api/deals?id=eq.2", json!({ "amount": 6 })).await),
                is(&["editor"]),
            ),
            ("update one", allowed(api.patch("/api/deals/2", json!({ "amount": 7 })).await), is(&["editor"])),
            ("replace", allowed(api.put("/api/deals?id=eq.2", deal(2)).await), is(&["editor"])),
            ("call a function", allowed(api.get("/api/rpc/total").await), is(&["editor"])),
            ("call it by post", allowed(api.post("/api/rpc/total", json!({})).await), is(&["editor"])),
            ("call one of rows", allowed(api.get("/api/rpc/all_deals").await), is(&["caller"])),
            ("a computed column", allowed(api.get("/api/companies?select=name,pay").await), all),
            ("filter by one", allowed(api.get("/api/companies?select=name&pay=gt.1").await), all),
            ("order by one", allowed(api.get("/api/companies?select=name&order=pay").await), all),
            ("and embed", allowed(api.get("/api/rpc/all_deals?select=id,companies(name)").await), all),
            ("delete", allowed(api.delete("/api/deals?id=eq.2").await), is(&["cleaner"])),
            ("delete one", allowed(api.delete("/api/deals/3").await), is(&["cleaner"])),
        ];
        cases += rows.len();
        for (what, was, expected) in rows {
            assert_eq!(was, expected, "{user}: {what}");
        }
    }
    assert_eq!(cases, 10 * 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_as_they_are_known_and_change_for_those_who_are_logged_in() {
    let app = TestApp::build().with_apps(&[]).start().await;
    let (id, data, apis) =
        tenant_with(&app, json!({ "reader": { "deals": ["select"] } }), &["reader", "admin", "member"]).await;
    let [reader, admin, member] = apis.as_slice() else { unreachable!() };
    let config = format!("/api/v1/tenants/{id}/config/auth.roles");
    let change = |api: &Api, roles: Value| {
        let api = api.clone();
        async move { api.patch("/api/auth/users/1", json!({ "roles": roles })).await }
    };
    let unknown = change(admin, json!(["king"])).await.expect_problem(400, "invalid_field");
    assert_eq!(unknown.fields(), ["roles"]);
    change(member, json!(["reader"])).await.expect_problem(403, "role_missing");
    change(reader, json!(["reader"])).await.expect_problem(403, "role_missing");
    let problem = reader.get("/api/companies").await.expect_problem(403, "permission_missing").json();
    assert_eq!((&problem["permission"], &problem["resource"]), (&json!("select"), &json!("companies")));
    // What a role may do changes at once, for members too.
    let roles = json!({ "reader": { "*": ["select"] }, "member": { "companies": ["select"] } });
    app.api.put(&config, json!({ "configValue": roles })).await.expect(200);
    app.routes_caught_up().await;
    reader.get("/api/companies").await.expect(200);
    member.get("/api/companies").await.expect(200);
    member.get("/api/deals").await.expect_problem(403, "permission_missing");
    // A role that is no more, is nothing; keys are no users.
    app.api.delete(&config).await.expect(204);
    app.routes_caught_up().await;
    reader.get("/api/deals").await.expect_problem(403, "permission_missing");
    member.get("/api/deals").await.expect(200);
    data.get("/api/deals").await.expect(200);
    for (value, what) in [
        (json!({ "owner": {} }), "the owner"),
        (json!({ "reader": { "deals": ["read"] } }), "no verb"),
        (json!({ "Reader!": {} }), "no name"),
    ] {
        let refused = app.api.put(&config, json!({ "configValue": value })).await.expect(400);
        assert_eq!(refused.fields(), ["configValue"], "{what}");
    }
}
