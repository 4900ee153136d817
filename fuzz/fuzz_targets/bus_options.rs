//! Dictionaries of options as they come over the bus, of any bytes, are taken or refused by name. The first byte says how the
//! bytes are ordered and where in a message they begin.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use vocar_daemon::bus::options::{interpret, listen, load, vehicle};
use vocar_daemon::config::{Adapters, Listen};
use zbus::OwnedVariant;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{BE, LE};

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let endian = if kind & 1 == 1 { LE } else { BE };
    let body = Data::new(bytes, Context::new(endian, usize::from(kind & 0b1000)));
    if let Ok((options, _)) = body.deserialize::<HashMap<String, OwnedVariant>>() {
        if let Ok(chosen) = listen(&options, &Listen::default()) {
            assert!((1.0..=60.0).contains(&chosen.timeout.as_secs_f64()));
            assert!(chosen.zone.is_none_or(|zone| !zone.is_empty()));
        }
        if let Err(error) = interpret(&options) {
            assert!(error.to_string().contains("option"));
        }
        let _ = load(&options, &Adapters::default());
        if let Ok(state) = vehicle(&options, Default::default()) {
            assert!(state.optimise.is_none_or(|level| level <= 10));
        }
    }
    // What SetEntities takes.
    let _ = body.deserialize::<(String, Vec<(String, Vec<String>)>)>();
});
