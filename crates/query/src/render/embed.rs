//! Which relationship an embedding means, and the join it makes.

use super::{
    Context,
    scope::Scope,
    value::Key,
    writer::{Alias, Writer},
};
use serde_json::{Value, json};
use tenantry_domain::permission::Verb;

use crate::{
    catalog::{Name, Relationship, RelationshipKind, Table, TableKind},
    error::{QueryError, excerpt},
    json_case::JsonCase,
    request::select::Embed,
};

pub(crate) struct Embedded<'c, 'q> {
    pub(crate) embed: &'q Embed<'q>,
    pub(crate) relationship: &'c Relationship,
    pub(crate) key: Key<'c, 'q>,
    pub(crate) scope: Scope<'c, 'q>,
}

impl Embedded<'_, '_> {
    /// An embedding to one row whose rows nobody promises to be one: a function's, or those of a view that joins.
    pub(super) fn is_cut(&self) -> bool {
        let is_view = matches!(self.scope.table.kind(), TableKind::View | TableKind::MaterializedView);
        self.relationship.to_one() && (self.relationship.computed || is_view)
    }
}

pub(super) fn prepare<'c, 'q>(
    w: &mut Writer,
    context: Context<'c>,
    table: &'c Table,
    parent: Alias,
    embed: &'q Embed<'q>,
) -> Result<Embedded<'c, 'q>, QueryError> {
    let (relationship, name) = resolve(context, table, embed)?;
    let target = context.catalog.table_at(relationship.target);
    let scope = Scope::embedded(w, context, target, &embed.level, |w, alias| {
        join(w, context, relationship, table, target, parent, alias);
    })?;
    let key = embed.alias.as_deref().map_or(Key::Catalog(name), Key::Bound);
    Ok(Embedded { embed, relationship, key, scope })
}

/// ` FROM target WHERE it belongs to the parent's row`.
fn join(
    w: &mut Writer,
    context: Context<'_>,
    relationship: &Relationship,
    table: &Table,
    target: &Table,
    parent: Alias,
    alias: Alias,
) {
    w.uses(Verb::Select, target.name());
    if relationship.computed {
        w.uses(Verb::Execute, relationship.constraint.plain());
        w.raw(" FROM ")
            .function(&relationship.constraint)
            .raw("(")
            .row(parent)
            .raw(") AS ")
            .table_alias(alias);
        w.raw(" WHERE true");
        return;
    }
    w.raw(" FROM ").table(target).raw(" AS ").table_alias(alias);
    let mut word = " WHERE ";
    if let Some(junction) = &relationship.junction {
        let middle = context.catalog.table_at(junction.table);
        w.uses(Verb::Select, middle.name());
        w.raw(" JOIN ").table(middle).raw(" AS ").junction_alias(alias);
        let mut on = " ON ";
        for (here, there) in &junction.columns {
            w.raw(on).junction_alias(alias).raw(".").name(&middle.columns()[*here].name);
            w.raw(" = ").column(alias, &target.columns()[*there].name);
            on = " AND ";
        }
        for (here, there) in &relationship.columns {
            w.raw(word).junction_alias(alias).raw(".").name(&middle.columns()[*there].name);
            w.raw(" = ").column(parent, &table.columns()[*here].name);
            word = " AND ";
        }
    } else {
        for (here, there) in &relationship.columns {
            w.raw(word).column(alias, &target.columns()[*there].name);
            w.raw(" = ").column(parent, &table.columns()[*here].name);
            word = " AND ";
        }
    }
}

/// `PostgREST`'s rules: the target is a table, a foreign key's constraint or this table's column; the hint a constraint,
/// a column of the foreign key or a junction. Answers also the catalog's own name for what the client wrote.
fn resolve<'c>(
    context: Context<'c>,
    table: &'c Table,
    embed: &Embed<'_>,
) -> Result<(&'c Relationship, &'c Name), QueryError> {
    let mut found: Vec<(&'c Relationship, &'c Name)> = table
        .relationships
        .iter()
        .filter_map(|rel| Some((rel, matches(context, table, rel, embed)?)))
        .collect();
    if found.iter().any(|(rel, _)| rel.computed) {
        found.retain(|(rel, _)| rel.computed);
    }
    // What a view shows of a table leads to the same rows: the table has precedence.
    for at in [|rel: &Relationship| Some(rel.target), |rel: &Relationship| Some(rel.junction.as_ref()?.table)]
    {
        let is_view = |rel: &Relationship| {
            at(rel).is_some_and(|at| {
                matches!(context.catalog.table_at(at).kind(), TableKind::View | TableKind::MaterializedView)
            })
        };
        if found.iter().any(|(rel, _)| !is_view(rel)) {
            found.retain(|(rel, _)| !is_view(rel));
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let detail = match &embed.hint {
                Some(hint) => format!(
                    "no foreign key joins '{}' and '{}' by '{}'; name a constraint, a foreign-key column or a junction table after '!'",
                    table.name(),
                    excerpt(&embed.name),
                    excerpt(hint)
                ),
                None => format!(
                    "no foreign key joins '{}' and '{}'; embed a related table",
                    table.name(),
                    excerpt(&embed.name)
                ),
            };
            let details = format!(
                "Searched for a foreign key relationship between '{}' and '{}'{} in the schema, but no matches were found.",
                table.name(),
                excerpt(&embed.name),
                embed
                    .hint
                    .as_ref()
                    .map(|hint| format!(" using the hint '{}'", excerpt(hint)))
                    .unwrap_or_default(),
            );
            let error = QueryError::bad("unknown_relationship", detail)
                .field(&embed.name)
                .with_details(details)
                .with_message(format!(
                    "Could not find a relationship between '{}' and '{}' in the schema cache",
                    table.name(),
                    excerpt(&embed.name)
                ));
            let targets = table.relationships.iter().map(|rel| context.catalog.table_at(rel.target).name());
            Err(match crate::error::closest(&embed.name, targets) {
                Some(name) => error
                    .with_hint(format!("Perhaps you meant '{name}' instead of '{}'.", excerpt(&embed.name))),
                None => error,
            })
        }
        several => {
            let hints: Vec<&str> = several
                .iter()
                .map(|(rel, _)| {
                    rel.junction.as_ref().map_or(rel.constraint.plain(), |junction| {
                        // Both directions of a table's junction with itself share the junction.
                        if rel.to_itself { junction.constraint.plain() } else { junction.name.plain() }
                    })
                })
                .collect();
            let name = excerpt(&embed.name);
            let detail = format!(
                "'{name}' can be reached in {} ways; say which with {name}!hint, a hint being one of {}",
                several.len(),
                hints.join(", ")
            );
            let candidates: Vec<Value> =
                several.iter().map(|(rel, _)| candidate(context, table, rel)).collect();
            let choices: Vec<String> = hints.iter().map(|hint| format!("'{name}!{hint}'")).collect();
            Err(QueryError::new(300, "ambiguous_relationship", detail)
                .field(&embed.name)
                .with_message(format!(
                    "Could not embed because more than one relationship was found for '{}' and '{name}'",
                    table.name()
                ))
                .with_details(candidates)
                .with_hint(format!(
                    "Try changing '{name}' to one of the following: {}. Find the desired relationship in the 'details' key.",
                    choices.join(", ")
                )))
        }
    }
}

/// One of several relationships, as `PostgREST` describes them.
fn candidate(context: Context<'_>, table: &Table, rel: &Relationship) -> Value {
    let target = context.catalog.table_at(rel.target);
    let list = |columns: Vec<&str>| columns.join(", ");
    let here = list(rel.columns.iter().map(|(here, _)| table.columns()[*here].name()).collect());
    let cardinality = match rel.kind {
        RelationshipKind::ManyToOne => "many-to-one",
        RelationshipKind::OneToOne => "one-to-one",
        RelationshipKind::OneToMany => "one-to-many",
        RelationshipKind::ManyToMany => "many-to-many",
    };
    let relationship = match &rel.junction {
        None => {
            let there = list(rel.columns.iter().map(|(_, there)| target.columns()[*there].name()).collect());
            format!("{} using {}({here}) and {}({there})", rel.constraint(), table.name(), target.name())
        }
        Some(junction) => {
            let middle = context.catalog.table_at(junction.table);
            let name = |at: usize| middle.columns()[at].name();
            format!(
                "{} using {}({}) and {}({})",
                middle.name(),
                rel.constraint(),
                list(rel.columns.iter().map(|(_, there)| name(*there)).collect()),
                junction.constraint.plain(),
                list(junction.columns.iter().map(|(here, _)| name(*here)).collect()),
            )
        }
    };
    json!({
        "cardinality": cardinality,
        "relationship": relationship,
        "embedding": format!("{} with {}", table.name(), target.name()),
    })
}

fn matches<'c>(
    context: Context<'c>,
    table: &'c Table,
    rel: &'c Relationship,
    embed: &Embed<'_>,
) -> Option<&'c Name> {
    let target = context.catalog.table_at(rel.target);
    if rel.computed {
        let named = rel.constraint.plain() == embed.name && embed.hint.is_none();
        return named.then_some(&rel.constraint);
    }
    let as_table = table_name(context.case, target, &embed.name);
    let Some(hint) = embed.hint.as_deref() else {
        let by_key = || {
            if rel.kind != RelationshipKind::ManyToOne {
                return None;
            }
            key_column(context.case, table, rel, &embed.name)
        };
        // Of a table related to itself, its own name means the rows below, the key's column the row above.
        return match as_table {
            Some(name)
                if !rel.to_itself
                    || matches!(rel.kind, RelationshipKind::OneToMany | RelationshipKind::OneToOne) =>
            {
                Some(name)
            }
            _ => by_key().or_else(|| {
                (rel.junction.is_none()
                    && (!rel.to_itself || rel.kind == RelationshipKind::ManyToOne)
                    && rel.constraint.plain() == embed.name)
                    .then_some(&rel.constraint)
            }),
        };
    };
    let name = as_table?;
    let hinted = match &rel.junction {
        Some(junction) => {
            table_name(context.case, context.catalog.table_at(junction.table), hint).is_some()
                || junction.constraint.plain() == hint
        }
        None if rel.to_itself && rel.kind == RelationshipKind::ManyToOne => false,
        None => {
            let holder = if rel.kind == RelationshipKind::ManyToOne { table } else { target };
            let column = match rel.columns.as_slice() {
                [(here, _)] if rel.kind == RelationshipKind::ManyToOne => Some(*here),
                [(_, there)] => Some(*there),
                _ => None,
            };
            rel.constraint.plain() == hint
                || column.is_some_and(|at| holder.column_index(context.case, hint) == Some(at))
        }
    };
    hinted.then_some(name)
}

/// The one column of a foreign key, by the name the client used.
fn key_column<'c>(case: JsonCase, table: &'c Table, rel: &Relationship, name: &str) -> Option<&'c Name> {
    let [(here, _)] = rel.columns.as_slice() else { return None };
    let column = &table.columns()[*here];
    (table.column_index(case, name) == Some(*here))
        .then(|| if column.name.plain() == name { &column.name } else { &column.camel })
}

fn table_name<'c>(case: JsonCase, table: &'c Table, name: &str) -> Option<&'c Name> {
    let spellings = [&table.name, &table.camel, &table.kebab];
    let allowed = if case == JsonCase::Camel { spellings.len() } else { 1 };
    spellings[..allowed].iter().copied().find(|spelling| spelling.plain() == name)
}
