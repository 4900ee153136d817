//! `vocar hw`: which machine, which profile, and why.

use super::{Code, Common, Failure};
use crate::config::Hardware;
use crate::hardware;
use clap::Args;
use std::path::PathBuf;
use vocar_hw::explain;

/// Options of `hw`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at the machine whose /proc and /sys lie in this folder, in place of hardware.sysroot.
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,
}

/// Explains the choice.
///
/// # Errors
/// [`Code::Input`] when the folder does not exist, [`Code::Usage`] for a wrong configuration.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let settings = common.settings()?.hardware;
    let sysroot = arguments.sysroot.clone().unwrap_or(settings.sysroot);
    if !sysroot.is_dir() {
        let text = format!(
            "{}: there is no such folder: give one that holds proc and sys",
            sysroot.display()
        );
        return Err(Failure::new(Code::Input, text));
    }
    let choice = hardware::choose(&Hardware {
        sysroot,
        ..settings
    });
    if common.json {
        let json = serde_json::to_string(&choice)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        tell!("{json}");
    } else {
        tell!("{}", explain(&choice).trim_end());
    }
    Ok(())
}
