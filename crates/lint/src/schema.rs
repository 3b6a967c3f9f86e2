//! What statements make of a tenant's schema, as far as the rules ask: which tables there are, which of them are new, and
//! which columns a validated check keeps from being null.

use std::collections::{BTreeMap, BTreeSet};

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode, NameLike},
};

/// A schema after some versions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    /// Tables, views and indexes that tenants have.
    relations: BTreeSet<String>,
    /// Those among them that no tenant has yet.
    new: BTreeSet<String>,
    /// Checks that a column is not null, by table and constraint.
    checks: BTreeMap<(String, String), NotNull>,
}

#[derive(Debug, Clone)]
struct NotNull {
    column: String,
    is_valid: bool,
}

impl Schema {
    /// The tenants have what was new.
    pub(crate) fn forget_new(&mut self) {
        self.new.clear();
    }

    /// Whether all of these were made by what runs now, and there are any.
    pub(crate) fn are_new(&self, relations: &[String]) -> bool {
        !relations.is_empty() && relations.iter().all(|name| self.new.contains(name))
    }

    /// The columns of a table that a validated check keeps from being null.
    pub(crate) fn never_null(&self, table: &str) -> Vec<String> {
        let checks = self.checks.range((table.to_owned(), String::new())..);
        let checks = checks.take_while(|((of, _), _)| of == table).filter(|(_, check)| check.is_valid);
        checks.map(|(_, check)| check.column.clone()).collect()
    }

    /// Runs a statement.
    pub(crate) fn run(&mut self, statement: &ast::Stmt) {
        use ast::Stmt;
        match statement {
            Stmt::CreateTable(made) => {
                self.make(made.table_name().and_then(|name| name.path()), made.if_not_exists().is_some());
            }
            Stmt::CreateTableAs(made) => {
                self.make(made.table_name().and_then(|name| name.path()), made.if_not_exists().is_some());
            }
            Stmt::SelectInto(made) => {
                let name = made.into_clause().and_then(|into| into.table_name());
                self.make(name.and_then(|name| name.path()), false);
            }
            Stmt::CreateMaterializedView(made) => {
                self.make(made.view().and_then(|view| view.path()), made.if_not_exists().is_some());
            }
            Stmt::CreateView(made) => {
                self.make(made.view().and_then(|view| view.path()), made.or_replace().is_some());
            }
            Stmt::CreateIndex(made) if self.are_new(&relations_of(statement)) => {
                self.make(made.index().and_then(|index| index.path()), made.if_not_exists().is_some());
            }
            Stmt::DropTable(_) | Stmt::DropView(_) | Stmt::DropMaterializedView(_) | Stmt::DropIndex(_) => {
                for name in relations_of(statement) {
                    self.relations.remove(&name);
                    self.new.remove(&name);
                    self.checks.retain(|(table, _), _| *table != name);
                }
            }
            Stmt::AlterTable(altered) => {
                let Some(table) = relations_of(statement).pop() else { return };
                for action in altered.actions() {
                    self.alter(&table, &action);
                }
            }
            _ => {}
        }
    }

    fn make(&mut self, path: Option<ast::Path>, may_be_there: bool) {
        let Some(name) = path.and_then(|path| path.segment()).map(|segment| segment.text()) else { return };
        if self.relations.insert(name.clone()) || !may_be_there {
            self.new.insert(name);
        }
    }

    fn alter(&mut self, table: &str, action: &ast::AlterTableAction) {
        use ast::AlterTableAction as Action;
        match action {
            Action::TableRenameTo(renamed) => {
                let path = renamed.table_name().and_then(|name| name.path());
                let Some(name) = path.and_then(|path| path.segment()).map(|segment| segment.text()) else {
                    return;
                };
                self.relations.remove(table);
                self.relations.insert(name.clone());
                if self.new.remove(table) {
                    self.new.insert(name);
                }
            }
            Action::AddConstraint(added) => {
                let Some(constraint) = added.constraint() else { return };
                let name = constraint.constraint_name().map(|name| name.text());
                if let (Some(name), ast::Constraint::CheckConstraint(check)) = (name, &constraint)
                    && let Some(column) = check.expr().and_then(|condition| not_null(&condition))
                {
                    let check = NotNull { column, is_valid: !constraint.is_not_valid() };
                    self.checks.insert((table.to_owned(), name), check);
                }
            }
            Action::ValidateConstraint(validated) => {
                let path = validated.constraint_name_ref().and_then(|name| name.path_ref());
                if let Some(name) = path.and_then(|path| path.segment())
                    && let Some(check) = self.checks.get_mut(&(table.to_owned(), name.text()))
                {
                    check.is_valid = true;
                }
            }
            Action::DropConstraint(dropped) => {
                let path = dropped.constraint_name_ref().and_then(|name| name.path_ref());
                if let Some(name) = path.and_then(|path| path.segment()) {
                    self.checks.remove(&(table.to_owned(), name.text()));
                }
            }
            _ => {}
        }
    }
}

/// The column of `column IS NOT NULL`.
fn not_null(condition: &ast::Expr) -> Option<String> {
    let ast::Expr::BinExpr(condition) = condition else { return None };
    let is_not = condition.syntax().children().any(|node| node.kind() == SyntaxKind::IS_NOT);
    let null =
        condition.rhs().is_some_and(|value| value.syntax().text().to_string().eq_ignore_ascii_case("null"));
    match condition.lhs() {
        Some(ast::Expr::NameRef(column)) if is_not && null => Some(column.text()),
        _ => None,
    }
}

/// The tables, views and indexes that a statement is about, by their names without a schema.
pub(crate) fn relations_of(statement: &ast::Stmt) -> Vec<String> {
    const ABOUT: [SyntaxKind; 12] = [
        SyntaxKind::TABLE_RELATION_NAME,
        SyntaxKind::TABLE_NAME_REF,
        SyntaxKind::TABLE_LIST,
        SyntaxKind::TABLE_AND_COLUMNS_LIST,
        SyntaxKind::RELATION_NAME,
        SyntaxKind::RELATION_NAME_REF,
        SyntaxKind::RELATION_LIST,
        SyntaxKind::VIEW_REF,
        SyntaxKind::INDEX_REF,
        SyntaxKind::SEQUENCE_REF,
        SyntaxKind::REINDEX_TARGET_TABLE,
        SyntaxKind::REINDEX_TARGET_INDEX,
    ];
    let about = statement.syntax().children().filter(|node| ABOUT.contains(&node.kind()));
    about.flat_map(|node| node.descendants()).filter_map(|node| last_name(&node)).collect()
}

/// The last name of a path that is no part of another.
fn last_name(node: &SyntaxNode) -> Option<String> {
    let path = ast::PathRef::cast(node.clone())?;
    let is_part = node.parent().is_some_and(|parent| parent.kind() == SyntaxKind::PATH_REF);
    if is_part { None } else { path.segment().map(|segment| segment.text()) }
}
