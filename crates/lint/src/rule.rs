//! What a rule is: its name, its weight, and on which tables it is silent. All of them are in [`table`].

use std::fmt;

use serde::{Deserialize, Serialize};

use self::table::RULES;

pub(crate) mod table;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It may stop the traffic of a tenant, break its clients, reach beyond it or leave it half-way: a rollout begins only if
    /// it is forced.
    Unsafe,
    /// It can be meant so.
    Warning,
}

impl Weight {
    /// The served name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsafe => "unsafe",
            Self::Warning => "warning",
        }
    }
}

/// Where a rule does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silent {
    /// Nowhere.
    Never,
    /// On what the same rollout makes: no client knows it yet.
    OnNew,
    /// There, and in a version that is marked as `-- contract`: it runs when no client needs the old form any more.
    OnNewOrInContract,
    /// On what the same rollout makes, and on tables that are known to be small: it takes a moment there.
    OnNewOrSmall,
}

/// A line of the table.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// None: it is off.
    pub(crate) weight: Option<Weight>,
    pub(crate) silent: Silent,
    /// What is wrong, in a sentence; of a rule that is off, why it is.
    pub(crate) finds: &'static str,
    /// What to write instead.
    pub(crate) safer: &'static str,
}

/// A rule, by its name: those of squawk have squawk's names.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule(&'static Entry);

impl Rule {
    /// All rules that are on, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        RULES.iter().filter(|entry| entry.weight.is_some()).map(Self)
    }

    /// The rules of squawk that are off, each with the reason.
    pub fn off() -> impl Iterator<Item = (&'static str, &'static str)> {
        RULES.iter().filter(|entry| entry.weight.is_none()).map(|entry| (entry.name, entry.finds))
    }

    /// The rule of a name, if it is on.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|rule| rule.name() == name)
    }

    /// Its name, e.g. `ban-drop-column`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// How bad it is.
    pub fn weight(self) -> Weight {
        self.0.weight.unwrap_or(Weight::Warning)
    }

    /// What it finds, in a sentence.
    pub fn finds(self) -> &'static str {
        self.0.finds
    }

    /// What to write instead.
    pub fn safer(self) -> &'static str {
        self.0.safer
    }

    pub(crate) fn silent(self) -> Silent {
        self.0.silent
    }

    /// A rule of this crate's code, whose name is in the table: a test looks each up.
    pub(crate) fn own(name: &'static str) -> Self {
        Self::named(name).expect("a rule that is found is in the table")
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Rule {}

impl PartialEq<str> for Rule {
    fn eq(&self, name: &str) -> bool {
        self.name() == name
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.name().to_owned()
    }
}

impl TryFrom<String> for Rule {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::named(&name).ok_or_else(|| format!("there is no rule `{name}`"))
    }
}
