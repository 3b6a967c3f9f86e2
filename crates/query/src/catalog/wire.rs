//! The introspection's JSON, and the catalog made of it.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    Catalog, CatalogError, Column, Family, Name, Table, TableKind, TypeName, camel_names, quote,
    relationships::{self, ForeignKey},
};

#[derive(Deserialize)]
struct WireCatalog {
    tables: Vec<WireTable>,
}

#[derive(Deserialize)]
struct WireTable {
    name: String,
    kind: String,
    writable: u32,
    columns: Vec<WireColumn>,
    primary_key: Vec<String>,
    uniques: Vec<Vec<String>>,
    foreign_keys: Vec<WireForeignKey>,
}

#[derive(Deserialize)]
struct WireColumn {
    name: String,
    #[serde(rename = "type")]
    ty: WireType,
    base: WireType,
    full_type: String,
    nullable: bool,
    has_default: bool,
    generated: bool,
}

#[derive(Deserialize)]
struct WireType {
    origin: Origin,
    schema: String,
    name: String,
    family: String,
    array: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    System,
    Own,
    Other,
}

#[derive(Deserialize)]
struct WireForeignKey {
    constraint: String,
    table: String,
    columns: Vec<(String, String)>,
}

pub(super) fn read(json: &str) -> Result<Catalog, CatalogError> {
    let mut wire: WireCatalog = serde_json::from_str(json)?;
    // The introspection leaves them out already; they must stay unreachable whatever wrote the JSON.
    wire.tables.retain(|table| !table.name.starts_with("tenantry_"));

    let names: Vec<&str> = wire.tables.iter().map(|table| table.name.as_str()).collect();
    let camels = camel_names(&names);
    let by_name: HashMap<String, usize> =
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect();

    let mut tables = Vec::with_capacity(wire.tables.len());
    let mut by_alias = HashMap::new();
    for (at, (table, camel)) in wire.tables.iter().zip(camels).enumerate() {
        let table = read_table(table, &camel)?;
        by_alias.insert(camel, at);
        by_alias.entry(table.kebab.plain().to_owned()).or_insert(at);
        tables.push(table);
    }

    let mut keys = Vec::new();
    for (from, table) in wire.tables.iter().enumerate() {
        for key in &table.foreign_keys {
            let Some(&to) = by_name.get(&key.table) else { continue };
            let mut columns = Vec::with_capacity(key.columns.len());
            for (here, there) in &key.columns {
                columns.push((index_of(&tables[from], here)?, index_of(&tables[to], there)?));
            }
            keys.push(ForeignKey { constraint: Name::new(&key.constraint), from, to, columns });
        }
    }
    relationships::connect(&mut tables, &keys);
    Ok(Catalog { tables, by_name, by_alias })
}

fn read_table(wire: &WireTable, camel: &str) -> Result<Table, CatalogError> {
    let names: Vec<&str> = wire.columns.iter().map(|column| column.name.as_str()).collect();
    let camels = camel_names(&names);
    let columns: Vec<Column> = wire
        .columns
        .iter()
        .zip(&camels)
        .map(|(column, camel)| Column {
            name: Name::new(&column.name),
            camel: Name::new(camel),
            ty: read_type(&column.ty),
            base: read_type(&column.base),
            full_type: column.full_type.clone(),
            nullable: column.nullable,
            has_default: column.has_default,
            generated: column.generated,
        })
        .collect();
    let mut table = Table {
        name: Name::new(&wire.name),
        camel: Name::new(camel),
        kebab: Name::new(&wire.name.replace('_', "-")),
        kind: match wire.kind.as_str() {
            "r" => TableKind::Table,
            "p" => TableKind::Partitioned,
            "m" => TableKind::MaterializedView,
            _ => TableKind::View,
        },
        // The bits of pg_relation_is_updatable: 1 << CMD_UPDATE, CMD_INSERT, CMD_DELETE.
        updatable: wire.writable & 4 != 0,
        insertable: wire.writable & 8 != 0,
        deletable: wire.writable & 16 != 0,
        by_name: names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect(),
        by_camel: camels.into_iter().enumerate().map(|(at, name)| (name, at)).collect(),
        columns,
        primary_key: Vec::new(),
        uniques: Vec::new(),
        relationships: Vec::new(),
    };
    table.primary_key = indexes_of(&table, &wire.primary_key)?;
    table.uniques = wire.uniques.iter().map(|names| indexes_of(&table, names)).collect::<Result<_, _>>()?;
    Ok(table)
}

fn indexes_of(table: &Table, names: &[String]) -> Result<Vec<usize>, CatalogError> {
    names.iter().map(|name| index_of(table, name)).collect()
}

fn index_of(table: &Table, name: &str) -> Result<usize, CatalogError> {
    table.by_name.get(name).copied().ok_or_else(|| CatalogError::UnlistedColumn {
        table: table.name().to_owned(),
        column: name.to_owned(),
    })
}

fn read_type(wire: &WireType) -> TypeName {
    let (own, sql) = match wire.origin {
        // format_type's text: PostgreSQL's own spelling, quoted where it must be.
        Origin::System => (false, wire.name.clone()),
        Origin::Own => (true, quote(&wire.name)),
        Origin::Other => (false, format!("{}.{}", quote(&wire.schema), quote(&wire.name))),
    };
    let family = match (&wire.origin, wire.family.as_str()) {
        _ if wire.array => Family::Array,
        (Origin::System, "json") => Family::Json,
        (Origin::System, "jsonb") => Family::Jsonb,
        (Origin::System, "tsvector") => Family::TsVector,
        _ => Family::Other,
    };
    TypeName { own, sql: sql.into(), family }
}
