//! Which column of which relation a view's columns are, from how PostgreSQL parsed its query.

/// A column of a relation: the relation's oid and the column's number.
pub(super) type Origin = (u32, i16);

/// What a view shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The origins of its columns, by their order, where they have one.
    pub(super) origins: Vec<Option<Origin>>,
    /// Its rows are those of one relation, each once at most: it has that one's keys.
    pub(super) of_one: bool,
}

/// Reads a view's query, `pg_rewrite.ev_action` as text.
///
/// Nothing of a view that unites several queries: its rows are not one relation's.
pub(super) fn shown(query: &str) -> Shown {
    let Some(fields) = fields_of(query) else { return Shown::default() };
    if field(&fields, "setOperations").is_some_and(|operations| operations != "<>") {
        return Shown::default();
    }
    let Some(targets) = field(&fields, "targetList") else { return Shown::default() };
    let targets = nodes(targets).filter(|target| field(target, "resjunk") == Some("false"));
    let origins = targets.map(|target| column(&target)).collect();
    // Older versions list the view itself twice, for rules: `old` and `new`.
    let is_of_rules = |range: &[(&str, &str)]| {
        field(range, "alias")
            .and_then(|alias| field(&fields_of(alias)?, "aliasname"))
            .is_some_and(|name| matches!(name, "old" | "new"))
    };
    let mut ranges = nodes(field(&fields, "rtable").unwrap_or_default()).filter(|range| !is_of_rules(range));
    let first = ranges.next();
    let of_one = first.is_some_and(|range| field(&range, "rtekind") == Some("0"))
        && ranges.next().is_none()
        && field(&fields, "hasTargetSRFs") == Some("false");
    Shown { origins, of_one }
}

/// The nodes of a list, each as its fields.
fn nodes(list: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let node = &rest[rest.find('{')?..];
        let end = end_of(node);
        rest = &node[end..];
        fields_of(&node[..end])
    })
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
    use super::shown;

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
        assert_eq!(shown(&query).origins, [Some((16385, 1)), None]);
    }

    #[test]
    fn what_is_no_query_has_none() {
        for text in ["", "(", "{", "{QUERY", "{QUERY :targetList", "<>", "({QUERY :targetList ({TARGETENTRY"]
        {
            assert!(shown(text).origins.is_empty(), "{text}");
        }
    }
}
