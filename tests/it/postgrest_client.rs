//! A client that was written for PostgREST, by others, works against us with a key and the tenant in a header.

use postgrest::{Builder, Postgrest};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_tests::TestApp;

/// What the client got: status, `Content-Range`, JSON.
async fn sent(request: Builder) -> (u16, Option<String>, Value) {
    let response = request.execute().await.unwrap();
    let status = response.status().as_u16();
    let range = response.headers().get("content-range").map(|range| range.to_str().unwrap().to_owned());
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    (status, range, body)
}

/// The same where only the rows matter.
async fn rows(request: Builder) -> Value {
    let (status, _, body) = sent(request).await;
    assert!((200..300).contains(&status), "{status}: {body}");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgrest_crate_reads_and_writes_a_tenant_s_rows() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let client = Postgrest::new(format!("http://{}/api", app.data.address()))
            .insert_header("authorization", format!("Bearer {}", tenant.key.expose_secret()))
            .insert_header("x-tenant-slug", &tenant.slug);
        let contacts = || client.from("contacts");

        let people = json!([
            { "email": "ann@example.com", "first_name": "Ann", "company": "Acme" },
            { "email": "bob@example.com", "first_name": "Bob", "company": "Acme" },
            { "email": "cy@example.com", "first_name": "Cy", "company": null },
        ]);
        let (status, _, made) = sent(contacts().insert(people.to_string())).await;
        assert_eq!((status, made.as_array().unwrap().len()), (201, 3));
        let ann = made[0]["id"].as_str().unwrap().to_owned();

        let names = |of: Value| -> Vec<String> {
            of.as_array().unwrap().iter().map(|row| row["first_name"].as_str().unwrap().to_owned()).collect()
        };
        let found =
            async |request: Builder| names(rows(request.select("first_name").order("first_name")).await);
        assert_eq!(found(contacts()).await, ["Ann", "Bob", "Cy"]);
        assert_eq!(found(contacts().eq("company", "Acme")).await, ["Ann", "Bob"]);
        assert_eq!(found(contacts().neq("first_name", "Ann")).await, ["Bob", "Cy"]);
        assert_eq!(found(contacts().is("company", "null")).await, ["Cy"]);
        assert_eq!(found(contacts().not("is", "company", "null")).await, ["Ann", "Bob"]);
        assert_eq!(found(contacts().in_("first_name", ["Ann", "Cy"])).await, ["Ann", "Cy"]);
        assert_eq!(found(contacts().like("email", "b*")).await, ["Bob"]);
        assert_eq!(found(contacts().ilike("email", "*@EXAMPLE.com")).await, ["Ann", "Bob", "Cy"]);
        assert_eq!(found(contacts().gt("first_name", "Ann").lte("first_name", "Cy")).await, ["Bob", "Cy"]);
        let either = contacts().or("first_name.eq.Ann,and(company.is.null,email.like.cy*)");
        assert_eq!(found(either).await, ["Ann", "Cy"]);
        let backwards = contacts().select("first_name").order("first_name.desc");
        assert_eq!(names(rows(backwards).await), ["Cy", "Bob", "Ann"]);
        let with_options = contacts().select("*").order_with_options("company", None::<&str>, true, true);
        assert_eq!(rows(with_options).await[0]["first_name"], "Cy");

        let (status, range, page) =
            sent(contacts().select("first_name").order("first_name").range(1, 2)).await;
        assert_eq!(
            (status, range.as_deref(), names(page)),
            (200, Some("1-2/*"), vec!["Bob".into(), "Cy".into()])
        );
        assert_eq!(rows(contacts().select("*").limit(2)).await.as_array().unwrap().len(), 2);
        let (status, range, _) = sent(contacts().select("*").exact_count()).await;
        assert_eq!((status, range.as_deref()), (206, Some("0-0/3")));

        let (status, _, one) = sent(contacts().select("email").eq("id", &ann).single()).await;
        assert_eq!((status, one), (200, json!({ "email": "ann@example.com" })));
        let (status, _, problem) = sent(contacts().select("*").single()).await;
        assert_eq!((status, &problem["code"]), (406, &json!("PGRST116")));

        let changed = rows(contacts().eq("id", &ann).update(r#"{"company":"Globex"}"#)).await;
        assert_eq!((changed.as_array().unwrap().len(), &changed[0]["company"]), (1, &json!("Globex")));

        let merged = json!([{ "id": ann, "first_name": "Anna" }, { "id": "019a0000-0000-7000-8000-00000000000d", "first_name": "Di" }]);
        let (status, _, merged) = sent(contacts().upsert(merged.to_string())).await;
        assert_eq!((status, names(merged)), (201, vec!["Anna".into(), "Di".into()]));
        let again = json!({ "id": ann, "first_name": "Annie" }).to_string();
        let (status, _, merged) = sent(contacts().upsert(again).on_conflict("id")).await;
        assert_eq!((status, &merged[0]["company"]), (200, &json!("Globex")), "what was not said stays");

        let thread = json!({ "contact_id": ann, "subject": "Hello" }).to_string();
        rows(client.from("conversations").insert(thread)).await;
        let embedded = contacts()
            .select("first_name,conversations(subject)")
            .eq("id", &ann)
            .foreign_table_limit(1, "conversations");
        let expected = json!([{ "first_name": "Annie", "conversations": [{ "subject": "Hello" }] }]);
        assert_eq!(rows(embedded).await, expected);

        let gone = rows(contacts().eq("first_name", "Bob").delete()).await;
        assert_eq!(gone[0]["email"], "bob@example.com");
        assert_eq!(found(contacts()).await, ["Annie", "Cy", "Di"]);

        // What the crate shows of errors is PostgREST's: code, message, details, hint.
        let (status, _, problem) = sent(contacts().select("nothing")).await;
        assert_eq!(status, 400);
        for member in ["code", "message"] {
            assert!(problem[member].is_string(), "{member}: {problem}");
        }
        let (status, _, problem) = sent(client.rpc("add", "{}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("PGRST202")), "{problem}");
    }
}
