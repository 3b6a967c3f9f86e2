//! The messages of one request: becoming a tenant, a statement, and one `Sync` that ends it.
//!
//! Up to a `Sync`, all is one implicit transaction: an error skips the rest and undoes all, and what
//! the first statement sets ends with it.

use std::{io, sync::Arc};

use bytes::{BufMut, BytesMut};
use postgres_protocol::{IsNull, message::frontend};
use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};

use super::statements::Plan;

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read: PostgreSQL refuses everything else.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Which of the statements that begin a transaction a connection has prepared.
#[derive(Debug, Default)]
pub(super) struct Openings {
    read_only: bool,
    read_write: bool,
}

impl Openings {
    pub(super) fn prepared(&mut self, access: Access) -> &mut bool {
        match access {
            Access::ReadOnly => &mut self.read_only,
            Access::ReadWrite => &mut self.read_write,
        }
    }
}

impl Access {
    /// The name of the statement that begins such a transaction, and its text. One that may write
    /// is left as the server makes it: where it only reads, to say otherwise is refused.
    const fn opening(self) -> (&'static str, &'static str) {
        match self {
            Self::ReadOnly => (
                "open_read_only",
                "SELECT pg_catalog.set_config('role', $1, true), \
                 pg_catalog.set_config('search_path', $2, true), \
                 pg_catalog.set_config('transaction_read_only', 'on', true)",
            ),
            Self::ReadWrite => (
                "open_read_write",
                "SELECT pg_catalog.set_config('role', $1, true), \
                 pg_catalog.set_config('search_path', $2, true)",
            ),
        }
    }
}

/// A statement and its parameters, all of type `text`.
#[derive(Clone, Copy)]
pub(super) struct Statement<'a> {
    pub(super) sql: &'a str,
    pub(super) params: &'a [Option<String>],
}

/// Lets the server forget statements that it has prepared.
pub(super) fn close(names: &[Arc<str>], out: &mut BytesMut) -> io::Result<()> {
    names.iter().try_for_each(|name| frontend::close(b'S', name, out))
}

/// Becomes a tenant until the transaction ends.
pub(super) fn open(
    tenant: &ObjectName,
    access: Access,
    prepared: bool,
    out: &mut BytesMut,
) -> io::Result<()> {
    let (name, sql) = access.opening();
    if !prepared {
        frontend::parse(name, sql, [TEXT; 2], out)?;
    }
    let tenant = tenant.as_str().as_bytes();
    // An `ObjectName` holds no quote that would need doubling.
    let path: [&[u8]; 4] = [b"\"", tenant, b"\", ", EXTENSIONS_SCHEMA.as_bytes()];
    bind(
        name,
        [&[tenant][..], &path],
        |value, out| {
            for part in value {
                out.put_slice(part);
            }
            IsNull::No
        },
        out,
    )?;
    frontend::execute("", 0, out)
}

/// Runs a statement as it was planned.
pub(super) fn run(statement: Statement<'_>, plan: &Plan, out: &mut BytesMut) -> io::Result<()> {
    let name = match plan {
        Plan::Once => "",
        Plan::Prepare(name) | Plan::Prepared(name) => name,
    };
    if !matches!(plan, Plan::Prepared(_)) {
        frontend::parse(name, statement.sql, statement.params.iter().map(|_| TEXT), out)?;
    }
    bind(
        name,
        statement.params,
        |param, out| match param {
            Some(text) => {
                out.put_slice(text.as_bytes());
                IsNull::No
            }
            None => IsNull::Yes,
        },
        out,
    )?;
    frontend::execute("", 0, out)
}

/// The type of all parameters.
const TEXT: postgres_protocol::Oid = 25;

/// Parameters and results in the text format, which is what no list of formats means.
fn bind<T>(
    statement: &str,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut BytesMut) -> IsNull,
    out: &mut BytesMut,
) -> io::Result<()> {
    let bound = frontend::bind("", statement, [], values, |value, out| Ok(write(value, out)), [], out);
    bound.map_err(|error| match error {
        frontend::BindError::Conversion(error) => io::Error::other(error),
        frontend::BindError::Serialization(error) => error,
    })
}
