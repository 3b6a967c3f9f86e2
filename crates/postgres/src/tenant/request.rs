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

/// Which of the statements that begin a transaction a connection has prepared, since it was last reset.
///
/// Their names end in a number that nobody can guess, new with each reset: SQL that a tenant ran can have prepared
/// none of them.
#[derive(Debug)]
pub(super) struct Openings {
    number: u64,
    read_only: bool,
    read_write: bool,
}

impl Openings {
    pub(super) fn new() -> Self {
        Self { number: rand::random(), read_only: false, read_write: false }
    }

    pub(super) fn prepared(&mut self, access: Access) -> &mut bool {
        match access {
            Access::ReadOnly => &mut self.read_only,
            Access::ReadWrite => &mut self.read_write,
        }
    }

    fn name(&self, access: Access) -> String {
        let access = match access {
            Access::ReadOnly => "read_only",
            Access::ReadWrite => "read_write",
        };
        format!("open_{access}_{:016x}", self.number)
    }
}

impl Access {
    /// The statement that begins such a transaction. One that may write
    /// is left as the server makes it: where it only reads, to say otherwise is refused.
    const fn opening(self) -> &'static str {
        match self {
            Self::ReadOnly => {
                "SELECT pg_catalog.set_config('role', $1, true), \
                 pg_catalog.set_config('search_path', $2, true), \
                 pg_catalog.set_config('transaction_read_only', 'on', true)"
            }
            Self::ReadWrite => {
                "SELECT pg_catalog.set_config('role', $1, true), \
                 pg_catalog.set_config('search_path', $2, true)"
            }
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

/// Makes the session as a new one, whatever SQL left behind in it (settings, advisory locks, prepared statements,
/// cursors, temporary objects, sequences' last values, what it listens to, the seed of `random()`), and prepares the
/// statement that begins the next transaction; in a transaction of its own.
///
/// If any of that fails, the statement is not there, and so the next transaction fails as a whole.
pub(super) fn reset(openings: &mut Openings, access: Access, out: &mut BytesMut) -> io::Result<()> {
    *openings = Openings::new();
    command("DISCARD ALL", out)?;
    // DISCARD leaves it. Nobody may know the numbers that another draws.
    let seed = rand::random_range(-1.0..1.0_f64);
    command(&format!("SELECT pg_catalog.setseed({seed})"), out)?;
    frontend::parse(&openings.name(access), access.opening(), [TEXT; 2], out)?;
    *openings.prepared(access) = true;
    frontend::sync(out);
    Ok(())
}

/// Becomes a tenant until the transaction ends.
pub(super) fn open(
    tenant: &ObjectName,
    access: Access,
    openings: &mut Openings,
    out: &mut BytesMut,
) -> io::Result<()> {
    let name = &openings.name(access);
    if !*openings.prepared(access) {
        frontend::parse(name, access.opening(), [TEXT; 2], out)?;
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

/// What a transaction does besides, each a statement of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras<'a> {
    /// In which time zone times are written; the server refuses an unknown one.
    pub timezone: Option<&'a str>,
    /// Nothing of it stays.
    pub rollback: bool,
    /// What SQL finds in `request.jwt.claims`: JSON.
    pub claims: Option<&'a str>,
    /// A statement without parameters that comes before: what it waits for, the next one sees.
    pub first: Option<&'a str>,
    /// The tenant whose tables it touches, where it is not the one that the connection becomes.
    pub touches: Option<&'a ObjectName>,
}

impl<'a> Extras<'a> {
    /// What is set before the statement, each with its one parameter.
    fn before(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let settings = [
            ("SELECT pg_catalog.set_config('timezone', $1, true)", self.timezone),
            ("SELECT pg_catalog.set_config('request.jwt.claims', $1, true)", self.claims),
        ];
        settings.into_iter().filter_map(|(sql, value)| Some((sql, value?)))
    }

    /// How many that is.
    pub(super) fn count_before(&self) -> u32 {
        u32::try_from(self.before().count()).expect("they are few") + u32::from(self.first.is_some())
    }
}

/// What goes before the statement, in the same transaction.
pub(super) fn prepare(extras: &Extras<'_>, out: &mut BytesMut) -> io::Result<()> {
    extras.before().try_for_each(|(sql, value)| {
        frontend::parse("", sql, [TEXT], out)?;
        bind("", [value], put, out)?;
        frontend::execute("", 0, out)
    })?;
    extras.first.map_or(Ok(()), |sql| command(sql, out))
}

fn put(text: &str, out: &mut BytesMut) -> IsNull {
    out.put_slice(text.as_bytes());
    IsNull::No
}

/// Begins a transaction that is to be undone.
pub(super) fn begin(out: &mut BytesMut) -> io::Result<()> {
    command("BEGIN", out)
}

/// Checks what is only checked at the end, and undoes the transaction.
pub(super) fn roll_back(out: &mut BytesMut) -> io::Result<()> {
    command("SET CONSTRAINTS ALL IMMEDIATE", out)?;
    command("ROLLBACK", out)
}

/// Ends a transaction that has failed, in a request of its own.
pub(super) fn roll_back_failed(out: &mut BytesMut) -> io::Result<()> {
    command("ROLLBACK", out)?;
    frontend::sync(out);
    Ok(())
}

/// A statement without parameters, of which no rows are read.
fn command(sql: &str, out: &mut BytesMut) -> io::Result<()> {
    frontend::parse("", sql, [], out)?;
    bind::<()>("", [], |(), _| IsNull::Yes, out)?;
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
        |param, out| param.as_ref().map_or(IsNull::Yes, |text| put(text, out)),
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
