//! A spoken conversation through a microphone, with the application's part over the bus.

use super::typed::Talk;
use std::collections::HashMap;
use std::time::Duration;
use vocar_tests::sound::SoundServer;
use vocar_tests::{recording, speech_bundle};
use zbus::Variant;

/// Rate of the virtual microphone, in Hz.
const RATE: u32 = 16_000;

/// A recording with silence around it.
fn samples(name: &str) -> Vec<f32> {
    let silence = vec![0.0; RATE as usize];
    [silence.clone(), recording(name), silence].concat()
}

async fn state_becomes(talk: &Talk, wanted: &str) {
    for _ in 0..400 {
        if talk.service.state().await.unwrap() == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the state never became {wanted}");
}

#[tokio::test]
async fn a_session_lasts_until_its_question_is_answered() {
    let skipped = "a spoken conversation through microphone and bus";
    let Some(bundle) = speech_bundle(skipped) else {
        return;
    };
    let Some(sound) = SoundServer::start(RATE, skipped) else {
        return;
    };
    let model = format!("[model]\ndir = \"{}\"\n", bundle.display());
    let variables: Vec<(&str, String)> = sound
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.into_string().unwrap()))
        .collect();
    let mut talk = Talk::begin_with(&model, &variables).await;
    let seat = || HashMap::from([("zone", Variant::from("passenger"))]);

    // Asked and answered by voice; the answer may be typed as well, and the application may agree by itself.
    for answer in ["voice", "text"] {
        let session = talk.service.start_listening(seat()).await.unwrap();
        sound.play(&samples("sessions/ask-temperature.opus"));
        let asked = format!("{session} passenger slot? What temperature would you like?");
        assert_eq!(talk.next().await, asked);
        state_becomes(&talk, "asking").await;
        if answer == "voice" {
            sound.play(&samples("sessions/answer-temperature.opus"));
        } else {
            talk.say("passenger", "21").await;
        }
        let done = talk.next().await;
        let wanted = format!("{session} passenger climate.set_temperature #");
        assert!(done.starts_with(&wanted), "{done}");
        state_becomes(&talk, "idle").await;
    }
    let session = talk.service.start_listening(seat()).await.unwrap();
    sound.play(&samples("sessions/open-trunk.flac"));
    let asked = format!("{session} passenger confirm? Open the trunk now?");
    assert_eq!(talk.next().await, asked);
    talk.service.confirm(session, true).await.unwrap();
    assert_eq!(
        talk.next().await,
        format!("{session} passenger trunk.open #3")
    );
    state_becomes(&talk, "idle").await;

    // A session that is cancelled asks no more; one that is stopped says so.
    for (stopped, told) in [(false, None), (true, Some("dialogue unanswered"))] {
        let session = talk.service.start_listening(seat()).await.unwrap();
        sound.play(&samples("sessions/ask-temperature.opus"));
        assert!(talk.next().await.contains("slot?"));
        if stopped {
            talk.service.stop(session).await.unwrap();
        } else {
            talk.service.cancel(session).await.unwrap();
        }
        if let Some(told) = told {
            assert_eq!(talk.next().await, format!("{session} passenger {told}"));
        }
        state_becomes(&talk, "idle").await;
        assert!(talk.say("passenger", "21").await.is_empty());
        assert!(talk.next().await.ends_with("no_command"));
    }
}
