//! `vocar hw`: which machine, which profile, and why.

use super::{Code, Common, Failure};
use crate::config::Hardware;
use crate::hardware;
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vocar_hw::{Choice, Sampler, explain, trace};

/// Options of `hw`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at the machine whose /proc and /sys lie in this folder, in place of hardware.sysroot.
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,
    /// Print what the power policy reads, a line every three seconds for so many seconds: a trace to try the policy on.
    #[arg(long, value_name = "SECONDS")]
    record: Option<u64>,
}

/// Time between two readings, as the service takes them.
const PERIOD: Duration = Duration::from_secs(3);

fn record(choice: &Choice, sysroot: &std::path::Path, seconds: u64) {
    let mut sampler = Sampler::new(sysroot, choice);
    let begin = Instant::now();
    tell!("{}", trace::HEADER);
    loop {
        let at = begin.elapsed();
        tell!("{}", trace::line(at, &sampler.read()));
        if at + PERIOD > Duration::from_secs(seconds) {
            return;
        }
        std::thread::sleep(PERIOD);
    }
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
        sysroot: sysroot.clone(),
        ..settings
    });
    if let Some(seconds) = arguments.record {
        record(&choice, &sysroot, seconds);
        return Ok(());
    }
    if common.json {
        let json = serde_json::to_string(&choice)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        tell!("{json}");
    } else {
        tell!("{}", explain(&choice).trim_end());
    }
    Ok(())
}
