//! Who plays: one tenant per seed document.

use serde_json::{Value, json};

/// A tenant of the play.
pub(super) struct Role {
    /// The document that it comes from.
    pub(super) document: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    /// Its slug, as the document writes it.
    pub(super) slug: &'static str,
    pub(super) plan: &'static str,
    pub(super) app: &'static str,
    /// The table that it fills.
    pub(super) table: &'static str,
    /// A column of that table, as JSON names it, by which a row is found again.
    pub(super) column: &'static str,
    /// The n-th row.
    pub(super) row: fn(usize) -> Value,
    /// More of the sign-up's body.
    pub(super) more: fn() -> Value,
}

impl Role {
    /// The slug as it is after normalisation.
    pub(super) fn label(&self) -> String {
        self.slug.replace('_', "-")
    }
}

fn nothing() -> Value {
    json!({})
}

/// The whole cast.
pub(super) const CAST: &[Role] = &[
    Role {
        document: "salesflow",
        name: "Tenant 1 Organization",
        slug: "tenant1",
        plan: "basic",
        app: "salesflow",
        table: "contacts",
        column: "email",
        row: |n| json!({ "firstName": "Alice", "lastName": format!("Johnson {n}"), "email": format!("alice{n}@example.com"), "phone": "555-123-4567" }),
        more: nothing,
    },
    Role {
        document: "crm",
        name: "Acme Corp",
        slug: "acme_corp",
        plan: "basic",
        app: "crm",
        table: "contacts",
        column: "email",
        row: |n| json!({ "email": format!("lead{n}@company.com"), "phone": format!("+1-555-{n:04}"), "metadata": { "source": "web", "score": n } }),
        more: nothing,
    },
    Role {
        document: "mis",
        name: "My Organization",
        slug: "my-org",
        plan: "premium",
        app: "mis",
        table: "members",
        column: "email",
        row: |n| json!({ "email": format!("member{n}@myorg.com"), "first_name": "Member", "last_name": format!("No. {n}") }),
        more: || json!({ "domain": "myorg.com", "subdomain": "my-org", "maxUsers": 1000, "features": { "biometric_auth": true }, "settings": { "custom_branding": true } }),
    },
    Role {
        document: "solutechify",
        name: "Customer Site Events",
        slug: "customersite",
        plan: "basic",
        app: "solutechify",
        table: "events",
        column: "name",
        row: |n| json!({ "name": format!("Event {n}"), "starts_at": "2026-12-01T18:00:00Z" }),
        more: nothing,
    },
    Role {
        document: "cashflow",
        name: "ABC Dental Clinic",
        slug: "dental_clinic_abc",
        plan: "premium",
        app: "cashflow",
        table: "patients",
        column: "last_name",
        row: |n| json!({ "first_name": "Patient", "last_name": format!("No. {n}") }),
        more: || {
            json!({
                "features": { "patient_management": true, "treatment_tracking": true, "dental_supplies": true },
                "settings": { "branding": { "company_name": "ABC Dental Clinic", "primary_color": "#2E86AB" } },
            })
        },
    },
];
