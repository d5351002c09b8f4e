//! The standalone tool: it reads a migrations directory at run time.

use std::process::ExitCode;

fn main() -> ExitCode {
    migrator::cli::main()
}
