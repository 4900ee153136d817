//! Models, adapters and domains that must be signed: what is signed is taken, what is not is refused by name, and what was in
//! force stays. Signatures are made as an integrator makes them, with minisign.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use vocar_daemon::bus::VoiceAssistant1Proxy;
use vocar_inference::signature_of;
use vocar_nlu::Encoder;
use vocar_nlu::adapter::{AdapterManifest, Weights, write};
use vocar_tests::{Bus, Service, caller, refusal, repository, speech_bundle, vocar};
use zbus::Variant;

const HOUSE: &str = "name = \"house\"\ninclude = [\"more.toml\"]\n[[intents]]\nname = \"lamp.on\"\ntemplates = [\"lamp on\"]\n";
const MORE: &str = "[[intents]]\nname = \"lamp.off\"\ntemplates = [\"lamp off\"]\n";

/// Somebody who signs.
struct Signer {
    dir: TempDir,
    /// The public key.
    key: String,
}

impl Signer {
    /// A key of its own; `None`, with a line, where there is no minisign.
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("minisign")
            .current_dir(dir.path())
            .args(["-G", "-W", "-p", "key.pub", "-s", "key"])
            .output();
        match made {
            Ok(output) if output.status.success() => {
                let public = fs::read_to_string(dir.path().join("key.pub")).unwrap();
                let key = public.lines().nth(1).unwrap().to_owned();
                Some(Self { dir, key })
            }
            Ok(output) => panic!("minisign: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                eprintln!("SKIPPED: signatures: minisign: {error}; install the package minisign");
                None
            }
        }
    }

    fn sign(&self, file: &Path) {
        let output = Command::new("minisign")
            .args(["-S", "-W", "-s"])
            .arg(self.dir.path().join("key"))
            .arg("-m")
            .arg(file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Hashes a domain's files and signs the hashes, as the documentation says.
    fn sign_domain(&self, dir: &Path) {
        let sums = Command::new("sh")
            .args(["-c", "sha256sum *.toml > domain.sha256"])
            .current_dir(dir)
            .status();
        assert!(sums.unwrap().success());
        self.sign(&dir.join("domain.sha256"));
    }
}

/// A folder with one of everything but the speech bundle, which is shared.
struct Things {
    root: TempDir,
    encoder: Encoder,
}

impl Things {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(
            &repository().join("models/nlu-en"),
            &root.path().join("nlu-en"),
        );
        let things = Self {
            encoder: Encoder::load(&root.path().join("nlu-en")).unwrap(),
            root,
        };
        fs::create_dir_all(things.path("domains/house")).unwrap();
        fs::write(things.path("domains/house/domain.toml"), HOUSE).unwrap();
        fs::write(things.path("domains/house/more.toml"), MORE).unwrap();
        things.put_adapter(5.0);
        things
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// An adapter of heads alone, which takes everything for one intent.
    fn put_adapter(&self, bias: f32) {
        let dim = self.encoder.dim();
        let mut weights = Weights::default();
        for (name, shape, values) in [
            ("intents.weight", vec![2, dim], vec![0.0; 2 * dim]),
            ("intents.bias", vec![2], vec![0.0, bias]),
            ("tags.weight", vec![1, dim], vec![0.0; dim]),
            ("tags.bias", vec![1], vec![0.0]),
        ] {
            weights.tensors.insert(name.into(), (shape, values));
        }
        let remarks = [
            ("intents", "none\nlamp.on"),
            ("tags", "O"),
            ("slope", "1"),
            ("offset", "0"),
            ("threshold", "0.5"),
        ];
        weights.remarks = remarks
            .map(|(name, text)| (name.into(), text.into()))
            .into();
        let manifest = AdapterManifest::new("one", "house", self.encoder.base(), 1, 1.0);
        write(&self.path("adapters"), &manifest, &weights).unwrap();
    }

    fn sign(&self, signer: &Signer) {
        signer.sign(&self.path("nlu-en/manifest.toml"));
        signer.sign(&self.path("adapters/one/adapter.toml"));
        signer.sign_domain(&self.path("domains/house"));
    }

    /// Settings of a service that uses all of it and trusts a key, if any.
    fn settings(&self, speech: &Path, key: Option<&str>) -> String {
        let keys = key
            .map(|key| format!("[trust]\nkeys = [\"{key}\"]\n"))
            .unwrap_or_default();
        format!(
            "[model]\ndir = \"{}\"\nunderstanding = \"{}\"\n[domains]\ncar = false\ndirs = [\"{}\"]\n[adapters]\nfolder = \"{}\"\n{keys}",
            speech.display(),
            self.path("nlu-en").display(),
            self.path("domains").display(),
            self.path("adapters").display(),
        )
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What `vocar bundle check` says of a folder, and whether all was well.
fn checked(dir: &Path, keys: &[&str]) -> (bool, String) {
    let dir = dir.display().to_string();
    let mut arguments = vec!["bundle", "check", &dir];
    keys.iter().for_each(|key| arguments.extend(["--key", key]));
    let output = vocar(&arguments, &[]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[track_caller]
fn refused(dir: &Path, key: &str, parts: &[&str]) {
    let (well, text) = checked(dir, &[key]);
    assert!(!well, "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// Spoils a folder in every way, and puts it in order again after each.
fn try_every_wrong(dir: &Path, signed: &str, file: &str, signer: &Signer, sign: &dyn Fn()) {
    let (manifest, file) = (dir.join(signed), dir.join(file));
    let signature = signature_of(&manifest);
    let whole = |path: &Path| fs::read(path).unwrap();
    let stranger = Signer::new().unwrap();
    sign();
    let (well, text) = checked(dir, &[&signer.key]);
    assert!(well && text.contains(&signer.key), "{text}");
    let (well, text) = checked(dir, &[&stranger.key, &signer.key]);
    assert!(well && text.contains(&signer.key), "{text}");
    refused(
        dir,
        &stranger.key,
        &[".minisig", "another key", "trust.keys"],
    );

    let before = whole(&manifest);
    fs::write(&manifest, [&before[..], b"\n"].concat()).unwrap();
    refused(
        dir,
        &signer.key,
        &[".minisig", &format!("does not fit {signed}")],
    );
    fs::write(&manifest, before).unwrap();

    let before = whole(&file);
    fs::write(&file, [&before[..], b" "].concat()).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    refused(dir, &signer.key, &[name, "SHA-256"]);
    fs::write(&file, before).unwrap();

    let before = whole(&signature);
    fs::write(&signature, &before[..before.len() / 2]).unwrap();
    refused(
        dir,
        &signer.key,
        &[".minisig", "cut off", "sign them again"],
    );
    fs::remove_file(&signature).unwrap();
    refused(
        dir,
        &signer.key,
        &[
            ".minisig",
            "there is no signature",
            &format!("minisign -S -m {signed}"),
        ],
    );
    let (well, text) = checked(dir, &[]);
    assert!(well && text.contains("not signed"), "{text}");
    fs::write(&signature, before).unwrap();
    assert!(checked(dir, &[&signer.key]).0);
}

#[test]
fn every_kind_of_folder_is_checked() {
    let Some(signer) = Signer::new() else { return };
    let things = Things::new();
    let bundle = things.path("nlu-en");
    try_every_wrong(&bundle, "manifest.toml", "words.txt", &signer, &|| {
        signer.sign(&bundle.join("manifest.toml"));
    });
    let adapter = things.path("adapters/one");
    let weights = AdapterManifest::read(&adapter).unwrap().weights;
    try_every_wrong(&adapter, "adapter.toml", &weights, &signer, &|| {
        signer.sign(&adapter.join("adapter.toml"));
    });
    let domain = things.path("domains/house");
    try_every_wrong(&domain, "domain.sha256", "more.toml", &signer, &|| {
        signer.sign_domain(&domain)
    });
    // A file that nobody hashed is not taken either.
    fs::write(
        domain.join("domain.toml"),
        HOUSE.replace("more.toml", "other.toml"),
    )
    .unwrap();
    fs::write(domain.join("other.toml"), MORE).unwrap();
    signer.sign_domain(&domain);
    assert!(checked(&domain, &[&signer.key]).0);
    let sums = fs::read_to_string(domain.join("domain.sha256")).unwrap();
    let fewer: String = sums
        .lines()
        .filter(|line| !line.ends_with("other.toml"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(domain.join("domain.sha256"), fewer).unwrap();
    signer.sign(&domain.join("domain.sha256"));
    refused(&domain, &signer.key, &["other.toml", "no hash of it"]);

    if let Some(shipped) = speech_bundle("the signature of the speech bundle") {
        let speech = things.path("speech-en");
        copy(&shipped, &speech);
        try_every_wrong(&speech, "manifest.toml", "phones.txt", &signer, &|| {
            signer.sign(&speech.join("manifest.toml"));
        });
    }
}

async fn health(service: &VoiceAssistant1Proxy<'_>, component: &str) -> String {
    let health = service.health().await.unwrap();
    String::try_from(health[component].clone()).unwrap()
}

/// The intent that a text is taken for.
async fn understood(service: &VoiceAssistant1Proxy<'_>, text: &str) -> Option<String> {
    let options = HashMap::from([("announce", Variant::from(false))]);
    let readings = service.interpret_text(text, options).await.unwrap();
    let best = readings.into_iter().next()?;
    Some(String::try_from(best["name"].clone()).unwrap())
}

/// What no template says.
const SAID: &str = "it is rather dark in here";

#[tokio::test]
async fn the_service_takes_what_is_signed_and_keeps_it_when_other_files_come() {
    let Some(signer) = Signer::new() else { return };
    let things = Things::new();
    things.sign(&signer);
    let settings = things.settings(Path::new("/nonexistent"), Some(&signer.key));
    let bus = Bus::start();
    let vocard = Service::start(&bus, &settings);
    let (_connection, service) = caller(&bus).await;
    assert_eq!(health(&service, "domains").await, "ok");
    assert_eq!(health(&service, "understanding").await, "ok");
    service.load_adapter("one", HashMap::new()).await.unwrap();
    assert_eq!(understood(&service, SAID).await.as_deref(), Some("lamp.on"));
    assert_eq!(
        understood(&service, "lamp off").await.as_deref(),
        Some("lamp.off")
    );

    // Another adapter, whole and for this base, that nobody has signed.
    things.put_adapter(-5.0);
    let (name, text) = refusal(service.load_adapter("one", HashMap::new()).await);
    assert_eq!(name, "org.vocar.Error.BadAdapter");
    assert!(
        text.contains("adapter.toml.minisig") && text.contains("does not fit"),
        "{text}"
    );
    assert_eq!(understood(&service, SAID).await.as_deref(), Some("lamp.on"));

    // A domain that was changed since.
    service.disable_domain("house").await.unwrap();
    fs::write(
        things.path("domains/house/more.toml"),
        MORE.replace("lamp off", "no lamp"),
    )
    .unwrap();
    let (name, text) = refusal(service.enable_domain("house").await);
    assert_eq!(name, "org.vocar.Error.InvalidDomain");
    assert!(
        text.contains("more.toml") && text.contains("SHA-256"),
        "{text}"
    );
    fs::write(things.path("domains/house/more.toml"), MORE).unwrap();
    service.enable_domain("house").await.unwrap();

    // A bundle whose manifest was changed, hashes and all.
    let manifest = things.path("nlu-en/manifest.toml");
    let before = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{before}\n# not the same\n")).unwrap();
    let (name, text) = refusal(service.reload().await);
    assert_eq!(name, "org.vocar.Error.InvalidConfiguration");
    assert!(
        text.contains("manifest.toml.minisig") && text.contains("does not fit manifest.toml"),
        "{text}"
    );
    let told = health(&service, "configuration").await;
    assert!(
        told.contains("the old one stays in force") && told.contains("minisig"),
        "{told}"
    );
    assert_eq!(understood(&service, SAID).await.as_deref(), Some("lamp.on"));
    fs::write(&manifest, before).unwrap();

    // Another key.
    let stranger = Signer::new().unwrap();
    vocard.configure(&things.settings(Path::new("/nonexistent"), Some(&stranger.key)));
    let (_, text) = refusal(service.reload().await);
    assert!(text.contains("another key"), "{text}");
    vocard.configure(&things.settings(Path::new("/nonexistent"), Some("RWQnone")));
    let (_, text) = refusal(service.reload().await);
    assert!(
        text.contains("trust.keys") && text.contains("minisign.pub"),
        "{text}"
    );
    assert_eq!(understood(&service, SAID).await.as_deref(), Some("lamp.on"));

    // Without a key nothing needs to be signed.
    vocard.configure(&things.settings(Path::new("/nonexistent"), None));
    service.reload().await.unwrap();
    service.load_adapter("one", HashMap::new()).await.unwrap();
    assert_eq!(understood(&service, SAID).await, None);
    // What may be unsigned is named.
    let own = things.settings(Path::new("/nonexistent"), Some(&signer.key));
    vocard.configure(&format!("{own}unsigned = [\"adapters\"]\n"));
    service.reload().await.unwrap();
    service.load_adapter("one", HashMap::new()).await.unwrap();
}

#[tokio::test]
async fn speech_is_recognised_by_a_signed_bundle_alone() {
    let Some(shipped) = speech_bundle("a service with a signed speech bundle") else {
        return;
    };
    let Some(signer) = Signer::new() else { return };
    let things = Things::new();
    things.sign(&signer);
    let speech = things.path("speech-en");
    copy(&shipped, &speech);
    let settings = things.settings(&speech, Some(&signer.key));
    let bus = Bus::start();
    let vocard = Service::start(&bus, &settings);
    let (_connection, service) = caller(&bus).await;
    let told = health(&service, "model").await;
    assert!(
        told.contains("manifest.toml.minisig") && told.contains("there is no signature"),
        "{told}"
    );
    assert_eq!(service.backend().await.unwrap(), "none");
    let (name, text) = refusal(service.start_listening(HashMap::new()).await);
    assert_eq!(name, "org.vocar.Error.Unavailable");
    assert!(text.contains("manifest.toml.minisig"), "{text}");

    signer.sign(&speech.join("manifest.toml"));
    service.reload().await.unwrap();
    assert_eq!(health(&service, "model").await, "ok");
    let backend = service.backend().await.unwrap();
    assert_ne!(backend, "none");

    let phones = speech.join("phones.txt");
    fs::write(&phones, [&fs::read(&phones).unwrap()[..], b" "].concat()).unwrap();
    let (name, text) = refusal(service.reload().await);
    assert_eq!(name, "org.vocar.Error.InvalidConfiguration");
    assert!(
        text.contains("phones.txt") && text.contains("SHA-256"),
        "{text}"
    );
    assert_eq!(service.backend().await.unwrap(), backend);
    drop(vocard);
}
