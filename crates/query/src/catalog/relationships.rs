//! Which tables can be embedded in which, worked out from foreign keys.

use std::collections::HashMap;

use super::{Column, Name, Table};

/// Cardinality of a [`Relationship`] seen from the table that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationshipKind {
    /// This table holds the foreign key: an object or null.
    ManyToOne,
    /// The other table holds the key, and it is unique there: an object or null.
    OneToOne,
    /// The other table holds the key: an array.
    OneToMany,
    /// A third table holds a key to each: an array.
    ManyToMany,
}

/// A way from one table to another.
#[derive(Debug)]
pub struct Relationship {
    pub(crate) kind: RelationshipKind,
    /// The foreign key's, or the function's name.
    pub(crate) constraint: Name,
    /// A function of the row answers the rows; it has the constraint's place.
    pub(crate) computed: bool,
    pub(crate) target: usize,
    target_name: Name,
    /// (column here, column there); with a junction, there is the junction.
    pub(crate) columns: Vec<(usize, usize)>,
    pub(crate) junction: Option<Junction>,
    pub(crate) to_itself: bool,
}

#[derive(Debug)]
pub(crate) struct Junction {
    pub(crate) table: usize,
    pub(crate) name: Name,
    pub(crate) constraint: Name,
    /// (column of the junction, column of the target).
    pub(crate) columns: Vec<(usize, usize)>,
}

impl Relationship {
    /// Cardinality.
    pub fn kind(&self) -> RelationshipKind {
        self.kind
    }

    /// The foreign key's constraint, of a junction the one to this table; or the function that computes it.
    pub fn constraint(&self) -> &str {
        self.constraint.plain()
    }

    /// The other table.
    pub fn target(&self) -> &str {
        self.target_name.plain()
    }

    pub(crate) fn to_one(&self) -> bool {
        matches!(self.kind, RelationshipKind::ManyToOne | RelationshipKind::OneToOne)
    }
}

pub(super) struct ForeignKey {
    pub(super) constraint: Name,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) columns: Vec<(usize, usize)>,
}

/// Gives every table its relationships.
pub(super) fn connect(tables: &mut [Table], keys: &[ForeignKey]) {
    for key in keys {
        let target_name = tables[key.to].name.clone();
        let origin_name = tables[key.from].name.clone();
        tables[key.from].relationships.push(Relationship {
            kind: RelationshipKind::ManyToOne,
            constraint: key.constraint.clone(),
            computed: false,
            target: key.to,
            target_name,
            columns: key.columns.clone(),
            junction: None,
            to_itself: key.from == key.to,
        });
        let unique = key_within(&tables[key.from], |at| key.columns.iter().any(|(here, _)| *here == at));
        tables[key.to].relationships.push(Relationship {
            kind: if unique { RelationshipKind::OneToOne } else { RelationshipKind::OneToMany },
            constraint: key.constraint.clone(),
            computed: false,
            target: key.from,
            target_name: origin_name,
            columns: key.columns.iter().map(|(here, there)| (*there, *here)).collect(),
            junction: None,
            to_itself: key.from == key.to,
        });
    }
    let mut by_table: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, key) in keys.iter().enumerate() {
        by_table.entry(key.from).or_default().push(at);
    }
    for (at, near) in keys.iter().enumerate() {
        for &other in &by_table[&near.from] {
            let far = &keys[other];
            if at == other || near.from == near.to || far.from == far.to {
                continue;
            }
            let junction = &tables[near.from];
            if !covered_by_a_key(junction, near, far) {
                continue;
            }
            let relationship = Relationship {
                kind: RelationshipKind::ManyToMany,
                constraint: near.constraint.clone(),
                computed: false,
                target: far.to,
                target_name: tables[far.to].name.clone(),
                columns: near.columns.iter().map(|(here, there)| (*there, *here)).collect(),
                junction: Some(Junction {
                    table: near.from,
                    name: junction.name.clone(),
                    constraint: far.constraint.clone(),
                    columns: far.columns.clone(),
                }),
                to_itself: near.to == far.to,
            };
            tables[near.to].relationships.push(relationship);
        }
    }
}

/// What a function of a table's row is to the table.
pub(super) enum OfRow {
    /// A column.
    Column(Box<Column>),
    /// Rows of another table, or of the same.
    Rows { function: Name, target: usize, one: bool },
    /// Nothing that a row of JSON can hold.
    Unusable,
}

/// Gives a table what a function of its row computes. It has precedence over foreign keys of that name.
pub(super) fn compute(tables: &mut [Table], table: usize, function: OfRow) {
    match function {
        OfRow::Column(column) => tables[table].computed.push(*column),
        OfRow::Rows { function, target, one } => {
            let target_name = tables[target].name.clone();
            tables[table].relationships.push(Relationship {
                kind: if one { RelationshipKind::ManyToOne } else { RelationshipKind::OneToMany },
                constraint: function,
                computed: true,
                target,
                target_name,
                columns: Vec::new(),
                junction: None,
                to_itself: table == target,
            });
        }
        OfRow::Unusable => {}
    }
}

/// Whether some unique key of the table lies wholly within the given columns.
fn key_within(table: &Table, within: impl Fn(usize) -> bool) -> bool {
    let whole = |key: &[usize]| !key.is_empty() && key.iter().all(|at| within(*at));
    whole(&table.primary_key) || table.uniques.iter().any(|key| whole(key))
}

/// `PostgREST`'s rule for a junction: a key holds all columns of both foreign keys, so that a pair is there once.
fn covered_by_a_key(junction: &Table, near: &ForeignKey, far: &ForeignKey) -> bool {
    let covers = |key: &[usize]| near.columns.iter().chain(&far.columns).all(|(here, _)| key.contains(here));
    covers(&junction.primary_key) || junction.uniques.iter().any(|key| covers(key))
}
