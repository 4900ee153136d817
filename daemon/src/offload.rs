//! Accelerators: from what profile and configuration offer to the engine that runs, and why each other one does not.

use crate::config::{AcceleratorChoice, Settings};
use crate::hardware;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vocar_accel::{Patience, Placement, Provider};
use vocar_hw::{AcceleratorSpec, AcceleratorVerdict, Choice, Precision};
use vocar_inference::{
    Accelerated, AcousticModel, Bundle, CpuEngine, Engine, LoadError, Offer, Refusal, Standing,
    acoustic_file, check_whole, placement,
};

/// Where the program is installed.
const INSTALLED: &str = "/usr/libexec/vocar/vocar-accel";

/// An acoustic model, and what became of the accelerators.
#[derive(Debug)]
pub struct Placed {
    /// The model, on an accelerator or on the processor.
    pub model: Arc<AcousticModel>,
    /// The accelerator that it is on.
    pub standing: Option<Standing>,
    /// What the processor would be called, such as `fused-mixed`.
    pub processor: String,
    /// Every accelerator, those of the configuration first.
    pub verdicts: Vec<AcceleratorVerdict>,
}

/// Loads the acoustic model: on the first accelerator that passes its trial, else in `precision` on the processor.
///
/// # Errors
/// [`LoadError`] when it does not run on the processor either.
pub fn place(
    settings: &Settings,
    bundle: &Bundle,
    precision: Precision,
) -> Result<Placed, LoadError> {
    let processor = load(bundle, precision)?;
    let name = format!("{}-{precision}", processor.name());
    let mut choice = hardware::choose(&settings.hardware);
    let used = engage(settings, &mut choice, bundle, &processor);
    let acoustic = bundle.manifest().acoustic.clone();
    let standing = used.as_ref().map(|(engine, _)| engine.standing());
    let (engine, precision): (Box<dyn Engine>, _) = match used {
        Some((engine, precision)) => (Box::new(engine), precision),
        None => (Box::new(processor), precision),
    };
    Ok(Placed {
        model: AcousticModel::with_engine(engine, precision, acoustic)?,
        standing,
        processor: name,
        verdicts: choice.accelerators,
    })
}

/// Tries the accelerators and writes into the choice what became of each. For `vocar hw`.
///
/// # Errors
/// [`LoadError`] when the network does not even run on the processor.
pub fn examine(
    settings: &Settings,
    choice: &mut Choice,
    bundle: &Bundle,
    precision: Precision,
) -> Result<(), LoadError> {
    let processor = load(bundle, precision)?;
    engage(settings, choice, bundle, &processor);
    Ok(())
}

/// What runs where on each accelerator that is there, a line each.
///
/// # Errors
/// [`LoadError`] when the bundle has no network for it.
pub fn parts(
    settings: &Settings,
    bundle: &Bundle,
    precision: Precision,
) -> Result<Vec<String>, LoadError> {
    let choice = hardware::choose(&settings.hardware);
    let processor = load(bundle, precision)?;
    let mut lines = Vec::new();
    for (spec, verdict) in there(settings, &choice) {
        let Some(offer) = offer(settings, bundle, spec, verdict)? else {
            continue;
        };
        match placement(&offer, &processor) {
            Ok(parts) => lines.extend(parts.iter().map(|part| format!("{}: {part}", spec.name))),
            Err(refusal) => lines.push(format!("{}: {refusal}", spec.name)),
        }
    }
    Ok(lines)
}

fn load(bundle: &Bundle, precision: Precision) -> Result<Arc<CpuEngine>, LoadError> {
    let file = acoustic_file(bundle, precision)?;
    Ok(Arc::new(CpuEngine::load(&file, bundle.manifest())?))
}

/// The accelerators that are worth a trial, with their verdicts.
fn there<'a>(
    settings: &Settings,
    choice: &'a Choice,
) -> impl Iterator<Item = (&'a AcceleratorSpec, &'a AcceleratorVerdict)> {
    let here = settings.hardware.sysroot == Path::new("/");
    let pairs = choice.profile.accelerators.iter().zip(&choice.accelerators);
    pairs.filter(move |(_, verdict)| here && verdict.present)
}

/// The first accelerator that passes, and the precision of its network.
fn engage(
    settings: &Settings,
    choice: &mut Choice,
    bundle: &Bundle,
    processor: &Arc<CpuEngine>,
) -> Option<(Accelerated, Precision)> {
    let mut used = None;
    let specs = choice.profile.accelerators.iter();
    for (spec, verdict) in specs.zip(&mut choice.accelerators) {
        if !verdict.present {
            continue;
        }
        match tried(settings, bundle, spec, verdict, processor, used.is_some()) {
            Ok(engine) => {
                verdict.tried(true, engine.standing().found().to_owned());
                used = Some((engine, spec.network));
            }
            Err(refusal) => verdict.tried(false, refusal.to_string()),
        }
    }
    used
}

fn tried(
    settings: &Settings,
    bundle: &Bundle,
    spec: &AcceleratorSpec,
    verdict: &AcceleratorVerdict,
    processor: &Arc<CpuEngine>,
    another: bool,
) -> Result<Accelerated, Why> {
    let hardware = &settings.hardware;
    if hardware.accelerator == AcceleratorChoice::Off {
        return Err(Why::said("hardware.accelerator is \"off\""));
    }
    if hardware.sysroot != Path::new("/") {
        return Err(Why::said("hardware.sysroot is the picture of a machine"));
    }
    if another {
        return Err(Why::said("another before it is used"));
    }
    let Some(offer) = offer(settings, bundle, spec, verdict)? else {
        return Err(Why::said("no execution provider is named for it"));
    };
    check_whole(&offer.network).map_err(LoadError::from)?;
    let processor = Arc::clone(processor) as Arc<dyn Engine>;
    Ok(Accelerated::activate(&offer, processor)?)
}

/// Why an accelerator is not used.
#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Said(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Bundle(#[from] LoadError),
}

impl Why {
    const fn said(text: &'static str) -> Self {
        Self::Said(text)
    }
}

fn offer(
    settings: &Settings,
    bundle: &Bundle,
    spec: &AcceleratorSpec,
    verdict: &AcceleratorVerdict,
) -> Result<Option<Offer>, LoadError> {
    let Some(provider) = &spec.provider else {
        return Ok(None);
    };
    let place = |library: &String| verdict.place(library).to_owned();
    let options = provider.options.iter();
    let acoustic = &bundle.manifest().acoustic;
    Ok(Some(Offer {
        name: short(&provider.name),
        program: program(&settings.hardware.accelerator_program),
        runtime: runtime(spec.runtime.as_ref().map(place)),
        provider: Provider {
            name: provider.name.clone(),
            library: provider.library.as_ref().map(place).map(PathBuf::from),
            options: options
                .map(|(key, value)| (key.clone(), place(value)))
                .collect(),
        },
        placement: if spec.mixed {
            Placement::Mixed
        } else {
            Placement::Whole
        },
        network: acoustic_file(bundle, spec.network)?,
        ports: (acoustic.input.clone(), acoustic.output.clone()),
        patience: Patience {
            step: Duration::from_millis(spec.step_ms.into()),
            ..Patience::default()
        },
        check_every: spec.check_every,
        tolerance: spec.tolerance,
        require_win: spec.require_win,
    }))
}

/// `QNNExecutionProvider` → `accelerator-qnn`, for the name of the backend.
fn short(provider: &str) -> String {
    let name = provider.trim_end_matches("ExecutionProvider");
    format!("accelerator-{}", name.to_lowercase())
}

/// The configured program, else the one beside this, else the installed one.
fn program(configured: &Path) -> PathBuf {
    if !configured.as_os_str().is_empty() {
        return configured.to_owned();
    }
    let beside = std::env::current_exe().map(|program| program.with_file_name("vocar-accel"));
    match beside {
        Ok(beside) if beside.exists() => beside,
        _ => INSTALLED.into(),
    }
}

/// ONNX Runtime's library.
fn runtime(named: Option<String>) -> PathBuf {
    let variable = || std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    let named = named
        .map(PathBuf::from)
        .or_else(|| variable().map(PathBuf::from));
    named.unwrap_or_else(|| "libonnxruntime.so".into())
}

/// What Health says: well when one is used, else why each is not; nothing where there are none.
#[must_use]
pub fn health(verdicts: &[AcceleratorVerdict]) -> Option<String> {
    if verdicts.iter().any(|verdict| verdict.usable) {
        return Some(crate::status::OK.to_owned());
    }
    let refused = verdicts
        .iter()
        .map(|verdict| format!("{} is not used: {}", verdict.name, verdict.reason));
    refused.reduce(|a, b| format!("{a}; {b}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(usable: bool) -> AcceleratorVerdict {
        AcceleratorVerdict {
            name: "it".into(),
            present: true,
            usable,
            devices_found: Vec::new(),
            libraries_found: Vec::new(),
            reason: "for a reason".into(),
        }
    }

    #[test]
    fn health_is_well_when_one_is_used_and_else_says_why_not() {
        assert_eq!(health(&[]), None);
        let both = [verdict(false), verdict(true)];
        assert_eq!(health(&both).as_deref(), Some("ok"));
        let none = [verdict(false), verdict(false)];
        let said = health(&none).unwrap();
        assert_eq!(
            said,
            "it is not used: for a reason; it is not used: for a reason"
        );
    }

    #[test]
    fn backends_are_called_by_their_providers() {
        assert_eq!(short("QNNExecutionProvider"), "accelerator-qnn");
        assert_eq!(short("QNN"), "accelerator-qnn");
    }
}
