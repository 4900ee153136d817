//! Free speech beside the graph.

use super::*;
use crate::dictation::Names;
use crate::dictation::synthetic::uniform;
use crate::free::FreeLanguage;

const WORDS: [&str; 8] = [
    "it's", "cold", "in", "here", "open", "the", "window", "please",
];

fn bench(freely: bool) -> Bench {
    let mut bench = Bench::new(&COMMANDS);
    let ngram = Arc::new(uniform(&WORDS));
    let language = FreeLanguage::new(ngram, &Names::default(), &bench.lexicon);
    bench.recogniser.set_free_speech(Some(&language));
    bench.recogniser.listen_freely(freely);
    bench.recogniser.listen(Mode::PushToTalk);
    bench.silence(700);
    bench
}

/// What was said freely, and when after its last word that was decided, milliseconds.
fn free(events: &[SpeechEvent]) -> Option<(String, u64)> {
    events.iter().find_map(|event| match event {
        SpeechEvent::FreeSpeech(said) => Some((said.best().text(), waited(said))),
        _ => None,
    })
}

#[test]
fn what_no_sentence_of_the_graph_fits_is_heard_as_any_words() {
    let mut bench = bench(true);
    bench.say("it's cold in here");
    bench.silence(1500);
    let events = bench.take();
    let (text, waited) = free(&events).unwrap();
    assert_eq!(text, "it's cold in here");
    let patience = u64::from(FreeConfig::default().patience_ms);
    assert!(
        (patience - 100..patience + 100).contains(&waited),
        "{waited} ms"
    );
    let last_two = &events[events.len() - 2..];
    assert!(
        matches!(
            last_two,
            [
                SpeechEvent::FreeSpeech(_),
                SpeechEvent::Rejected { .. } | SpeechEvent::Final(_)
            ]
        ),
        "{last_two:?}"
    );
}

#[test]
fn a_sentence_of_the_graph_keeps_its_speed_and_needs_no_search() {
    let mut bench = bench(true);
    bench.say("open the window");
    bench.silence(1500);
    let events = bench.take();
    let [recognition] = finals(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(recognition.best().text(), "open the window");
    assert!(waited(recognition) <= 200, "{} ms", waited(recognition));
    assert_eq!(free(&events), None);
    assert_eq!(recognition.trace.times.free, std::time::Duration::ZERO);
}

#[test]
fn free_speech_counts_only_where_it_was_asked_for() {
    let mut bench = bench(false);
    bench.say("it's cold in here");
    bench.silence(2500);
    let events = bench.take();
    assert_eq!(free(&events), None);
    assert!(
        matches!(events.last(), Some(SpeechEvent::Rejected { .. })),
        "{events:?}"
    );
}

#[test]
fn a_pause_in_free_speech_is_not_its_end() {
    let mut bench = bench(true);
    bench.say("it's cold");
    bench.silence(300);
    assert_eq!(free(&bench.take()), None);
    assert!(bench.recogniser.listening());
}
