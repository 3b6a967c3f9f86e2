//! `seeds/cashflow.md`.
//!
//! | the document | ours | |
//! |---|---|---|
//! | tenant configuration `dental_clinic_abc` (branding, features, gst_number, contact_info) | `POST /api/v1/tenants`; slug `dental-clinic-abc`, the rest in `features` and `settings` | covered |
//! | "each tenant has its own database instance" | plan premium, tier database | covered |
//! | `dental-clinic-abc.app.com`, `X-Tenant-ID: dental_clinic_abc`, `?tenant_id=dental_clinic_abc` | the same | covered |
//! | response header for debugging | `x-tenant` | covered |
//! | feature access: dental, manufacturing, common | tables of a feature, 403 `feature_not_enabled` | covered |
//! | `GET /api/tenants`, `GET /api/tenants/{id}/branding` | `GET /api/v1/tenants`, `.../branding`; `GET /api/tenant` for its users | covered |
//! | `MULTI_TENANT_ENABLED=false` | single-tenant mode (`TENANTRY_SINGLE_TENANT`) | covered |
//! | `is_active: false` | `POST /api/v1/tenants/{id}/suspend` | covered in `lifecycle` |
//! | `GET /api/tenants/{id}/config` | `GET /api/v1/tenants/{id}/config` | later issue |
//! | audit, metrics, backups | | later issues |

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tenantry_domain::Slug;
use tenantry_tests::{Api, TestApp, app::random_suffix};

use super::{create, get_with, object_name};

const DENTAL: [(&str, &str); 3] = [
    ("patient_management", "patients"),
    ("treatment_tracking", "treatments"),
    ("dental_supplies", "dental_supplies"),
];
const MANUFACTURING: [(&str, &str); 5] = [
    ("bom_management", "bills_of_materials"),
    ("bom_management", "bom_items"),
    ("production_tracking", "production_orders"),
    ("material_management", "materials"),
    ("material_management", "material_movements"),
];
const COMMON: [&str; 4] = ["products", "invoices", "invoice_lines", "payments"];

fn branding(id: &str, company: &str) -> Value {
    json!({
        "company_name": company, "primary_color": "#2E86AB", "logo_url": format!("/assets/branding/{id}/logo.png"),
    })
}

/// Makes a tenant of the document's configuration; answers its data plane.
async fn configure(app: &TestApp, id: &str, company: &str, domain: &str, features: &[(&str, &str)]) -> Api {
    let features: serde_json::Map<_, _> =
        features.iter().map(|(name, _)| ((*name).to_owned(), json!(true))).collect();
    let body = json!({
        "name": company, "slug": id, "plan": "premium", "app": "cashflow", "features": features,
        "settings": {
            "domain": domain, "branding": branding(id, company), "gst_number": "GST123456789",
            "contact_info": { "phone": "+91-9876543210", "email": "info@abcdental.com" },
        },
    });
    let made = app.api.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
    let slug = id.replace('_', "-");
    assert_eq!(made["tenant"]["slug"], slug);
    assert_eq!(made["tenant"]["settings"]["gst_number"], "GST123456789");
    app.data.with_key(app.data_key(&slug).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clinic_is_found_by_subdomain_header_and_parameter_in_a_database_of_its_own() {
    let app = TestApp::build().with_apps(&["cashflow"]).start().await;
    let clinic_id = format!("dental_clinic_abc_{}", app.suffix);
    let factory_id = format!("manufacturing_{}", app.suffix);
    let clinic = configure(&app, &clinic_id, "ABC Dental Clinic", "dental", &DENTAL).await;
    let factory = configure(&app, &factory_id, "XYZ Works", "manufacturing", &MANUFACTURING).await;
    let slug = clinic_id.replace('_', "-");

    let databases: BTreeSet<String> = [&clinic_id, &factory_id].map(|id| object_name(id)).into();
    assert_eq!(app.on_server().await.databases, databases);
    let listed = app.api.get("/api/v1/tenants?app=cashflow").await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    let host = clinic.with_host(format!("{slug}.localhost"));
    create(&host, "/api/products", &json!({ "name": "Filling", "unit_price": 1200 })).await;
    let expected = json!([{ "name": "Filling" }]);
    let products = "/api/products?select=name";
    for answer in [
        host.get(products).await,
        get_with(&clinic, products, "x-tenant-id", &clinic_id).await,
        clinic.get(&format!("{products}&tenant_id={clinic_id}")).await,
        // Named three times, it is the same tenant.
        get_with(&host, &format!("{products}&tenant_id={clinic_id}"), "x-tenant-id", &clinic_id).await,
    ] {
        let answer = answer.expect(200);
        assert_eq!(answer.json(), expected);
        assert_eq!(answer.header("x-tenant"), Some(slug.clone()));
    }
    // "No cross-tenant data access possible".
    let read = get_with(&factory, products, "x-tenant-id", &factory_id).await.expect(200);
    assert_eq!(read.json(), json!([]));
    get_with(&factory, products, "x-tenant-id", &clinic_id).await.expect_problem(403, "tenant_mismatch");
    let both =
        get_with(&clinic, &format!("{products}&tenant_id={factory_id}"), "x-tenant-id", &clinic_id).await;
    both.expect_problem(400, "tenant_conflict");
    get_with(&clinic, products, "x-tenant-id", "dental_clinic_xyz")
        .await
        .expect_problem(404, "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn features_decide_between_the_dental_and_the_manufacturing_tables() {
    let app = TestApp::build().with_apps(&["cashflow"]).start().await;
    let clinic_id = format!("dental_clinic_abc_{}", app.suffix);
    let factory_id = format!("manufacturing_{}", app.suffix);
    let clinic = configure(&app, &clinic_id, "ABC Dental Clinic", "dental", &DENTAL).await;
    let factory = configure(&app, &factory_id, "XYZ Works", "manufacturing", &MANUFACTURING).await;
    for (tenant, own, other) in
        [(&clinic, &DENTAL[..], &MANUFACTURING[..]), (&factory, &MANUFACTURING[..], &DENTAL[..])]
    {
        for table in COMMON.into_iter().chain(own.iter().map(|(_, table)| *table)) {
            tenant.get(&format!("/api/{table}")).await.expect(200);
        }
        for (feature, table) in other {
            let refused =
                tenant.get(&format!("/api/{table}")).await.expect_problem(403, "feature_not_enabled");
            assert_eq!(refused.json()["feature"], *feature, "{table}");
            tenant.post(&format!("/api/{table}"), json!({})).await.expect_problem(403, "feature_not_enabled");
        }
    }
    // Nor by way of a table that is common to both.
    factory.get("/api/invoices?select=*,treatments(*)").await.expect(400).assert_problem();

    // A feature that is switched on opens its tables, and off closes them.
    let path = format!("/api/v1/tenants/{}", factory_id.replace('_', "-"));
    app.api.patch(&path, json!({ "features": { "patient_management": true } })).await.expect(200);
    app.routes_caught_up().await;
    factory.get("/api/patients").await.expect(200);
    factory.get("/api/materials").await.expect_problem(403, "feature_not_enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_branding_is_seen_by_its_operators_and_its_users() {
    let app = TestApp::build().with_apps(&["cashflow"]).start().await;
    let id = format!("dental_clinic_abc_{}", app.suffix);
    let slug = id.replace('_', "-");
    let clinic = configure(&app, &id, "ABC Dental Clinic", "dental", &DENTAL).await;
    // The document's own spelling of the id works in paths too.
    for name in [&slug, &id] {
        let answer = app.api.get(&format!("/api/v1/tenants/{name}/branding")).await.expect(200).json();
        let expected = json!({ "slug": slug, "name": "ABC Dental Clinic", "branding": branding(&id, "ABC Dental Clinic") });
        assert_eq!(answer, expected);
    }
    let seen = clinic.get("/api/tenant").await.expect(200).json();
    assert_eq!(
        (&seen["slug"], &seen["name"], &seen["plan"]),
        (&json!(slug), &json!("ABC Dental Clinic"), &json!("premium"))
    );
    assert_eq!(seen["branding"], branding(&id, "ABC Dental Clinic"));
    for (feature, _) in DENTAL {
        assert_eq!(seen["features"][feature], true, "{feature}");
    }
    assert_eq!(seen["features"]["custom_branding"], true, "the plan's features count too");
    assert!(
        !clinic.get("/api/tenant").await.text.contains("GST123456789"),
        "settings are the operators' business"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_single_tenant_mode_nothing_need_name_the_tenant_and_nothing_may_name_another() {
    let suffix = random_suffix();
    let (slug, other_slug) = (format!("default-{suffix}"), format!("other-{suffix}"));
    let single = Slug::parse(&slug).unwrap();
    let app = TestApp::build()
        .with_apps(&["cashflow"])
        .data_plane(move |settings| settings.single_tenant = Some(single))
        .start()
        .await;
    let tenant = app.sign_up_as(&slug, "Default", "premium", "cashflow").await;
    let other = app.sign_up_as(&other_slug, "Other", "basic", "cashflow").await;

    let plain = app.data.with_key(tenant.key.clone());
    create(&plain, "/api/products", &json!({ "name": "Filling" })).await;
    for host in ["localhost", "cashflow.internal", "app.example.com", &format!("{slug}.localhost")] {
        let read = plain.with_host(host).get("/api/products?select=name").await.expect(200);
        assert_eq!(read.json(), json!([{ "name": "Filling" }]), "{host}");
        assert_eq!(read.header("x-tenant"), Some(slug.clone()));
    }
    app.data.get("/api/products").await.expect_problem(401, "key_required");
    app.data.with_key(other.key.clone()).get("/api/products").await.expect_problem(403, "tenant_mismatch");
    get_with(&plain, "/api/products", "x-tenant-id", &other_slug)
        .await
        .expect_problem(400, "tenant_conflict");
    other.data.get("/api/products").await.expect_problem(400, "tenant_conflict");
}
