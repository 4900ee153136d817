//! Every way a bundle can be wrong has its own error, which names the file, the field and the mend.

mod common;

use std::fs;

use common::{MANIFEST, bundle, bundle_of};
use proptest::prelude::*;
use vocar_inference::{Bundle, BundleError, Manifest, Precision};

#[test]
fn a_sound_bundle_opens_and_says_what_it_holds() {
    let dir = bundle();
    let bundle = Bundle::open(dir.path()).expect("sound bundle");
    assert_eq!(bundle.manifest().name, "tiny");
    assert_eq!(bundle.manifest().acoustic.frames_per_step(), 12);
    assert_eq!(bundle.path("phones.txt"), dir.path().join("phones.txt"));
    assert_eq!(
        bundle.read_text("phones.txt").expect("readable"),
        "SIL\nAH\nB\n"
    );
    assert_eq!(
        bundle.precisions().collect::<Vec<_>>(),
        [Precision::F32, Precision::Int8]
    );
}

#[test]
fn a_manifest_survives_being_written_and_read() {
    let dir = bundle();
    let manifest = Bundle::open(dir.path())
        .expect("sound bundle")
        .manifest()
        .clone();
    let text = toml::to_string(&manifest).expect("serialisable");
    assert_eq!(
        toml::from_str::<Manifest>(&text).expect("readable"),
        manifest
    );
}

#[test]
fn no_folder_and_no_manifest_are_told_apart() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let error = Bundle::open(dir.path().join("absent")).expect_err("nothing there");
    assert!(matches!(error, BundleError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("absent"), "{error}");
    let error = Bundle::open(dir.path()).expect_err("empty folder");
    assert!(matches!(error, BundleError::NoManifest { .. }), "{error}");
}

fn refusal(manifest: &str) -> BundleError {
    Bundle::open(bundle_of(manifest).path()).expect_err("must be refused")
}

#[test]
fn another_format_is_called_so_even_if_the_rest_is_strange() {
    for (text, found) in [
        ("format = 2\nnew = true\n", "2"),
        ("name = \"x\"\n", "missing"),
        ("format = \"1\"\n", "\"1\""),
    ] {
        let error = refusal(text);
        assert!(
            matches!(&error, BundleError::WrongFormat { found: f, .. } if f == found),
            "{error}"
        );
    }
}

#[test]
fn syntax_errors_and_missing_fields_name_the_place() {
    let error = refusal("format = = 1\n");
    assert!(matches!(error, BundleError::BadManifest { .. }), "{error}");
    assert!(error.to_string().contains("line 1"), "{error}");
    let error = refusal(&MANIFEST.replace("mels = 8\n", ""));
    assert!(error.to_string().contains("mels"), "{error}");
    let error = refusal(&MANIFEST.replace("\"begin-continue\"", "\"hmm\""));
    assert!(
        error.to_string().contains("hmm") && error.to_string().contains("begin-continue"),
        "{error}"
    );
}

#[test]
fn nonsense_values_name_the_field() {
    for (from, to, field) in [
        ("fft = 512", "fft = 256", "features.fft"),
        ("hop = 160", "hop = 0", "features.hop"),
        ("high_hz = 7600.0", "high_hz = 9000.0", "features.high_hz"),
        ("floor = 1e-7", "floor = nan", "features.floor"),
        ("chunk = 4", "chunk = 0", "acoustic.chunk"),
        ("slope = 1.0", "slope = inf", "confidence.slope"),
        (
            "f32 = \"tiny-f32.onnx\"\nint8 = \"tiny-int8.onnx\"\n",
            "",
            "acoustic.models",
        ),
        ("\"phones.txt\"", "\"other.txt\"", "lexicon.phones"),
    ] {
        assert!(MANIFEST.contains(from), "nothing to change: {from}");
        let error = refusal(&MANIFEST.replace(from, to));
        assert!(
            matches!(&error, BundleError::BadField { field: f, .. } if f == field),
            "{error}"
        );
    }
}

#[test]
fn a_changed_and_a_missing_file_are_told_apart() {
    let dir = bundle();
    fs::write(dir.path().join("lexicon.txt"), "bub\tB AH\n").expect("write");
    let error = Bundle::open(dir.path()).expect_err("changed file");
    assert!(matches!(error, BundleError::WrongHash { .. }), "{error}");
    assert!(error.to_string().contains("lexicon.txt"), "{error}");
    fs::remove_file(dir.path().join("lexicon.txt")).expect("remove");
    let error = Bundle::open(dir.path()).expect_err("missing file");
    assert!(
        matches!(&error, BundleError::FileMissing { path } if path.ends_with("lexicon.txt")),
        "{error}"
    );
}

#[test]
fn a_hash_that_is_none_and_a_file_outside_are_refused() {
    let dir = bundle();
    let path = dir.path().join("manifest.toml");
    let sound = fs::read_to_string(&path).expect("manifest");
    for (addition, said) in [
        (
            format!("\"../x\" = \"{}\"\n", "0".repeat(64)),
            "outside the bundle",
        ),
        ("\"x\" = \"12\"\n".to_owned(), "not a SHA-256"),
    ] {
        fs::write(&path, format!("{sound}{addition}")).expect("write");
        let error = Bundle::open(dir.path()).expect_err("must be refused");
        assert!(error.to_string().contains(said), "{error}");
    }
}

proptest! {
    /// A manifest damaged anywhere is refused or means what it says; it never panics.
    #[test]
    fn a_damaged_manifest_never_panics(at in 0..MANIFEST.len(), byte: u8) {
        let dir = bundle();
        let path = dir.path().join("manifest.toml");
        let mut text = fs::read(&path).expect("manifest");
        text[at] = byte;
        fs::write(&path, &text).expect("write");
        if let Err(error) = Bundle::open(dir.path()) {
            prop_assert!(error.to_string().contains(&*dir.path().to_string_lossy()));
        }
    }
}
