//! A catalog as TypeScript types, in the shape that supabase's `postgrest-js` takes as its `Database`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    Argument, Catalog, Column, Function, JsonCase, Relationship, RelationshipKind, Table, TableKind,
    TypeName, catalog::Returns,
};

const HEAD: &str = "\
export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
";

/// What an empty group of types is.
const NOTHING: &str = "[_ in never]: never";

impl Catalog {
    /// TypeScript types of all tables, views, functions and enums. Of functions only those that are `exposed`, if it
    /// is said which.
    pub fn typescript(&self, case: JsonCase, exposed: Option<&BTreeSet<String>>) -> String {
        let types = Types { catalog: self, case, enums: enums(self) };
        let is_view = |table: &&Table| matches!(table.kind(), TableKind::View | TableKind::MaterializedView);
        let mut functions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for function in self.functions() {
            if exposed.is_none_or(|exposed| exposed.contains(function.name())) {
                functions.entry(function.name()).or_default().push(types.function(function));
            }
        }
        let enums = types.enums.iter().map(|(name, labels)| (*name, union(labels)));
        let mut out = HEAD.to_owned();
        group(
            &mut out,
            "Tables",
            self.tables().filter(|table| !is_view(table)).map(|table| (table.name(), types.table(table))),
        );
        group(&mut out, "Views", self.tables().filter(is_view).map(|view| (view.name(), types.table(view))));
        group(&mut out, "Functions", functions.into_iter().map(|(name, forms)| (name, forms.join(" | "))));
        group(&mut out, "Enums", enums);
        group(&mut out, "CompositeTypes", std::iter::empty());
        out.push_str("  }\n}\n");
        out
    }
}

/// A group of types by their names.
fn group<'a>(out: &mut String, name: &str, types: impl Iterator<Item = (&'a str, String)>) {
    let mut lines: Vec<String> = types.map(|(name, ty)| format!("{}: {ty}", key(name))).collect();
    if lines.is_empty() {
        lines.push(NOTHING.to_owned());
    }
    let _ = writeln!(out, "    {name}: {{");
    for line in lines {
        let _ = writeln!(out, "      {}", line.replace('\n', "\n      "));
    }
    out.push_str("    }\n");
}

/// The enums of the schema, by their names.
fn enums(catalog: &Catalog) -> BTreeMap<&str, &[String]> {
    let of_tables = catalog.tables().flat_map(Table::columns).map(Column::base_type);
    let of_functions = catalog
        .functions()
        .flat_map(|function| function.arguments().iter().map(Argument::ty).chain(function.returned_value()));
    let own = of_tables.chain(of_functions).filter(|ty| ty.own);
    own.filter_map(|ty| Some((ty.name(), ty.labels()?))).collect()
}

struct Types<'a> {
    catalog: &'a Catalog,
    case: JsonCase,
    enums: BTreeMap<&'a str, &'a [String]>,
}

impl Types<'_> {
    fn table(&self, table: &Table) -> String {
        let mut members = vec![format!("Row: {}", self.row(table))];
        if table.insertable() {
            members.push(format!("Insert: {}", self.written(table, false)));
        }
        if table.updatable() {
            members.push(format!("Update: {}", self.written(table, true)));
        }
        let mut keys: Vec<String> = table
            .relationships()
            .iter()
            .filter(|relationship| {
                relationship.kind() == RelationshipKind::ManyToOne && !relationship.computed
            })
            .map(|relationship| self.relationship(table, relationship))
            .collect();
        keys.sort();
        members.push(format!("Relationships: [{}]", nested(&keys, ",")));
        braced(&members)
    }

    fn row(&self, table: &Table) -> String {
        let columns = table.columns().iter();
        let computed = table.computed_columns().iter().map(|column| {
            // They are answered only where they are named.
            format!("{}: {} | null", key(column.json_name(self.case)), self.ty(column.base_type()))
        });
        let members: Vec<String> = columns
            .map(|column| format!("{}: {}", key(column.json_name(self.case)), self.column(column)))
            .chain(computed)
            .collect();
        braced(&members)
    }

    /// A row as it is inserted; `some` of it as it is updated.
    fn written(&self, table: &Table, some: bool) -> String {
        let is_view = table.kind() == TableKind::View;
        let members: Vec<String> = table
            .columns()
            .iter()
            .map(|column| {
                let optional =
                    some || is_view || column.nullable() || column.has_default() || column.generated();
                let mark = if optional { "?" } else { "" };
                let ty = if column.generated() { "never".to_owned() } else { self.column(column) };
                format!("{}{mark}: {ty}", key(column.json_name(self.case)))
            })
            .collect();
        braced(&members)
    }

    fn relationship(&self, table: &Table, relationship: &Relationship) -> String {
        let target = self.catalog.table_at(relationship.target);
        let back = target.relationships().iter().find(|back| {
            back.constraint() == relationship.constraint()
                && back.target() == table.name()
                && back.kind() != RelationshipKind::ManyToOne
        });
        let one_to_one = back.is_some_and(|back| back.kind() == RelationshipKind::OneToOne);
        let names = |table: &Table, columns: &mut dyn Iterator<Item = usize>| {
            let names: Vec<String> =
                columns.map(|at| text(table.columns()[at].json_name(self.case))).collect();
            names.join(", ")
        };
        braced(&[
            format!("foreignKeyName: {}", text(relationship.constraint())),
            format!("columns: [{}]", names(table, &mut relationship.columns.iter().map(|(here, _)| *here))),
            format!("isOneToOne: {one_to_one}"),
            format!("referencedRelation: {}", text(relationship.target())),
            format!(
                "referencedColumns: [{}]",
                names(target, &mut relationship.columns.iter().map(|(_, there)| *there))
            ),
        ])
    }

    fn function(&self, function: &Function) -> String {
        let arguments: Vec<String> = function
            .arguments()
            .iter()
            .map(|argument| {
                let name = match self.case {
                    JsonCase::Snake => argument.name.plain(),
                    JsonCase::Camel => argument.camel.plain(),
                };
                let mark = if argument.optional() { "?" } else { "" };
                format!("{}{mark}: {}", key(name), self.ty(argument.ty()))
            })
            .collect();
        let arguments = if arguments.is_empty() { "never".to_owned() } else { braced(&arguments) };
        let mut returns = match &function.returns {
            Returns::Nothing => "undefined".to_owned(),
            Returns::Value(ty) => self.ty(ty),
            Returns::Table(at) => self.row(self.catalog.table_at(*at)),
            Returns::Columns(columns) => self.row(columns),
        };
        if function.returns_set() {
            returns = array_of(&returns);
        }
        let mut members = vec![format!("Args: {arguments}"), format!("Returns: {returns}")];
        if let Returns::Table(at) = &function.returns {
            // By this `select` after `rpc` knows what can be embedded.
            members.push(format!(
                "SetofOptions: {}",
                braced(&[
                    "from: \"*\"".to_owned(),
                    format!("to: {}", text(self.catalog.table_at(*at).name())),
                    format!("isOneToOne: {}", !function.returns_set()),
                    format!("isSetofReturn: {}", function.returns_set()),
                ])
            ));
        }
        braced(&members)
    }

    fn column(&self, column: &Column) -> String {
        let ty = self.ty(column.base_type());
        if column.nullable() { format!("{ty} | null") } else { ty }
    }

    fn ty(&self, ty: &TypeName) -> String {
        match ty.name().strip_prefix('_').filter(|_| ty.is_array()) {
            Some(element) => array_of(&self.named(element)),
            None => self.named(ty.name()),
        }
    }

    /// The type of this name in `pg_type`, as JSON has its values.
    fn named(&self, name: &str) -> String {
        if self.enums.contains_key(name) {
            return format!("Database[\"public\"][\"Enums\"][{}]", text(name));
        }
        match name {
            "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => "number",
            "bool" => "boolean",
            "json" | "jsonb" => "Json",
            "record" => "Record<string, unknown>",
            _ => "string",
        }
        .to_owned()
    }
}

fn array_of(ty: &str) -> String {
    if ty.contains(" | ") && !ty.starts_with('{') { format!("({ty})[]") } else { format!("{ty}[]") }
}

fn union(labels: &[String]) -> String {
    labels.iter().map(|label| text(label)).collect::<Vec<_>>().join(" | ")
}

fn braced(members: &[String]) -> String {
    if members.is_empty() { format!("{{ {NOTHING} }}") } else { format!("{{{}}}", nested(members, "")) }
}

/// Each on lines of its own.
fn nested(items: &[String], end: &str) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut lines = String::new();
    for item in items {
        let _ = write!(lines, "\n  {}{end}", item.replace('\n', "\n  "));
    }
    lines.push('\n');
    lines
}

/// A property's name, quoted where it must be.
fn key(name: &str) -> String {
    let plain = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { text(name) }
}

/// A text as a literal.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_quoted_where_they_must_be() {
        assert_eq!(key("first_name"), "first_name");
        assert_eq!(key("2nd \"name\""), r#""2nd \"name\"""#);
        assert_eq!(union(&["a".into(), "b \\ c".into()]), r#""a" | "b \\ c""#);
        assert_eq!(array_of("Json"), "Json[]");
        assert_eq!(array_of("string | null"), "(string | null)[]");
    }

    #[test]
    fn an_empty_schema_has_types_too() {
        let catalog = Catalog::from_json(r#"{"tables": []}"#).unwrap();
        let types = catalog.typescript(JsonCase::Snake, None);
        assert!(types.contains("    Tables: {\n      [_ in never]: never\n    }\n"), "{types}");
    }
}
