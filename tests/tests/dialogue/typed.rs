//! Typed conversations over a real bus, from another process than the service's: each method and signal of a dialogue.

use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::Duration;
use vocar_daemon::bus::{Dict, VoiceAssistant1Proxy};
use vocar_tests::{Bus, Service, caller, refusal};
use zbus::Variant;

/// Settings of a service that needs no speech bundle.
const NO_MODEL: &str = "[model]\ndir = \"/nonexistent\"\n";
/// How long a signal may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A service, and all that it signals in a few words.
pub struct Talk {
    pub service: VoiceAssistant1Proxy<'static>,
    told: tokio::sync::mpsc::UnboundedReceiver<String>,
    _vocard: Service,
    _bus: Bus,
}

impl Talk {
    async fn begin(settings: &str) -> Self {
        Self::begin_with(&format!("{settings}\n{NO_MODEL}"), &[]).await
    }

    /// With a model, and the environment of a microphone.
    pub async fn begin_with(settings: &str, environment: &[(&str, String)]) -> Self {
        let bus = Bus::start();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let vocard = Service::start_with(&bus, settings, &environment);
        let (_, service) = caller(&bus).await;
        let (tell, told) = tokio::sync::mpsc::unbounded_channel();
        let intents = service.receive_intent_recognized().await.unwrap();
        let turns = service.receive_dialogue_turn().await.unwrap();
        let rejected = service.receive_rejected().await.unwrap();
        let intents = intents.map(|signal| {
            let args = signal.args().unwrap();
            let (details, session) = (args.details(), *args.session());
            let turn = u64::try_from(details["turn"].clone()).unwrap();
            let corrects = details
                .get("corrects")
                .map(|mended| Dict::try_from(mended.clone()).unwrap());
            let corrects = corrects.map_or(String::new(), |mended| {
                let turn = u64::try_from(mended["turn"].clone()).unwrap();
                format!(" for {turn}")
            });
            format!(
                "{session} {} {} #{turn}{corrects}",
                args.zone(),
                args.name()
            )
        });
        let turns = turns.map(|signal| {
            let args = signal.args().unwrap();
            assert!(!args.details().contains_key("text"), "what was said");
            let (session, zone) = (*args.session(), args.zone().to_owned());
            format!("{session} {zone} {}? {}", args.kind(), args.prompt())
        });
        let rejected = rejected.map(|signal| {
            let args = signal.args().unwrap();
            let (session, zone) = (*args.session(), args.zone().to_owned());
            format!("{session} {zone} {} {}", args.stage(), args.reason())
        });
        tokio::spawn(async move {
            let mut all = futures_util::stream::select(
                intents.boxed(),
                futures_util::stream::select(turns.boxed(), rejected.boxed()),
            );
            while let Some(line) = all.next().await {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            service,
            told,
            _vocard: vocard,
            _bus: bus,
        }
    }

    /// Says something at a seat; returns names of the readings with the part of the sentence.
    pub async fn say(&self, seat: &str, text: &str) -> Vec<(u64, String)> {
        let options = HashMap::from([("zone", Variant::from(seat.to_owned()))]);
        let readings = self.service.interpret_text(text, options).await.unwrap();
        let reading = |reading: &Dict| {
            let part = u64::try_from(reading["part"].clone()).unwrap();
            (part, String::try_from(reading["name"].clone()).unwrap())
        };
        readings.iter().map(reading).collect()
    }

    pub async fn next(&mut self) -> String {
        let told = tokio::time::timeout(LIMIT, self.told.recv()).await;
        told.expect("a signal in time").unwrap()
    }

    async fn is_quiet(&mut self) {
        let told = tokio::time::timeout(Duration::from_millis(200), self.told.recv()).await;
        assert!(told.is_err(), "{told:?}");
    }
}

#[tokio::test]
async fn a_question_is_asked_and_answered() {
    let mut talk = Talk::begin("").await;
    talk.say("driver", "set the temperature").await;
    assert_eq!(
        talk.next().await,
        "0 driver slot? What temperature would you like?"
    );
    assert_eq!(talk.service.state().await.unwrap(), "asking");
    let quiet = HashMap::from([("announce", Variant::from(false))]);
    let readings = talk.service.interpret_text("21", quiet).await.unwrap();
    assert_eq!(readings.len(), 1, "what it would mean as the answer");
    talk.is_quiet().await;
    let readings = talk.say("driver", "21").await;
    assert_eq!(readings, [(0, "climate.set_temperature".to_owned())]);
    assert_eq!(talk.next().await, "0 driver climate.set_temperature #1");
    assert_eq!(talk.service.state().await.unwrap(), "unavailable");
}

#[tokio::test]
async fn two_seats_in_two_dialogues_do_not_mix() {
    let mut talk = Talk::begin("").await;
    talk.say("driver", "set the temperature").await;
    talk.say("passenger", "set the volume").await;
    assert!(talk.next().await.starts_with("0 driver slot?"));
    assert!(talk.next().await.starts_with("0 passenger slot?"));
    assert!(talk.say("rear_left", "20").await.is_empty());
    assert_eq!(talk.next().await, "0 rear_left understanding no_command");
    talk.say("passenger", "20").await;
    assert_eq!(talk.next().await, "0 passenger media.set_volume #1");
    talk.say("driver", "20").await;
    assert_eq!(talk.next().await, "0 driver climate.set_temperature #2");
    talk.say("passenger", "no, 30").await;
    assert_eq!(talk.next().await, "0 passenger media.set_volume #3 for 1");
}

#[tokio::test]
async fn dear_commands_are_confirmed_by_word_or_by_the_application() {
    let mut talk = Talk::begin("").await;
    let asked = "0 driver confirm? Open the trunk now?";
    assert_eq!(
        refusal(talk.service.confirm(0, true).await).0,
        "org.vocar.Error.NothingToConfirm"
    );
    talk.say("driver", "open the trunk").await;
    assert_eq!(talk.next().await, asked);
    assert_eq!(
        refusal(talk.service.confirm(7, true).await).0,
        "org.vocar.Error.UnknownSession"
    );
    talk.service.confirm(0, true).await.unwrap();
    assert_eq!(talk.next().await, "0 driver trunk.open #1");
    assert_eq!(
        refusal(talk.service.confirm(0, true).await).0,
        "org.vocar.Error.NothingToConfirm"
    );
    for refusal in ["no", "cancel", "stop"] {
        talk.say("driver", "open the trunk").await;
        assert_eq!(talk.next().await, asked);
        talk.say("driver", refusal).await;
        assert_eq!(
            talk.next().await,
            "0 driver dialogue withdrawn",
            "{refusal}"
        );
    }
    talk.say("passenger", "call an ambulance").await;
    assert_eq!(
        talk.next().await,
        "0 passenger confirm? Call the emergency number?"
    );
    talk.service.confirm(0, false).await.unwrap();
    assert_eq!(talk.next().await, "0 passenger dialogue withdrawn");
    talk.say("driver", "open the trunk").await;
    assert_eq!(talk.next().await, asked);
    talk.say("driver", "turn on the radio").await;
    assert_eq!(talk.next().await, "0 driver dialogue replaced");
    assert_eq!(talk.next().await, "0 driver media.set_source #2");

    let mut bold = Talk::begin("[dialogue]\nconfirm = false\n").await;
    bold.say("driver", "open the trunk").await;
    assert_eq!(bold.next().await, "0 driver trunk.open #1");
}

#[tokio::test]
async fn corrections_references_and_several_commands_are_signalled_in_order() {
    let mut talk = Talk::begin("").await;
    let readings = talk
        .say("driver", "open the driver window and the passenger window")
        .await;
    let window = "window.open".to_owned();
    assert_eq!(readings, [(0, window.clone()), (1, window)]);
    assert_eq!(talk.next().await, "0 driver window.open #1");
    assert_eq!(talk.next().await, "0 driver window.open #2");
    talk.say("driver", "no, the rear one").await;
    assert_eq!(talk.next().await, "0 driver window.open #3 for 2");
    talk.say("driver", "close it again").await;
    assert_eq!(talk.next().await, "0 driver window.close #4");
    talk.say("driver", "again").await;
    assert_eq!(talk.next().await, "0 driver window.close #5");
    talk.say("driver", "undo that").await;
    assert_eq!(talk.next().await, "0 driver dialogue.undo #6 for 5");
}

#[tokio::test]
async fn the_speaker_chooses_among_names() {
    let mut talk = Talk::begin("").await;
    let people: [(&str, &[&str]); 2] = [
        ("1", &["Sarah Johnson", "Sarah"]),
        ("2", &["Sarah Miller", "Sarah"]),
    ];
    talk.service.set_entities("contact", &people).await.unwrap();
    talk.say("driver", "call sarah").await;
    assert_eq!(
        talk.next().await,
        "0 driver choose? Which one: Sarah Johnson or Sarah Miller?"
    );
    talk.say("driver", "the second one").await;
    assert_eq!(talk.next().await, "0 driver phone.call #1");
    talk.say("driver", "make a call").await;
    assert!(talk.next().await.starts_with("0 driver slot?"));
    talk.say("driver", "the first one").await;
    assert_eq!(
        talk.next().await,
        "0 driver phone.call #2",
        "the first of the list"
    );
}

#[tokio::test]
async fn an_unanswered_question_is_withdrawn_and_an_old_command_forgotten() {
    let mut talk = Talk::begin("[dialogue]\nanswer_s = 1.0\nfollow_s = 1.0\n").await;
    talk.say("passenger", "set the volume").await;
    assert!(talk.next().await.starts_with("0 passenger slot?"));
    assert_eq!(talk.next().await, "0 passenger dialogue unanswered");
    talk.say("passenger", "20").await;
    assert_eq!(talk.next().await, "0 passenger understanding no_command");
    talk.say("driver", "open the driver window").await;
    assert_eq!(talk.next().await, "0 driver window.open #1");
    tokio::time::sleep(Duration::from_millis(1800)).await;
    talk.say("driver", "no, the rear one").await;
    assert_eq!(talk.next().await, "0 driver understanding no_command");
}

#[tokio::test]
async fn sessions_that_cannot_be_are_refused_with_a_reason() {
    let talk = Talk::begin("").await;
    for (option, value, error) in [
        ("zone", Variant::from(""), "InvalidArgument"),
        ("mode", Variant::from("shouting"), "InvalidArgument"),
        ("timeout", Variant::from(0.1), "InvalidArgument"),
        ("mode", Variant::from("wake"), "Unavailable"),
    ] {
        let options = HashMap::from([(option, value)]);
        let refused = refusal(talk.service.start_listening(options).await).0;
        assert_eq!(refused, format!("org.vocar.Error.{error}"), "{option}");
    }
    let options = HashMap::from([("zone", Variant::from(3_u32))]);
    let refused = refusal(talk.service.interpret_text("hello", options).await).0;
    assert_eq!(refused, "org.vocar.Error.InvalidArgument");
    for result in [talk.service.cancel(1).await, talk.service.stop(1).await] {
        assert_eq!(refusal(result).0, "org.vocar.Error.UnknownSession");
    }
}
