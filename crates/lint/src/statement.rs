//! The statements of a file, each with what is known when it runs.

use std::ops::Range;

use squawk_syntax::{
    SyntaxNode,
    ast::{self, AstNode},
};

use crate::{
    known::Known,
    rule::{Rule, Silent},
    schema::{Schema, relations_of},
};

/// A statement, and what it is about.
pub(crate) struct Statement {
    pub(crate) node: ast::Stmt,
    pub(crate) range: Range<usize>,
    /// Tables, views and indexes.
    pub(crate) relations: Vec<String>,
    /// No tenant has them yet.
    is_new: bool,
    is_small: bool,
    /// Its file is marked as `-- contract`.
    is_contract: bool,
    /// Its columns that a validated check keeps from being null.
    never_null: Vec<String>,
}

impl Statement {
    /// All statements of a file, as they run one after the other.
    pub(crate) fn all(
        file: &ast::SourceFile,
        is_contract: bool,
        known: &Known<'_>,
        schema: &mut Schema,
    ) -> Vec<Self> {
        let mut statements = Vec::new();
        for node in file.stmts() {
            let relations = relations_of(&node);
            statements.push(Self {
                range: range_of(node.syntax()),
                is_new: schema.are_new(&relations),
                is_small: known.is_small(&relations),
                is_contract,
                never_null: relations.iter().flat_map(|table| schema.never_null(table)).collect(),
                relations,
                node: node.clone(),
            });
            schema.run(&node);
        }
        statements
    }

    /// The one that holds a place of the file.
    pub(crate) fn at(statements: &[Self], offset: usize) -> Option<&Self> {
        let after = statements.partition_point(|statement| statement.range.start <= offset);
        statements[..after].last().filter(|statement| statement.range.contains(&offset))
    }

    /// Whether a rule has nothing to say of this one.
    pub(crate) fn is_exempt(&self, rule: Rule) -> bool {
        match rule.silent() {
            Silent::Never => false,
            Silent::OnNew => self.is_new,
            Silent::OnNewOrInContract => self.is_new || self.is_contract,
            Silent::OnNewOrSmall => self.is_new || self.is_small,
        }
    }

    /// Whether a validated check keeps a column from being null.
    pub(crate) fn is_never_null(&self, column: &str) -> bool {
        self.never_null.iter().any(|checked| checked == column)
    }
}

/// Something that a rule has found, and where.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) rule: Rule,
    pub(crate) range: Range<usize>,
    /// If it is not the rule's own sentence.
    pub(crate) message: Option<String>,
}

impl Found {
    pub(crate) fn at(node: &SyntaxNode, rule: &'static str) -> Self {
        Self { rule: Rule::own(rule), range: range_of(node), message: None }
    }

    pub(crate) fn saying(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}

/// From its first word to its end: the parser counts comments before a statement to it.
pub(crate) fn range_of(node: &SyntaxNode) -> Range<usize> {
    let first = node.children_with_tokens().find(|part| !part.kind().is_trivia());
    let start = first.map_or(node.text_range().start(), |part| part.text_range().start());
    usize::from(start)..usize::from(node.text_range().end())
}
