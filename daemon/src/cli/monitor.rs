//! `vocar monitor`: what the service hears and understands, as it happens.

use super::{Common, Failure, show, telephone};
use crate::bus::VoiceAssistant1Proxy;
use clap::Args;
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

/// Options of `monitor`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// End after so many intents.
    #[arg(long, value_name = "N")]
    intents: Option<u64>,
    /// Do not ask for transcripts.
    #[arg(long)]
    no_transcripts: bool,
}

/// Prints every signal until interrupted; comes back when bus or service were away.
///
/// # Errors
/// Only when the very first call fails, or the service refuses transcripts.
pub async fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let mut left = arguments.intents;
    let mut service = telephone::call(common).await?;
    loop {
        watch(&service, common.json, arguments, &mut left).await?;
        if left == Some(0) {
            return Ok(());
        }
        print(common.json, &json!({"signal": "Disconnected"}));
        service = again(common).await;
    }
}

async fn again(common: &Common) -> VoiceAssistant1Proxy<'static> {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Ok(service) = telephone::call(common).await
            && service.state().await.is_ok()
        {
            return service;
        }
    }
}

/// Prints signals until the service goes away or enough intents came.
async fn watch(
    service: &VoiceAssistant1Proxy<'static>,
    json: bool,
    arguments: &Arguments,
    left: &mut Option<u64>,
) -> Result<(), Failure> {
    let mut owner = service.inner().receive_owner_changed().await?;
    let mut signals = service.inner().receive_all_signals().await?;
    if !arguments.no_transcripts {
        service.subscribe().await?;
    }
    print(
        json,
        &json!({"signal": "Connected", "state": service.state().await?}),
    );
    loop {
        tokio::select! {
            now = owner.next() => if !matches!(now, Some(Some(_))) { return Ok(()) },
            signal = signals.next() => {
                let Some(message) = signal else { return Ok(()) };
                let Some(line) = describe(&message) else { continue };
                print(json, &line);
                if line["signal"] == "IntentRecognized"
                    && let Some(left) = left.as_mut()
                {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// A signal as one object: its name, then its arguments under the names they have in the introspection data.
pub fn describe(message: &zbus::Message) -> Option<Value> {
    let header = message.header();
    let member = header.member()?.as_str().to_owned();
    let names: &[&str] = match member.as_str() {
        "IntentRecognized" => &["session", "zone", "domain", "name", "slots", "details"],
        "PartialTranscript" => &["session", "zone", "text"],
        "FinalTranscript" => &["session", "zone", "text", "confidence", "details"],
        "WakeDetected" => &["session", "zone", "phrase", "score"],
        "Rejected" => &["session", "zone", "stage", "reason"],
        "StateChanged" => &["session", "state", "previous"],
        "DialogueTurn" => &["session", "zone", "kind", "prompt", "details"],
        _ => return None,
    };
    let body = message.body();
    let arguments: zbus::Structure<'_> = body.deserialize().ok()?;
    let mut line = serde_json::Map::from_iter([("signal".to_owned(), Value::String(member))]);
    for (name, value) in names.iter().zip(arguments.fields()) {
        line.insert((*name).to_owned(), show::json(value));
    }
    Some(Value::Object(line))
}

/// Prints one line, as JSON or for eyes.
pub fn print(json: bool, line: &Value) {
    let text = if json {
        line.to_string()
    } else {
        readable(line)
    };
    show::line(&text);
}

fn readable(line: &Value) -> String {
    let name = show::plain(&line["signal"]);
    let rest: Vec<String> = line
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "signal")
        .map(|(key, value)| format!("{key}={}", show::plain(value)))
        .collect();
    format!("{name:18} {}", rest.join("  "))
}
