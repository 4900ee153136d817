//! Options of the methods that take `a{sv}`: known names, right types, nothing else.

use super::errors::Error;
use crate::command::{InterpretOptions, ListenOptions};
use crate::config::Listen;
use std::collections::HashMap;
use std::time::Duration;
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

/// `InterpretText`: `announce` (b), true unless given, and `zone` (s).
///
/// # Errors
/// [`Error::InvalidArgument`] names the option.
pub fn interpret(options: &Options) -> Result<InterpretOptions, Error> {
    let mut chosen = InterpretOptions {
        announce: true,
        zone: None,
    };
    for (name, value) in options {
        match name.as_str() {
            "announce" => chosen.announce = boolean(name, value)?,
            "zone" => chosen.zone = Some(text(name, value)?.to_owned()),
            _ => return Err(unknown(name, "\"announce\" and \"zone\"")),
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
        for (name, value) in [("announce", Variant::from(1_u32)), ("zone", "".into())] {
            assert!(matches!(
                interpret(&options(vec![(name, value)])),
                Err(Error::InvalidArgument(_))
            ));
        }
        assert!(interpret(&Options::new()).unwrap().announce);
        let seat = interpret(&options(vec![("zone", "rear_left".into())])).unwrap();
        assert_eq!(seat.zone.as_deref(), Some("rear_left"));
    }
}
