//! The programs under test, built like the tests themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Path of `vocard`, `vocar` or `vocar-accel`: from `$VOCAR_BIN_DIR` if set, else beside the tests, built first.
///
/// # Panics
/// If the programs cannot be built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| std::env::var_os("VOCAR_BIN_DIR").map_or_else(build, PathBuf::from))
        .join(name)
}

/// Runs `vocar` to its end.
///
/// # Panics
/// If it cannot be started.
#[must_use]
pub fn vocar(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(program("vocar"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("vocar cannot be started: {error}"))
}

/// A test binary lies in `target[/triple]/profile/deps`; its programs one folder up. Cargo does not build another
/// package's programs for a test, so this does.
fn build() -> PathBuf {
    let test = std::env::current_exe()
        .unwrap_or_else(|error| panic!("the test does not know where it is: {error}"));
    let dir = test
        .parent()
        .and_then(Path::parent)
        .map_or_else(|| PathBuf::from("target/debug"), Path::to_path_buf);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(super::repository()).args([
        "build",
        "--quiet",
        "-p",
        "vocar-daemon",
        "-p",
        "vocar-accel",
        "--bins",
    ]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let status = cargo
        .status()
        .unwrap_or_else(|error| panic!("cargo cannot be started: {error}"));
    assert!(status.success(), "the programs do not build");
    dir
}
