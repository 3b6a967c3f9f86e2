//! Files that are marked as `-- no-transaction`: what fails in the middle of one is not taken back.

use squawk_syntax::{
    SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use crate::statement::{Found, Statement};

pub(crate) fn find(in_transaction: bool, statements: &[Statement], found: &mut Vec<Found>) {
    for statement in statements {
        if in_transaction {
            if let Some(concurrently) = concurrently(&statement.node) {
                let rule = "ban-concurrent-index-creation-in-transaction";
                found.push(Found::at(&concurrently, rule));
            }
        } else if statements.len() > 1 && !is_repeatable(&statement.node) {
            found.push(Found::at(statement.node.syntax(), "prefer-robust-stmts"));
        }
    }
}

/// The part of a statement that can run in no transaction.
fn concurrently(statement: &ast::Stmt) -> Option<SyntaxNode> {
    use ast::Stmt;
    match statement {
        Stmt::CreateIndex(index) => index.concurrently_token().map(|_| index.syntax().clone()),
        Stmt::DropIndex(index) => index.concurrently_token().map(|_| index.syntax().clone()),
        Stmt::Reindex(reindex) => reindex.is_concurrently().then(|| reindex.syntax().clone()),
        Stmt::AlterTable(table) => {
            let mut inner = table.syntax().descendants();
            inner.find(|node| node.kind() == SyntaxKind::DETACH_CONCURRENTLY)
        }
        _ => None,
    }
}

/// Whether what squawk does not look at can run twice.
fn is_repeatable(statement: &ast::Stmt) -> bool {
    use ast::Stmt;
    if let Stmt::Insert(insert) = statement {
        return insert.on_conflict_clause().is_some();
    }
    // squawk looks at these.
    if matches!(
        statement,
        Stmt::CreateTable(_)
            | Stmt::CreateIndex(_)
            | Stmt::AlterTable(_)
            | Stmt::DropTable(_)
            | Stmt::DropIndex(_)
            | Stmt::DropType(_)
    ) {
        return true;
    }
    let name = format!("{:?}", statement.syntax().kind());
    let needs: &[SyntaxKind] = if name.starts_with("CREATE_") {
        &[SyntaxKind::IF_NOT_EXISTS, SyntaxKind::OR_REPLACE]
    } else if name.starts_with("DROP_") {
        &[SyntaxKind::IF_EXISTS]
    } else {
        return true;
    };
    statement.syntax().children().any(|node| needs.contains(&node.kind()))
}
