//! `vocar adapter list|load|unload|pin`: the adapters of the running service; `train` and `correct` need none.

use super::{Common, Failure, show, telephone, train};
use crate::bus::VoiceAssistant1Proxy;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Options of `adapter`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the adapters that are loaded or in the folder of adapters.
    List,
    /// Load an adapter, or load it anew; when it is refused the old one stays.
    Load {
        /// Its name.
        name: String,
        /// Give it layers of its own: as quick as the base, for more memory.
        #[arg(long)]
        merge: bool,
        /// Keep it in memory whatever comes.
        #[arg(long)]
        pin: bool,
        /// Only load it: its domain is read as before by whoever names no adapter.
        #[arg(long)]
        aside: bool,
    },
    /// Let go of an adapter; its domain is read by the base again.
    Unload {
        /// Its name.
        name: String,
    },
    /// Train the adapter of a domain, without the service.
    Train(train::TrainArguments),
    /// Say what a sentence means that was misunderstood, and train the adapter of its domain anew.
    Correct(train::CorrectArguments),
    /// Keep a loaded adapter in memory whatever comes.
    Pin {
        /// Its name.
        name: String,
        /// No more: it may go when others need the room.
        #[arg(long)]
        off: bool,
    },
}

/// Does one of the actions.
///
/// # Errors
/// [`Code::NoService`](super::Code) without the service, [`Code::Refused`](super::Code) with its reason.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.action {
        Action::Train(arguments) => return train::train(common, arguments),
        Action::Correct(arguments) => return train::correct(common, arguments),
        _ => {}
    }
    telephone::block_on(async {
        let service = telephone::call(common).await?;
        match &arguments.action {
            Action::List => return list(common, &service).await,
            Action::Train(_) | Action::Correct(_) => {}
            Action::Load {
                name,
                merge,
                pin,
                aside,
            } => {
                let options = [("merge", *merge), ("pin", *pin), ("activate", !aside)];
                let options = HashMap::from(options.map(|(name, on)| (name, on.into())));
                service.load_adapter(name, options).await?;
            }
            Action::Unload { name } => service.unload_adapter(name).await?,
            Action::Pin { name, off } => service.pin_adapter(name, !off).await?,
        }
        Ok(())
    })
}

async fn list(common: &Common, service: &VoiceAssistant1Proxy<'_>) -> Result<(), Failure> {
    let adapters: Vec<Value> = service
        .list_adapters()
        .await?
        .iter()
        .map(show::dict)
        .collect();
    if common.json {
        tell!("{}", json!(adapters));
        return Ok(());
    }
    if adapters.is_empty() {
        tell!("no adapter is loaded or in the folder of adapters");
    }
    for adapter in &adapters {
        tell!("{}", one_line(adapter));
    }
    Ok(())
}

/// `home  domain house, rank 8, 212 kB, active, pinned`
fn one_line(adapter: &Value) -> String {
    let name = show::plain(&adapter["name"]);
    if let Some(problem) = adapter["problem"].as_str() {
        return format!("{name}  cannot be used: {problem}");
    }
    let mut line = format!(
        "{name}  domain {}, rank {}",
        show::plain(&adapter["domain"]),
        show::plain(&adapter["rank"])
    );
    if adapter["loaded"] == true {
        let bytes = adapter["bytes"].as_u64().unwrap_or_default();
        line += &format!(", loaded ({} kB)", bytes.div_ceil(1000));
    }
    for state in ["merged", "pinned", "active"] {
        if adapter[state] == true {
            line += &format!(", {state}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_an_adapter_is_and_what_is_wrong_with_it() {
        let adapter = json!({
            "name": "home", "domain": "house", "rank": 8, "bytes": 212_000, "loaded": true, "merged": false,
            "pinned": true, "active": true,
        });
        assert_eq!(
            one_line(&adapter),
            "home  domain house, rank 8, loaded (212 kB), pinned, active"
        );
        let adapter = json!({"name": "x", "problem": "`rank` is 0"});
        assert_eq!(one_line(&adapter), "x  cannot be used: `rank` is 0");
    }
}
