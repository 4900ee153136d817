use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;
use vocar_inference::sha256_hex;

use super::*;

fn encoder() -> Arc<Encoder> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/encoder");
    Arc::new(Encoder::load(&dir).expect("the small bundle"))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(String::from).collect()
}

fn wave(count: usize, pace: f32) -> Vec<f32> {
    (0..count).map(|n| 0.3 * (n as f32 * pace).sin()).collect()
}

/// An adapter that takes everything for `intent`, unless what it adds to the network says otherwise.
fn weights(encoder: &Encoder, intent: &str, pace: f32) -> Weights {
    let mut weights = Weights::default();
    let mut put = |name: String, shape: &[usize], values: Vec<f32>| {
        weights.tensors.insert(name, (shape.to_vec(), values));
    };
    for (layer, inputs, outputs) in encoder.layers().filter(|(name, ..)| *name != "project") {
        put(
            format!("lora.{layer}.a"),
            &[2, inputs],
            wave(2 * inputs, pace),
        );
        put(
            format!("lora.{layer}.b"),
            &[outputs, 2],
            wave(2 * outputs, pace),
        );
    }
    let dim = encoder.dim();
    put("intents.weight".into(), &[2, dim], wave(2 * dim, 0.7));
    put("intents.bias".into(), &[2], vec![0.0, 3.0]);
    put("tags.weight".into(), &[3, dim], wave(3 * dim, 0.9));
    put("tags.bias".into(), &[3], vec![1.0, 0.0, 0.0]);
    let remarks = [
        ("intents", format!("none\n{intent}")),
        ("tags", "O\nB-level\nI-level".into()),
        ("slope", "1.0".into()),
        ("offset", "0.0".into()),
        ("threshold", "0.0".into()),
    ];
    weights.remarks = remarks.map(|(name, text)| (name.to_owned(), text)).into();
    weights
}

fn manifest(encoder: &Encoder, name: &str, domain: &str) -> AdapterManifest {
    AdapterManifest::new(name, domain, encoder.base(), 2, 4.0)
}

/// A folder with an adapter `one` for the domain `house`.
fn folder(encoder: &Encoder) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    put(folder.path(), encoder, "one", "house", 0.3);
    folder
}

fn put(folder: &Path, encoder: &Encoder, name: &str, domain: &str, pace: f32) {
    let weights = weights(encoder, &format!("{name}.do"), pace);
    write(folder, &manifest(encoder, name, domain), &weights).expect("a written adapter");
}

const APART: LoadOptions = LoadOptions {
    merge: false,
    pin: false,
    activate: true,
};

#[test]
fn an_adapter_reads_a_domain_that_the_base_does_not_know() {
    let encoder = encoder();
    let folder = folder(&encoder);
    let adapter = Adapter::load(&folder.path().join("one"), &encoder).unwrap();
    assert_eq!(
        (adapter.name(), adapter.domain(), adapter.intents()),
        ("one", "house", &["one.do".to_owned()][..])
    );
    assert!(adapter.bytes() > 1000 && !adapter.is_merged());
    let said = words("light the lamp");
    assert!(encoder.read("house", &said, |_| true).unwrap().is_none());
    let apart = encoder
        .read_with(&adapter, &said, |_| true)
        .unwrap()
        .unwrap();
    assert_eq!(apart.intents[0].0, "one.do");
    let merged = adapter.merged(&encoder).unwrap();
    assert!(merged.is_merged());
    let within = encoder
        .read_with(&merged, &said, |_| true)
        .unwrap()
        .unwrap();
    assert_eq!(within.spans, apart.spans);
    let difference = within.intents[0].1 - apart.intents[0].1;
    assert!(difference.abs() < 1e-4, "{difference}");
    assert!(encoder.read_with(&merged, &[], |_| true).unwrap().is_none());
}

#[test]
fn what_it_adds_to_the_network_counts() {
    let encoder = encoder();
    let folder = folder(&encoder);
    let mut plain = weights(&encoder, "one.do", 0.3);
    plain.tensors.retain(|name, _| !name.starts_with(LAYER));
    write(folder.path(), &manifest(&encoder, "two", "house"), &plain).unwrap();
    let said = words("light the lamp");
    let chance = |name: &str| {
        let adapter = Adapter::load(&folder.path().join(name), &encoder).unwrap();
        let guess = encoder.read_with(&adapter, &said, |_| true).unwrap();
        guess.unwrap().intents[0].1
    };
    assert!((chance("one") - chance("two")).abs() > 1e-3);
}

/// How an adapter is refused when its files are changed; the manifest vouches for the weights as they are.
fn refused(change: impl Fn(&mut AdapterManifest, &mut Weights)) -> String {
    let encoder = encoder();
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = manifest(&encoder, "one", "house");
    let mut weights = weights(&encoder, "one.do", 0.3);
    change(&mut manifest, &mut weights);
    let dir = write(folder.path(), &manifest, &weights).unwrap();
    Adapter::load(&dir, &encoder).unwrap_err().to_string()
}

#[test]
fn every_refusal_names_the_file_the_field_and_the_mend() {
    type Spoil = fn(&mut AdapterManifest, &mut Weights);
    let cases: [(&[&str], Spoil); 14] = [
        (&["adapter.toml", "`format`", "reads 1"], |m, _| {
            m.format = 2
        }),
        (&["adapter.toml", "`rank`", "256"], |m, _| m.rank = 0),
        (&["adapter.toml", "`alpha`"], |m, _| m.alpha = f32::NAN),
        (&["adapter.toml", "`domain`"], |m, _| m.domain.clear()),
        (&["adapter.toml", "`base_sha256`", "hex"], |m, _| {
            m.base_sha256 = "x".repeat(64)
        }),
        (
            &["adapter.toml", "`base_sha256`", "train it again"],
            |m, _| m.base_sha256 = "0".repeat(64),
        ),
        (&["adapter.toml", "the base here is"], |m, _| {
            m.base = "nlu-xx".into()
        }),
        (&["safetensors", "lora.block0.down.a", "[3, 64]"], |m, _| {
            m.rank = 3;
        }),
        (&["safetensors", "block7.up", "block0.up"], |_, w| {
            let tensor = w.tensors.remove("lora.block0.up.a").unwrap();
            w.tensors.insert("lora.block7.up.a".into(), tensor);
        }),
        (
            &["safetensors", "lora.block0.up.b", "has no tensor"],
            |_, w| {
                w.tensors.remove("lora.block0.up.b");
            },
        ),
        (&["safetensors", "`other`", "an adapter holds"], |_, w| {
            w.tensors.insert("other".into(), (vec![1], vec![0.0]));
        }),
        (&["safetensors", "tags.bias", "no numbers"], |_, w| {
            w.tensors.get_mut("tags.bias").unwrap().1[1] = f32::NAN;
        }),
        (
            &["safetensors", "lora.block0.qkv.b", "no numbers"],
            |_, w| {
                w.tensors.get_mut("lora.block0.qkv.b").unwrap().1[0] = f32::INFINITY;
            },
        ),
        (
            &["safetensors", "`O`", "train the adapter again"],
            |_, w| {
                w.remarks
                    .insert("tags".into(), "I-a\nB-level\nI-level".into());
            },
        ),
    ];
    for (wanted, spoil) in cases {
        let error = refused(spoil);
        for part in wanted {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn a_cut_or_changed_file_is_told_from_a_sound_one() {
    let encoder = encoder();
    let folder = folder(&encoder);
    let dir = folder.path().join("one");
    let manifest = AdapterManifest::read(&dir).unwrap();
    let path = dir.join(&manifest.weights);
    let bytes = fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 4], &bytes[..7], &[]] {
        fs::write(&path, damaged).unwrap();
        let error = Adapter::load(&dir, &encoder).unwrap_err().to_string();
        assert!(
            error.contains("SHA-256") && error.contains("cut off"),
            "{error}"
        );
    }
    fs::remove_file(&path).unwrap();
    let error = Adapter::load(&dir, &encoder).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
    fs::write(dir.join(MANIFEST), "format = 1\nname = [").unwrap();
    let error = Adapter::load(&dir, &encoder).unwrap_err().to_string();
    assert!(
        error.contains(MANIFEST) && error.contains("line 2"),
        "{error}"
    );
    fs::write(dir.join(MANIFEST), [0xff; 4]).unwrap();
    assert!(Adapter::load(&dir, &encoder).is_err());
}

/// The files of a sound adapter, to be damaged.
fn sound() -> &'static (Arc<Encoder>, String, Vec<u8>) {
    static SOUND: std::sync::OnceLock<(Arc<Encoder>, String, Vec<u8>)> = std::sync::OnceLock::new();
    SOUND.get_or_init(|| {
        let encoder = encoder();
        let folder = folder(&encoder);
        let dir = folder.path().join("one");
        let manifest = AdapterManifest::read(&dir).unwrap();
        let text = fs::read_to_string(dir.join(MANIFEST)).unwrap();
        let bytes = fs::read(dir.join(&manifest.weights)).unwrap();
        (encoder, text, bytes)
    })
}

/// Loads damaged files. Whatever is loaded must give numbers.
fn load_damaged(manifest: &[u8], weights: &[u8]) {
    let (encoder, text, _) = sound();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("one");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join(MANIFEST), manifest).unwrap();
    let sound: AdapterManifest = toml::from_str(text).unwrap();
    fs::write(dir.join(&sound.weights), weights).unwrap();
    let Ok(adapter) = Adapter::load(&dir, encoder) else {
        return;
    };
    let guess = encoder.read_with(&adapter, &words("light the lamp"), |_| true);
    for (name, chance) in guess.unwrap().unwrap().intents {
        assert!((0.0..=1.0).contains(&chance), "{name}: {chance}");
    }
    let _ = adapter.merged(encoder);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_weights_never_panic_and_never_give_what_is_no_number(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..4),
        in_header in any::<bool>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
        vouched in prop::bool::weighted(0.9),
    ) {
        let (_, text, bytes) = sound();
        let mut damaged = bytes.clone();
        let reach = if in_header { 1200.min(damaged.len()) } else { damaged.len() };
        for (at, bit) in flips {
            damaged[at.index(reach)] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(bytes.len()));
        }
        let hash = sha256_hex(if vouched { &damaged } else { bytes });
        let manifest = text.replace(&sha256_hex(bytes), &hash);
        load_damaged(manifest.as_bytes(), &damaged);
    }

    #[test]
    fn a_damaged_manifest_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (_, text, bytes) = sound();
        let mut damaged = text.clone().into_bytes();
        for (at, bit) in flips {
            let at = at.index(damaged.len());
            damaged[at] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            damaged.truncate(cut.index(text.len()));
        }
        load_damaged(&damaged, bytes);
    }
}

/// A store over adapters of these names, all for domains of their own, with room for so many of them.
fn store(names: &[&str], room: usize) -> (TempDir, AdapterStore) {
    let encoder = encoder();
    let folder = folder(&encoder);
    for (number, name) in names.iter().enumerate() {
        put(
            folder.path(),
            &encoder,
            name,
            &format!("{name}s"),
            0.3 + number as f32,
        );
    }
    let one = Adapter::load(&folder.path().join("one"), &encoder).unwrap();
    let store = AdapterStore::new(encoder, folder.path(), room * one.bytes());
    (folder, store)
}

fn loaded(store: &AdapterStore) -> Vec<String> {
    let list = store.list().into_iter().filter(|info| info.loaded);
    list.map(|info| info.name).collect()
}

#[test]
fn the_one_not_read_with_for_the_longest_goes_and_pinned_ones_stay() {
    let (_folder, store) = store(&["a", "b", "c", "d"], 2);
    store.load("a", APART).unwrap();
    store.load("b", APART).unwrap();
    assert!(store.choose("as", &[]).is_some());
    store.load("c", APART).unwrap();
    assert_eq!(loaded(&store), ["a", "c"], "b was read with before a");
    store.pin("a", true).unwrap();
    assert!(store.choose("cs", &[]).is_some());
    store.load("d", APART).unwrap();
    assert_eq!(loaded(&store), ["a", "d"]);
    store.pin("d", true).unwrap();
    let error = store.load("b", APART).unwrap_err();
    assert!(matches!(error, AdapterError::Full { .. }), "{error}");
    assert!(error.to_string().contains("adapters.memory_mb"), "{error}");
    assert_eq!(loaded(&store), ["a", "d"], "a refusal changes nothing");
    store.pin("d", false).unwrap();
    assert!(
        store.choose("cs", &[]).is_some(),
        "what is active comes back"
    );
    assert_eq!(loaded(&store), ["a", "c"]);
    assert!(store.bytes() > 0);
}

#[test]
fn a_request_chooses_among_names_and_the_active_one() {
    let (folder, store) = store(&["a"], 9);
    put(folder.path(), store.encoder(), "b", "as", 0.8);
    let chosen = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let adapter = store.choose("as", &wanted);
        adapter.map(|adapter| adapter.name().to_owned())
    };
    assert_eq!(chosen(&[]), None);
    assert_eq!(
        chosen(&["b"]).as_deref(),
        Some("b"),
        "loaded when it is named"
    );
    store.load("a", APART).unwrap();
    assert_eq!(chosen(&[]).as_deref(), Some("a"));
    assert_eq!(
        chosen(&["one", "b"]).as_deref(),
        Some("b"),
        "one is another domain's"
    );
    assert_eq!(chosen(&["one", "nobody"]).as_deref(), Some("a"));
    assert!(store.prepare(&["b".into(), "one".into()]).is_ok());
    let error = store.prepare(&["nobody".into()]).unwrap_err().to_string();
    assert!(
        error.contains("nobody") && error.contains("a, b, one"),
        "{error}"
    );
    store.unload("a").unwrap();
    assert_eq!(chosen(&[]), None);
    assert!(store.unload("a").is_err() && store.pin("a", true).is_err());
    for name in ["", "../one", "One", "a/b"] {
        let error = store.load(name, APART).unwrap_err();
        assert!(
            matches!(error, AdapterError::BadName { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn the_old_one_stays_in_force_when_the_new_one_is_refused() {
    let (folder, store) = store(&[], 9);
    let old = store.load("one", APART).unwrap();
    let mut bad = weights(store.encoder(), "one.other", 0.5);
    bad.tensors.get_mut("intents.bias").unwrap().1[0] = f32::NAN;
    let manifest = manifest(store.encoder(), "one", "house");
    write(folder.path(), &manifest, &bad).unwrap();
    assert!(store.load("one", APART).is_err());
    assert!(Arc::ptr_eq(&store.choose("house", &[]).unwrap(), &old));
    let list = store.list();
    assert_eq!(
        (list.len(), list[0].active, &list[0].problem),
        (1, true, &None)
    );
    let good = weights(store.encoder(), "one.other", 0.5);
    write(folder.path(), &manifest, &good).unwrap();
    store
        .load(
            "one",
            LoadOptions {
                merge: true,
                ..APART
            },
        )
        .unwrap();
    let new = store.choose("house", &[]).unwrap();
    assert!(new.is_merged() && new.intents() == ["one.other"]);
    let files = fs::read_dir(folder.path().join("one")).unwrap().count();
    assert_eq!(files, 2, "old weights are taken away");
}

#[test]
fn two_seats_read_with_two_adapters_while_others_are_swapped() {
    let (_folder, store) = store(&["a", "b", "c"], 3);
    let said = words("light the lamp please");
    let read = |name: &str| {
        let adapter = store.choose(&format!("{name}s"), &[name.into()]).unwrap();
        let guess = store.encoder().read_with(&adapter, &said, |_| true);
        guess.unwrap().unwrap()
    };
    let (a, b) = (read("a"), read("b"));
    assert_ne!(a, b);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let seats = [("a", &a), ("b", &b)].map(|(name, wanted)| {
            let read = &read;
            scope.spawn(move || {
                for _ in 0..300 {
                    assert_eq!(read(name), *wanted);
                }
            })
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.load("c", APART).unwrap();
                store.unload("c").unwrap();
            }
        });
        let ended = seats.map(std::thread::ScopedJoinHandle::join);
        over.store(true, Ordering::Relaxed);
        for seat in ended {
            seat.unwrap();
        }
    });
}
