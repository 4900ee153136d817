//! `vocar hw`: which machine, which profile, which accelerator, and why.

use super::{Code, Common, Failure};
use crate::ears::{available, find_bundle};
use crate::{hardware, offload};
use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vocar_hw::{Choice, Sampler, explain, trace};
use vocar_inference::Bundle;

/// Options of `hw`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Look at the machine whose /proc and /sys lie in this folder, in place of hardware.sysroot.
    #[arg(long, value_name = "DIR")]
    sysroot: Option<PathBuf>,
    /// Run the network on each accelerator that is there and print which nodes ran where and how long.
    #[arg(long)]
    parts: bool,
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
    let mut settings = common.settings()?;
    if let Some(sysroot) = &arguments.sysroot {
        settings.hardware.sysroot.clone_from(sysroot);
    }
    let sysroot = &settings.hardware.sysroot;
    if !sysroot.is_dir() {
        let text = format!(
            "{}: there is no such folder: give one that holds proc and sys",
            sysroot.display()
        );
        return Err(Failure::new(Code::Input, text));
    }
    let mut choice = hardware::choose(&settings.hardware);
    if let Some(seconds) = arguments.record {
        record(&choice, sysroot, seconds);
        return Ok(());
    }
    let mut parts = Vec::new();
    if choice.accelerators.iter().any(|verdict| verdict.present) {
        let failed = |error: String| Failure::new(Code::Bundle, error);
        let dir = find_bundle(&settings.model.dir).map_err(|error| failed(error.to_string()))?;
        let bundle = Bundle::open_trusted(dir, &settings.trust.bundles())
            .map_err(|error| failed(error.to_string()))?;
        let precision = available(&bundle, choice.precision);
        offload::examine(&settings, &mut choice, &bundle, precision)
            .map_err(|error| failed(error.to_string()))?;
        if arguments.parts {
            parts = offload::parts(&settings, &bundle, precision)
                .map_err(|error| failed(error.to_string()))?;
        }
    }
    if common.json {
        let mut json = serde_json::to_value(&choice)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
        if arguments.parts {
            json["parts"] = parts.into();
        }
        tell!("{json}");
    } else {
        tell!("{}", explain(&choice).trim_end());
        if arguments.parts {
            tell!("What ran where:");
        }
        for part in parts {
            tell!("  - {part}");
        }
    }
    Ok(())
}
