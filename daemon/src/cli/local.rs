//! The pipeline inside the command line, for recordings.

use super::{Code, Failure, Sayable};
use crate::adapters;
use crate::assembly;
use crate::config::Settings;
use crate::conversation::Manners;
use crate::ears::EarsError;
use crate::hardware;
use crate::mind::Mind;
use crate::pipeline::{Language, Pipeline};
use std::path::Path;
use std::sync::Arc;
use vocar_nlu::{Domain, Understander};
use vocar_speech::grammar::WordGraph;

/// Domains of the command line, else of the configuration.
///
/// # Errors
/// [`Code::Input`] names the file and field of a malformed domain.
pub fn domains(settings: &Settings, sayable: &Sayable) -> Result<Vec<Arc<Domain>>, Failure> {
    let loaded = if sayable.domain.is_empty() {
        assembly::domains(settings)
    } else {
        sayable
            .domain
            .iter()
            .map(|dir| Domain::load(dir).map(Arc::new))
            .collect()
    };
    loaded.map_err(|error| Failure::new(Code::Input, error.to_string()))
}

/// Understanding with the command line's domains and entities.
///
/// # Errors
/// [`Code::Input`] for malformed domains or entities.
pub fn understander(settings: &Settings, sayable: &Sayable) -> Result<Understander, Failure> {
    let mut understander = Understander::new(domains(settings, sayable)?);
    for (list, values) in sayable.entities()? {
        understander
            .set_entities(&list, &values)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
    }
    let encoder = assembly::encoder(settings)
        .map_err(|error| Failure::new(Code::Bundle, error.to_string()))?;
    if let Some(encoder) = encoder {
        let mut wrong = None;
        let store = adapters::store(settings, encoder, |error| {
            wrong.get_or_insert_with(|| error.to_string());
        });
        if let Some(error) = wrong {
            return Err(Failure::new(Code::Input, error));
        }
        understander.set_adapters(store);
    }
    Ok(understander)
}

/// A pipeline with ears.
///
/// # Errors
/// [`Code::Bundle`] without a usable bundle, [`Code::Input`] for a malformed domain or list of sentences.
pub fn pipeline(settings: &Settings, sayable: &Sayable) -> Result<Pipeline, Failure> {
    let (mut mind, language) = match &sayable.sentences {
        Some(file) => (
            Mind::new(Vec::new(), 0.0),
            Language::Sentences(sentences(file)?),
        ),
        None => (
            Mind::new(domains(settings, sayable)?, 0.0),
            Language::Domains,
        ),
    };
    // Recordings have nothing to do with each other.
    let confirm_below = 0.0;
    mind.set_manners(Manners {
        confirm_below,
        keep: 0,
        ..assembly::manners(settings)
    });
    for (list, values) in sayable.entities()? {
        mind.set_entities(&list, &values)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))?;
    }
    let mut pipeline = Pipeline::new(
        mind,
        language,
        assembly::thresholds(settings),
        settings.audio.zone.clone(),
    );
    let ears = assembly::ears(
        settings,
        &pipeline.words(),
        hardware::choose(&settings.hardware).precision,
    )
    .map_err(|error| match error {
        EarsError::Grammar(error) => Failure::new(Code::Input, error.to_string()),
        other => Failure::new(Code::Bundle, other.to_string()),
    })?;
    pipeline.set_ears(Some(ears));
    Ok(pipeline)
}

fn sentences(file: &Path) -> Result<WordGraph, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Code::Input, format!("{}: {error}", file.display())))?;
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.trim().to_lowercase())
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(Failure::new(
            Code::Input,
            format!("{}: holds no sentence: write one a line", file.display()),
        ));
    }
    Ok(WordGraph::from_sentences(lines))
}
