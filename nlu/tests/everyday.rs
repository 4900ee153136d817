//! Everyday sentences, typed and spoken, become the intents and slots that people mean; talk and prose become nothing.

use std::collections::BTreeMap;

use vocar_nlu::domain::car_demo_entities;
use vocar_nlu::{Context, Domain, SlotValue, Understander, sample};

fn understander() -> Understander {
    let mut understander = Understander::new(vec![Domain::car().unwrap()]);
    for (list, values) in &car_demo_entities() {
        understander.set_entities(list, values).unwrap();
    }
    understander
}

#[test]
fn everyday_sentences_mean_what_people_mean() {
    let understander = understander();
    let (mut lines, mut wrong) = (0, Vec::new());
    for line in include_str!("everyday.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (said, meant) = line.split_once(" => ").unwrap();
        // Behind an `@`: what counts only once the assistant has been addressed, and must not at an open microphone.
        let addressed = said.strip_prefix("@ ");
        let text = addressed.unwrap_or(said);
        let open = understander.understand(text, &Context::open_microphone());
        let found = if addressed.is_some() {
            assert!(open.is_empty(), "{text} counts at an open microphone");
            understander.understand(text, &Context::addressed())
        } else {
            open
        };
        let mut parts = meant.split(' ');
        let intent = parts.next().unwrap();
        let slots: BTreeMap<String, String> = parts
            .map(|slot| slot.split_once('=').unwrap())
            .map(|(n, v)| (n.to_string(), v.to_string()))
            .collect();
        lines += 1;
        match found.first() {
            None => wrong.push(format!("{text}: refused")),
            Some(got) => {
                let got_slots = got
                    .slots
                    .iter()
                    .map(|(name, value)| (name.clone(), value.to_string()))
                    .collect();
                if got.name != intent || slots != got_slots || !got.missing.is_empty() {
                    wrong.push(format!(
                        "{text}: {} {got_slots:?} missing {:?}",
                        got.name, got.missing
                    ));
                }
            }
        }
    }
    assert!(lines >= 150, "only {lines} sentences");
    assert!(
        wrong.is_empty(),
        "{} of {lines} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_sampled_sentence_is_understood_and_heard_as_what_it_came_from() {
    let understander = understander();
    let domain = Domain::car().unwrap();
    let graph = understander.graph(&Context::open_microphone());
    let mut seen = BTreeMap::new();
    for (n, sample) in sample(&domain, &car_demo_entities(), 20, 6000)
        .into_iter()
        .enumerate()
    {
        let best = understander
            .understand(&sample.text, &Context::open_microphone())
            .into_iter()
            .next();
        let best = best.unwrap_or_else(|| panic!("refused: {sample:?}"));
        assert_eq!(
            (&best.name, &best.slots),
            (&sample.intent, &sample.slots),
            "{:?}",
            sample.text
        );
        if n < 400 {
            let words: Vec<String> = sample.text.split(' ').map(String::from).collect();
            assert!(
                graph.accepts(&words),
                "the graph does not hold {:?}",
                sample.text
            );
        }
        *seen.entry(sample.intent).or_insert(0) += 1;
    }
    assert!(
        seen.len() >= 70,
        "only {} intents can be said at an open microphone",
        seen.len()
    );
}

#[test]
fn spans_of_a_sample_hold_the_words_of_its_slots() {
    let domain = Domain::car().unwrap();
    let mut held = 0;
    for sample in sample(&domain, &car_demo_entities(), 21, 3000) {
        let words: Vec<&str> = sample.text.split(' ').collect();
        let slots: Vec<&String> = sample.slots.keys().collect();
        assert_eq!(slots, sample.spans.keys().collect::<Vec<_>>());
        for (slot, (from, to)) in &sample.spans {
            assert!(from < to && *to <= words.len(), "{sample:?}");
            if let SlotValue::Colour(colour) = &sample.slots[slot] {
                let said = words[*from..*to].join("_");
                assert!(
                    said == *colour
                        || colour == "cyan"
                        || colour == "warm_white"
                        || said == "sky_blue",
                    "{sample:?}"
                );
                held += 1;
            }
        }
    }
    assert!(held > 10, "only {held} colours said");
}

#[test]
fn sampling_is_deterministic() {
    let domain = Domain::car().unwrap();
    let entities = car_demo_entities();
    assert_eq!(
        sample(&domain, &entities, 3, 200),
        sample(&domain, &entities, 3, 200)
    );
    assert_ne!(
        sample(&domain, &entities, 3, 200),
        sample(&domain, &entities, 4, 200)
    );
}

const NOT_COMMANDS: &[&str] = &[
    "he hoped there would be stew for dinner",
    "stuff it into you his belly counselled him",
    "the music came nearer and he recalled the words",
    "she turned the light of her eyes upon him",
    "the windows were open and the night was warm",
    "what is the meaning of this he cried",
    "call me ishmael",
    "set the table for seven",
    "open the door and come in",
    "i want to go to bed",
    "the temperature had fallen to twenty degrees",
    "play is the work of children",
    "turn the page",
    "it was the best of times it was the worst of times",
    "next to the fire sat an old man",
    "yes",
    "no",
    "stop",
    "cancel",
    "play",
    "please",
    "could you please",
    "thank you",
    "hey",
    "twenty one",
    "",
    "?!",
    "die Heizung auf einundzwanzig Grad",
];

#[test]
fn talk_and_prose_are_refused_at_an_open_microphone() {
    let understander = understander();
    let graph = understander.graph(&Context::open_microphone());
    for text in NOT_COMMANDS {
        assert_eq!(
            understander.understand(text, &Context::open_microphone()),
            [],
            "{text}"
        );
        for words in vocar_nlu::words::spoken(text) {
            assert!(!graph.accepts(&words), "{text}");
        }
    }
}

#[test]
fn the_car_domain_is_as_large_and_as_small_as_promised() {
    let domain = Domain::car().unwrap();
    assert!(domain.intents().len() >= 70, "{}", domain.intents().len());
    let report = vocar_nlu::check(&domain, &car_demo_entities(), 5, 3000);
    assert!(report.conflicts.is_empty(), "{:?}", report.conflicts);
    assert!(report.with_vss >= 60, "{}", report.with_vss);
    let empty = Understander::new(vec![domain.clone()]).graph(&Context::addressed());
    assert!(empty.arcs.len() < 60_000, "{}", empty.arcs.len());
    for word in &report.words {
        assert!(
            word.chars().all(|c| c.is_ascii_lowercase() || c == '\''),
            "{word}"
        );
    }
}

#[test]
fn typical_sentences_take_less_than_a_millisecond() {
    let understander = understander();
    let samples = sample(&Domain::car().unwrap(), &car_demo_entities(), 8, 500);
    let began = std::time::Instant::now();
    for sample in &samples {
        assert!(
            !understander
                .understand(&sample.text, &Context::addressed())
                .is_empty()
        );
    }
    // A debug build on a busy machine gets a wide berth; optimised it is a few microseconds.
    let each = began.elapsed() / samples.len() as u32;
    let most = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(each.as_millis() < most, "{each:?}");
}

/// Where the shared recordings lie, if they are on this machine.
fn shared() -> Option<std::path::PathBuf> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("VOCAR_SHARED").map_or(beside, Into::into);
    folder
        .join("speech/manifest.tsv")
        .exists()
        .then_some(folder)
}

#[test]
fn sentences_read_from_books_are_refused() {
    let Some(folder) = shared() else {
        println!("skipped: no speech/manifest.tsv in VOCAR_SHARED or ../shared");
        return;
    };
    let understander = understander();
    let manifest = std::fs::read_to_string(folder.join("speech/manifest.tsv")).unwrap();
    let (mut read, mut taken) = (0, Vec::new());
    for line in manifest.lines().skip(1) {
        let Some(text) = line.split('\t').nth(6) else {
            continue;
        };
        read += 1;
        if let Some(intent) = understander
            .understand(text, &Context::open_microphone())
            .first()
        {
            taken.push(format!("{text}: {}", intent.name));
        }
    }
    assert!(read > 1000, "only {read} sentences in the manifest");
    assert!(
        taken.is_empty(),
        "{} of {read} taken for commands: {taken:?}",
        taken.len()
    );
    println!("{read} sentences refused");
}
