//! squawk's rules over a file, without what they say of new and small tables, and without what another rule says better.

use squawk_linter::{Linter, LinterSettings, Rule as SquawkRule, Violation};
use squawk_syntax::{
    Parse, SourceFile, SyntaxKind, SyntaxNode,
    ast::{self, AstNode},
};

use crate::{
    Known, Rule,
    statement::{Found, Statement},
};

/// Those for which this crate has its own eyes.
const LOOKED_FOR_HERE: [SquawkRule; 1] = [SquawkRule::BanConcurrentIndexCreationInTransaction];

/// Those that pass over tables which the same transaction makes, also where `IF NOT EXISTS` may make none.
const BLIND_TO_OWN_TABLES: [SquawkRule; 4] = [
    SquawkRule::RequireConcurrentIndexCreation,
    SquawkRule::ConstraintMissingNotValid,
    SquawkRule::AddingForeignKeyConstraint,
    SquawkRule::DisallowedUniqueConstraint,
];

pub(crate) fn find(
    text: &str,
    parse: &Parse<SourceFile>,
    in_transaction: bool,
    known: &Known<'_>,
    statements: &[Statement],
) -> Vec<Found> {
    let mut rules: Vec<SquawkRule> =
        Rule::all().filter_map(|rule| SquawkRule::try_from(rule.name()).ok()).collect();
    rules.retain(|rule| !LOOKED_FOR_HERE.contains(rule));
    // What runs once, or not at all, need not be repeatable.
    if in_transaction || statements.len() < 2 {
        rules.retain(|rule| *rule != SquawkRule::PreferRobustStmts);
    }
    let run = |rules: Vec<SquawkRule>, assume_in_transaction: bool| {
        let mut linter = Linter::from(rules);
        let pg_version = known.postgres.to_string().parse().unwrap_or_default();
        linter.settings = LinterSettings { pg_version, assume_in_transaction };
        linter.lint(parse, text)
    };
    let mut violations = run(rules, in_transaction);
    if in_transaction {
        violations.extend(run(BLIND_TO_OWN_TABLES.to_vec(), false));
        violations.sort_by_key(|violation| violation.text_range.start());
    }
    let root = parse.syntax_node();
    let mut violations: Vec<(Rule, Violation)> = violations
        .into_iter()
        .filter_map(|violation| Some((Rule::named(&violation.code.to_string())?, violation)))
        .collect();
    violations.retain(|(rule, violation)| {
        let start = usize::from(violation.text_range.start());
        let statement = Statement::at(statements, start);
        statement.is_none_or(|statement| !statement.is_exempt(*rule) && applies(&root, violation, statement))
    });
    let found = violations.iter().filter(|(_, violation)| !is_said_better(violation, &violations));
    found
        .map(|(rule, violation)| Found {
            rule: *rule,
            range: violation.text_range.start().into()..violation.text_range.end().into(),
            message: has_own_words(violation.code).then(|| violation.message.clone()),
        })
        .collect()
}

/// Whether it is so, on a closer look than squawk's.
fn applies(root: &SyntaxNode, violation: &Violation, statement: &Statement) -> bool {
    let element = root.covering_element(violation.text_range);
    let node = element.as_node().cloned().or_else(|| element.parent());
    let around = |kind: SyntaxKind| {
        node.as_ref().and_then(|node| node.ancestors().find(|ancestor| ancestor.kind() == kind))
    };
    let holds = |node: &SyntaxNode, kind| node.descendants().any(|inner| inner.kind() == kind);
    match violation.code {
        SquawkRule::AddingNotNullableField => {
            let altered = around(SyntaxKind::ALTER_COLUMN).and_then(ast::AlterColumn::cast);
            let column = altered.and_then(|altered| altered.column_name_ref());
            column.is_none_or(|column| !statement.is_never_null(&ast::normalize_name_node(column.syntax())))
        }
        // Virtual ones are computed when they are read; identities have a rule of their own.
        SquawkRule::AddingFieldWithDefault => match around(SyntaxKind::GENERATED_CONSTRAINT) {
            Some(generated) => {
                !holds(&generated, SyntaxKind::VIRTUAL) && !holds(&generated, SyntaxKind::GENERATED_IDENTITY)
            }
            None => around(SyntaxKind::DEFAULT_CONSTRAINT).is_none_or(|default| is_volatile(&default)),
        },
        SquawkRule::BanAlterGeneratedExpression => around(SyntaxKind::ADD_COLUMN).is_none(),
        // A serial one has a default.
        SquawkRule::AddingRequiredField => {
            let added = around(SyntaxKind::ADD_COLUMN).and_then(ast::AddColumn::cast);
            added.is_none_or(|added| !crate::statements::is_serial(&added))
        }
        SquawkRule::ConstraintMissingNotValid => around(SyntaxKind::ADD_CONSTRAINT)
            .is_none_or(|added| !holds(&added, SyntaxKind::EXCLUDE_CONSTRAINT)),
        _ => true,
    }
}

/// Functions of PostgreSQL that defaults use, and that it computes once for all rows.
const NOT_VOLATILE: [&str; 45] = [
    "abs",
    "array_fill",
    "btrim",
    "ceil",
    "concat",
    "concat_ws",
    "current_database",
    "current_schema",
    "current_setting",
    "date_part",
    "date_trunc",
    "decode",
    "encode",
    "floor",
    "format",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "left",
    "length",
    "lower",
    "lpad",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "md5",
    "now",
    "quote_literal",
    "repeat",
    "replace",
    "right",
    "round",
    "rpad",
    "statement_timestamp",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_timestamp",
    "transaction_timestamp",
    "upper",
];

/// Whether a default is another one for each row: squawk takes any call with arguments for that, and any sign before a number.
/// A function of the app's own may be.
fn is_volatile(default: &SyntaxNode) -> bool {
    default.descendants().filter_map(ast::CallExpr::cast).any(|call| match call.expr() {
        Some(ast::Expr::NameRef(name)) => !NOT_VOLATILE.contains(&name.text().as_str()),
        Some(_) => true,
        // What has a syntax of its own, e.g. `extract` and `trim`.
        None => false,
    })
}

/// Whether another rule that was broken at the same place says more.
fn is_said_better(violation: &Violation, all: &[(Rule, Violation)]) -> bool {
    let better: &[SquawkRule] = match violation.code {
        SquawkRule::ConstraintMissingNotValid => &[
            SquawkRule::AddingForeignKeyConstraint,
            SquawkRule::DisallowedUniqueConstraint,
            SquawkRule::AddingSerialPrimaryKeyField,
        ],
        _ => return false,
    };
    // In the order of their places.
    let first = all.partition_point(|(_, other)| other.text_range.start() < violation.text_range.start());
    all[first..]
        .iter()
        .take_while(|(_, other)| other.text_range.start() < violation.text_range.end())
        .any(|(_, other)| better.contains(&other.code))
}

/// Whether squawk's message says more than the rule's sentence.
fn has_own_words(rule: SquawkRule) -> bool {
    matches!(rule, SquawkRule::UnusedIgnore | SquawkRule::BanDuplicateColumnAssignments)
}
