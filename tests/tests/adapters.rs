//! Adapters over the bus, on a real message bus and the shipped base: loaded, listed, pinned, chosen, refused, let go.

use futures_util::StreamExt;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use vocar_daemon::bus::{Dict, VoiceAssistant1Proxy};
use vocar_daemon::config::ListenMode;
use vocar_daemon::mind::Mind;
use vocar_daemon::pipeline::{Language, Pipeline, Thresholds};
use vocar_nlu::adapter::{AdapterManifest, AdapterStore, LoadOptions, Weights, write};
use vocar_nlu::{Domain, Encoder};
use vocar_tests::{Bus, Service, caller, refusal, repository, vocar};
use zbus::Variant;

const HOUSE: &str = r#"
    name = "house"
    [[intents]]
    name = "lamp.on"
    templates = ["lamp on"]
    [[intents]]
    name = "lamp.off"
    templates = ["lamp off"]
"#;

/// What no template says.
const SAID: &str = "it is rather dark in here";

fn encoder() -> Arc<Encoder> {
    Arc::new(Encoder::load(&repository().join("models/nlu-en")).unwrap())
}

/// An adapter that takes everything for one intent of the domain `house`.
fn weights(encoder: &Encoder, intent: &str) -> Weights {
    let wave = |count: usize, pace: f32| -> Vec<f32> {
        (0..count).map(|n| 0.05 * (n as f32 * pace).sin()).collect()
    };
    let mut weights = Weights::default();
    let mut put = |name: String, shape: &[usize], values: Vec<f32>| {
        weights.tensors.insert(name, (shape.to_vec(), values));
    };
    for (layer, inputs, outputs) in encoder.layers().filter(|(name, ..)| *name != "project") {
        put(
            format!("lora.{layer}.a"),
            &[4, inputs],
            wave(4 * inputs, 0.3),
        );
        put(
            format!("lora.{layer}.b"),
            &[outputs, 4],
            wave(4 * outputs, 0.7),
        );
    }
    let dim = encoder.dim();
    put("intents.weight".into(), &[2, dim], vec![0.0; 2 * dim]);
    put("intents.bias".into(), &[2], vec![0.0, 5.0]);
    put("tags.weight".into(), &[1, dim], vec![0.0; dim]);
    put("tags.bias".into(), &[1], vec![0.0]);
    let remarks = [
        ("intents", format!("none\n{intent}")),
        ("tags", "O".into()),
        ("slope", "1.0".into()),
        ("offset", "0.0".into()),
        ("threshold", "0.5".into()),
    ];
    weights.remarks = remarks.map(|(name, text)| (name.to_owned(), text)).into();
    weights
}

fn put(folder: &Path, encoder: &Encoder, name: &str, intent: &str) -> std::path::PathBuf {
    let manifest = AdapterManifest::new(name, "house", encoder.base(), 4, 8.0);
    write(folder, &manifest, &weights(encoder, intent)).unwrap()
}

/// A folder with the domain `house` and adapters, and the settings of a service that has both and no ears.
fn furnished(encoder: &Encoder, more: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("house")).unwrap();
    std::fs::write(dir.path().join("house/domain.toml"), HOUSE).unwrap();
    let adapters = dir.path().join("adapters");
    put(&adapters, encoder, "one", "lamp.on");
    put(&adapters, encoder, "two", "lamp.off");
    let settings = format!(
        "[model]\ndir = \"/nonexistent\"\nunderstanding = \"{}\"\n[domains]\ncar = false\ndirs = [\"{}\"]\n\
         [adapters]\nfolder = \"{}\"\n{more}",
        repository().join("models/nlu-en").display(),
        dir.path().join("house").display(),
        adapters.display()
    );
    (dir, settings)
}

/// The intent that a text is taken for, read with these adapters.
async fn understood(service: &VoiceAssistant1Proxy<'_>, adapters: &[&str]) -> Option<String> {
    let mut options = HashMap::from([("announce", Variant::from(false))]);
    match adapters {
        [] => None,
        [one] => options.insert("adapter", Variant::from(one.to_string())),
        many => {
            let many: Vec<String> = many.iter().map(ToString::to_string).collect();
            options.insert("adapter", many.into())
        }
    };
    let readings = service.interpret_text(SAID, options).await.unwrap();
    let best = readings.into_iter().next()?;
    Some(String::try_from(best["name"].clone()).unwrap())
}

fn flag(adapter: &Dict, name: &str) -> bool {
    bool::try_from(adapter[name].clone()).unwrap()
}

async fn listed(service: &VoiceAssistant1Proxy<'_>) -> BTreeMap<String, Dict> {
    let list = service.list_adapters().await.unwrap();
    let named = |adapter: Dict| (String::try_from(adapter["name"].clone()).unwrap(), adapter);
    list.into_iter().map(named).collect()
}

#[tokio::test]
async fn adapters_are_loaded_listed_pinned_chosen_and_let_go() {
    let encoder = encoder();
    let (_dir, settings) = furnished(&encoder, "");
    let bus = Bus::start();
    let _service = Service::start(&bus, &settings);
    let (connection, service) = caller(&bus).await;
    assert_eq!(
        understood(&service, &[]).await,
        None,
        "the base knows no house"
    );
    assert!(service.adapters().await.unwrap().is_empty());
    let list = listed(&service).await;
    assert_eq!(list.len(), 2);
    assert!(!flag(&list["one"], "loaded") && !flag(&list["one"], "active"));

    let properties = zbus::fdo::PropertiesProxy::builder(&connection)
        .destination(vocar_daemon::bus::NAME)
        .path(vocar_daemon::bus::PATH)
        .build()
        .await
        .unwrap();
    let mut changes = properties.receive_properties_changed().await.unwrap();
    service.load_adapter("one", HashMap::new()).await.unwrap();
    let change = tokio::time::timeout(Duration::from_secs(5), changes.next());
    let change = change.await.unwrap().unwrap();
    let change = change.args().unwrap();
    assert!(
        change.changed_properties().contains_key("Adapters"),
        "{change:?}"
    );
    assert_eq!(service.adapters().await.unwrap(), ["one"]);
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));

    // A request may name another, which is loaded for it; the active one stays.
    assert_eq!(
        understood(&service, &["two"]).await.as_deref(),
        Some("lamp.off")
    );
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));
    assert_eq!(
        understood(&service, &["two", "one"]).await.as_deref(),
        Some("lamp.off")
    );
    assert_eq!(service.adapters().await.unwrap(), ["one", "two"]);

    service.pin_adapter("two", true).await.unwrap();
    let options = HashMap::from([("merge", true.into()), ("activate", false.into())]);
    service.load_adapter("one", options).await.unwrap();
    let list = listed(&service).await;
    assert!(flag(&list["two"], "pinned") && !flag(&list["two"], "active"));
    assert!(flag(&list["one"], "merged") && flag(&list["one"], "active"));
    assert!(u64::try_from(list["one"]["bytes"].clone()).unwrap() > 1_000_000);
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));

    service.unload_adapter("one").await.unwrap();
    service.pin_adapter("two", false).await.unwrap();
    assert_eq!(understood(&service, &[]).await, None);
    assert_eq!(service.adapters().await.unwrap(), ["two"]);
}

#[tokio::test]
async fn two_callers_read_with_two_adapters_at_the_same_time() {
    let encoder = encoder();
    let (_dir, settings) = furnished(&encoder, "");
    let bus = Bus::start();
    let _service = Service::start(&bus, &settings);
    let seat = |adapter: &'static str, intent: &'static str| {
        let bus = &bus;
        async move {
            let (_connection, service) = caller(bus).await;
            for _ in 0..40 {
                assert_eq!(
                    understood(&service, &[adapter]).await.as_deref(),
                    Some(intent)
                );
            }
        }
    };
    tokio::join!(seat("one", "lamp.on"), seat("two", "lamp.off"));
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_name_and_the_old_one_stays() {
    let encoder = encoder();
    let (dir, settings) = furnished(&encoder, "memory_mb = 1.0\nactive = [\"one\"]\n");
    let folder = dir.path().join("adapters");
    let bus = Bus::start();
    let _service = Service::start(&bus, &settings);
    let (_connection, service) = caller(&bus).await;
    let load = async |name: &str| refusal(service.load_adapter(name, HashMap::new()).await);

    let manifest = |name: &str| AdapterManifest::new(name, "house", encoder.base(), 4, 8.0);
    let mut other = manifest("one");
    other.base_sha256 = "0".repeat(64);
    let path = write(&folder, &other, &weights(&encoder, "lamp.off")).unwrap();
    let (name, text) = load("one").await;
    assert_eq!(name, "org.vocar.Error.BadAdapter");
    assert!(
        text.contains("base_sha256") && text.contains("train it again"),
        "{text}"
    );
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));

    let mut spoilt = weights(&encoder, "lamp.off");
    let tensor = spoilt.tensors.get_mut("lora.block0.up.b").unwrap();
    tensor.1[17] = f32::NAN;
    write(&folder, &manifest("one"), &spoilt).unwrap();
    let (name, text) = load("one").await;
    assert_eq!(name, "org.vocar.Error.BadAdapter");
    assert!(
        text.contains("lora.block0.up.b") && text.contains("no numbers"),
        "{text}"
    );
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));

    put(&folder, &encoder, "one", "lamp.off");
    let sound = AdapterManifest::read(&path).unwrap();
    let file = path.join(&sound.weights);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (name, text) = load("one").await;
    assert_eq!(name, "org.vocar.Error.BadAdapter");
    assert!(text.contains("cut off"), "{text}");
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));
    assert!(flag(&listed(&service).await["one"], "active"));

    assert_eq!(load("../one").await.0, "org.vocar.Error.InvalidArgument");
    let (name, text) = load("nobody").await;
    assert_eq!(name, "org.vocar.Error.UnknownAdapter");
    assert!(text.contains("one, two"), "{text}");
    let options = HashMap::from([("glue", true.into())]);
    let (name, _) = refusal(service.load_adapter("one", options).await);
    assert_eq!(name, "org.vocar.Error.InvalidArgument");
    let merged = HashMap::from([("merge", true.into())]);
    let (name, text) = refusal(service.load_adapter("two", merged).await);
    assert_eq!(name, "org.vocar.Error.NoRoom");
    assert!(text.contains("adapters.memory_mb"), "{text}");
    assert_eq!(
        refusal(service.unload_adapter("two").await).0,
        "org.vocar.Error.UnknownAdapter"
    );
    assert_eq!(
        refusal(service.pin_adapter("two", true).await).0,
        "org.vocar.Error.UnknownAdapter"
    );
    let nobody = HashMap::from([("adapter", Variant::from("nobody"))]);
    let (name, _) = refusal(service.interpret_text(SAID, nobody).await);
    assert_eq!(name, "org.vocar.Error.UnknownAdapter");
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.on"));
}

#[tokio::test]
async fn a_new_configuration_keeps_what_was_loaded_over_the_bus() {
    let encoder = encoder();
    let (_dir, settings) = furnished(&encoder, "");
    let bus = Bus::start();
    let vocard = Service::start(&bus, &settings);
    let (_connection, service) = caller(&bus).await;
    service.load_adapter("two", HashMap::new()).await.unwrap();
    vocard.configure(&format!("{settings}memory_mb = 20.0\n"));
    service.reload().await.unwrap();
    assert_eq!(service.adapters().await.unwrap(), ["two"]);
    assert_eq!(understood(&service, &[]).await.as_deref(), Some("lamp.off"));
}

#[test]
fn the_command_line_does_all_of_it() {
    let encoder = encoder();
    let (_dir, settings) = furnished(&encoder, "");
    let bus = Bus::start();
    let _service = Service::start(&bus, &settings);
    let address = bus.address();
    let run = |arguments: &[&str]| {
        let arguments = [&["adapter"][..], arguments].concat();
        let output = vocar(&arguments, &[("VOCAR_BUS__ADDRESS", &address)]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    assert_eq!(run(&["load", "one", "--pin"]).0, Some(0));
    assert_eq!(run(&["load", "two", "--aside"]).0, Some(0));
    let (_, text) = run(&["list"]);
    assert!(
        text.contains("one  domain house, rank 4, loaded ("),
        "{text}"
    );
    assert!(text.contains("pinned, active"), "{text}");
    assert_eq!(run(&["pin", "one", "--off"]).0, Some(0));
    assert_eq!(run(&["unload", "one"]).0, Some(0));
    let (_, text) = run(&["list", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&list[0]["loaded"], &list[1]["loaded"]),
        (&false.into(), &true.into())
    );
    let (code, text) = run(&["load", "nobody"]);
    assert_eq!(code, Some(6));
    assert!(
        text.contains("nobody") && text.contains("one, two"),
        "{text}"
    );
}

#[test]
fn each_seat_is_read_with_its_own_adapter() {
    let encoder = encoder();
    let (dir, _) = furnished(&encoder, "");
    let store = AdapterStore::new(encoder, dir.path().join("adapters"), 1 << 24);
    let options = LoadOptions {
        merge: false,
        pin: false,
        activate: true,
    };
    store.load("one", options).unwrap();
    let domain = Domain::load(&dir.path().join("house")).unwrap();
    let mut mind = Mind::new(vec![Arc::new(domain)], 0.0);
    mind.set_adapters(Arc::new(store));
    let thresholds = Thresholds {
        addressed: 0.0,
        open_microphone: 0.0,
        free: 0.0,
    };
    let mut pipeline = Pipeline::new(mind, Language::Domains, thresholds, "driver".into());
    pipeline.set_seats([("passenger".into(), vec!["two".into()])].into());
    let mut said = |seat: &str, named: &[String]| {
        pipeline.begin(1, seat, ListenMode::PushToTalk).unwrap();
        pipeline.read_with(named);
        let commands = pipeline.interpret(SAID, None, false, &mut |_| {});
        let readings = commands.into_iter().next()?;
        readings.into_iter().next().map(|intent| intent.name)
    };
    for _ in 0..3 {
        assert_eq!(said("driver", &[]).as_deref(), Some("lamp.on"));
        assert_eq!(said("passenger", &[]).as_deref(), Some("lamp.off"));
    }
    assert_eq!(
        said("passenger", &["one".into()]).as_deref(),
        Some("lamp.on")
    );
}
