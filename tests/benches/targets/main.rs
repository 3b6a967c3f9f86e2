//! Targets 1 to 4, 6 to 10, 12 and 15, one dead server among two (16), attacks on others (17), a copy beside others (18), a flood beside others (19) and log-outs (20): real servers, real HTTP, the raw limit measured in the same run.
//!
//! `cargo bench -p tenantry-tests --bench targets -- <number>...` runs some of them.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "figures for people"
)]

mod attacks;
mod beside;
mod dead_server;
mod log_outs;
mod long_answers;
mod moves;
mod reads;
mod rollouts;
mod route_changes;
mod sign_ups;

use std::sync::Arc;

use tenantry_postgres::embedded::Durability;
use tenantry_tests::{report::publish, server};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much of something a benchmark is to be run with, where a variable of the environment says so.
#[expect(clippy::disallowed_methods, reason = "a benchmark's own size")]
fn size(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

fn main() -> anyhow::Result<()> {
    tenantry_cli::runtime()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let wanted: Vec<u8> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let wants = |target: u8| wanted.is_empty() || wanted.contains(&target);
    // Durable: commits wait for the disk, as in production.
    let postgres = Arc::new(server::start(Durability::Full).await?);
    let mut figures = Vec::new();
    if wants(1) {
        figures.extend(sign_ups::one_at_a_time(&postgres).await?);
    }
    if wants(2) {
        figures.extend(sign_ups::many_at_once(&postgres).await?);
    }
    if wants(3) {
        figures.extend(sign_ups::databases(&postgres).await?);
    }
    if wants(4) {
        for tenants_per_login in [250, 1] {
            figures.push(reads::by_id(&postgres, tenants_per_login, 1).await?);
        }
        // Every connection changes tenants with almost every request.
        figures.push(reads::by_id(&postgres, 250, 64).await?);
    }
    if wants(6) {
        figures.push(route_changes::seen(&postgres).await?);
    }
    if wants(7) {
        figures.extend(moves::pauses(&postgres).await?);
    }
    if wants(8) {
        figures.push(moves::copy_speed(&postgres).await?);
    }
    if wants(9) {
        figures.extend(rollouts::one_column(&postgres).await?);
    }
    if wants(10) {
        figures.extend(rollouts::nothing_to_do(&postgres).await?);
    }
    if wants(12) {
        figures.extend(moves::drain(&postgres).await?);
    }
    if wants(15) {
        figures.extend(long_answers::long_answers(&postgres).await?);
    }
    if wants(16) {
        figures.push(dead_server::among_two(&postgres).await?);
    }
    if wants(17) {
        figures.extend(attacks::on_others(&postgres).await?);
    }
    if wants(18) {
        figures.push(beside::a_copy(&postgres).await?);
    }
    if wants(19) {
        figures.push(attacks::flood(&postgres).await?);
    }
    if wants(20) {
        figures.push(log_outs::seen(&postgres).await?);
    }
    publish(&figures)
}
