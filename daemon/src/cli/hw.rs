//! `vocar hw`: which machine, which profile, and why.

use super::{Code, Common, Failure};
use clap::Args;
use std::path::{Path, PathBuf};
use vocar_hw::{Choice, Machine, choose, explain};

/// Options of `hw`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at the machine whose /proc and /sys lie in this folder.
    #[arg(long, value_name = "DIR", default_value = "/")]
    sysroot: PathBuf,
}

/// Explains the choice.
///
/// # Errors
/// [`Code::Input`] when the folder does not exist.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.sysroot.is_dir() {
        let text = format!(
            "{}: there is no such folder: give one that holds proc and sys",
            arguments.sysroot.display()
        );
        return Err(Failure::new(Code::Input, text));
    }
    let choice = look(&arguments.sysroot);
    if common.json {
        let json = serde_json::to_string(&choice)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        println!("{json}");
    } else {
        print!("{}", explain(&choice));
    }
    Ok(())
}

/// The choice for the machine below `root`.
#[must_use]
pub fn look(root: &Path) -> Choice {
    choose(&Machine::detect(root))
}
