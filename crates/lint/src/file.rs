//! One file: what can be read of it goes through all rules.

use std::ops::Range;

use squawk_syntax::{
    Parse, SourceFile, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};
use tenantry_domain::app::{Directive, has_directive};

use crate::{
    Finding, Known, Rule, Weight,
    bodies::{each_node, without_into},
    bounds::{Bounded, bounded},
    names,
    schema::Schema,
    settings, squawk,
    statement::{Found, Statement},
    statements, without_transaction,
};

const UNREAD: &str = "unread";

/// Findings of one file.
const MOST: usize = 500;

/// The finding for a file of which nothing is known.
pub(crate) fn unread() -> Finding {
    finding(Found { rule: Rule::own(UNREAD), range: 0..0, message: None }, 1, &[])
}

/// Runs a file's statements without a look at them.
pub(crate) fn learn(sql: &str, schema: &mut Schema) {
    let Ok(Bounded { text, .. }) = bounded(sql) else { return };
    let text = unfold(&text, &SourceFile::parse(&text));
    for statement in SourceFile::parse(&text).tree().stmts() {
        schema.run(&statement);
    }
}

/// All findings of a file, in the order of its lines.
pub(crate) fn lint(sql: &str, known: &Known<'_>, schema: &mut Schema) -> Vec<Finding> {
    let lines = Lines::of(sql);
    let unread = |offset: usize, why: &str| Found {
        rule: Rule::own(UNREAD),
        range: offset..offset,
        message: Some(why.to_owned()),
    };
    let Bounded { text, left_out } = match bounded(sql) {
        Ok(bounded) => bounded,
        Err(too_much) => return vec![lines.finding(unread(too_much.offset, too_much.why), &[])],
    };
    let mut found = Vec::new();
    let folded = SourceFile::parse(&text);
    // One is enough: what comes after may be wrong only because of it.
    if let Some(left_out) = left_out {
        found.push(unread(left_out.offset, left_out.why));
    } else if let Some(error) = folded.errors().first() {
        let offset = usize::from(error.range().start());
        found.push(unread(offset, "this could not be read; PostgreSQL says whether it is right"));
    }
    each_node(&folded.tree(), &mut found, |node, tree, found| {
        names::find(node, tree, found);
        settings::find(node, tree, found);
    });

    // What DO does, it does at once, as if it stood in the file.
    let unfolded = unfold(&text, &folded);
    let parse = if unfolded == text { folded } else { SourceFile::parse(&unfolded) };
    let is_contract = has_directive(sql, Directive::Contract);
    let statements = Statement::all(&parse.tree(), is_contract, known, schema);
    let in_transaction = !has_directive(sql, Directive::NoTransaction);
    found.extend(squawk::find(&unfolded, &parse, in_transaction, known, &statements));
    statements::find(has_directive(sql, Directive::Backfill), &statements, known, &mut found);
    without_transaction::find(in_transaction, &statements, &mut found);

    if found.len() > MOST {
        // Whether one is unsafe must not depend on how many others there are.
        found.retain(|found| found.rule.weight() == Weight::Unsafe);
        found.push(unread(0, "the file has more than 500 findings; warnings are left out"));
    }
    found.sort_by_key(|found| found.range.start);
    found.truncate(MOST);
    let mut findings = Vec::<Finding>::new();
    for found in found {
        let finding = lines.finding(found, &statements);
        let same_line = findings.iter().rev().take_while(|before| before.line == finding.line);
        if !same_line.into_iter().any(|before| *before == finding) {
            findings.push(finding);
        }
    }
    findings
}

/// The text with the statements of `DO` in the place of `DO` itself, each where it stands.
fn unfold(text: &str, parse: &Parse<SourceFile>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for statement in parse.tree().stmts() {
        let ast::Stmt::Do(block) = statement else { continue };
        let Some(body) = block.plpgsql() else { continue };
        let runs = |node: &SyntaxNode| match node.kind() {
            SyntaxKind::PLPGSQL_EXEC_SQL_STMT => true,
            // With `INTO`, which the parser does not know there. What else it cannot read is left out.
            SyntaxKind::ERROR => begins_as_sql(node),
            _ => false,
        };
        let kept: Vec<(Range<usize>, String)> = body
            .syntax()
            .descendants()
            .filter(runs)
            .map(|node| {
                let range = body.source_range(node.text_range());
                (range.start().into()..range.end().into(), without_into(&node))
            })
            .collect();
        let whole = block.syntax().text_range();
        let whole = usize::from(whole.start())..usize::from(whole.end());
        bytes[whole].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        for (range, statement) in kept {
            // In a body with doubled quotes it is longer than it reads.
            if range.len() == statement.len() {
                bytes[range].copy_from_slice(statement.as_bytes());
            }
        }
    }
    // A statement begins and ends with whole characters.
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn begins_as_sql(node: &SyntaxNode) -> bool {
    const FIRST: [&str; 6] = ["insert", "update", "delete", "merge", "select", "with"];
    let first = node.first_token().map(|token| token.text().to_lowercase());
    first.is_some_and(|word| FIRST.contains(&word.as_str()))
}

struct Lines {
    /// The offsets of the line breaks.
    breaks: Vec<usize>,
}

impl Lines {
    fn of(sql: &str) -> Self {
        Self {
            breaks: sql.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect(),
        }
    }

    fn finding(&self, found: Found, statements: &[Statement]) -> Finding {
        let line = self.breaks.partition_point(|at| *at < found.range.start) + 1;
        finding(found, u32::try_from(line).unwrap_or(u32::MAX), statements)
    }
}

fn finding(found: Found, line: u32, statements: &[Statement]) -> Finding {
    let rule = found.rule;
    let statement = Statement::at(statements, found.range.start);
    let message =
        found.message.unwrap_or_else(|| match statement.map(|statement| statement.relations.as_slice()) {
            Some([relation]) => format!("`{relation}`: {}", rule.finds()),
            _ => rule.finds().to_owned(),
        });
    Finding {
        rule,
        line,
        message: one_line(&message),
        help: Some(rule.safer().to_owned()),
        weight: rule.weight(),
    }
}

/// Without line breaks and control characters, and no longer than is read: names of the file are in it.
fn one_line(message: &str) -> String {
    const CHARACTERS: usize = 400;
    let plain = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = plain.take(CHARACTERS).collect();
    if message.chars().nth(CHARACTERS).is_some() {
        line.push_str("...");
    }
    line
}
