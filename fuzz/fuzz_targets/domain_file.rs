//! A domain file of any content is loaded or refused with a message; what was loaded can be listened for and understood.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use vocar_nlu::{Context, Domain, Understander};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for the domain"));

fuzz_target!(|text: &str| {
    std::fs::write(FOLDER.path().join("domain.toml"), text).expect("the domain's file is written");
    match Domain::load(FOLDER.path()) {
        Ok(domain) => {
            let understander = Understander::new(vec![Arc::new(domain)]);
            let _ = understander.graph(&Context::addressed());
            for said in ["turn it on please", "set the first one to twenty one and a half percent"] {
                let _ = understander.understand(said, &Context::addressed());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
