//! Rules of our own over whole statements: rewrites, locks and clients that squawk has no rule for.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use crate::{
    Known,
    statement::{Found, Statement},
};

pub(crate) fn find(is_backfill: bool, statements: &[Statement], known: &Known<'_>, found: &mut Vec<Found>) {
    for statement in statements {
        let mut of_statement = Vec::new();
        of(statement, known, &mut of_statement);
        of_statement.retain(|found| {
            let ends = !matches!(statement.node, ast::Stmt::Update(_));
            let runs_in_batches = is_backfill && ends && &found.rule == "whole-table-update";
            !runs_in_batches && !statement.is_exempt(found.rule)
        });
        for found in &mut of_statement {
            // It runs until it changes no row.
            if is_backfill && &found.rule == "whole-table-update" {
                found.message = Some("a backfill that changes all rows each time never ends".to_owned());
            }
        }
        found.extend(of_statement);
    }
}

fn of(statement: &Statement, known: &Known<'_>, found: &mut Vec<Found>) {
    use ast::Stmt;
    match &statement.node {
        Stmt::AlterTable(altered) => {
            for action in altered.actions() {
                of_action(&action, statement, known, found);
            }
        }
        Stmt::CreateIndex(index) if index.unique_token().is_some() => {
            found.push(Found::at(index.syntax(), "adding-unique-index"));
        }
        Stmt::Vacuum(vacuum) if vacuum.is_full() => found.push(Found::at(vacuum.syntax(), "table-rewrite")),
        Stmt::Cluster(cluster) => found.push(Found::at(cluster.syntax(), "table-rewrite")),
        Stmt::Update(update) if update.where_clause_or_current_of().is_none() => {
            found.push(Found::at(update.syntax(), "whole-table-update"));
        }
        Stmt::Delete(delete) if delete.where_clause_or_current_of().is_none() => {
            found.push(Found::at(delete.syntax(), "whole-table-update"));
        }
        Stmt::CreateRole(_)
        | Stmt::CreateUser(_)
        | Stmt::CreateGroup(_)
        | Stmt::AlterGroup(_)
        | Stmt::CreateDatabase(_)
        | Stmt::CreateTablespace(_)
        | Stmt::AlterTablespace(_)
        | Stmt::DropTablespace(_)
        | Stmt::CreateExtension(_)
        | Stmt::CreateLanguage(_)
        | Stmt::DropLanguage(_)
        | Stmt::CreatePublication(_)
        | Stmt::CreateSubscription(_)
        | Stmt::AlterSubscription(_)
        | Stmt::DropSubscription(_)
        | Stmt::CreateEventTrigger(_)
        | Stmt::AlterEventTrigger(_)
        | Stmt::DropEventTrigger(_)
        | Stmt::CreateServer(_)
        | Stmt::CreateForeignDataWrapper(_)
        | Stmt::CreateUserMapping(_) => found.push(Found::at(statement.node.syntax(), "shared-object")),
        // What is said without a schema holds in those of all tenants.
        Stmt::AlterDefaultPrivileges(altered)
            if !altered
                .syntax()
                .descendants_with_tokens()
                .any(|part| part.kind() == SyntaxKind::SCHEMA_KW) =>
        {
            found.push(Found::at(altered.syntax(), "shared-object"));
        }
        Stmt::Lock(lock) => found.push(Found::at(lock.syntax(), "lock-table")),
        Stmt::Refresh(refresh) if refresh.concurrently_token().is_none() => {
            found.push(Found::at(refresh.syntax(), "refreshing-materialized-view"));
        }
        _ => {}
    }
}

fn of_action(
    action: &ast::AlterTableAction,
    statement: &Statement,
    known: &Known<'_>,
    found: &mut Vec<Found>,
) {
    use ast::AlterTableAction as Action;
    match action {
        Action::SetLogged(_)
        | Action::SetUnlogged(_)
        | Action::SetAccessMethod(_)
        | Action::SetTablespace(_) => found.push(Found::at(action.syntax(), "table-rewrite")),
        Action::AttachPartition(_) => found.push(Found::at(action.syntax(), "attaching-partition")),
        Action::AddColumn(added) => {
            let is_identity = |node: SyntaxNode| node.kind() == SyntaxKind::GENERATED_IDENTITY;
            if is_serial(added) || added.syntax().descendants().any(is_identity) {
                found.push(Found::at(action.syntax(), "adding-identity-column"));
            }
            // squawk looks at those of the table only.
            if added.constraints().any(|one| matches!(one, ast::Constraint::CheckConstraint(_))) {
                found.push(Found::at(action.syntax(), "constraint-missing-not-valid"));
            }
        }
        Action::AddConstraint(added) => {
            if let Some(ast::Constraint::ExcludeConstraint(_)) = added.constraint() {
                found.push(Found::at(action.syntax(), "adding-exclusion-constraint"));
            }
        }
        Action::SetOptions(options) => {
            let text = options.syntax().text().to_string().to_lowercase();
            let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let off = ["false", "off", "0", "no"];
            let mut words = words.into_iter().filter(|word| !word.is_empty());
            if words.any(|word| word == "autovacuum_enabled")
                && words.next().is_some_and(|w| off.contains(&w))
            {
                found.push(Found::at(action.syntax(), "autovacuum-off"));
            }
        }
        Action::DropColumn(dropped) => {
            of_column(dropped.column_name_ref(), action.syntax(), statement, known, found);
        }
        Action::AlterColumn(altered)
            if matches!(altered.option(), Some(ast::AlterColumnOption::SetType(_))) =>
        {
            of_column(altered.column_name_ref(), action.syntax(), statement, known, found);
        }
        _ => {}
    }
}

/// A column that goes, or changes its type: PostgreSQL does neither while a view uses it, and `CASCADE` drops the view.
fn of_column(
    column: Option<ast::ColumnNameRef>,
    action: &SyntaxNode,
    statement: &Statement,
    known: &Known<'_>,
    found: &mut Vec<Found>,
) {
    let Some(column) = column.map(|column| ast::normalize_name_node(column.syntax())) else { return };
    if let Some(view) = known.view_of(statement, &column) {
        let message = format!("the view `{view}` uses the column `{column}`");
        found.push(Found::at(action, "column-used-by-view").saying(message));
    }
}

/// Whether a column's type is one of those that make a sequence.
pub(crate) fn is_serial(added: &ast::AddColumn) -> bool {
    const SERIAL: [&str; 6] = ["serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"];
    let name = added.ty().map(|ty| ty.syntax().text().to_string().to_lowercase());
    name.is_some_and(|name| SERIAL.contains(&name.as_str()))
}
