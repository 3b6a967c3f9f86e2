//! What benchmarks print and write: our figure, the raw limit and their ratio.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::{Map, Value, json};

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The number in TARGETS.md.
    pub target: u8,
    /// What was measured.
    pub what: String,
    /// Our figure.
    pub ours: f64,
    /// The raw limit, measured in the same run.
    pub raw: Option<f64>,
    /// `ms`, `us`, `per second`, `MB`.
    pub unit: &'static str,
    /// The bound on `ours / raw`, or on `ours` where there is no raw limit.
    pub bound: f64,
    /// Whether the bound is a floor (rates) or a ceiling (times, sizes).
    pub at_least: bool,
}

impl Figure {
    /// What is compared with the bound.
    pub fn compared(&self) -> f64 {
        self.raw.map_or(self.ours, |raw| self.ours / raw)
    }

    /// Whether the target is met.
    pub fn is_met(&self) -> bool {
        if self.at_least { self.compared() >= self.bound } else { self.compared() <= self.bound }
    }
}

/// Prints a table and adds the figures to `target/bench/report.json`.
///
/// # Errors
/// The file cannot be written.
#[expect(clippy::print_stdout, reason = "what a benchmark is run for")]
pub fn publish(figures: &[Figure]) -> anyhow::Result<()> {
    println!(
        "\n{:>2}  {:<62} {:>12} {:>12} {:>8}  {:<10} met",
        "#", "what", "ours", "raw", "ratio", "target"
    );
    for figure in figures {
        let raw = figure.raw.map_or_else(|| "-".into(), |raw| format!("{raw:.2}"));
        let ratio = figure.raw.map_or_else(|| "-".into(), |raw| format!("{:.2}", figure.ours / raw));
        let sign = if figure.at_least { ">=" } else { "<=" };
        let of = if figure.raw.is_some() { "x raw" } else { figure.unit };
        println!(
            "{:>2}  {:<62} {:>12} {raw:>12} {ratio:>8}  {:<10} {}",
            figure.target,
            figure.what,
            format!("{:.2} {}", figure.ours, figure.unit),
            format!("{sign} {} {of}", figure.bound),
            if figure.is_met() { "yes" } else { "NO" },
        );
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench/report.json");
    fs::create_dir_all(path.parent().expect("it has one"))?;
    let mut report: Map<String, Value> =
        fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    for figure in figures {
        report.insert(
            format!("{:02} {}", figure.target, figure.what),
            json!({
                "target": figure.target, "ours": figure.ours, "raw": figure.raw, "unit": figure.unit,
                "ratio": figure.raw.map(|raw| figure.ours / raw), "bound": figure.bound, "met": figure.is_met(),
            }),
        );
    }
    Ok(fs::write(path, serde_json::to_string_pretty(&report)?)?)
}

/// The value in the middle.
///
/// # Panics
/// There is no value.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which `share` (0 to 1) of the times lie, in milliseconds.
///
/// # Panics
/// There is no time.
pub fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = ((times.len() - 1) as f64 * share).round() as usize;
    times[index].as_secs_f64() * 1e3
}
