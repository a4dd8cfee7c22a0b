//! `api-sensor`: see [`sensor_user::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sensor_user::cli::main(std::env::args_os()).into()
}
