//! A configuration of any content is read or refused, with the file's name; what was read can be used.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_daemon::assembly;
use vocar_daemon::config::{Layers, Scope};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the configuration"));

fuzz_target!(|text: &str| {
    let file = FOLDER.path().join("vocar.toml");
    std::fs::write(&file, text).expect("the configuration is written");
    match Layers::new(Scope::System, Some(&file), Vec::new()).read() {
        Ok(settings) => {
            let _ = assembly::recogniser(&settings);
            let _ = assembly::manners(&settings);
            let _ = (settings.adapters.bytes(), settings.domains.locale(), settings.trust.bundles());
        }
        Err(error) => assert!(error.to_string().contains("vocar.toml")),
    }
});
