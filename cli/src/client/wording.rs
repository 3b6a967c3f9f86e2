//! What the API says about endpoints and JSON fields, in terms of commands and flags.

use std::borrow::Cow;

use super::human::one_line;

/// Fields whose flag has another name than the field.
const FLAGS: &[(&str, &str)] = &[
    ("adminUser", "--admin-user"),
    ("admin.email", "--admin-email"),
    ("admin.username", "--admin-username"),
    ("adminPassword", "--admin-password"),
    ("sharedDatabase", "--shared-database"),
    ("maxConnections", "--max-connections"),
    ("sslMode", "--ssl-mode"),
    ("sslRootCert", "--ssl-root-cert"),
    ("maxUsers", "--max-users"),
    ("maxStorage", "--max-storage"),
    ("apiRequestsPerDay", "--requests-per-day"),
    ("requestsPerSecond", "--requests-per-second"),
    ("burst", "--burst"),
    ("concurrentRequests", "--concurrent-requests"),
    ("databaseSecondsPerMinute", "--database-seconds-per-minute"),
    ("weight", "--weight"),
    ("statementTimeoutSeconds", "--statement-timeout"),
    ("lockTimeoutSeconds", "--lock-timeout"),
    ("idleInTransactionTimeoutSeconds", "--idle-in-transaction-timeout"),
    ("retentionDays", "--retention-days"),
    ("defaultConfig", "--default-config"),
    ("expiresAt", "--expires"),
    ("overlapSeconds", "--overlap"),
    ("features", "--feature"),
    ("settings", "--setting"),
    ("scopes", "--scope"),
    ("tiers", "--tier"),
    ("targetVersion", "--target"),
    ("parallelism", "--parallelism"),
    ("maxFailures", "--max-failures"),
    ("lockTimeoutMs", "--lock-timeout"),
    ("statementTimeoutMs", "--statement-timeout"),
    ("tries", "--tries"),
    ("waves", "--wave"),
    ("q", "--search"),
    ("timeRange", "--time-range"),
    ("bucket", "--bucket"),
    ("health", "--health"),
    ("host", "--host"),
    ("port", "--port"),
    ("region", "--region"),
    ("provider", "--provider"),
    ("capacity", "--capacity"),
    ("minFree", "--min-free"),
    ("maxServers", "--max-servers"),
    ("cost", "--cost"),
    ("serverClass", "--server-class"),
    ("parameters", "--parameter"),
    ("tier", "--tier"),
    ("plan", "--plan"),
    ("targetPlan", "--plan"),
    ("downtime", "--downtime"),
    ("offline", "--offline"),
    ("app", "--app"),
    ("slug", "--slug"),
    ("subdomain", "--subdomain"),
    ("status", "--status"),
    ("kind", "--kind"),
    ("limit", "--limit"),
    ("cursor", "--cursor"),
    ("reason", "--reason"),
    ("types", "--type"),
    ("since", "--since"),
    ("until", "--until"),
    ("actor", "--actor"),
    ("action", "--action"),
    ("tenant", "--tenant"),
    ("description", "--description"),
];

/// Phrases about endpoints, and what they mean on the command line.
const PHRASES: &[(&str, &str)] = &[
    ("GET /api/v1/tenants", "`tenantry tenants list`"),
    ("GET /api/v1/plans", "`tenantry plans list`"),
    ("GET /api/v1/apps", "`tenantry apps list`"),
    ("GET /api/v1/server-classes", "`tenantry server-classes list`"),
    ("GET /api/v1/servers", "`tenantry servers list`"),
    (
        "class of that name; PUT replaces it",
        "class of that name; `tenantry server-classes update` changes it",
    ),
    ("with `minFree` 0", "with `tenantry server-classes update CLASS --min-free 0`"),
    ("POST /api/v1/servers/{server}/wake wakes it", "`tenantry servers wake SERVER` wakes it"),
    (
        "is told nothing; enable it first",
        "is told nothing; `tenantry webhooks update WEBHOOK --enabled true` enables it",
    ),
    ("`check=false`", "`--no-check`"),
    ("PUT replaces it", "`tenantry plans update` changes it"),
    ("PUT changes it", "`tenantry servers update` changes it"),
];

/// A field of a request as the flag that sets it: `limits.maxUsers` is `--max-users`.
pub(crate) fn flag(field: &str) -> Cow<'_, str> {
    let inner =
        ["limits.", "database.", "size."].iter().find_map(|group| field.strip_prefix(group)).unwrap_or(field);
    let (head, rest) = inner.split_once('.').unwrap_or((inner, ""));
    match FLAGS.iter().find(|(name, _)| *name == head) {
        Some((_, flag)) if rest.is_empty() => Cow::Borrowed(flag),
        Some((_, flag)) => Cow::Owned(format!("{flag} {}", one_line(rest))),
        None => Cow::Owned(one_line(field)),
    }
}

/// A sentence of the API, on one line. Fields are recognised by their backticks or by an inner capital.
pub(crate) fn in_commands(text: &str) -> String {
    let mut text = one_line(text);
    for (phrase, command) in PHRASES {
        text = text.replace(phrase, command);
    }
    for (field, flag) in FLAGS {
        text = text.replace(&format!("`{field}`"), &format!("`{flag}`"));
        if field.contains(|c: char| c.is_ascii_uppercase()) {
            text = replace_word(&text, field, flag);
        }
    }
    text
}

fn replace_word(text: &str, word: &str, by: &str) -> String {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let apart = !before.ends_with(part_of_word) && !after.starts_with(|c| part_of_word(c) && c != '.');
        out.push_str(before);
        out.push_str(if apart { by } else { word });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_field_is_named_by_its_flag() {
        assert_eq!(flag("adminUser"), "--admin-user");
        assert_eq!(flag("limits.apiRequestsPerDay"), "--requests-per-day");
        assert_eq!(flag("database.lockTimeoutSeconds"), "--lock-timeout");
        assert_eq!(flag("database.weight"), "--weight");
        assert_eq!(flag("defaultConfig.session.timeout"), "--default-config session.timeout");
        assert_eq!(flag("name"), "name");
    }

    #[test]
    fn a_sentence_names_commands_and_flags() {
        assert_eq!(
            in_commands("there is no such plan; see GET /api/v1/plans"),
            "there is no such plan; see `tenantry plans list`"
        );
        assert_eq!(in_commands("must come with another adminUser"), "must come with another --admin-user");
        assert_eq!(in_commands("`scopes` must be one of these"), "`--scope` must be one of these");
        assert_eq!(in_commands("the app's settings"), "the app's settings");
        assert_eq!(in_commands("a column maxUsersOld"), "a column maxUsersOld");
    }

    /// Every flag of a command and of those below it.
    fn flags(command: &clap::Command, found: &mut Vec<String>) {
        found.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
        command.get_subcommands().for_each(|sub| flags(sub, found));
    }

    #[test]
    fn the_flags_that_are_named_exist() {
        let mut found = Vec::new();
        flags(&crate::Cli::command(), &mut found);
        for (_, flag) in FLAGS {
            assert!(found.iter().any(|known| known == flag), "{flag}");
        }
    }

    #[test]
    fn the_commands_that_are_named_exist() {
        for (_, phrase) in PHRASES {
            let words = phrase.split('`').nth(1).unwrap();
            let mut command = crate::Cli::command();
            let named = words.split(' ').skip(1).take_while(|word| word.starts_with(char::is_lowercase));
            for word in named {
                command = command.find_subcommand(word).unwrap_or_else(|| panic!("{words}")).clone();
            }
        }
    }
}
