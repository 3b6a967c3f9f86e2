//! Ten thousand tenants on one server, through the product, and what grows with them:
//! `cargo run --release -p tenantry-tests --bin ten-thousand`, or with fewer: `-- --tenants 300`.
//!
//! At several sizes on the way it measures sign-ups, a data plane that has a route of every tenant in memory,
//! and each reconciler.

#![allow(clippy::cast_precision_loss, clippy::print_stdout, reason = "figures for people")]

mod fleet;
mod growth;
mod measure;
mod statements;

use std::process::ExitCode;

use clap::Parser;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// How many tenants in the end.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    tenants: u32,
}

impl Args {
    /// Where figures are taken: 100, 1,000, 5,000 and 10,000, or the same shares of fewer.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> =
            [100, 1_000, 5_000, 10_000].map(|of| (self.tenants as usize * of / 10_000).max(10)).into();
        sizes.dedup();
        sizes
    }

    /// Sign-ups of each kind that are measured at each size.
    fn sample(&self) -> usize {
        (self.tenants as usize / 60).clamp(5, 100)
    }
}

fn main() -> ExitCode {
    // The data plane runs in a process of its own, whose memory is measured.
    if std::env::args().nth(1).is_some_and(|argument| argument == "data-plane") {
        return tenantry_cli::main();
    }
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let mut fleet = fleet::Fleet::start(args.sample()).await?;
    let mut taken = Vec::new();
    for size in args.sizes() {
        fleet.grow(size).await?;
        let measured = measure::all(&mut fleet, args.sample()).await?;
        println!("{measured}");
        taken.push(measured);
    }
    growth::print(&taken);
    Ok(())
}
