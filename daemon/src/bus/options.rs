//! Options of the methods that take `a{sv}`: known names, right types, nothing else.

use super::errors::Error;
use crate::command::ListenOptions;
use crate::config::Listen;
use std::collections::HashMap;
use std::time::Duration;
use vocar_hw::VehicleState;
use zbus::{OwnedVariant, Variant};

type Options = HashMap<String, OwnedVariant>;

/// `StartListening`: `mode` (s), `zone` (s), `timeout` (d, seconds).
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn listen(options: &Options, defaults: &Listen) -> Result<ListenOptions, Error> {
    let mut chosen = ListenOptions {
        mode: defaults.mode,
        zone: None,
        timeout: Duration::from_secs_f64(defaults.timeout_s),
    };
    for (name, value) in options {
        match name.as_str() {
            "mode" => chosen.mode = text(name, value)?.parse().map_err(Error::InvalidArgument)?,
            "zone" => chosen.zone = Some(text(name, value)?.to_owned()),
            "timeout" => chosen.timeout = timeout(value)?,
            _ => return Err(unknown(name, "\"mode\", \"zone\" and \"timeout\"")),
        }
    }
    Ok(chosen)
}

/// `InterpretText`: `announce` (b), true unless given.
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn announce(options: &Options) -> Result<bool, Error> {
    let mut announce = true;
    for (name, value) in options {
        match (name.as_str(), &**value) {
            ("announce", Variant::Bool(on)) => announce = *on,
            ("announce", other) => return Err(wrong(name, other, "a boolean (b)")),
            _ => return Err(unknown(name, "\"announce\"")),
        }
    }
    Ok(announce)
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
        assert!(matches!(
            announce(&options(vec![("announce", 1_u32.into())])),
            Err(Error::InvalidArgument(_))
        ));
        assert!(announce(&Options::new()).unwrap());
    }
}
