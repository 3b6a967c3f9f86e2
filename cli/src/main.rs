//! The one binary.

/// The data plane's hot path spent a tenth of its time in glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tenantry_cli::main()
}
