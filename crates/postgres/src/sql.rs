//! Writing values into SQL text, for the utility statements that take no parameters.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// A string as an SQL literal that is safe inside a `$tenantry$` body too: quotes and
/// backslashes are escaped, and so is `$`, so that the value cannot end the body it stands in.
pub(crate) fn literal(text: &str) -> String {
    let mut sql = String::with_capacity(text.len() + 3);
    sql.push_str("E'");
    for c in text.chars() {
        match c {
            '\'' => sql.push_str("''"),
            '\\' => sql.push_str("\\\\"),
            '$' => sql.push_str("\\044"),
            c => sql.push(c),
        }
    }
    sql.push('\'');
    sql
}

/// A block of PL/pgSQL as one statement, so that it is one round trip and one transaction.
pub(crate) fn block(declarations: &str, body: &str) -> String {
    let declare = if declarations.is_empty() { "" } else { "DECLARE " };
    format!("DO $tenantry$ {declare}{declarations}\nBEGIN\n{body}\nEND $tenantry$")
}

/// An expression that takes the transaction's advisory lock of a name in the current database.
pub(crate) fn advisory_lock(name: &str) -> String {
    format!("pg_advisory_xact_lock(hashtextextended({}, 0))", literal(name))
}

/// Ten hexadecimal digits that differ when one of the parts does.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length goes first, so that text cannot wander between the parts.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..5])
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

/// PL/pgSQL that has an autovacuum end that keeps a lock from this transaction: PostgreSQL does that when it looks for deadlocks, which
/// is after a second by itself, and longer than a lock is waited for here. An admin that may not say so waits for the autovacuum.
pub(crate) const INTERRUPT_AUTOVACUUM: &str = "IF has_parameter_privilege('deadlock_timeout', 'SET') THEN
        PERFORM set_config('deadlock_timeout', '2ms', true);
    END IF;";

/// PL/pgSQL that gives this login the rights of a role (an expression), unless it has them: to end its sessions,
/// drop what it owns, or take back what it granted. Whoever made the role may grant it, but does not have its
/// rights. Declare `lent boolean`.
pub(crate) fn lend(role: &str) -> String {
    format!(
        "lent := NOT pg_has_role({role}, 'USAGE');
        IF lent THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', {role}) || CASE
                WHEN current_setting('server_version_num')::int >= 160000
                THEN ' WITH INHERIT TRUE, SET TRUE' ELSE '' END;
        END IF;"
    )
}

/// Takes back what [`lend`] gave, in the same transaction.
pub(crate) fn give_back(role: &str) -> String {
    format!("IF lent THEN EXECUTE format('REVOKE %I FROM CURRENT_USER', {role}); END IF;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_ends_neither_itself_nor_the_block_around_it() {
        assert_eq!(literal(r"a'b\c$tenantry$"), r"E'a''b\\c\044tenantry\044'");
    }
}
