//! What the play shows: bars while it runs on a terminal, lines elsewhere, a table at the end.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use comfy_table::{Cell, CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// See the module.
pub(super) struct Report {
    bars: MultiProgress,
    lines: Vec<Line>,
    started: Instant,
    checks: usize,
}

struct Line {
    what: String,
    said: String,
    took: Duration,
}

impl Report {
    pub(super) fn begin() -> Self {
        Self { bars: MultiProgress::new(), lines: Vec::new(), started: Instant::now(), checks: 0 }
    }

    /// Does a phase: what it made, and what there is to say of it.
    pub(super) async fn phase<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let spinner = self.bars.add(ProgressBar::new_spinner().with_message(what.to_owned()));
        spinner.enable_steady_tick(Duration::from_millis(80));
        let done = work.await;
        spinner.finish_and_clear();
        let took = started.elapsed();
        let (made, said) = done.map_err(|error| error.context(format!("{what} failed")))?;
        self.print(&format!("ok  {what}: {said} ({})", human(took)));
        self.lines.push(Line { what: what.to_owned(), said, took });
        Ok(made)
    }

    /// Counts checks that held.
    pub(super) fn held(&mut self, checks: usize) {
        self.checks += checks;
    }

    /// A bar for one operation, 0 to 1.
    pub(super) fn bar(&self, name: &str) -> ProgressBar {
        let style = ProgressStyle::with_template("    {prefix:24} [{bar:30}] {msg}")
            .expect("the template is valid")
            .progress_chars("=> ");
        self.bars.add(ProgressBar::new(100).with_style(style).with_prefix(name.to_owned()))
    }

    #[expect(clippy::print_stdout, reason = "what the user came for")]
    fn print(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            self.bars.suspend(|| println!("{line}"));
        } else {
            println!("{line}");
        }
    }

    /// The closing table.
    pub(super) fn end(self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["step", "what was done", "time"]);
        for line in &self.lines {
            table.add_row([
                Cell::new(&line.what),
                Cell::new(&line.said),
                Cell::new(human(line.took)).set_alignment(CellAlignment::Right),
            ]);
        }
        self.print(&format!("\n{table}"));
        self.print(&format!(
            "\n{} checks held; the whole play took {}.",
            self.checks,
            human(self.started.elapsed())
        ));
    }
}

/// Milliseconds below a second, seconds above.
pub(super) fn human(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{:.1} ms", took.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", took.as_secs_f64())
    }
}
