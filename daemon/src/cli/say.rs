//! `vocar say TEXT`.

use super::{Code, Common, Failure, Sayable, local, show, telephone};
use clap::Args;
use serde_json::{Value, json};
use std::collections::HashMap;
use zbus::Variant;

/// Options of `say`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The text.
    #[arg(required = true)]
    text: Vec<String>,
    /// Understand here, without the service.
    #[arg(long)]
    local: bool,
    /// Only ask; the service's subscribers hear nothing of it.
    #[arg(long, conflicts_with = "local")]
    quiet: bool,
    /// Adapter to read with, in place of its domain's active one; may be repeated.
    #[arg(long, value_name = "NAME")]
    adapter: Vec<String>,
    #[command(flatten)]
    sayable: Sayable,
}

/// Prints the readings of a text, best first.
///
/// # Errors
/// [`Code::No`] when there is none.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let text = arguments.text.join(" ");
    let readings = if arguments.local || !arguments.sayable.domain.is_empty() {
        here(common, arguments, &text)?
    } else {
        let mut readings = Vec::new();
        telephone::block_on(async {
            let service = telephone::call(common).await?;
            let mut options: HashMap<&str, Variant<'_>> =
                HashMap::from([("announce", (!arguments.quiet).into())]);
            if !arguments.adapter.is_empty() {
                options.insert("adapter", arguments.adapter.clone().into());
            }
            readings = service
                .interpret_text(&text, options)
                .await?
                .iter()
                .map(show::dict)
                .collect();
            Ok(())
        })?;
        readings
    };
    if common.json {
        tell!("{}", json!({"text": text, "intents": readings}));
    } else if readings.is_empty() {
        tell!("not understood: {text}");
    } else {
        for reading in &readings {
            tell!("{}", one_line(reading));
        }
    }
    if readings.is_empty() {
        Err(Failure::no())
    } else {
        Ok(())
    }
}

fn here(common: &Common, arguments: &Arguments, text: &str) -> Result<Vec<Value>, Failure> {
    let mind = local::understander(&common.settings()?, &arguments.sayable)?;
    let context = vocar_nlu::Context::addressed().with_adapters(&arguments.adapter);
    mind.commands(text, &context)
        .iter()
        .flatten()
        .map(|intent| {
            serde_json::to_value(intent)
                .map_err(|error| Failure::new(Code::Input, error.to_string()))
        })
        .collect()
}

/// `car climate.set_temperature zone=driver …`
#[must_use]
pub fn one_line(intent: &Value) -> String {
    let mut line = format!(
        "{} {}",
        show::plain(&intent["domain"]),
        show::plain(&intent["name"])
    );
    if let Some(slots) = intent["slots"].as_object() {
        for (name, value) in slots {
            line += &format!("  {name}: {}", show::plain(value));
        }
    }
    line
}
