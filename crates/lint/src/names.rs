//! Names with a schema: what they name is no tenant's own, or one tenant's only.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};
use tenantry_domain::names::EXTENSIONS_SCHEMA;

use crate::{bodies::Tree, statement::Found};

const RULE: &str = "schema-reference";

/// Schemas that are the same for every tenant, or of one session.
pub(crate) const COMMON_SCHEMAS: [&str; 4] =
    ["pg_catalog", "information_schema", EXTENSIONS_SCHEMA, "pg_temp"];

/// Functions that read a name from a text.
const NAME_IN_TEXT: [&str; 10] = [
    "nextval",
    "currval",
    "setval",
    "to_regclass",
    "to_regtype",
    "to_regproc",
    "to_regprocedure",
    "pg_get_serial_sequence",
    "pg_relation_size",
    "pg_total_relation_size",
];

/// A name with a schema at a node of a tree.
pub(crate) fn find(node: &SyntaxNode, tree: Tree, found: &mut Vec<Found>) {
    let parts = match node.kind() {
        SyntaxKind::PATH | SyntaxKind::PATH_REF => path(node),
        SyntaxKind::FIELD_EXPR => fields(node, tree),
        SyntaxKind::LITERAL => text(node),
        SyntaxKind::SCHEMA_REF => alone(node),
        SyntaxKind::CREATE_SCHEMA => {
            found.push(Found::at(node, RULE).saying("a schema is made, and no tenant owns it"));
            return;
        }
        _ => None,
    };
    let Some(Named { schema, whole }) = parts else { return };
    if !COMMON_SCHEMAS.contains(&schema.as_str()) {
        let message = format!("`{whole}` names the schema `{schema}`, and each tenant has its own");
        found.push(Found::at(node, RULE).saying(message));
    }
}

struct Named {
    schema: String,
    whole: String,
}

/// A schema by itself, as in `GRANT ... ON SCHEMA`. squawk has rules for those that are dropped, and moved to.
fn alone(node: &SyntaxNode) -> Option<Named> {
    let parent = node.parent()?.kind();
    let is_told = matches!(parent, SyntaxKind::DROP_SCHEMA | SyntaxKind::SET_SCHEMA);
    (!is_told).then(|| Named { schema: ast::normalize_name_node(node), whole: node.text().to_string() })
}

/// `schema.table`, and `schema.table.column` where a column is named.
fn path(node: &SyntaxNode) -> Option<Named> {
    let parent = node.parent()?;
    let columns = match parent.kind() {
        // A part of a longer one; a setting of the app's own.
        SyntaxKind::PATH | SyntaxKind::PATH_REF | SyntaxKind::CONFIG_PARAMETER_REF => return None,
        SyntaxKind::QUALIFIED_COLUMN_NAME_REF | SyntaxKind::PERCENT_TYPE => 1,
        _ => 0,
    };
    let names: Vec<String> = node
        .descendants()
        .filter(|part| matches!(part.kind(), SyntaxKind::PATH_SEGMENT | SyntaxKind::PATH_SEGMENT_REF))
        .map(|part| ast::normalize_name_node(&part))
        .collect();
    // `OPERATOR(schema.+)` has no name after the period.
    let names_after = columns + usize::from(parent.kind() != SyntaxKind::OP);
    let schema = names.len().checked_sub(names_after + 1)?;
    Some(Named { schema: names.get(schema)?.clone(), whole: node.text().to_string() })
}

/// `schema.function(...)`, and `schema.table.column` in an expression of SQL. Two names are a column, or a field.
fn fields(node: &SyntaxNode, tree: Tree) -> Option<Named> {
    let parent = node.parent()?;
    let is_called = parent.kind() == SyntaxKind::CALL_EXPR && parent.first_child().as_ref() == Some(node);
    // What has more fields is looked at as a whole.
    if parent.kind() == SyntaxKind::FIELD_EXPR {
        return None;
    }
    let (mut base, mut count) = (node.clone(), 1);
    while base.kind() == SyntaxKind::FIELD_EXPR {
        base = base.first_child()?;
        count += 1;
    }
    // In PL/pgSQL a record may have fields that are records.
    let is_named = is_called || (count >= 3 && tree == Tree::Sql);
    (base.kind() == SyntaxKind::NAME_REF && is_named)
        .then(|| Named { schema: ast::normalize_name_node(&base), whole: node.text().to_string() })
}

/// `'schema.table'::regclass` and `nextval('schema.sequence')`.
fn text(node: &SyntaxNode) -> Option<Named> {
    let parent = node.parent()?;
    let is_name = match parent.kind() {
        SyntaxKind::CAST_EXPR => {
            let ty = parent.children().find(|child| child.kind() == SyntaxKind::PATH_TYPE);
            ty.is_some_and(|ty| ty.text().to_string().to_lowercase().starts_with("reg"))
        }
        SyntaxKind::ARG => {
            let call = parent.parent().and_then(|list| list.parent()).and_then(ast::CallExpr::cast);
            match call.and_then(|call| call.expr()) {
                Some(ast::Expr::NameRef(name)) => NAME_IN_TEXT.contains(&name.text().as_str()),
                _ => false,
            }
        }
        _ => false,
    };
    if !is_name {
        return None;
    }
    let whole = ast::Literal::cast(node.clone())?.string_value()?;
    let (schema, _) = whole.split_once('.')?;
    let schema = schema.trim_matches('"').to_owned();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | ' ' | '-');
    (!schema.is_empty() && schema.chars().all(plain)).then_some(Named { schema, whole })
}
