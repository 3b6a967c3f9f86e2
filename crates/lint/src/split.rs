//! A file as its statements, for one who runs them one by one.

use squawk_syntax::{SourceFile, ast::AstNode};

use crate::{bounds::bounded, deep_stack, statement::range_of};

/// A statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementText {
    /// Its first line, counted from 1.
    pub line: u32,
    /// Its SQL, without the semicolon.
    pub sql: String,
}

/// The statements of a file; the whole file as one where it cannot be read as several.
pub fn split(sql: &str) -> Vec<StatementText> {
    let whole = || vec![StatementText { line: 1, sql: sql.to_owned() }];
    deep_stack(|| read(sql)).flatten().unwrap_or_else(whole)
}

fn read(sql: &str) -> Option<Vec<StatementText>> {
    let bounded = bounded(sql).ok().filter(|bounded| bounded.left_out.is_none() && bounded.text == sql)?;
    let parse = SourceFile::parse(&bounded.text);
    if !parse.errors().is_empty() {
        return None;
    }
    let statements = parse.tree().stmts().map(|statement| {
        let range = range_of(statement.syntax());
        let line = sql[..range.start].matches('\n').count() + 1;
        StatementText {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            sql: sql[range].trim_end_matches(';').to_owned(),
        }
    });
    Some(statements.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_its_statements_with_their_lines() {
        let sql = "-- what it is for\nCREATE TABLE a (t text DEFAULT ';');\n\nDO $$ BEGIN PERFORM 1; END $$;\nSELECT 1";
        let found: Vec<_> = split(sql).into_iter().map(|statement| (statement.line, statement.sql)).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0].0, 2);
        assert!(found[1].1.starts_with("DO $$") && found[1].1.ends_with("$$"), "{found:?}");
        assert_eq!(found[2], (5, "SELECT 1".to_owned()));
        assert_eq!(split("CREATE TABEL ;;; (").len(), 1);
    }
}
