//! The aggregates that make one text of all rows in the formats that are not JSON: CSV, text and bytes.

use super::writer::Writer;

/// The lines of CSV, without the line of names. `values` writes the values of a row, separated by commas.
pub(super) fn csv_lines(w: &mut Writer, values: impl FnOnce(&mut Writer)) {
    // A row's text is CSV in parentheses, except that it doubles backslashes.
    w.raw("coalesce(pg_catalog.string_agg(pg_catalog.replace(pg_catalog.left(pg_catalog.substr(CAST(ROW(");
    values(w);
    w.raw(r") AS text), 2), -1), E'\\\\', E'\\'), E'\n'), '')");
}

/// The texts of a value, one after the other.
pub(super) fn texts(w: &mut Writer, value: impl FnOnce(&mut Writer)) {
    w.raw("coalesce(pg_catalog.string_agg(CAST(");
    value(w);
    w.raw(" AS text), ''), '')");
}

/// The bytes of a value, one after the other, as PostgreSQL writes bytes: `\x` and hexadecimal digits.
pub(super) fn bytes(w: &mut Writer, value: impl FnOnce(&mut Writer)) {
    w.raw(r"E'\\x' || pg_catalog.encode(pg_catalog.string_agg(");
    value(w);
    w.raw(", CAST('' AS bytea)), 'hex')");
}
