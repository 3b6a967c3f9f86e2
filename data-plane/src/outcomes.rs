//! Counts of answers by what became of the request.

use metrics::Counter;

/// Counters, looked up once where they are hot.
pub(crate) struct Outcomes {
    ok: Counter,
}

const NAME: &str = "tenantry_data_requests_total";

impl Outcomes {
    pub(crate) fn new() -> Self {
        Self { ok: metrics::counter!(NAME, "outcome" => "ok") }
    }

    pub(crate) fn ok(&self) {
        self.ok.increment(1);
    }

    /// By the code of the refusal, of which there is a fixed number.
    #[expect(clippy::unused_self, reason = "one way to count")]
    pub(crate) fn refused(&self, code: &str) {
        metrics::counter!(NAME, "outcome" => code.to_owned()).increment(1);
    }
}
