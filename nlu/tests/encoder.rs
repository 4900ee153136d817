//! A small encoder that learnt two intents: it computes what PyTorch computes, reads what no template says, leaves the rest
//! alone, and is refused when it is damaged. `nlu/testdata/make_encoder.py` makes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vocar_inference::sha256_hex;
use vocar_nlu::{Context, Domain, Encoder, EncoderError, SlotValue, Understander};

const INTENTS: [&str; 3] = ["none", "fan.set", "window.open"];
/// Slope and offset of the small bundle's curve.
const CURVE: (f32, f32) = (0.9, -0.2);
/// Its threshold.
const THRESHOLD: f32 = 0.5;

const DOMAIN: &str = r#"
    name = "car"
    [slots.level]
    type = "number"
    min = 0
    max = 30
    [[intents]]
    name = "fan.set"
    templates = ["set the fan to {level}", "let the driver window down to {level}"]
    required = ["level"]
    ask = { level = "Which level?" }
    [[intents]]
    name = "window.open"
    templates = ["open the {zone} window"]
"#;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

fn encoder() -> Arc<Encoder> {
    Arc::new(Encoder::load(&testdata().join("encoder")).unwrap())
}

fn understander() -> Understander {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("domain.toml"), DOMAIN).unwrap();
    let mut understander = Understander::new(vec![Arc::new(Domain::load(dir.path()).unwrap())]);
    understander.set_encoder(Some(encoder()));
    understander
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

#[test]
fn the_encoder_gives_what_pytorch_gives() {
    let encoder = encoder();
    let expected = fs::read_to_string(testdata().join("encoder-expected.tsv")).unwrap();
    let mut compared = 0;
    for line in expected.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let guess = encoder
            .read("car", &words(cells[0]), |_| true)
            .unwrap()
            .unwrap();
        let shares: Vec<f32> = cells[1]
            .split(' ')
            .map(|share| share.parse().unwrap())
            .collect();
        for (name, share) in INTENTS.iter().zip(shares).skip(1) {
            let odds = (share / (1.0 - share)).ln();
            let wanted = 1.0 / (1.0 + (-(CURVE.0 * odds + CURVE.1)).exp());
            let found = guess.intents.iter().find(|(intent, _)| intent == name);
            assert_eq!(found.is_some(), wanted >= THRESHOLD, "{line}: {name}");
            if let Some((_, chance)) = found {
                assert!(
                    (chance - wanted).abs() < 0.01,
                    "{line}: {name} {chance} instead of {wanted}"
                );
                compared += 1;
            }
        }
        let mut tags: Vec<String> = vec!["O".into(); words(cells[0]).len()];
        for span in &guess.spans {
            for at in span.words.clone() {
                let first = if at == span.words.start { 'B' } else { 'I' };
                tags[at] = format!("{first}-{}", span.slot);
            }
        }
        assert_eq!(tags.join(" "), cells[2], "{line}");
    }
    assert_eq!(compared, 3);
}

#[test]
fn short_and_long_sentences_mean_the_same_alone_and_among_others() {
    let encoder = encoder();
    let intent = |text: &str| {
        encoder
            .read("car", &words(text), |_| true)
            .unwrap()
            .unwrap()
    };
    let once = intent("blow at two");
    for length in [1, 6, 14, 31, 40] {
        let _ = intent(&vec!["dice"; length].join(" "));
        assert_eq!(intent("blow at two"), once, "after {length} words");
    }
    assert!(encoder.read("car", &[], |_| true).unwrap().is_none());
    assert!(
        encoder
            .read("house", &words("blow"), |_| true)
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_no_template_says_is_read_with_typed_slots() {
    let understander = understander();
    let found = understander.understand("Could you blow at 22?", &Context::addressed());
    let best = found.first().expect("an intent");
    assert_eq!(best.name, "fan.set");
    assert_eq!(
        best.slots,
        BTreeMap::from([("level".into(), SlotValue::Number(22.0))])
    );
    assert!(best.confidence > 0.5 && best.confidence < 1.0, "{best:?}");
    let found = understander.understand("let the rear left window down", &Context::addressed());
    let zone = SlotValue::Zone("rear_left".into());
    assert_eq!(found[0].slots, BTreeMap::from([("zone".into(), zone)]));
}

#[test]
fn a_required_slot_that_cannot_be_read_is_asked_for() {
    let understander = understander();
    let found = understander.understand("give me fan speed please", &Context::addressed());
    let best = found.first().expect("an intent");
    assert_eq!(
        (best.name.as_str(), best.prompt.as_deref()),
        ("fan.set", Some("Which level?"))
    );
}

#[test]
fn a_template_counts_before_the_encoder() {
    let understander = understander();
    let found =
        understander.understand("let the driver window down to nine", &Context::addressed());
    assert_eq!(
        (found[0].name.as_str(), found[0].confidence),
        ("fan.set", 1.0)
    );
}

#[test]
fn what_is_none_of_its_business_is_left_alone() {
    let understander = understander();
    for text in ["roll the dice", "who is the king of the dice", "", "?!"] {
        assert_eq!(
            understander.understand(text, &Context::addressed()),
            [],
            "{text}"
        );
    }
    let open = understander.understand("let the left window down", &Context::open_microphone());
    assert_eq!(open, [], "at an open microphone only templates count");
    let mut without = understander;
    without.set_encoder(None);
    assert_eq!(
        without.understand("let the left window down", &Context::addressed()),
        []
    );
}

/// The small bundle with a file changed; the manifest vouches for the change if `vouched`.
fn changed(
    file: &str,
    vouched: bool,
    change: impl Fn(&mut Vec<u8>),
) -> Result<Encoder, EncoderError> {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(testdata().join("encoder")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    let before = sha256_hex(&bytes);
    change(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    if vouched {
        let manifest = dir.path().join("manifest.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, text.replace(&before, &sha256_hex(&bytes))).unwrap();
    }
    Encoder::load(dir.path())
}

fn damaged(file: &str, vouched: bool, change: impl Fn(&mut Vec<u8>)) -> String {
    changed(file, vouched, change)
        .expect_err("a damaged bundle was loaded")
        .to_string()
}

/// The small bundle with another threshold, three characters long.
fn with_threshold(threshold: &str) -> Result<Encoder, EncoderError> {
    let place = br#""threshold":"0.5""#;
    changed("head-car.safetensors", true, |bytes| {
        let at = bytes.windows(place.len()).position(|part| part == place);
        let digits = at.expect("a threshold") + place.len() - 4;
        bytes[digits..digits + 3].copy_from_slice(threshold.as_bytes());
    })
}

#[test]
fn what_is_too_unlikely_is_decided_by_the_threshold_of_the_bundle() {
    let intents = |threshold: &str, text: &str| {
        let encoder = with_threshold(threshold).unwrap();
        let guess = encoder.read("car", &words(text), |_| true).unwrap();
        guess.unwrap().intents.len()
    };
    assert_eq!(intents("0.5", "could you blow at twenty two"), 1);
    assert_eq!(intents("1.0", "could you blow at twenty two"), 0);
    assert_eq!(intents("0.5", "the king of the dice"), 0);
    assert_eq!(intents("0.0", "the king of the dice"), 2);
    for odd in ["1.5", "-.1", "nan"] {
        let error = with_threshold(odd).unwrap_err().to_string();
        assert!(error.contains("`threshold`"), "{odd}: {error}");
    }
}

#[test]
fn a_damaged_bundle_is_refused_with_the_name_of_the_file() {
    let error = damaged("head-car.safetensors", false, |bytes| bytes[600] ^= 1);
    assert!(
        error.contains("head-car.safetensors") && error.contains("SHA-256"),
        "{error}"
    );
    let error = damaged("rows.safetensors", true, |bytes| bytes.truncate(50_000));
    assert!(
        error.contains("rows.safetensors") && error.contains("cut off"),
        "{error}"
    );
    let error = damaged("head-car.safetensors", true, |bytes| {
        let last = bytes.len() - 2;
        bytes[last..].copy_from_slice(&[0xff, 0x7f]);
    });
    assert!(error.contains("no numbers"), "{error}");
    let error = damaged("words.txt", true, |bytes| bytes.extend(b"another\n"));
    assert!(
        error.contains("rows.safetensors") && error.contains("should be"),
        "{error}"
    );
    let error = damaged("encoder-f32.onnx", true, |bytes| bytes.truncate(20_000));
    assert!(error.contains("encoder-f32.onnx"), "{error}");
}
