//! What grew from the first size to the last.

use crate::measure::Measured;

/// The goal: a sign-up may take so many times as long at the last size as at the first.
const GOAL: f64 = 1.2;

/// Growth that is worth a line: by the factor, and by so many milliseconds.
const WORTH: (f64, f64) = (1.5, 0.05);

pub(crate) fn print(taken: &[Measured]) {
    let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return };
    println!("== from {} to {} tenants", first.tenants, last.tenants);
    for (what, before, after) in [
        ("sign-up from the warm pool, p50", first.warm.0, last.warm.0),
        ("sign-up, pool empty, p50", first.made.0, last.made.0),
    ] {
        let times = after / before;
        println!(
            "{what}: {before:.1} ms to {after:.1} ms, {times:.2} times (goal {GOAL}; the raw work {:.2} times): {}",
            last.raw.0 / first.raw.0,
            if times <= GOAL { "met" } else { "NOT met" }
        );
    }
    let per_route =
        (last.data_plane_mb - first.data_plane_mb) * 1e6 / (last.tenants - first.tenants).max(1) as f64;
    println!(
        "data plane: {:.1} MB to {:.1} MB, {per_route:.0} bytes per tenant",
        first.data_plane_mb, last.data_plane_mb
    );
    for (name, tick) in &last.ticks {
        let Some(before) = first.ticks.get(name) else { continue };
        let (was, is) = (before.idle.as_secs_f64() * 1e3, tick.idle.as_secs_f64() * 1e3);
        if is > was * WORTH.0 && is > was + WORTH.1 {
            println!("grows: an idle tick of {name}, {was:.2} ms to {is:.2} ms");
        }
        if tick.registry + tick.server > before.registry + before.server {
            println!(
                "grows: statements of an idle tick of {name}, {} to {}",
                before.registry + before.server,
                tick.registry + tick.server
            );
        }
    }
    for (text, cost) in &last.statements.by_text {
        let Some(before) = first.statements.by_text.get(text) else { continue };
        let (was, is) =
            (before.total_ms / before.calls.max(1) as f64, cost.total_ms / cost.calls.max(1) as f64);
        if is > was * WORTH.0 && is > was + WORTH.1 {
            println!("grows: in a sign-up, {was:.2} ms to {is:.2} ms each, {} times: {text}", cost.calls);
        }
    }
}
