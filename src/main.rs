//! The program: parse, run the command, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    frostguard_hub::cli::main()
}
