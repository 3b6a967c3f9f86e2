//! The raw limit of signing up in the shared schema: the same SQL on bare connections.

use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_cli::embedded::database_url;
use tenantry_postgres::embedded::EmbeddedPostgres;

use crate::app::sample_app;

/// A bare connection to a database.
///
/// # Errors
/// The server refuses.
pub async fn connect(postgres: &EmbeddedPostgres, database: &str) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect(database_url(postgres, database).expose_secret()).await?)
}

/// Runs SQL text as one message.
///
/// # Errors
/// The server refuses.
pub async fn run(connection: &mut PgConnection, text: String) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await?;
    Ok(())
}

/// What a sign-up needs at the least, in one message and one transaction: role with its verifier, rights, schema,
/// tables and indexes.
pub fn sign_up_sql(app: &str, name: &str) -> String {
    // A verifier made beforehand: the client's work for it is not the server's.
    let role = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'SCRAM-SHA-256$4096:kOqhfZKhIcvwfWhN3f1l1Q==$vE0tGzYjnFvSGtEDmkHIAVuf4n8iThFmnPWC0k3gvcY=:ZXLBbNBfCBvwNIe7yqAABfqyWjfPqHkbr2U2QrMfhWM=';
         GRANT {name} TO raw_login; GRANT USAGE ON SCHEMA {name} TO {name};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {name} GRANT USAGE, SELECT ON SEQUENCES TO {name};"
    );
    in_transaction(app, name, &role)
}

/// The tables and indexes alone.
pub fn tables_sql(app: &str, name: &str) -> String {
    in_transaction(app, name, "")
}

fn in_transaction(app: &str, name: &str, role: &str) -> String {
    let ddl: String =
        sample_app(app).migrations.iter().map(|migration| migration.up.clone() + "\n").collect();
    format!("BEGIN; CREATE SCHEMA {name}; {role} SET LOCAL search_path = {name}, extensions; {ddl} COMMIT;")
}

/// A database for raw tenants, prepared as a server's shared database is.
///
/// # Errors
/// The server refuses.
pub async fn prepare(postgres: &EmbeddedPostgres, database: &str) -> anyhow::Result<()> {
    let mut connection = connect(postgres, "postgres").await?;
    run(&mut connection, format!("CREATE DATABASE {database}")).await?;
    run(
        &mut connection,
        "DO $$ BEGIN CREATE ROLE raw_login LOGIN NOINHERIT; EXCEPTION WHEN duplicate_object THEN NULL; END $$".into(),
    )
    .await?;
    let mut connection = self::connect(postgres, database).await?;
    run(&mut connection, "CREATE SCHEMA extensions; CREATE EXTENSION pg_trgm SCHEMA extensions".into()).await
}
