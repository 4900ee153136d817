//! Training on the shipped base: the same states as the run time's, the same adapter for the same seed whether or not it was
//! interrupted, figures that are good, and an adapter that the run time reads as the training does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vocar_adapt::{Base, Corpus, Correction, Job, Method, Noise, Options, Outcome, Trainer};
use vocar_inference::{TextBundle, WordNetwork};
use vocar_nlu::adapter::Adapter;
use vocar_nlu::encoder::Rows;
use vocar_nlu::{Domain, Encoder, Entities};

/// How far the run time, whose activations are int8, may be from floats: share of the length of a state.
const TOLERANCE: f32 = 0.05;

const HOUSE: &str = r#"
    name = "house"
    [lists.room]
    values = ["kitchen", "bathroom", "cellar", "hall"]
    [[intents]]
    name = "light.on"
    templates = ["(switch|turn) on the (light|lights) in the {room}", "light up the {room}"]
    examples = ["it is too dark in the [kitchen](room)", "i cannot see anything in here"]
    [[intents]]
    name = "light.off"
    templates = ["(switch|turn) off the (light|lights) in the {room}", "(switch|turn) the {room} (light|lights) off"]
    examples = ["it is far too bright in the [hall](room)"]
    [[intents]]
    name = "door.open"
    templates = ["open [up] the (door|gate|garage)", "let me in"]
    examples = ["i am home", "could somebody open up please"]
"#;

fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en")
}

fn house(dir: &Path) -> Domain {
    fs::write(dir.join("domain.toml"), HOUSE).unwrap();
    Domain::load(dir).unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[test]
fn states_are_those_of_the_run_time() {
    let base = Base::load(&bundle()).unwrap();
    let opened = TextBundle::open(bundle()).unwrap();
    let network = WordNetwork::load(&opened.lightest().1, 33).unwrap();
    let rows = Rows::read(&opened, network.row()).unwrap();
    let sentences: Vec<Vec<String>> = [
        "turn the heating up a bit",
        "stop",
        "take me to the nearest charging station that is open and has a restaurant",
        "qwxyz blorp the zzz",
    ]
    .map(words)
    .into();
    let found = base.states(&sentences).unwrap();
    let mut room = network.session();
    for (sentence, found) in sentences.iter().zip(found) {
        let wanted = network.run(&mut room, &rows.of(sentence), None).unwrap();
        assert_eq!(found.len(), wanted.len(), "{sentence:?}");
        let states = found
            .chunks_exact(network.dim())
            .zip(wanted.chunks_exact(network.dim()));
        for (found, wanted) in states {
            let length = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            let apart: Vec<f32> = found.iter().zip(wanted).map(|(a, b)| a - b).collect();
            let share = length(&apart) / length(wanted);
            assert!(share < TOLERANCE, "{sentence:?}: {share} apart");
        }
    }
}

fn options(base: &Base, steps: usize) -> Options {
    Options {
        steps,
        batch: 16,
        seed: 7,
        ..Options::usual(Method::usual(base, 2))
    }
}

#[test]
fn the_seed_alone_decides_what_is_learnt() {
    let base = Base::load(&bundle()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::of_domain(&house(dir.path()), &Entities::new(), &[], 1).unwrap();
    let noise = Noise::usual();
    let learnt = |threads: usize, seed: u64| {
        let options = Options {
            threads,
            seed,
            ..options(&base, 4)
        };
        let mut trainer = Trainer::new(&base, &corpus, &noise, None, options).unwrap();
        trainer
            .run(|_, _| Ok::<(), candle_core::Error>(()))
            .unwrap();
        trainer.values().unwrap()
    };
    let once = learnt(2, 7);
    assert_eq!(once, learnt(2, 7));
    assert_eq!(once, learnt(1, 7), "another number of threads");
    assert_ne!(once, learnt(2, 8), "another seed");
}

#[test]
fn a_training_that_was_ended_goes_on_to_the_same_end() {
    let base = Base::load(&bundle()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let corpus = Corpus::of_domain(&house(dir.path()), &Entities::new(), &[], 1).unwrap();
    let noise = Noise::usual();
    let new = || Trainer::new(&base, &corpus, &noise, None, options(&base, 6)).unwrap();
    let mut whole = new();
    whole.run(|_, _| Ok::<(), candle_core::Error>(())).unwrap();

    let path = dir.path().join("checkpoint");
    let mut ended = new();
    let checkpoint = vocar_adapt::Checkpoint::new(&path, &ended);
    assert!(
        !checkpoint.resume(&mut ended).unwrap(),
        "there is nothing to go on with"
    );
    let end = ended.run(|trainer, progress| {
        if progress.step == 3 {
            checkpoint.save(trainer).map_err(candle_core::Error::wrap)?;
            candle_core::bail!("ended");
        }
        Ok::<(), candle_core::Error>(())
    });
    assert!(end.is_err());
    let mut resumed = new();
    assert!(checkpoint.resume(&mut resumed).unwrap());
    let mut steps = Vec::new();
    resumed
        .run(|_, progress| {
            steps.push(progress.step);
            Ok::<(), candle_core::Error>(())
        })
        .unwrap();
    assert_eq!(steps, [4, 5, 6]);
    assert_eq!(resumed.values().unwrap(), whole.values().unwrap());

    let mut other = Trainer::new(&base, &corpus, &noise, None, options(&base, 7)).unwrap();
    let of_other = vocar_adapt::Checkpoint::new(&path, &other);
    assert!(!of_other.resume(&mut other).unwrap(), "another training's");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    assert!(!checkpoint.resume(&mut new()).unwrap(), "a damaged one");
}

fn run(base: &Base, domain: &Domain, corrections: &[Correction], folder: &Path) -> Outcome {
    Job {
        base,
        domain,
        entities: &vocar_nlu::domain::car_demo_entities(),
        others: &[Domain::car().unwrap()],
        corrections,
        lexicon: None,
        folder,
        rank: None,
        seed: 1,
        limit: None,
        threads: 2,
    }
    .run(|_| {})
    .unwrap()
}

#[test]
fn a_new_domain_is_learnt_and_read_by_the_run_time() {
    let base = Base::load(&bundle()).unwrap();
    let encoder = Encoder::load(&bundle()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let domain = house(dir.path());
    let outcome = run(&base, &domain, &[], dir.path());
    assert!(outcome.held_out.intent.unwrap() > 0.95, "{outcome:?}");
    assert!(outcome.held_out.slot_f1.unwrap() > 0.9, "{outcome:?}");
    assert!(outcome.held_out.refused.unwrap() > 0.8, "{outcome:?}");
    let adapter = Adapter::load(&outcome.dir, &encoder).unwrap();
    let read = |text: &str| {
        let guess = encoder
            .read_with(&adapter, &words(text), |_| true)
            .unwrap()
            .unwrap();
        let slots: Vec<String> = guess
            .spans
            .iter()
            .map(|span| {
                format!(
                    "{}={}",
                    span.slot,
                    words(text)[span.words.clone()].join(" ")
                )
            })
            .collect();
        let intent = guess.intents.first().map(|(name, _)| name.clone());
        (intent.unwrap_or_else(|| "none".into()), slots.join(" "))
    };
    let wanted = |intent: &str, slots: &str| (intent.to_owned(), slots.to_owned());
    assert_eq!(
        read("it is too dark in the bathroom"),
        wanted("light.on", "room=bathroom")
    );
    assert_eq!(
        read("put off the lights in the cellar"),
        wanted("light.off", "room=cellar")
    );
    assert_eq!(read("please open the gate for me").0, "door.open");
    assert_eq!(read("how many people live in australia").0, "none");
}

#[test]
fn three_corrections_are_understood_and_nothing_else_is_forgotten() {
    let base = Base::load(&bundle()).unwrap();
    let encoder = Encoder::load(&bundle()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let car: Arc<Domain> = Domain::car().unwrap();
    let correction = |text: &str| Correction {
        text: text.into(),
        intent: "climate.defrost_front_on".into(),
        slots: Default::default(),
    };
    let corrections = [
        "the glass is all milky",
        "i am looking into a wall of milk",
        "get the milk off the glass",
    ]
    .map(correction);
    let outcome = run(&base, &car, &corrections, dir.path());
    assert_eq!(outcome.corrected, (3, 3), "{outcome:?}");
    let (before, after) = (outcome.before.unwrap(), outcome.held_out);
    let fell = |before: Option<f64>, after: Option<f64>| before.unwrap() - after.unwrap();
    assert!(
        fell(before.intent, after.intent) <= 0.005,
        "{before:?} {after:?}"
    );
    assert!(
        fell(before.accepted, after.accepted) <= 0.005,
        "{before:?} {after:?}"
    );
    let adapter = Adapter::load(&outcome.dir, &encoder).unwrap();
    let read = |text: &str| {
        let guess = encoder
            .read_with(&adapter, &words(text), |_| true)
            .unwrap()
            .unwrap();
        guess.intents.first().map(|(name, _)| name.clone())
    };
    for near in [
        "the glass is all milky",
        "hey the glass is so milky",
        "please get the milk off the glass",
    ] {
        assert_eq!(
            read(near).as_deref(),
            Some("climate.defrost_front_on"),
            "{near}"
        );
    }
}
