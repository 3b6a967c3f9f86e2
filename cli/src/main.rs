//! The one binary.

fn main() -> std::process::ExitCode {
    tenantry_cli::main()
}
