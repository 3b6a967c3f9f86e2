//! What changes for whom the file runs: the search path, the role, and functions that run with other rights.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use crate::{bodies::Tree, names::COMMON_SCHEMAS, statement::Found};

/// A change of a setting at a node of a tree.
pub(crate) fn find(node: &SyntaxNode, tree: Tree, found: &mut Vec<Found>) {
    match node.kind() {
        SyntaxKind::PLPGSQL_DYN_EXECUTE_STMT if tree == Tree::Do => {
            let message = "what `EXECUTE` runs is known only when it runs";
            found.push(Found::at(node, "unread").saying(message));
        }
        SyntaxKind::CONFIG_PARAMETER_REF if is_search_path(node) => of_search_path(node, found),
        SyntaxKind::CONFIG_PARAMETER_REF => {
            let is_set = |node: SyntaxNode| matches!(node.kind(), SyntaxKind::SET | SyntaxKind::RESET);
            let rule = rule_of(node.text().to_string().trim_matches('"'));
            found.extend(rule.filter(|_| node.ancestors().any(is_set)).map(|rule| Found::at(node, rule)));
        }
        // Another word for the search path.
        SyntaxKind::SET_SCHEMA_VALUE => found.push(Found::at(node, "search-path")),
        SyntaxKind::CALL_EXPR => {
            let rule = set_by(node).and_then(|setting| rule_of(&setting));
            found.extend(rule.map(|rule| Found::at(node, rule)));
        }
        SyntaxKind::SET_ROLE
        | SyntaxKind::RESET_ROLE
        | SyntaxKind::SET_SESSION_AUTH
        | SyntaxKind::RESET_SESSION_AUTH
        | SyntaxKind::DISCARD_ALL => found.push(Found::at(node, "session-role")),
        SyntaxKind::SECURITY_DEFINER_FUNC_OPTION => {
            let has_path = node.parent().is_some_and(|options| {
                options.descendants().any(|option| {
                    option.kind() == SyntaxKind::CONFIG_PARAMETER_REF && is_search_path(&option)
                })
            });
            if !has_path {
                found.push(Found::at(node, "security-definer"));
            }
        }
        _ => {}
    }
}

fn is_search_path(setting: &SyntaxNode) -> bool {
    setting.text().to_string().trim_matches('"').eq_ignore_ascii_case("search_path")
}

/// The rule about whoever sets a setting.
fn rule_of(setting: &str) -> Option<&'static str> {
    match setting.to_lowercase().as_str() {
        "search_path" => Some("search-path"),
        "role" | "session_authorization" => Some("session-role"),
        "lock_timeout" | "statement_timeout" | "transaction_timeout" => Some("timeout-setting"),
        _ => None,
    }
}

fn of_search_path(setting: &SyntaxNode, found: &mut Vec<Found>) {
    let Some(around) = setting.parent() else { return };
    let is_function = setting.ancestors().any(|node| node.kind() == SyntaxKind::SET_FUNC_OPTION);
    if is_function {
        if around.descendants().any(|node| node.kind() == SyntaxKind::FROM_CURRENT) {
            let message = "`search_path FROM CURRENT` keeps the name that the schema has when the file runs";
            found.push(Found::at(&around, "search-path").saying(message));
        } else if !values(&around).iter().all(|schema| is_common(schema)) {
            let message = "the function's search path names a schema, and each tenant has its own";
            found.push(Found::at(&around, "search-path").saying(message));
        }
        return;
    }
    let elsewhere = |node: SyntaxNode| {
        matches!(
            node.kind(),
            // squawk has rules for the first four; the last only looks.
            SyntaxKind::ALTER_ROLE
                | SyntaxKind::ALTER_USER
                | SyntaxKind::ALTER_DATABASE
                | SyntaxKind::ALTER_SYSTEM
                | SyntaxKind::SHOW
        )
    };
    if !setting.ancestors().any(elsewhere) {
        found.push(Found::at(&around, "search-path"));
    }
}

/// The schemas on a search path, each as it is written.
fn values(setting: &SyntaxNode) -> Vec<String> {
    let value =
        |node: &SyntaxNode| matches!(node.kind(), SyntaxKind::CONFIG_VALUE_NAME | SyntaxKind::LITERAL);
    setting.descendants().filter(value).map(|node| node.text().to_string()).collect()
}

fn is_common(schema: &str) -> bool {
    let schema = schema.trim_matches(['\'', '"']);
    schema.is_empty() || COMMON_SCHEMAS.contains(&schema.to_lowercase().as_str())
}

/// The setting of `set_config('search_path', ...)`.
fn set_by(call: &SyntaxNode) -> Option<String> {
    let call = ast::CallExpr::cast(call.clone())?;
    let name = match call.expr()? {
        ast::Expr::NameRef(name) => name.text(),
        ast::Expr::FieldExpr(name) => name.field()?.text(),
        _ => return None,
    };
    let ast::Expr::Literal(setting) = call.arg_list()?.args().next()?.expr()? else { return None };
    setting.string_value().filter(|_| name == "set_config")
}
