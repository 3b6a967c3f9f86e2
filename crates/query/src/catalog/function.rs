//! Functions that a client can call.

use super::{Name, Table, TypeName};

/// Whether a function may change what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// It only computes.
    Immutable,
    /// It only reads.
    Stable,
    /// It may write.
    Volatile,
}

/// An argument that goes in.
#[derive(Debug)]
pub struct Argument {
    /// Empty where it has none.
    pub(crate) name: Name,
    pub(crate) camel: Name,
    pub(crate) ty: TypeName,
    pub(crate) variadic: bool,
    pub(crate) optional: bool,
    pub(super) full_type: String,
}

impl Argument {
    /// Its name; empty where it has none.
    pub fn name(&self) -> &str {
        self.name.plain()
    }

    /// Its type.
    pub fn ty(&self) -> &TypeName {
        &self.ty
    }

    /// The type as `format_type` prints it.
    pub fn full_type(&self) -> &str {
        &self.full_type
    }

    /// Whether a call may leave it out.
    pub fn optional(&self) -> bool {
        self.optional
    }
}

/// What a function answers.
#[derive(Debug)]
pub(crate) enum Returns {
    Nothing,
    /// A value of a type.
    Value(TypeName),
    /// Rows of a table of the catalog, by its place there.
    Table(usize),
    /// Rows with columns of their own.
    Columns(Box<Table>),
}

/// A function.
#[derive(Debug)]
pub struct Function {
    pub(crate) name: Name,
    pub(crate) volatility: Volatility,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) returns: Returns,
    /// It answers any number of what it returns.
    pub(crate) set: bool,
    pub(super) full_type: String,
    pub(super) comment: Option<String>,
}

impl Function {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name.plain()
    }

    /// Whether it may change what is stored.
    pub fn volatility(&self) -> Volatility {
        self.volatility
    }

    /// Its arguments.
    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// What it returns, as `format_type` prints it.
    pub fn full_type(&self) -> &str {
        &self.full_type
    }

    /// Whether it answers any number of rows or values.
    pub fn returns_set(&self) -> bool {
        self.set
    }

    /// Whether it answers nothing.
    pub fn returns_nothing(&self) -> bool {
        matches!(self.returns, Returns::Nothing)
    }

    /// The one value that it returns; none: it returns rows, or nothing.
    pub fn returned_value(&self) -> Option<&TypeName> {
        match &self.returns {
            Returns::Value(ty) => Some(ty),
            _ => None,
        }
    }

    /// What `COMMENT ON FUNCTION` says.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The one argument that takes the whole body; none: there are others, or it has a name.
    pub(crate) fn body_argument(&self) -> Option<&Argument> {
        match self.arguments.as_slice() {
            [one] if one.name().is_empty() => Some(one),
            _ => None,
        }
    }
}
