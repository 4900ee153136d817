//! Options of the methods that take `a{sv}`: known names, right types, nothing else.

use super::errors::Error;
use crate::command::{InterpretOptions, ListenOptions};
use crate::config::{Adapters, Listen};
use std::collections::HashMap;
use std::time::Duration;
use vocar_hw::VehicleState;
use vocar_nlu::adapter::LoadOptions;
use zbus::{OwnedVariant, Variant};

type Options = HashMap<String, OwnedVariant>;

/// `StartListening`: `mode` (s), `zone` (s), `timeout` (d, seconds), `adapter` (s or as).
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn listen(options: &Options, defaults: &Listen) -> Result<ListenOptions, Error> {
    let mut chosen = ListenOptions {
        mode: defaults.mode,
        zone: None,
        timeout: Duration::from_secs_f64(defaults.timeout_s),
        adapters: Vec::new(),
    };
    for (name, value) in options {
        match name.as_str() {
            "mode" => chosen.mode = text(name, value)?.parse().map_err(Error::InvalidArgument)?,
            "zone" => chosen.zone = Some(text(name, value)?.to_owned()),
            "timeout" => chosen.timeout = timeout(value)?,
            "adapter" => chosen.adapters = texts(name, value)?,
            _ => {
                let known = "\"mode\", \"zone\", \"timeout\" and \"adapter\"";
                return Err(unknown(name, known));
            }
        }
    }
    Ok(chosen)
}

/// `InterpretText`: `announce` (b), true unless given, `zone` (s), and `adapter` (s or as).
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn interpret(options: &Options) -> Result<InterpretOptions, Error> {
    let mut chosen = InterpretOptions {
        announce: true,
        zone: None,
        adapters: Vec::new(),
    };
    for (name, value) in options {
        match name.as_str() {
            "announce" => chosen.announce = boolean(name, value)?,
            "zone" => chosen.zone = Some(text(name, value)?.to_owned()),
            "adapter" => chosen.adapters = texts(name, value)?,
            _ => {
                return Err(unknown(name, "\"announce\", \"zone\" and \"adapter\""));
            }
        }
    }
    Ok(chosen)
}

/// `LoadAdapter`: `merge` (b) and `pin` (b), false unless given, and `activate` (b), true unless given.
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn load(options: &Options, defaults: &Adapters) -> Result<LoadOptions, Error> {
    let mut chosen = LoadOptions {
        merge: defaults.merge,
        pin: false,
        activate: true,
    };
    for (name, value) in options {
        match name.as_str() {
            "merge" => chosen.merge = boolean(name, value)?,
            "pin" => chosen.pin = boolean(name, value)?,
            "activate" => chosen.activate = boolean(name, value)?,
            _ => return Err(unknown(name, "\"merge\", \"pin\" and \"activate\"")),
        }
    }
    Ok(chosen)
}

fn boolean(name: &str, value: &OwnedVariant) -> Result<bool, Error> {
    match &**value {
        Variant::Bool(on) => Ok(*on),
        other => Err(wrong(name, other, "a boolean (b)")),
    }
}

/// A text, or a list of some.
fn texts(name: &str, value: &OwnedVariant) -> Result<Vec<String>, Error> {
    if let Variant::Str(_) = &**value {
        return Ok(vec![text(name, value)?.to_owned()]);
    }
    let list = value.try_clone().map(Vec::<String>::try_from);
    match list {
        Ok(Ok(names)) if !names.is_empty() && names.iter().all(|name| !name.is_empty()) => {
            Ok(names)
        }
        _ => Err(wrong(name, value, "a text (s) or a list of texts (as)")),
    }
}

/// `SetVehicleState`: VSS paths with their values; what is not named stays as `before`.
///
/// # Errors
/// [`Error::InvalidArgument`] names the path.
pub fn vehicle(options: &Options, before: VehicleState) -> Result<VehicleState, Error> {
    let mut state = before;
    for (path, value) in options {
        match path.as_str() {
            VehicleState::LOW_VOLTAGE => {
                let said = text(path, value)?.parse();
                state.low_voltage = Some(said.map_err(refused)?);
            }
            VehicleState::OPTIMISE => state.set_optimise(natural(path, value)?).map_err(refused)?,
            _ => {
                let known = format!(
                    "\"{}\" and \"{}\"",
                    VehicleState::LOW_VOLTAGE,
                    VehicleState::OPTIMISE
                );
                return Err(unknown(path, &known));
            }
        }
    }
    Ok(state)
}

fn refused(error: vocar_hw::NoVehicleValue) -> Error {
    Error::InvalidArgument(error.to_string())
}

/// Bridges differ in the width of their numbers.
fn natural(name: &str, value: &OwnedVariant) -> Result<u64, Error> {
    let number = match **value {
        Variant::U8(number) => Some(number.into()),
        Variant::U16(number) => Some(number.into()),
        Variant::U32(number) => Some(number.into()),
        Variant::U64(number) => Some(number),
        Variant::I16(number) => number.try_into().ok(),
        Variant::I32(number) => number.try_into().ok(),
        Variant::I64(number) => number.try_into().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(name, value, "a number from 0 to 10 (y)"))
}

fn text<'a>(name: &str, value: &'a OwnedVariant) -> Result<&'a str, Error> {
    match &**value {
        Variant::Str(text) if !text.is_empty() => Ok(text.as_str()),
        other => Err(wrong(name, other, "a text (s)")),
    }
}

fn timeout(value: &OwnedVariant) -> Result<Duration, Error> {
    match &**value {
        Variant::F64(seconds) if (1.0..=60.0).contains(seconds) => {
            Ok(Duration::from_secs_f64(*seconds))
        }
        other => Err(wrong("timeout", other, "seconds from 1 to 60 (d)")),
    }
}

fn wrong(name: &str, value: &Variant<'_>, wanted: &str) -> Error {
    Error::InvalidArgument(format!("option \"{name}\" is {value}: give {wanted}"))
}

fn unknown(name: &str, known: &str) -> Error {
    Error::InvalidArgument(format!(
        "option \"{name}\" is unknown: the known ones are {known}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenMode;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use zbus::wire::LE;
    use zbus::wire::serialized::{Context, Data};

    fn options(pairs: Vec<(&str, Variant<'static>)>) -> Options {
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), OwnedVariant::try_from(value).unwrap()))
            .collect()
    }

    #[test]
    fn options_override_the_configuration() {
        let chosen = listen(
            &options(vec![
                ("mode", "open-mic".into()),
                ("timeout", 2.5.into()),
                ("zone", "rear_left".into()),
            ]),
            &Listen::default(),
        )
        .unwrap();
        assert_eq!(chosen.mode, ListenMode::OpenMic);
        assert_eq!(chosen.timeout, Duration::from_millis(2500));
        assert_eq!(chosen.zone.as_deref(), Some("rear_left"));
    }

    #[test]
    fn the_vehicle_is_taken_at_its_word_or_told_what_is_wrong() {
        let before = VehicleState::default();
        let ignition =
            |state: &'static str| options(vec![(VehicleState::LOW_VOLTAGE, state.into())]);
        let level = |value: Variant<'static>| options(vec![(VehicleState::OPTIMISE, value)]);
        let first = vehicle(&ignition("ACC"), before).unwrap();
        assert_eq!(first.low_voltage, Some(vocar_hw::LowVoltageState::Acc));
        for value in [Variant::from(7_u8), 7_i32.into(), 7_u64.into()] {
            let both = vehicle(&level(value), first).unwrap();
            assert_eq!(
                (both.low_voltage, both.optimise),
                (first.low_voltage, Some(7))
            );
        }
        for wrong in [
            ignition("acc"),
            ignition(""),
            level(11_u8.into()),
            level((-1_i16).into()),
            level("7".into()),
            options(vec![("Vehicle.Speed", 7.0.into())]),
        ] {
            let path = wrong.keys().next().unwrap().clone();
            match vehicle(&wrong, before) {
                Err(Error::InvalidArgument(text)) => assert!(text.contains(&path), "{text}"),
                other => panic!("{path}: {other:?}"),
            }
        }
    }

    #[test]
    fn unknown_or_wrong_options_are_named() {
        for (name, value) in [
            ("mode", Variant::from("loud")),
            ("mode", 3_u32.into()),
            ("timeout", 0.0.into()),
            ("timeout", f64::NAN.into()),
            ("zone", "".into()),
            ("volume", 1_u32.into()),
        ] {
            match listen(&options(vec![(name, value)]), &Listen::default()) {
                Err(Error::InvalidArgument(text)) => {
                    assert!(text.contains(name) || text.contains("mode"), "{text}")
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        for (name, value) in [
            ("announce", Variant::from(1_u32)),
            ("adapter", "".into()),
            ("adapter", Vec::<String>::new().into()),
            ("adapter", 3_u32.into()),
            ("zone", "".into()),
        ] {
            assert!(matches!(
                interpret(&options(vec![(name, value)])),
                Err(Error::InvalidArgument(_))
            ));
        }
        assert!(interpret(&Options::new()).unwrap().announce);
        let seat = interpret(&options(vec![("zone", "rear_left".into())])).unwrap();
        assert_eq!(seat.zone.as_deref(), Some("rear_left"));
    }

    #[test]
    fn adapters_are_named_by_one_text_or_several() {
        let chosen = |value: Variant<'static>| {
            interpret(&options(vec![("adapter", value)]))
                .unwrap()
                .adapters
        };
        assert_eq!(chosen("home".into()), ["home"]);
        let both = vec!["home".to_owned(), "car".to_owned()];
        assert_eq!(chosen(both.clone().into()), both);
        let defaults = Adapters::default();
        let loaded = load(&options(vec![("pin", true.into())]), &defaults).unwrap();
        assert!(loaded.pin && loaded.activate && !loaded.merge);
        assert!(load(&options(vec![("glue", true.into())]), &defaults).is_err());
    }

    /// The bytes of a dictionary whose one entry has this name and these bytes as its value.
    fn dictionary(name: &str, signature: &str, value: &[u8]) -> Vec<u8> {
        let mut entry = u32::try_from(name.len()).unwrap().to_le_bytes().to_vec();
        entry.extend(
            [
                name.as_bytes(),
                &[0, u8::try_from(signature.len()).unwrap()],
            ]
            .concat(),
        );
        entry.extend([signature.as_bytes(), &[0], value].concat());
        let length = u32::try_from(entry.len()).unwrap().to_le_bytes();
        [&length[..], &[0; 4], &entry].concat()
    }

    /// Everything that takes options, on what came as these bytes.
    fn take(bytes: &[u8]) -> Option<usize> {
        let body = Data::new(bytes, Context::new(LE, 0));
        let (options, _) = body.deserialize::<Options>().ok()?;
        if let Ok(chosen) = listen(&options, &Listen::default()) {
            assert!((1.0..=60.0).contains(&chosen.timeout.as_secs_f64()));
            assert!(chosen.zone.is_none_or(|zone| !zone.is_empty()));
        }
        drop(interpret(&options));
        drop(load(&options, &Adapters::default()));
        if let Ok(state) = vehicle(&options, VehicleState::default()) {
            assert!(state.optimise.is_none_or(|level| level <= 10));
        }
        Some(options.len())
    }

    #[test]
    fn options_are_read_as_the_bus_has_them() {
        assert_eq!(take(&dictionary("mode", "s", b"\x04\0\0\0wake\0")), Some(1));
        assert_eq!(take(&dictionary("announce", "b", &[1, 0, 0, 0])), Some(1));
        assert_eq!(take(&[0; 8]), Some(0));
    }

    proptest! {
        #[test]
        fn no_bytes_are_more_than_an_error(bytes in vec(any::<u8>(), 0..128)) {
            take(&bytes);
        }

        /// Known names with values of any type and any bytes.
        #[test]
        fn no_value_is_more_than_an_error(
            name in select(vec![
                "mode", "zone", "timeout", "adapter", "announce", "merge", "pin", VehicleState::LOW_VOLTAGE, VehicleState::OPTIMISE,
            ]),
            signature in select(vec!["s", "d", "b", "y", "q", "u", "t", "n", "i", "x", "as", "av", "a{sv}", "(sv)", "v", "ay", "h"]),
            value in vec(any::<u8>(), 0..40),
        ) {
            take(&dictionary(name, signature, &value));
        }
    }
}
