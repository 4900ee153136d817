//! Events and status to signals. Transcripts go one by one to the admitted peers, everything else to all.

use super::interface::VoiceAssistant;
use super::wire::{self, Dict};
use crate::event::{Event, EventKind, WordTime};
use crate::status::Status;
use serde_json::json;
use vocar_nlu::Intent;
use zbus::names::BusName;
use zbus::object_server::SignalEmitter;

/// Sends the signals of one event.
///
/// # Errors
/// If the connection is gone.
pub async fn event(
    object: &VoiceAssistant,
    emitter: &SignalEmitter<'_>,
    event: &Event,
) -> zbus::Result<()> {
    if event.kind.is_transcript() {
        return to_peers(object, emitter, event).await;
    }
    let (session, zone) = (event.session, event.zone.as_str());
    match &event.kind {
        EventKind::IntentRecognized {
            intent,
            turn,
            corrects,
            source,
            latency,
        } => {
            let details = json!({
                "turn": turn, "corrects": corrects, "vss": intent.vss, "target": intent.target, "confidence": intent.confidence, "missing": intent.missing,
                "prompt": intent.prompt, "source": source, "at": event.at, "latency_ms": latency.total_ms(),
                "endpoint_ms": latency.endpoint_ms, "recognise_ms": latency.recognise_ms,
                "understand_ms": latency.understand_ms,
            });
            let slots = wire::slots(intent);
            let (domain, name) = (&intent.domain, &intent.name);
            VoiceAssistant::intent_recognized(
                emitter,
                session,
                zone,
                domain,
                name,
                slots,
                wire::dict(&details),
            )
            .await
        }
        EventKind::WakeDetected { phrase, score } => {
            VoiceAssistant::wake_detected(emitter, session, zone, phrase, f64::from(*score)).await
        }
        EventKind::Rejected { stage, reason, .. } => {
            let (stage, reason) = (wire::name_of(stage), wire::name_of(reason));
            VoiceAssistant::rejected(emitter, session, zone, &stage, &reason).await
        }
        EventKind::DialogueTurn {
            turn,
            prompt,
            intent,
            among,
        } => {
            let kind = wire::name_of(turn);
            let details = waiting(intent, among);
            VoiceAssistant::dialogue_turn(emitter, session, zone, &kind, prompt, details).await
        }
        EventKind::StateChanged { state, previous } => {
            VoiceAssistant::entered_state(emitter, session, state.name(), previous.name()).await
        }
        _ => Ok(()),
    }
}

/// The command that waits, and what there is to choose from, without the words it came from.
fn waiting(intent: &Intent, among: &[Intent]) -> Dict {
    let choice = |intent: &Intent| json!({ "domain": intent.domain, "name": intent.name, "slots": intent.slots });
    let mut details = choice(intent);
    details["missing"] = json!(intent.missing);
    if !among.is_empty() {
        details["among"] = among.iter().map(choice).collect();
    }
    wire::dict(&details)
}

async fn to_peers(
    object: &VoiceAssistant,
    emitter: &SignalEmitter<'_>,
    event: &Event,
) -> zbus::Result<()> {
    if object.board.is_private() {
        return Ok(());
    }
    for peer in object.peers.list() {
        let emitter = emitter
            .to_owned()
            .set_destination(BusName::from(peer.into_inner()));
        transcript(&emitter, event).await?;
    }
    Ok(())
}

async fn transcript(emitter: &SignalEmitter<'_>, event: &Event) -> zbus::Result<()> {
    let (session, zone) = (event.session, event.zone.as_str());
    match &event.kind {
        EventKind::PartialTranscript { text } => {
            VoiceAssistant::partial_transcript(emitter, session, zone, text).await
        }
        EventKind::FinalTranscript {
            text,
            confidence,
            words,
            alternatives,
            ..
        } => {
            let details = details(event.at, words, alternatives);
            VoiceAssistant::final_transcript(
                emitter,
                session,
                zone,
                text,
                f64::from(*confidence),
                details,
            )
            .await
        }
        _ => Ok(()),
    }
}

fn details(at: u64, words: &[WordTime], alternatives: &[String]) -> Dict {
    wire::dict(&json!({ "at": at, "words": words, "alternatives": alternatives }))
}

/// Sends `PropertiesChanged` for whatever differs between two snapshots.
///
/// # Errors
/// If the connection is gone.
pub async fn changes(
    object: &VoiceAssistant,
    emitter: &SignalEmitter<'_>,
    old: &Status,
    new: &Status,
) -> zbus::Result<()> {
    if old.state != new.state {
        object.state_changed(emitter).await?;
    }
    if old.profile != new.profile {
        object.profile_changed(emitter).await?;
    }
    if old.power_level != new.power_level {
        object.power_level_changed(emitter).await?;
    }
    if old.power_plan != new.power_plan {
        object.power_plan_changed(emitter).await?;
    }
    if old.backend != new.backend {
        object.backend_changed(emitter).await?;
    }
    if old.domains != new.domains {
        object.domains_changed(emitter).await?;
    }
    if old.adapters != new.adapters {
        object.adapters_changed(emitter).await?;
    }
    if old.health != new.health {
        object.health_changed(emitter).await?;
    }
    Ok(())
}
