//! Recorded audio through the pipeline: what was said, what it meant, when each word was, and what is no command.
//!
//! The recordings of the repository are synthesised; those of people are in a collection beside the checkout and are
//! skipped, with a line that says so, where it is not.

mod collection;
mod hearing;
mod listed;

use collection::{Collection, Utterance};
use hearing::{Hearing, Listener};
use vocar_daemon::config::ListenMode;
use vocar_inference::Precision;
use vocar_tests::{float_bundle, shared, speech_bundle};

/// Samples of an output frame, the grain of word times: 30 ms at 16 kHz.
const FRAME: u64 = 480;
/// Samples of a 16 kHz recording in a millisecond.
const PER_MS: f64 = 16.0;

/// Plays every listed recording and checks what came of it.
fn play_all(listener: &mut Listener, rows: &[listed::Row]) -> Vec<Hearing> {
    rows.iter()
        .map(|row| {
            let hearing = listener.hear(row.open(), listed::TAIL_S);
            assert_eq!(
                hearing.transcripts(),
                row.transcripts(),
                "{}: the words",
                row.name
            );
            assert_eq!(
                hearing.intents(),
                row.intents(),
                "{}: the intents",
                row.name
            );
            hearing
        })
        .collect()
}

#[test]
fn bundled_recordings_give_their_intents_and_nothing_else() {
    let Some(bundle) = speech_bundle("bundled recordings through the pipeline") else {
        return;
    };
    let rows = listed::rows();
    let mut listener = Listener::for_the_car(&bundle, Precision::Mixed, ListenMode::OpenMic);
    let mut waits = Vec::new();
    for (row, hearing) in rows.iter().zip(play_all(&mut listener, &rows)) {
        if row.intent.is_empty() {
            assert!(
                hearing.rejections() > 0,
                "{}: was neither understood nor rejected",
                row.name
            );
            continue;
        }
        check_words(&row.name, &hearing);
        let wait = check_latency(&row.name, &hearing);
        println!("{}: decided {wait:.0} ms after the last word", row.name);
        waits.push(wait);
    }
    waits.sort_by(f64::total_cmp);
    let median = waits[waits.len() / 2];
    println!(
        "{} commands, half of them decided within {median:.0} ms",
        waits.len()
    );
    assert!(
        median <= 250.0,
        "half of the commands took longer than {median:.0} ms to decide"
    );
}

#[test]
fn a_microphone_that_is_turned_down_hears_nearly_as_well() {
    let Some(bundle) = speech_bundle("bundled recordings 40 dB down") else {
        return;
    };
    let mut listener = Listener::for_the_car(&bundle, Precision::Mixed, ListenMode::PushToTalk);
    listener.volume = 0.01;
    let commands: Vec<listed::Row> = listed::rows()
        .into_iter()
        .filter(|row| !row.intent.is_empty())
        .collect();
    let missed: Vec<&str> = commands
        .iter()
        .filter(|row| listener.hear(row.open(), listed::TAIL_S).intents() != row.intents())
        .map(|row| row.name.as_str())
        .collect();
    println!("{} of {} missed: {missed:?}", missed.len(), commands.len());
    assert!(missed.len() <= 2, "missed {missed:?}");
}

/// Words follow one another inside the audio; every confidence is a probability; something was shown beforehand.
fn check_words(name: &str, hearing: &Hearing) {
    for transcript in hearing.finals() {
        let mut end = 0;
        for word in &transcript.words {
            assert!(word.start >= end, "{name}: {word:?} begins before {end}");
            assert!(word.end > word.start, "{name}: {word:?} takes no time");
            assert!((0.0..=1.0).contains(&word.confidence), "{name}: {word:?}");
            end = word.end;
        }
        assert!(
            end <= transcript.at,
            "{name}: a word ends at {end}, after the decision at {}",
            transcript.at
        );
        assert!(
            end <= hearing.spoken + FRAME,
            "{name}: a word ends at {end}, after the recording ({})",
            hearing.spoken
        );
        assert!(
            (0.0..=1.0).contains(&transcript.confidence),
            "{name}: confidence {}",
            transcript.confidence
        );
        let spelled: Vec<&str> = transcript
            .words
            .iter()
            .map(|word| word.text.as_str())
            .collect();
        assert_eq!(
            spelled.join(" "),
            transcript.text,
            "{name}: the words are not those of the text"
        );
        let partials = hearing.partials_before(transcript.at);
        assert!(
            !partials.is_empty(),
            "{name}: nothing was shown while it was being said"
        );
        assert!(
            partials.is_sorted_by_key(|(at, _)| at),
            "{name}: partial transcripts out of order: {partials:?}"
        );
    }
}

/// The reported latency is the audio between the last word and the decision; returns it in milliseconds.
fn check_latency(name: &str, hearing: &Hearing) -> f64 {
    let finals = hearing.finals();
    let transcript = &finals[0];
    let last = transcript.words.last().map_or(0, |word| word.end);
    let waited = (transcript.at - last) as f64 / PER_MS;
    let latency = hearing.latencies()[0];
    assert!(
        (latency.endpoint_ms - waited).abs() < 0.1,
        "{name}: {latency:?}, but {waited} ms of audio passed"
    );
    assert!(
        latency.recognise_ms > 0.0 && latency.understand_ms > 0.0,
        "{name}: {latency:?}"
    );
    assert!(latency.total_ms() >= waited, "{name}: {latency:?}");
    waited
}

#[test]
fn pieces_of_any_size_give_the_same_to_the_sample() {
    let Some(bundle) = speech_bundle("pieces of any size") else {
        return;
    };
    let rows = listed::rows();
    let mut listener = Listener::for_the_car(&bundle, Precision::Mixed, ListenMode::PushToTalk);
    for row in &rows[..2] {
        let mut heard = Vec::new();
        for piece in [37, 320, 8_000] {
            listener.piece = piece;
            let hearing = listener.hear(row.open(), listed::TAIL_S);
            assert_eq!(
                hearing.intents(),
                row.intents(),
                "{}, {piece} samples a piece",
                row.name
            );
            let words: Vec<_> = hearing
                .finals()
                .into_iter()
                .flat_map(|transcript| transcript.words)
                .collect();
            heard.push(words);
        }
        assert!(
            heard.windows(2).all(|pair| pair[0] == pair[1]),
            "{}: {heard:?}",
            row.name
        );
    }
}

#[test]
fn float_arithmetic_understands_the_same() {
    let Some(bundle) = float_bundle("recordings with float weights") else {
        return;
    };
    let rows = listed::rows();
    let mut listener = Listener::for_the_car(&bundle, Precision::F32, ListenMode::OpenMic);
    assert!(listener.backend().contains("f32"), "{}", listener.backend());
    play_all(&mut listener, &rows[..6]);
}

/// Every `step`-th of what is `wanted`, at most `count`.
fn spread(mut wanted: Vec<Utterance>, count: usize) -> Vec<Utterance> {
    let step = (wanted.len() / count).max(1);
    wanted = wanted.into_iter().step_by(step).take(count).collect();
    assert_eq!(
        wanted.len(),
        count,
        "the collection holds too few recordings of this kind"
    );
    wanted
}

/// How many of so many recordings are heard: a fifth of them where `VOCAR_EMULATED` says that a processor is emulated,
/// which takes ten times as long or more.
fn share(recordings: usize) -> usize {
    if std::env::var_os("VOCAR_EMULATED").is_none() {
        return recordings;
    }
    println!(
        "emulated processor: {} of {recordings} recordings",
        recordings / 5
    );
    recordings / 5
}

#[test]
fn people_are_understood_among_all_short_sentences() {
    let skipped = "people's recordings against a closed set of sentences";
    let (Some(bundle), Some(shared)) = (speech_bundle(skipped), shared(skipped)) else {
        return;
    };
    let collection = Collection::open(&shared.join("speech"));
    let sentences = collection.short_sentences();
    let mut listener = Listener::for_sentences(&bundle, &sentences);
    let spoken = spread(
        collection.spoken(&["commonvoice", "librispeech", "speechocean762"], 2..=7),
        share(40),
    );
    let mut right = 0;
    for utterance in &spoken {
        let heard = listener
            .hear(collection.recording(utterance), 1.0)
            .transcripts();
        if heard == [utterance.text.as_str()] {
            right += 1;
        } else {
            println!(
                "{}: {:?} was heard as {heard:?}",
                utterance.id, utterance.text
            );
        }
    }
    println!(
        "{right} of {} right among {} sentences",
        spoken.len(),
        sentences.len()
    );
    assert!(
        right * 100 >= spoken.len() * 85,
        "only {right} of {} are right",
        spoken.len()
    );
}

#[test]
fn people_reading_books_command_nothing() {
    let skipped = "people's read speech at an open microphone";
    let (Some(bundle), Some(shared)) = (speech_bundle(skipped), shared(skipped)) else {
        return;
    };
    let collection = Collection::open(&shared.join("speech"));
    let mut listener = Listener::for_the_car(&bundle, Precision::Mixed, ListenMode::OpenMic);
    let mut seconds = 0.0;
    let mut commands = Vec::new();
    for utterance in spread(collection.spoken(&["librispeech"], 8..=20), share(20)) {
        let hearing = listener.hear(collection.recording(&utterance), 1.0);
        seconds += hearing.spoken as f64 / PER_MS / 1e3;
        commands.extend(
            hearing
                .intents()
                .into_iter()
                .map(|intent| (utterance.text.clone(), intent)),
        );
    }
    println!("{seconds:.0} s of read speech, {} commands", commands.len());
    assert!(commands.is_empty(), "{commands:?}");
}
