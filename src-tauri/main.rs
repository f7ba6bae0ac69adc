//! The desktop app of AIKit Partners.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")] // no console window beside the app on Windows

use std::process::ExitCode;

fn main() -> ExitCode {
    match aikit_partners_app::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
