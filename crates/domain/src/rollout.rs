//! Rollouts: one version of an app, carried to all of its tenants in waves.

use serde::{Deserialize, Serialize};

use crate::{
    Invalid,
    app::{AppName, AppVersion},
    ids::{RolloutId, TenantId},
};

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// Tenants are migrated, or a wave has its soak time.
    Running,
    /// Somebody stopped it for a while.
    Paused,
    /// It stopped by itself: too many tenants failed.
    Halted,
    /// Every tenant has its version, but for those that failed within the budget.
    Succeeded,
    /// Every tenant has its former version again.
    RolledBack,
    /// Somebody ended it where it was.
    Aborted,
}

crate::names_of! { RolloutState {
    Running = "running", Paused = "paused", Halted = "halted", Succeeded = "succeeded", RolledBack = "rolled_back",
    Aborted = "aborted",
} }

impl RolloutState {
    /// Whether nothing more will be done.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::RolledBack | Self::Aborted)
    }
}

/// Which way tenants are migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the rollout's version.
    Up,
    /// Back to the version that each had.
    Down,
}

crate::names_of! { Direction { Up = "up", Down = "down" } }

/// How far a rollout is with one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantProgress {
    /// It is its turn, or will be.
    Pending,
    /// A worker is at it.
    Migrating,
    /// It has the version that it is to have.
    Done,
    /// It could not be migrated, and is as it was.
    Failed,
    /// It is left as it is: the rollout ended before its turn.
    Skipped,
}

crate::names_of! { TenantProgress {
    Pending = "pending", Migrating = "migrating", Done = "done", Failed = "failed", Skipped = "skipped",
} }

/// Which tenants a wave takes, those of the waves before included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveShare {
    /// These: canaries.
    Tenants(Vec<TenantId>),
    /// So many percent of all, 1 to 100.
    Percent(u8),
}

/// Tenants that are migrated before the next ones are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Which.
    pub share: WaveShare,
    /// How long they are watched before the next wave begins.
    #[serde(default)]
    pub soak_seconds: u32,
}

/// How many tenants may fail before a rollout halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureBudget {
    /// So many.
    Count(u32),
    /// So many percent of its tenants, 0 to 100.
    Percent(u8),
}

impl FailureBudget {
    /// How many of `tenants` that are, rounded down.
    pub fn of(self, tenants: u64) -> u64 {
        match self {
            Self::Count(count) => u64::from(count),
            Self::Percent(percent) => tenants * u64::from(percent) / 100,
        }
    }
}

impl std::str::FromStr for FailureBudget {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::because("must be a number of tenants, or percent such as 5%");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse().map_err(|_| wrong())?;
                if percent <= 100 { Ok(Self::Percent(percent)) } else { Err(wrong()) }
            }
            None => Ok(Self::Count(text.parse().map_err(|_| wrong())?)),
        }
    }
}

impl std::fmt::Display for FailureBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// How a rollout goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutSettings {
    /// In this order; the last one takes all.
    pub waves: Vec<Wave>,
    /// Tenants that are migrated at the same time on one server, each on a connection, by all workers together.
    pub parallelism: u16,
    /// How many may fail.
    pub max_failures: FailureBudget,
    /// How long a statement waits for a lock, in which the tenant's requests wait behind it.
    pub lock_timeout_ms: u32,
    /// How long a statement may take; 0: for ever.
    pub statement_timeout_ms: u32,
    /// How often a tenant is tried that is locked, or on a server that fails, before it counts as failed.
    pub tries: u16,
    /// What guard rails found does not keep it from running.
    pub force: bool,
    /// Versions are carried too that are marked as `-- contract`.
    pub contract: bool,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        let share = |percent| Wave { share: WaveShare::Percent(percent), soak_seconds: 0 };
        Self {
            waves: vec![share(1), share(10), share(100)],
            parallelism: 2,
            max_failures: FailureBudget::Count(0),
            lock_timeout_ms: 2000,
            statement_timeout_ms: 300_000,
            tries: 20,
            force: false,
            contract: false,
        }
    }
}

impl RolloutSettings {
    /// The most waves that a rollout has.
    pub const MOST_WAVES: usize = 20;

    /// Sees to it that the last wave takes all tenants.
    ///
    /// # Errors
    /// There are too many, or one takes less than the one before it.
    pub fn complete_waves(&mut self) -> Result<(), Invalid> {
        let mut before = 0;
        for wave in &self.waves {
            let WaveShare::Percent(percent) = wave.share else { continue };
            if percent <= before || percent > 100 {
                return Err(Invalid::because(
                    "each must take more percent than the one before it, 100 at most",
                ));
            }
            before = percent;
        }
        if before < 100 {
            self.waves.push(Wave { share: WaveShare::Percent(100), soak_seconds: 0 });
        }
        if !matches!(self.waves.last(), Some(Wave { share: WaveShare::Percent(100), .. })) {
            return Err(Invalid::because("those that name tenants come before the one that takes all"));
        }
        if self.waves.len() > Self::MOST_WAVES {
            return Err(Invalid::because("there are at most 20 waves"));
        }
        Ok(())
    }
}

/// One version of an app, carried to all of its tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// The app.
    pub app: AppName,
    /// The version that all tenants are to have.
    pub target: AppVersion,
    /// The version that new tenants got when it began.
    pub former: Option<AppVersion>,
    /// Where it is.
    pub state: RolloutState,
    /// Which way it goes.
    pub direction: Direction,
    /// Why it is not running.
    pub reason: Option<String>,
    /// How it goes.
    pub settings: RolloutSettings,
    /// The wave that it is in, from 0.
    pub wave: u16,
    /// Until when that is watched.
    pub soak_until: Option<chrono::DateTime<chrono::Utc>>,
    /// When it was asked for.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// When it ended.
    pub finished_at: Option<chrono::DateTime<chrono::Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(shares: &[u8]) -> RolloutSettings {
        let wave = |share: &u8| Wave { share: WaveShare::Percent(*share), soak_seconds: 0 };
        RolloutSettings { waves: shares.iter().map(wave).collect(), ..RolloutSettings::default() }
    }

    #[test]
    fn the_last_wave_takes_all() {
        let cases: [(&[u8], &[u8]); 3] = [(&[], &[100]), (&[5, 50], &[5, 50, 100]), (&[100], &[100])];
        for (given, complete) in cases {
            let mut settings = waves(given);
            settings.complete_waves().unwrap();
            assert_eq!(settings.waves, waves(complete).waves);
        }
        let wrong: [&[u8]; 5] = [&[0], &[50, 50], &[50, 10], &[101], &[100, 100]];
        for wrong in wrong {
            assert!(waves(wrong).complete_waves().is_err(), "{wrong:?}");
        }
        let mut canaries = waves(&[100]);
        canaries.waves.push(Wave { share: WaveShare::Tenants(Vec::new()), soak_seconds: 0 });
        assert!(canaries.complete_waves().is_err());
    }

    #[test]
    fn a_failure_budget_is_a_number_or_percent() {
        assert_eq!("3".parse(), Ok(FailureBudget::Count(3)));
        assert_eq!("5%".parse(), Ok(FailureBudget::Percent(5)));
        for wrong in ["", "-1", "5 %", "101%", "x"] {
            assert!(wrong.parse::<FailureBudget>().is_err(), "{wrong}");
        }
        assert_eq!(FailureBudget::Percent(5).of(199), 9);
        assert_eq!(FailureBudget::Percent(5).to_string(), "5%");
    }
}
