//! The introspection's JSON, and the catalog made of it.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    Argument, Casts, Catalog, CatalogError, Column, Family, Function, Handler, Name, Returns, Table,
    TableKind, TypeName, Volatility, camel_names, quote,
    relationships::{self, ForeignKey},
    view,
};

/// What [`Catalog::INTROSPECTION_SQL`] answered, of which catalogs with and without some tables can be made.
#[derive(Debug, Deserialize)]
pub struct Introspection {
    tables: Vec<WireTable>,
    #[serde(default)]
    functions: Vec<WireFunction>,
    #[serde(default)]
    handlers: Vec<WireHandler>,
}

#[derive(Debug, Deserialize)]
struct WireHandler {
    aggregate: String,
    media: String,
    bytes: bool,
    /// Of which rows; none: of any.
    table: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireCasts {
    to_json: Option<String>,
    from_json: Option<String>,
    from_text: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireTable {
    name: String,
    #[serde(default)]
    oid: u32,
    kind: String,
    #[serde(default)]
    has_children: bool,
    #[serde(default)]
    comment: Option<String>,
    writable: u32,
    columns: Vec<WireColumn>,
    primary_key: Vec<String>,
    uniques: Vec<Vec<String>>,
    foreign_keys: Vec<WireForeignKey>,
    /// A view's, as PostgreSQL keeps it.
    #[serde(default)]
    query: Option<String>,
    /// What the view's columns are, read from its query.
    #[serde(skip)]
    shown: view::Shown,
}

#[derive(Debug, Deserialize)]
struct WireColumn {
    name: String,
    #[serde(default)]
    number: i16,
    #[serde(rename = "type")]
    ty: WireType,
    base: WireType,
    full_type: String,
    nullable: bool,
    has_default: bool,
    generated: bool,
    #[serde(default)]
    comment: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WireType {
    origin: TypeOrigin,
    schema: String,
    name: String,
    family: String,
    array: bool,
    #[serde(default)]
    row: bool,
    #[serde(default)]
    bytes: bool,
    #[serde(default)]
    casts: Option<WireCasts>,
    #[serde(default)]
    labels: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TypeOrigin {
    System,
    Own,
    Other,
}

#[derive(Debug, Deserialize)]
struct WireForeignKey {
    constraint: String,
    table: String,
    columns: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct WireFunction {
    name: String,
    comment: Option<String>,
    volatility: String,
    arguments: Vec<WireArgument>,
    set: bool,
    one_row: bool,
    table: Option<String>,
    columns: Option<Vec<WireColumn>>,
    returns: WireType,
    full_type: String,
}

#[derive(Debug, Deserialize)]
struct WireArgument {
    name: String,
    #[serde(rename = "type")]
    ty: WireType,
    full_type: String,
    variadic: bool,
    optional: bool,
}

impl Introspection {
    /// Reads the answer of [`Catalog::INTROSPECTION_SQL`].
    ///
    /// # Errors
    /// [`CatalogError::Json`].
    pub fn read(json: &str) -> Result<Self, CatalogError> {
        let mut read: Self = serde_json::from_str(json)?;
        // The introspection leaves them out already; they must stay unreachable whatever wrote the JSON.
        read.tables.retain(|table| !table.name.starts_with("tenantry_"));
        read.functions.retain(|function| !function.name.starts_with("tenantry_"));
        for table in &mut read.tables {
            // Long, and not needed any more.
            if let Some(query) = table.query.take() {
                table.shown = view::shown(&query);
            }
        }
        Ok(read)
    }

    /// The catalog without these tables and functions, and without what leads to them.
    ///
    /// # Errors
    /// [`CatalogError::UnlistedColumn`].
    pub fn catalog(&self, without: &[String]) -> Result<Catalog, CatalogError> {
        let wire: Vec<&WireTable> =
            self.tables.iter().filter(|table| !without.contains(&table.name)).collect();
        let names: Vec<&str> = wire.iter().map(|table| table.name.as_str()).collect();
        let camels = camel_names(&names);
        let by_name: HashMap<String, usize> =
            names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect();

        let mut tables = Vec::with_capacity(wire.len());
        let mut by_alias = HashMap::new();
        for (at, (table, camel)) in wire.iter().zip(camels).enumerate() {
            let table = read_table(table, &camel)?;
            by_alias.insert(camel, at);
            by_alias.entry(table.kebab.plain().to_owned()).or_insert(at);
            tables.push(table);
        }

        let mut keys = Vec::new();
        for (from, table) in wire.iter().enumerate() {
            for key in &table.foreign_keys {
                let Some(&to) = by_name.get(&key.table) else { continue };
                let mut columns = Vec::with_capacity(key.columns.len());
                for (here, there) in &key.columns {
                    columns.push((index_of(&tables[from], here)?, index_of(&tables[to], there)?));
                }
                keys.push(ForeignKey { constraint: Name::new(&key.constraint), from, to, columns });
            }
        }
        let shown: Vec<Shown> = wire.iter().map(|table| shown(&wire, table)).collect();
        let rows_of: Vec<Option<usize>> = wire.iter().map(|table| rows_of(&wire, table)).collect();
        show_keys(&mut tables, &mut keys, &shown, &rows_of);
        relationships::connect(&mut tables, &keys);

        let mut functions = Vec::new();
        for function in self.functions.iter().filter(|function| !without.contains(&function.name)) {
            match row_of(function, &by_name) {
                Some(table) => {
                    relationships::compute(&mut tables, table, function_of_row(function, &by_name));
                }
                None => functions.extend(read_function(function, &by_name)),
            }
        }
        let handlers = self.handlers.iter().filter_map(|handler| {
            let table = match &handler.table {
                Some(table) => Some(*by_name.get(table)?),
                None => None,
            };
            let (aggregate, media) = (Name::new(&handler.aggregate), handler.media.as_str().into());
            Some(Handler { aggregate, media, bytes: handler.bytes, table })
        });
        let handlers = handlers.collect();
        Ok(Catalog { tables, by_name, by_alias, functions, handlers })
    }
}

/// Of each of a view's columns: the column that it shows, as places of a table and a column.
type Shown = Vec<Option<(usize, usize)>>;

/// Through other views, to the tables.
fn shown(wire: &[&WireTable], view: &WireTable) -> Shown {
    view.shown
        .origins
        .iter()
        .map(|origin| {
            let mut origin = (*origin)?;
            // A view of a view of a view; PostgreSQL lets none show itself.
            for _ in 0..wire.len() {
                let (at, table) = wire.iter().enumerate().find(|(_, table)| table.oid == origin.0)?;
                let column = table.columns.iter().position(|column| column.number == origin.1)?;
                if table.shown.origins.is_empty() {
                    return Some((at, column));
                }
                origin = (*table.shown.origins.get(column)?)?;
            }
            None
        })
        .collect()
}

/// The table each row of which a view shows at most once, looked up through other views.
fn rows_of(wire: &[&WireTable], view: &WireTable) -> Option<usize> {
    let mut view = view;
    for _ in 0..wire.len() {
        let (relation, _) = view.shown.origins.iter().flatten().next().filter(|_| view.shown.of_one)?;
        let at = wire.iter().position(|table| table.oid == *relation)?;
        view = wire[at];
        if view.shown.origins.is_empty() {
            return Some(at);
        }
    }
    None
}

/// Keys of tables and views together; what views show of more is not embedded.
const MAX_KEYS: usize = 20_000;

/// Gives views the keys of the tables that they show, as far as they show all columns of them.
fn show_keys(tables: &mut [Table], keys: &mut Vec<ForeignKey>, shown: &[Shown], rows_of: &[Option<usize>]) {
    let place = |view: usize, table: usize, column: usize| {
        shown[view].iter().position(|shown| *shown == Some((table, column)))
    };
    for (view, table) in rows_of.iter().enumerate() {
        let Some(table) = *table else { continue };
        let mapped = |key: &Vec<usize>| -> Option<Vec<usize>> {
            key.iter().map(|column| place(view, table, *column)).collect()
        };
        let primary = mapped(&tables[table].primary_key).unwrap_or_default();
        let uniques: Vec<_> = tables[table].uniques.iter().filter_map(mapped).collect();
        tables[view].primary_key = primary;
        // A materialized view has indexes of its own too.
        tables[view].uniques.extend(uniques);
    }
    let of_tables = keys.len();
    for at in 0..of_tables {
        let (from, to) = (keys[at].from, keys[at].to);
        let show = |table: usize, columns: Vec<usize>| -> Vec<(usize, Vec<usize>)> {
            let views = (0..shown.len()).filter_map(|view| {
                let columns: Option<Vec<usize>> =
                    columns.iter().map(|column| place(view, table, *column)).collect();
                Some((view, columns?))
            });
            views.chain([(table, columns.clone())]).collect()
        };
        let (here, there) = keys[at].columns.iter().copied().unzip();
        let (froms, tos) = (show(from, here), show(to, there));
        for (from_at, here) in &froms {
            for (to_at, there) in &tos {
                if (*from_at, *to_at) != (from, to) && keys.len() < MAX_KEYS {
                    keys.push(ForeignKey {
                        constraint: keys[at].constraint.clone(),
                        from: *from_at,
                        to: *to_at,
                        columns: here.iter().copied().zip(there.iter().copied()).collect(),
                    });
                }
            }
        }
    }
}

/// The table whose row is the function's one argument: it computes a column or what is embedded.
fn row_of(function: &WireFunction, tables: &HashMap<String, usize>) -> Option<usize> {
    match function.arguments.as_slice() {
        [one] if one.ty.row && matches!(one.ty.origin, TypeOrigin::Own) => tables.get(&one.ty.name).copied(),
        _ => None,
    }
}

fn function_of_row(function: &WireFunction, tables: &HashMap<String, usize>) -> relationships::OfRow {
    // What may write is no column of a read.
    if function.volatility == "v" {
        return relationships::OfRow::Unusable;
    }
    let name = Name::new(&function.name);
    match function.table.as_ref().and_then(|table| tables.get(table)) {
        Some(&target) => {
            relationships::OfRow::Rows { function: name, target, one: !function.set || function.one_row }
        }
        None if function.set || function.columns.is_some() || function.returns.name == "void" => {
            relationships::OfRow::Unusable
        }
        None => {
            let ty = read_type(&function.returns);
            relationships::OfRow::Column(Box::new(Column {
                camel: Name::new(&crate::json_case::camel(&function.name)),
                name,
                base: ty.clone(),
                ty,
                computed: true,
                full_type: function.full_type.clone(),
                nullable: true,
                has_default: false,
                generated: true,
                comment: function.comment.clone(),
            }))
        }
    }
}

/// None: a client cannot use what it returns.
fn read_function(wire: &WireFunction, tables: &HashMap<String, usize>) -> Option<Function> {
    let returns = match (&wire.table, &wire.columns) {
        (Some(table), _) => match tables.get(table) {
            Some(at) => Returns::Table(*at),
            None => return None,
        },
        (None, Some(columns)) => {
            let table = columns_of(&wire.name, &wire.name, TableKind::Result, columns);
            Returns::Columns(Box::new(table))
        }
        (None, None) if wire.returns.family == "void" => Returns::Nothing,
        // A record of which nobody knows the columns.
        (None, None) if wire.returns.family == "record" => return None,
        (None, None) => Returns::Value(read_type(&wire.returns)),
    };
    let arguments = wire.arguments.iter().map(|argument| Argument {
        name: Name::new(&argument.name),
        camel: Name::new(&crate::json_case::camel(&argument.name)),
        ty: read_type(&argument.ty),
        variadic: argument.variadic,
        optional: argument.optional,
        full_type: argument.full_type.clone(),
    });
    Some(Function {
        name: Name::new(&wire.name),
        volatility: match wire.volatility.as_str() {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        arguments: arguments.collect(),
        returns,
        set: wire.set,
        full_type: wire.full_type.clone(),
        comment: wire.comment.clone(),
    })
}

fn read_table(wire: &WireTable, camel: &str) -> Result<Table, CatalogError> {
    let kind = match wire.kind.as_str() {
        "r" => TableKind::Table,
        "p" => TableKind::Partitioned,
        "m" => TableKind::MaterializedView,
        _ => TableKind::View,
    };
    let mut table = columns_of(&wire.name, camel, kind, &wire.columns);
    table.has_children = wire.has_children;
    table.insertable = wire.writable & 8 != 0;
    table.updatable = wire.writable & 4 != 0;
    table.deletable = wire.writable & 16 != 0;
    table.comment.clone_from(&wire.comment);
    table.primary_key = indexes_of(&table, &wire.primary_key)?;
    table.uniques = wire.uniques.iter().map(|names| indexes_of(&table, names)).collect::<Result<_, _>>()?;
    Ok(table)
}

/// A table of columns and nothing else.
fn columns_of(name: &str, camel: &str, kind: TableKind, wire: &[WireColumn]) -> Table {
    let names: Vec<&str> = wire.iter().map(|column| column.name.as_str()).collect();
    let camels = camel_names(&names);
    let columns = wire.iter().zip(&camels).map(|(column, camel)| Column {
        name: Name::new(&column.name),
        camel: Name::new(camel),
        ty: read_type(&column.ty),
        base: read_type(&column.base),
        computed: false,
        full_type: column.full_type.clone(),
        nullable: column.nullable,
        has_default: column.has_default,
        generated: column.generated,
        comment: column.comment.clone(),
    });
    Table {
        name: Name::new(name),
        camel: Name::new(camel),
        kebab: Name::new(&name.replace('_', "-")),
        kind,
        has_children: false,
        insertable: false,
        updatable: false,
        deletable: false,
        columns: columns.collect(),
        by_name: names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), at)).collect(),
        by_camel: camels.into_iter().enumerate().map(|(at, name)| (name, at)).collect(),
        primary_key: Vec::new(),
        uniques: Vec::new(),
        computed: Vec::new(),
        comment: None,
        relationships: Vec::new(),
    }
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
        TypeOrigin::System => (false, wire.name.clone()),
        TypeOrigin::Own => (true, quote(&wire.name)),
        TypeOrigin::Other => (false, format!("{}.{}", quote(&wire.schema), quote(&wire.name))),
    };
    let family = match (&wire.origin, wire.family.as_str()) {
        _ if wire.array => Family::Array,
        (TypeOrigin::System, "json") => Family::Json,
        (TypeOrigin::System, "jsonb") => Family::Jsonb,
        (TypeOrigin::System, "tsvector") => Family::TsVector,
        _ => Family::Other,
    };
    TypeName {
        own,
        sql: sql.into(),
        family,
        name: wire.family.as_str().into(),
        bytes: wire.bytes,
        casts: wire.casts.as_ref().map(|casts| {
            let name = |name: &Option<String>| name.as_deref().map(Name::new);
            Box::new(Casts {
                to_json: name(&casts.to_json),
                from_json: name(&casts.from_json),
                from_text: name(&casts.from_text),
            })
        }),
        labels: wire.labels.clone().map(Vec::into_boxed_slice),
    }
}
