//! Checks of an app's folder that need no server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;
use tenantry_domain::app::{AppName, AppVersion, Manifest};

use super::{AppFile, MANIFEST, SEED, sql, versioned};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The app cannot be pushed, or its tenants would get something else than is meant.
    Error,
    /// It can be meant so.
    Warning,
}

/// Something to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The file, or the folder.
    pub(crate) file: PathBuf,
    /// The line, counted from 1; none where it is about the whole file.
    pub(crate) line: Option<u64>,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Stable, for programs.
    pub(crate) rule: &'static str,
    /// For people.
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    /// As compilers write it, so that editors jump there: `crm/1_a.up.sql:3: error: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, " {severity}: {} [{}]", self.message, self.rule)
    }
}

/// Everything that can be said of an app's folder without a server, by file and line.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn lint(folder: &Path) -> anyhow::Result<Vec<Finding>> {
    let failed = || format!("{} cannot be read", folder.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.path().is_file()
            && let Some(name) = entry.file_name().to_str()
        {
            names.insert(name.to_owned());
        }
    }
    let mut lint = Lint { folder, findings: Vec::new() };
    lint.app_name();
    lint.manifest(names.contains(MANIFEST));
    lint.versions(&names);
    for name in &names {
        lint.content(name);
    }
    lint.findings.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(lint.findings)
}

struct Lint<'a> {
    folder: &'a Path,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn note(
        &mut self,
        file: &str,
        line: Option<u64>,
        severity: Severity,
        rule: &'static str,
        message: impl Into<String>,
    ) {
        let file = if file.is_empty() { self.folder.to_owned() } else { self.folder.join(file) };
        self.findings.push(Finding { file, line, severity, rule, message: message.into() });
    }

    fn app_name(&mut self) {
        // `.` and `crm/..` have no name of their own.
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.to_owned());
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Err(invalid) = AppName::parse(name) {
            let message = format!("the folder's name is the app's, and `{name}` is none: it {invalid}");
            self.note("", None, Severity::Error, "app-name", message);
        }
    }

    fn manifest(&mut self, is_there: bool) {
        if !is_there {
            return self.note(MANIFEST, None, Severity::Error, "manifest", "is missing; it may be empty");
        }
        let Some(text) = self.text(MANIFEST) else { return };
        match toml::from_str::<Manifest>(&text) {
            Ok(manifest) => {
                if let Err(invalid) = manifest.validate() {
                    self.note(MANIFEST, None, Severity::Error, "manifest", invalid.to_string());
                }
            }
            Err(error) => {
                let line = error.span().map(|span| line_at(&text, span.start));
                self.note(MANIFEST, line, Severity::Error, "manifest", error.message().to_owned());
            }
        }
    }

    /// The names of the files: that each can be read, each version is there once and in order, each up has
    /// its down and each down its up.
    fn versions(&mut self, names: &BTreeSet<String>) {
        let mut ups: BTreeMap<AppVersion, &str> = BTreeMap::new();
        let mut downs: BTreeMap<AppVersion, &str> = BTreeMap::new();
        for name in names {
            let (stem, side) = match AppFile::of(name) {
                AppFile::Up(stem) => (stem, &mut ups),
                AppFile::Down(stem) => (stem, &mut downs),
                AppFile::OtherSql => {
                    let message = "is never read; call it <version>_<name>.up.sql, .down.sql, or seed.sql";
                    self.note(name, None, Severity::Error, "file-name", message);
                    continue;
                }
                AppFile::Manifest | AppFile::Seed | AppFile::Other => continue,
            };
            match versioned(stem) {
                Err(error) => self.note(name, None, Severity::Error, "file-name", format!("{error:#}")),
                Ok((version, rest)) => {
                    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                    if rest.is_empty() || !rest.chars().all(plain) {
                        let message = "has a name that is not made of a-z, 0-9 and _";
                        self.note(name, None, Severity::Warning, "file-name", message);
                    }
                    if let Some(other) = side.insert(version, name) {
                        let message = format!("has the version {version}, which {other} has too");
                        self.note(name, None, Severity::Error, "duplicate-version", message);
                    }
                }
            }
        }
        if ups.is_empty() {
            self.note("", None, Severity::Error, "no-version", "holds no <version>_<name>.up.sql");
        }
        for (version, down) in &downs {
            match ups.get(version) {
                None => self.note(down, None, Severity::Error, "missing-up", "has no .up.sql to take back"),
                Some(up) if up.trim_end_matches(".up.sql") != down.trim_end_matches(".down.sql") => {
                    let message = format!("takes back {up}, which has another name");
                    self.note(down, None, Severity::Warning, "file-name", message);
                }
                Some(_) => {}
            }
        }
        for (version, up) in &ups {
            if !downs.contains_key(version) {
                let message = "has no .down.sql: tenants that have it cannot go back";
                self.note(up, None, Severity::Warning, "missing-down", message);
            }
        }
        let in_order: Vec<_> = ups.values().collect();
        for pair in in_order.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if before > after {
                let message = format!(
                    "runs after {before}, by its number, and is listed before it; use as many digits"
                );
                self.note(after, None, Severity::Warning, "order", message);
            }
        }
    }

    fn content(&mut self, name: &str) {
        let is_up = match AppFile::of(name) {
            AppFile::Up(_) => true,
            AppFile::Down(_) | AppFile::Seed => false,
            AppFile::Manifest | AppFile::OtherSql | AppFile::Other => return,
        };
        let Some(text) = self.text(name) else { return };
        if sql::is_empty(&text) {
            let severity = if is_up { Severity::Error } else { Severity::Warning };
            let message = if name == SEED { "holds no SQL; leave it out" } else { "holds no SQL" };
            return self.note(name, None, severity, "empty", message);
        }
        for flaw in sql::flaws(&text) {
            self.note(name, Some(flaw.line), Severity::Error, flaw.rule, flaw.message);
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match fs::read_to_string(self.folder.join(name)) {
            Ok(text) => Some(text),
            Err(error) => {
                self.note(name, None, Severity::Error, "unreadable", format!("cannot be read: {error}"));
                None
            }
        }
    }
}

fn line_at(text: &str, offset: usize) -> u64 {
    let newlines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    u64::try_from(newlines).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder `crm` of these files: file, line, rule.
    fn found(files: &[(&str, &str)]) -> Vec<(String, Option<u64>, &'static str)> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("crm");
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let findings = lint(&folder).unwrap().into_iter();
        let name = |file: PathBuf| file.file_name().unwrap().to_string_lossy().into_owned();
        findings.map(|finding| (name(finding.file), finding.line, finding.rule)).collect()
    }

    #[test]
    fn the_sample_apps_have_nothing_to_complain_of() {
        let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tenant");
        let mut count = 0;
        for app in fs::read_dir(apps).unwrap() {
            let findings = lint(&app.unwrap().path()).unwrap();
            assert!(findings.is_empty(), "{findings:?}");
            count += 1;
        }
        assert!(count >= 5);
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = found(&[("1_a.up.sql", "SELECT 1;"), ("2_b.down.sql", "SELECT 1;")]);
        let expected = [
            ("1_a.up.sql".to_owned(), None, "missing-down"),
            ("2_b.down.sql".to_owned(), None, "missing-up"),
            ("manifest.toml".to_owned(), None, "manifest"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_version_that_is_there_twice_or_out_of_order_is_named() {
        let sql = "SELECT 1;";
        let files = [
            ("manifest.toml", ""),
            ("10_c.up.sql", sql),
            ("10_c.down.sql", sql),
            ("9_b.up.sql", sql),
            ("9_other.down.sql", sql),
            ("09_a.up.sql", sql),
            ("nine_d.up.sql", sql),
            ("table.sql", sql),
        ];
        let expected = [
            ("10_c.up.sql".to_owned(), None, "order"),
            ("9_b.up.sql".to_owned(), None, "duplicate-version"),
            ("9_other.down.sql".to_owned(), None, "file-name"),
            ("nine_d.up.sql".to_owned(), None, "file-name"),
            ("table.sql".to_owned(), None, "file-name"),
        ];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn what_a_file_holds_is_named_by_its_line() {
        let files = [
            ("manifest.toml", "description = 'd'\nexpansions = []\n"),
            ("1_a.up.sql", "CREATE TABLE a ();\nCOMMIT;\n"),
            ("1_a.down.sql", "-- nothing\n"),
            ("2_b.up.sql", "\n"),
            ("2_b.down.sql", "DROP TABLE public.b;"),
            ("seed.sql", "INSERT INTO a DEFAULT VALUES;\nSET search_path = x;\n"),
        ];
        let expected = [
            ("1_a.down.sql".to_owned(), None, "empty"),
            ("1_a.up.sql".to_owned(), Some(2), "transaction-control"),
            ("2_b.down.sql".to_owned(), Some(1), "schema-name"),
            ("2_b.up.sql".to_owned(), None, "empty"),
            ("manifest.toml".to_owned(), Some(2), "manifest"),
            ("seed.sql".to_owned(), Some(2), "search-path"),
        ];
        assert_eq!(found(&files), expected);
    }

    #[test]
    fn a_finding_reads_as_a_compiler_s() {
        let finding = Finding {
            file: "crm/1_a.up.sql".into(),
            line: Some(3),
            severity: Severity::Error,
            rule: "schema-name",
            message: "names a schema".into(),
        };
        assert_eq!(finding.to_string(), "crm/1_a.up.sql:3: error: names a schema [schema-name]");
    }
}
