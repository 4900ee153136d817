//! Any text is understood, or not: templates of the car, and the encoder.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use vocar_nlu::{Context, Domain, Encoder, Understander};

static CAR: LazyLock<Mutex<Understander>> = LazyLock::new(|| {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en");
    let mut car = Understander::new(vec![Domain::car().expect("the car's domain")]);
    car.set_encoder(Some(Arc::new(Encoder::load(&bundle).expect("the shipped encoder"))));
    Mutex::new(car)
});

fuzz_target!(|text: &str| {
    let car = CAR.lock().expect("no thread has failed");
    for intent in car.understand(text, &Context::addressed()) {
        assert!((0.0..=1.0).contains(&intent.confidence), "{intent:?}");
    }
});
