//! The trees of a file: its own, and those of the texts in it that are bodies of functions or of `DO`.

use squawk_syntax::{
    SourceFile, SyntaxElement, SyntaxKind, SyntaxNode, SyntaxToken,
    ast::{self, AstNode},
    body::{Body, BodyLanguage},
};

use crate::statement::Found;

/// Whose tree a node is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// The file's, or that of a function in SQL.
    Sql,
    /// That of a function in PL/pgSQL.
    Function,
    /// That of a `DO`.
    Do,
}

/// Looks at each node of each tree. What is found in a body is placed in the file.
pub(crate) fn each_node(
    file: &SourceFile,
    found: &mut Vec<Found>,
    look: impl Fn(&SyntaxNode, Tree, &mut Vec<Found>),
) {
    for node in file.syntax().descendants() {
        look(&node, Tree::Sql, found);
        let (sql, plpgsql, tree) = match node.kind() {
            SyntaxKind::CREATE_FUNCTION => {
                let Some(function) = ast::CreateFunction::cast(node) else { continue };
                (function.sql_body(), function.plpgsql(), Tree::Function)
            }
            SyntaxKind::CREATE_PROCEDURE => {
                let Some(procedure) = ast::CreateProcedure::cast(node) else { continue };
                (procedure.sql_body(), procedure.plpgsql(), Tree::Function)
            }
            SyntaxKind::DO => (None, ast::Do::cast(node).and_then(|block| block.plpgsql()), Tree::Do),
            _ => continue,
        };
        if let Some(body) = sql {
            of_body(&body, found, |node, found| look(node, Tree::Sql, found));
        }
        if let Some(body) = plpgsql {
            of_body(&body, found, |node, found| look(node, tree, found));
        }
    }
}

fn of_body<T: BodyLanguage>(
    body: &Body<T>,
    found: &mut Vec<Found>,
    look: impl Fn(&SyntaxNode, &mut Vec<Found>),
) {
    for node in body.syntax().descendants() {
        let before = found.len();
        look(&node, found);
        if node.kind() == SyntaxKind::ERROR {
            for inner in SourceFile::parse(&without_into(&node)).tree().syntax().descendants() {
                look(&inner, found);
            }
        }
        if found.len() > before {
            let range = body.source_range(node.text_range());
            for found in &mut found[before..] {
                found.range = range.start().into()..range.end().into();
            }
        }
    }
}

/// A statement of PL/pgSQL as SQL, as long as it was: what comes after `INTO` are variables, which the parser takes for tables,
/// or cannot read at all.
pub(crate) fn without_into(node: &SyntaxNode) -> String {
    let start = usize::from(node.text_range().start());
    let tokens = node.descendants_with_tokens().filter_map(SyntaxElement::into_token);
    let tokens: Vec<SyntaxToken> = tokens.filter(|token| !token.kind().is_trivia()).collect();
    let is =
        |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.text().eq_ignore_ascii_case(word));
    let mut text = node.text().to_string().into_bytes();
    for at in 1..tokens.len() {
        if !is(at, "into") || is(at - 1, "insert") || is(at - 1, "merge") {
            continue;
        }
        let mut end = at + 1 + usize::from(is(at + 1, "strict"));
        // `a.b, c`: names with signs between them.
        while end < tokens.len() && (is(end + 1, ".") || is(end + 1, ",")) {
            end += 2;
        }
        for token in &tokens[at..=end.min(tokens.len() - 1)] {
            if token.kind() != SyntaxKind::SEMICOLON {
                let range = token.text_range();
                text[usize::from(range.start()) - start..usize::from(range.end()) - start].fill(b' ');
            }
        }
    }
    String::from_utf8(text).unwrap_or_default()
}
