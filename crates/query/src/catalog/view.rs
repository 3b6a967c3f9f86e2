//! Which column of which relation a view's columns are, from how PostgreSQL parsed its query.

/// A column of a relation: the relation's oid and the column's number.
pub(super) type Origin = (u32, i16);

/// The origins of a view's columns, by their order, where they have one. `query` is `pg_rewrite.ev_action` as text.
///
/// Nothing of a view that unites several queries: its rows are not one relation's.
pub(super) fn origins(query: &str) -> Vec<Option<Origin>> {
    let Some(fields) = fields_of(query) else { return Vec::new() };
    if fields.iter().any(|(name, value)| *name == "setOperations" && *value != "<>") {
        return Vec::new();
    }
    let Some((_, list)) = fields.iter().find(|(name, _)| *name == "targetList") else { return Vec::new() };
    let mut origins = Vec::new();
    let mut rest = *list;
    while let Some(start) = rest.find('{') {
        let entry = &rest[start..];
        let end = end_of(entry);
        if let Some(fields) = fields_of(&entry[..end])
            && field(&fields, "resjunk") == Some("false")
        {
            origins.push(column(&fields));
        }
        rest = &entry[end..];
    }
    origins
}

/// A target's origin, where it is a column.
fn column(fields: &[(&str, &str)]) -> Option<Origin> {
    let table: u32 = field(fields, "resorigtbl")?.parse().ok()?;
    let number: i16 = field(fields, "resorigcol")?.parse().ok()?;
    (table > 0 && number > 0).then_some((table, number))
}

fn field<'a>(fields: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The fields of the first node of a node tree, `{NAME :field value :field value}`, values as they are written.
fn fields_of(text: &str) -> Option<Vec<(&str, &str)>> {
    let start = text.find('{')?;
    let node = &text[start..];
    let node = &node[..end_of(node)];
    let bytes = node.as_bytes();
    let mut fields = Vec::new();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b':' if bytes[at - 1] == b' ' => {
                let name_end = at + node[at..].find([' ', '}'])?;
                let name = &node[at + 1..name_end];
                let value_start = (name_end + 1).min(bytes.len());
                let value_end = value_end(bytes, value_start);
                fields.push((name, node[value_start..value_end].trim()));
                at = value_end;
            }
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Some(fields)
}

/// Where a field's value ends: before the next field, or the node's end.
fn value_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' | b'(' => depth += 1,
            b'}' | b')' if depth == 0 => return at,
            b'}' | b')' => depth -= 1,
            b':' if depth == 0 && at > start && bytes[at - 1] == b' ' => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Where the node or list that a text begins with ends.
fn end_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'{' | b'(' => depth += 1,
            b'}' | b')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::origins;

    #[test]
    fn the_targets_of_the_outermost_query_say_where_columns_come_from() {
        let inner = "{TARGETENTRY :expr {CONST :constvalue 4 [ 1 0 0 0 ]} :resno 1 :resname \\?column\\? \
                     :resorigtbl 7 :resorigcol 7 :resjunk false}";
        let query = format!(
            "({{QUERY :commandType 1 :rtable ({{RTE :subquery {{QUERY :targetList ({inner}) :setOperations <>}}}}) \
             :targetList ({{TARGETENTRY :expr {{VAR :varno 1}} :resno 1 :resname id\\) :resorigtbl 16385 \
             :resorigcol 1 :resjunk false}} {{TARGETENTRY :expr {{SUBLINK :subselect {{QUERY :targetList ({inner})}}}} \
             :resno 2 :resname n :resorigtbl 0 :resorigcol 0 :resjunk false}} {{TARGETENTRY :resno 3 :resname <> \
             :resorigtbl 16385 :resorigcol 2 :resjunk true}}) :setOperations <> :stmt_len 0}})"
        );
        assert_eq!(origins(&query), [Some((16385, 1)), None]);
    }

    #[test]
    fn what_is_no_query_has_none() {
        for text in ["", "(", "{", "{QUERY", "{QUERY :targetList", "<>", "({QUERY :targetList ({TARGETENTRY"]
        {
            assert!(origins(text).is_empty(), "{text}");
        }
    }
}
