//! A cabin with several microphones and loudspeakers that play, through the pipeline: the command is heard over the
//! music once the reference is given, and the seat it came from is named.

use vocar_daemon::assembly;
use vocar_daemon::config::{ListenMode, Settings};
use vocar_daemon::event::{Event, EventKind};
use vocar_daemon::pipeline::{Language, Pipeline};
use vocar_inference::Precision;
use vocar_speech::cabin::{Cabin, CabinConfig};
use vocar_speech::echo::{EchoConfig, EchoError};
use vocar_speech::source::AudioSource;
use vocar_tests::{repository, speech_bundle};

/// Samples a second.
const SECOND: usize = 16_000;
/// Music plays for so long before the command.
const LEAD: usize = 3 * SECOND;

fn pipeline(skipped: &str) -> Option<Pipeline> {
    let mut settings = Settings::default();
    settings.model.dir = speech_bundle(skipped)?;
    let mind = assembly::mind(&settings).unwrap();
    let thresholds = assembly::thresholds(&settings);
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    let ears = assembly::ears(&settings, &pipeline.words(), Precision::Mixed).unwrap();
    pipeline.set_ears(Some(ears));
    Some(pipeline)
}

fn cabin(zones: &[&str], references: usize) -> Result<Cabin, EchoError> {
    Cabin::new(&CabinConfig {
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        one_clock: true,
        references,
        echo: EchoConfig::default(),
    })
}

/// A recorded command, with silence around it; the file is at 16 kHz.
fn command(name: &str, before: usize) -> Vec<f32> {
    let mut source = AudioSource::open(&repository().join("tests/recordings").join(name)).unwrap();
    assert_eq!(source.rate(), 16_000);
    let mut samples = vec![0.0; before];
    while let Some(chunk) = source.next_chunk().unwrap() {
        samples.extend_from_slice(chunk);
    }
    samples.extend([0.0; SECOND]);
    samples
}

/// Noise from a small generator, so that runs are alike.
fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Broken chords with many harmonics over a beat of long noise bursts.
fn music(length: usize) -> Vec<f32> {
    const CHORDS: [[f32; 3]; 4] = [
        [220.0, 261.6, 329.6],
        [174.6, 220.0, 261.6],
        [196.0, 246.9, 293.7],
        [164.8, 207.7, 246.9],
    ];
    let mut draw = noise(5);
    (0..length)
        .map(|at| {
            let (beat, within) = (at / 5600, (at % 5600) as f32 / SECOND as f32);
            let pitch = CHORDS[beat / 4 % 4][beat % 3] * 2.0;
            let phase = std::f32::consts::TAU * pitch * within;
            let tone: f32 = (1..8).map(|k| (k as f32 * phase).sin() / k as f32).sum();
            0.1 * tone * (-within).exp() + 0.15 * draw() * (-4.0 * within).exp()
        })
        .collect()
}

/// The sound after 25 ms of way, with three reflections.
fn at_the_microphone(played: &[f32]) -> Vec<f32> {
    const PATHS: [(usize, f32); 4] = [(400, 0.8), (523, -0.35), (811, 0.2), (1101, -0.1)];
    let sum = |at: usize| {
        let path = |&(delay, gain): &(usize, f32)| {
            at.checked_sub(delay).map_or(0.0, |at| gain * played[at])
        };
        PATHS.iter().map(path).sum()
    };
    (0..played.len()).map(sum).collect()
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32
}

/// Listens from sample `from` on; what comes before, the cabin hears alone.
fn session(
    pipeline: &mut Pipeline,
    zone: Option<&str>,
    from: usize,
    tracks: &[Vec<f32>],
) -> Vec<Event> {
    let mut events = Vec::new();
    for at in (0..tracks[0].len()).step_by(320) {
        if at == from {
            pipeline.begin(1, zone, ListenMode::PushToTalk).unwrap();
        }
        let piece: Vec<Vec<f32>> = tracks
            .iter()
            .map(|track| track[at..track.len().min(at + 320)].to_vec())
            .collect();
        pipeline
            .hear(&piece, &mut |event| events.push(event))
            .unwrap();
    }
    pipeline.finish(&mut |event| events.push(event)).unwrap();
    events
}

fn intents(events: &[Event]) -> Vec<(String, String)> {
    let intent = |event: &Event| match &event.kind {
        EventKind::IntentRecognized { intent, .. } => {
            Some((intent.name.clone(), event.zone.clone()))
        }
        _ => None,
    };
    events.iter().filter_map(intent).collect()
}

#[test]
fn a_command_is_heard_over_music_once_it_is_known_what_plays() {
    let Some(mut pipeline) = pipeline("commands over music") else {
        return;
    };
    let with_reference = match cabin(&["driver"], 1) {
        Err(EchoError::Library { name, reason }) => {
            return eprintln!("SKIPPED: commands over music: no {name} here ({reason})");
        }
        other => other.unwrap(),
    };
    let voice = command("set-temperature.wav", LEAD);
    let played = music(voice.len());
    let echo = at_the_microphone(&played);
    // Four and a half times the command's amplitude, so that without the reference it surely drowns.
    let gain = 4.5 * (power(&voice[LEAD..]) / power(&echo[LEAD..])).sqrt();
    let heard: Vec<f32> = voice
        .iter()
        .zip(&echo)
        .map(|(voice, echo)| voice + gain * echo)
        .collect();
    let tracks = [heard, played];

    pipeline.set_cabin(Some(cabin(&["driver"], 0).unwrap()));
    let without = intents(&session(&mut pipeline, None, LEAD, &tracks));
    pipeline.set_cabin(Some(with_reference));
    let with = intents(&session(&mut pipeline, None, LEAD, &tracks));
    let right = ("climate.set_temperature".to_owned(), "driver".to_owned());
    assert_eq!(with, std::slice::from_ref(&right));
    assert!(
        !without.contains(&right),
        "the music is too quiet to test with"
    );
}

/// A voice that reaches the seat `near` first and each other one a millisecond later and weaker, in noise.
fn from_seat(voice: &[f32], near: usize, seats: usize) -> Vec<Vec<f32>> {
    (0..seats)
        .map(|seat| {
            let mut hiss = noise(seat as u64 + 1);
            let (delay, gain) = if seat == near { (0, 1.0) } else { (18, 0.7) };
            (0..voice.len())
                .map(|at| at.checked_sub(delay).map_or(0.0, |at| gain * voice[at]) + 0.002 * hiss())
                .collect()
        })
        .collect()
}

#[test]
fn the_seat_that_speaks_is_named() {
    let Some(mut pipeline) = pipeline("seats") else {
        return;
    };
    let seats = ["driver", "passenger", "rear_left", "rear_right"];
    let voice = command("set-temperature.wav", SECOND);
    for (near, seat) in seats.iter().enumerate() {
        pipeline.set_cabin(Some(cabin(&seats, 0).unwrap()));
        let events = session(&mut pipeline, None, 0, &from_seat(&voice, near, 4));
        let right = ("climate.set_temperature".to_owned(), (*seat).to_owned());
        assert_eq!(intents(&events), [right]);
        let end = events
            .iter()
            .rev()
            .find(|event| event.kind.ends_an_utterance());
        assert_eq!(end.map(|event| event.zone.as_str()), Some(*seat));
    }
}

#[test]
fn a_seat_that_was_asked_for_is_kept_to() {
    let Some(mut pipeline) = pipeline("a named seat") else {
        return;
    };
    let voice = command("set-temperature.wav", SECOND);
    pipeline.set_cabin(Some(cabin(&["driver", "passenger"], 0).unwrap()));
    let tracks = [voice.clone(), vec![0.0; voice.len()]];
    let events = session(&mut pipeline, Some("passenger"), 0, &tracks);
    assert_eq!(
        intents(&events),
        [],
        "the driver's words are not the passenger's"
    );
    let events = session(&mut pipeline, Some("driver"), 0, &tracks);
    assert_eq!(
        intents(&events),
        [("climate.set_temperature".to_owned(), "driver".to_owned())]
    );
}
