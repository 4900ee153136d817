//! `vocar doctor`: is everything there that the service needs?

use super::{Common, Failure, telephone};
use crate::assembly;
use crate::config::Settings;
use crate::ears::find_bundle;
use crate::hardware;
use serde_json::json;
use vocar_inference::{AcousticModel, Bundle};
use vocar_speech::capture::devices;
use vocar_speech::decoder::DecodingGraph;
use vocar_speech::lexicon::Lexicon;

/// One thing looked at.
struct Finding {
    what: &'static str,
    well: bool,
    text: String,
}

impl Finding {
    fn of(what: &'static str, result: Result<String, String>) -> Self {
        let well = result.is_ok();
        Self {
            what,
            well,
            text: result.unwrap_or_else(|problem| problem),
        }
    }
}

/// Looks at configuration, domains, bundles, microphone and bus.
///
/// # Errors
/// [`super::Code::No`] when something is missing.
pub fn execute(common: &Common) -> Result<(), Failure> {
    let settings = common.settings();
    let read = settings
        .as_ref()
        .map(|_| "well formed".to_owned())
        .map_err(ToString::to_string);
    let mut findings = vec![Finding::of("configuration", read)];
    let settings = settings.unwrap_or_default();
    findings.push(Finding::of("hardware", Ok(machine(&settings))));
    findings.push(Finding::of("domains", domains(&settings)));
    findings.push(Finding::of("model", model(&settings)));
    findings.push(Finding::of("understanding", understanding(&settings)));
    findings.push(Finding::of("microphone", microphone(&settings)));
    findings.push(Finding::of("service", service(common)));
    let well = findings.iter().all(|finding| finding.well);
    if common.json {
        let list: Vec<_> = findings
            .iter()
            .map(|finding| json!({"what": finding.what, "ok": finding.well, "text": finding.text}))
            .collect();
        tell!("{}", json!({"ok": well, "findings": list}));
    } else {
        for finding in &findings {
            tell!(
                "{:5} {:14} {}",
                if finding.well { "ok" } else { "FAULT" },
                finding.what,
                finding.text
            );
        }
    }
    if well { Ok(()) } else { Err(Failure::no()) }
}

fn machine(settings: &Settings) -> String {
    let choice = hardware::choose(&settings.hardware);
    format!(
        "profile {}, acoustic model in {}",
        choice.profile.name, choice.precision
    )
}

fn domains(settings: &Settings) -> Result<String, String> {
    let mind = assembly::mind(settings).map_err(|error| error.to_string())?;
    Ok(format!("enabled: {}", mind.enabled().join(", ")))
}

/// Opens the bundle, which checks every hash, loads the network and spells all that can be said.
fn model(settings: &Settings) -> Result<String, String> {
    let dir = find_bundle(&settings.model.dir).map_err(|error| error.to_string())?;
    let trust = settings.trust.bundles();
    let bundle = Bundle::open_trusted(&dir, &trust).map_err(|error| error.to_string())?;
    for precision in bundle.precisions() {
        AcousticModel::load(&bundle, precision).map_err(|error| error.to_string())?;
    }
    let lexicon = Lexicon::load(&bundle).map_err(|error| error.to_string())?;
    let mind = assembly::mind(settings).map_err(|error| error.to_string())?;
    let words = crate::bridge::word_graph(mind.graph());
    let graph = DecodingGraph::compile(&words, &lexicon).map_err(|error| error.to_string())?;
    Ok(format!(
        "{}: every hash{} right, {} {}, {} words in {} nodes",
        dir.display(),
        signed(settings),
        bundle.manifest().name,
        bundle.manifest().version,
        graph.words().len(),
        graph.nodes()
    ))
}

/// Opens the bundle that reads what no template says, where there is one; templates alone will do.
fn understanding(settings: &Settings) -> Result<String, String> {
    let encoder = assembly::encoder(settings).map_err(|error| error.to_string())?;
    Ok(encoder.map_or_else(
        || "by templates alone; there is no nlu-en beside the speech bundle".to_owned(),
        |encoder| {
            let domains: Vec<&str> = encoder.domains().collect();
            let (signed, domains) = (signed(settings), domains.join(", "));
            format!("every hash{signed} right, knows {domains}")
        },
    ))
}

/// Bundles that are not signed as they should be were refused before.
fn signed(settings: &Settings) -> &'static str {
    if settings.trust.bundles().is_asked() {
        " and the signature"
    } else {
        ""
    }
}

fn microphone(settings: &Settings) -> Result<String, String> {
    let wanted = &settings.audio.device;
    let found = devices(None).map_err(|error| error.to_string())?;
    let names: Vec<&str> = found.iter().map(|device| device.id.as_str()).collect();
    let there = if wanted == "default" {
        !found.is_empty()
    } else {
        found
            .iter()
            .any(|device| device.id == *wanted || device.description.contains(wanted.as_str()))
    };
    if there {
        Ok(format!("\"{wanted}\"; there are: {}", names.join(", ")))
    } else if found.is_empty() {
        Err("no capture device: connect one, or start PipeWire or PulseAudio".into())
    } else {
        Err(format!(
            "\"{wanted}\" is not there: set audio.device to one of: {}",
            names.join(", ")
        ))
    }
}

fn service(common: &Common) -> Result<String, String> {
    let mut state = String::new();
    telephone::block_on(async {
        state = telephone::call(common).await?.state().await?;
        Ok(())
    })
    .map_err(|failure| failure.to_string())?;
    Ok(format!("running, {state}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_bundle_for_understanding_is_opened_and_may_be_absent() {
        let mut settings = Settings::default();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        settings.model.understanding = repository.join("nlu/testdata/encoder");
        assert!(understanding(&settings).unwrap().ends_with("knows car"));
        settings.model.understanding = repository.join("nlu/testdata");
        assert!(understanding(&settings).is_err());
        let empty = tempfile::tempdir().unwrap();
        settings.model.understanding = Default::default();
        settings.model.dir = empty.path().join("speech-en");
        assert!(
            understanding(&settings)
                .unwrap()
                .contains("templates alone")
        );
    }
}
