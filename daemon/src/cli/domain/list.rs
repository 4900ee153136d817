//! `vocar domain list`.

use super::super::{Common, Failure};
use crate::catalogue::{self, Listed};
use serde_json::{Value, json};

/// Lists what is configured and what is built in. Domains switched over the bus since are in `vocar status`.
///
/// # Errors
/// [`super::Code::Usage`] for a wrong configuration.
pub fn execute(common: &Common) -> Result<(), Failure> {
    let settings = common.settings()?;
    let listed = catalogue::list(&settings.domains, &settings.trust.domains());
    if common.json {
        tell!("{}", json!(listed.iter().map(object).collect::<Vec<_>>()));
        return Ok(());
    }
    for one in &listed {
        let place = one
            .folder
            .as_ref()
            .map_or_else(|| "built-in".into(), |folder| folder.display().to_string());
        let state = match &one.domain {
            Err(error) => format!("broken: {error}"),
            Ok(domain) => format!(
                "{}, {} intents, {place}",
                state(one),
                domain.intents().len()
            ),
        };
        tell!("{}: {state}", one.name);
    }
    Ok(())
}

const fn state(one: &Listed) -> &'static str {
    if one.enabled { "enabled" } else { "disabled" }
}

fn object(one: &Listed) -> Value {
    json!({
        "name": one.name,
        "enabled": one.enabled,
        "folder": one.folder,
        "intents": one.domain.as_ref().ok().map(|domain| domain.intents().len()),
        "error": one.domain.as_ref().err().map(ToString::to_string),
    })
}
