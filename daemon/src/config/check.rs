//! Rules that types alone cannot state: ranges, and names that must not be empty.

use super::{Audio, Domains, Settings};
use std::path::Path;
use vocar_hw::Profile;
use vocar_nlu::Locale;
use vocar_nlu::domain::built_in_names;

/// One broken rule: which field, what is wrong with it, how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Dotted name of the field, such as `listen.timeout_s`.
    pub field: &'static str,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Returns the first rule that `settings` break.
///
/// # Errors
/// [`Broken`] names the field.
pub fn check(settings: &Settings) -> Result<(), Broken> {
    within("listen.timeout_s", settings.listen.timeout_s, 1.0, 60.0)?;
    within("listen.longest_s", settings.listen.longest_s, 2.0, 60.0)?;
    within(
        "listen.min_confidence",
        settings.listen.min_confidence,
        0.0,
        1.0,
    )?;
    within(
        "listen.open_mic_confidence",
        settings.listen.open_mic_confidence,
        0.0,
        1.0,
    )?;
    within(
        "listen.confirm_below",
        settings.listen.confirm_below,
        0.0,
        1.0,
    )?;
    within(
        "recognition.free_confidence",
        settings.recognition.free_confidence,
        0.0,
        1.0,
    )?;
    let dialogue = &settings.dialogue;
    within("dialogue.answer_s", dialogue.answer_s, 1.0, 60.0)?;
    within("dialogue.follow_s", dialogue.follow_s, 0.0, 300.0)?;
    within("dialogue.keep_minutes", dialogue.keep_minutes, 0.0, 60.0)?;
    within("audio.retry_s", settings.audio.retry_s, 0.1, 60.0)?;
    within("audio.period_ms", settings.audio.period_ms, 5.0, 500.0)?;
    named(
        "audio.device",
        &settings.audio.device,
        "\"default\" or the name of a capture device",
    )?;
    named(
        "audio.zone",
        &settings.audio.zone,
        "a seat zone such as \"driver\"",
    )?;
    seats(&settings.audio)?;
    reference(&settings.audio)?;
    domains(&settings.domains)?;
    within(
        "adapters.memory_mb",
        settings.adapters.memory_mb,
        1.0,
        1024.0,
    )?;
    adapters("adapters.active", &settings.adapters.active)?;
    for names in settings.adapters.seats.values() {
        adapters("adapters.seats", names)?;
    }
    profile(&settings.hardware.profile)?;
    folder("hardware.sysroot", &settings.hardware.sysroot)?;
    bus_address(&settings.bus.address)?;
    settings.bus.limits.check()?;
    wake_phrases(&settings.listen.wake_phrases)?;
    log_level(&settings.log.level)
}

pub(super) fn within(field: &'static str, value: f64, low: f64, high: f64) -> Result<(), Broken> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Broken {
        field,
        message: format!("{value} is out of range: give a number from {low} to {high}"),
    })
}

fn named(field: &'static str, value: &str, wanted: &str) -> Result<(), Broken> {
    if value.trim().is_empty() {
        return Err(Broken {
            field,
            message: format!("is empty: give {wanted}"),
        });
    }
    Ok(())
}

fn seats(audio: &Audio) -> Result<(), Broken> {
    let field = "audio.microphones";
    for (number, microphone) in audio.microphones.iter().enumerate() {
        named(field, &microphone.zone, "each a zone such as \"driver\"")?;
        let before = &audio.microphones[..number];
        if before.iter().any(|other| other.zone == microphone.zone) {
            return Err(Broken {
                field,
                message: format!(
                    "zone \"{}\" is named twice: give each seat one microphone",
                    microphone.zone
                ),
            });
        }
    }
    Ok(())
}

fn reference(audio: &Audio) -> Result<(), Broken> {
    let reference = &audio.reference;
    within("audio.reference.delay_ms", reference.delay_ms, 0.0, 500.0)?;
    within("audio.reference.tail_ms", reference.tail_ms, 20.0, 500.0)?;
    let same_device = reference.device.is_empty() || reference.device == audio.device;
    if reference.is_given() && same_device && reference.channels.is_empty() {
        return Err(Broken {
            field: "audio.reference.channels",
            message: "is empty: say which channels of audio.device are what is played".into(),
        });
    }
    if reference.is_given() && same_device && audio.microphones.is_empty() {
        return Err(Broken {
            field: "audio.reference.channels",
            message: "belong to the microphone's own device: say in [[audio.microphones]] which channel is the microphone"
                .into(),
        });
    }
    Ok(())
}

fn domains(domains: &Domains) -> Result<(), Broken> {
    let known: Vec<&str> = built_in_names().collect();
    if let Some(name) = domains
        .built_in
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(Broken {
            field: "domains.built_in",
            message: format!(
                "there is no built-in domain \"{name}\": use {}, or name a folder in domains.dirs",
                known.join(", ")
            ),
        });
    }
    match domains.locale.parse::<Locale>() {
        Err(error) if !domains.locale.is_empty() => Err(Broken {
            field: "domains.locale",
            message: format!("{error}, or leave it empty"),
        }),
        _ => Ok(()),
    }
}

fn adapters(field: &'static str, names: &[String]) -> Result<(), Broken> {
    match names.iter().find(|name| !vocar_nlu::adapter::is_name(name)) {
        None => Ok(()),
        Some(name) => Err(Broken {
            field,
            message: format!(
                "holds \"{name}\": give names of adapters, of the characters a-z, 0-9, _ and -"
            ),
        }),
    }
}

fn profile(name: &str) -> Result<(), Broken> {
    let known: Vec<&str> = Profile::builtin()
        .iter()
        .map(|profile| profile.name.as_str())
        .collect();
    if name == "auto" || known.contains(&name) {
        return Ok(());
    }
    Err(Broken {
        field: "hardware.profile",
        message: format!(
            "\"{name}\" is no profile: use \"auto\" or one of {}",
            known.join(", ")
        ),
    })
}

fn folder(field: &'static str, path: &Path) -> Result<(), Broken> {
    if path.is_dir() {
        return Ok(());
    }
    Err(Broken {
        field,
        message: format!(
            "{} is no folder: give one that holds proc and sys",
            path.display()
        ),
    })
}

fn bus_address(address: &str) -> Result<(), Broken> {
    let known = matches!(address, "system" | "session") || address.contains(':');
    if known {
        return Ok(());
    }
    Err(Broken {
        field: "bus.address",
        message: format!(
            "\"{address}\" is no bus: use \"system\", \"session\" or an address such as \"unix:path=/run/bus\""
        ),
    })
}

fn wake_phrases(phrases: &[String]) -> Result<(), Broken> {
    for phrase in phrases {
        let words = phrase.split_whitespace().count();
        let spelled = phrase
            .chars()
            .all(|c| c.is_alphabetic() || c == '\'' || c == ' ');
        if words == 0 || !spelled {
            return Err(Broken {
                field: "listen.wake_phrases",
                message: format!(
                    "\"{phrase}\" cannot be spoken: write words of letters only, such as \"hey vocar\""
                ),
            });
        }
    }
    Ok(())
}

fn log_level(level: &str) -> Result<(), Broken> {
    match tracing_subscriber::EnvFilter::try_new(level) {
        Ok(_) => Ok(()),
        Err(error) => Err(Broken {
            field: "log.level",
            message: format!(
                "\"{level}\" is no level ({error}): use error, warn, info, debug or trace"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeatMicrophone;
    use super::*;

    #[test]
    fn built_in_values_keep_every_rule() {
        assert_eq!(check(&Settings::default()), Ok(()));
    }

    type Spoil = fn(&mut Settings);

    fn microphone(zone: &str) -> SeatMicrophone {
        SeatMicrophone {
            zone: zone.into(),
            device: String::new(),
            channel: 0,
        }
    }

    #[test]
    fn each_rule_names_its_field() {
        let cases: [(&str, Spoil); 26] = [
            ("adapters.memory_mb", |s| s.adapters.memory_mb = 0.0),
            ("adapters.active", |s| {
                s.adapters.active = vec!["../x".into()]
            }),
            ("adapters.seats", |s| {
                s.adapters.seats = [("driver".into(), vec![String::new()])].into()
            }),
            ("dialogue.answer_s", |s| s.dialogue.answer_s = 0.5),
            ("dialogue.follow_s", |s| s.dialogue.follow_s = -1.0),
            ("dialogue.keep_minutes", |s| {
                s.dialogue.keep_minutes = f64::NAN
            }),
            ("listen.timeout_s", |s| s.listen.timeout_s = 0.0),
            ("listen.longest_s", |s| s.listen.longest_s = 61.0),
            ("listen.timeout_s", |s| s.listen.timeout_s = f64::NAN),
            ("listen.min_confidence", |s| s.listen.min_confidence = 1.5),
            ("listen.open_mic_confidence", |s| {
                s.listen.open_mic_confidence = -0.1
            }),
            ("hardware.profile", |s| {
                s.hardware.profile = "toaster".into()
            }),
            ("hardware.profile", |s| s.hardware.profile = String::new()),
            ("hardware.sysroot", |s| {
                s.hardware.sysroot = "/nonexistent".into()
            }),
            ("audio.device", |s| s.audio.device = " ".into()),
            ("audio.zone", |s| s.audio.zone = String::new()),
            ("audio.microphones", |s| {
                s.audio.microphones = vec![microphone("driver"), microphone("driver")]
            }),
            ("audio.microphones", |s| {
                s.audio.microphones = vec![microphone(" ")]
            }),
            ("audio.reference.channels", |s| {
                s.audio.reference.channels = vec![1]
            }),
            ("audio.reference.channels", |s| {
                s.audio.microphones = vec![microphone("driver")];
                s.audio.reference.device = "default".into();
            }),
            ("audio.reference.delay_ms", |s| {
                s.audio.reference.delay_ms = 501.0
            }),
            ("bus.address", |s| s.bus.address = "nowhere".into()),
            ("bus.limits.heavy.burst", |s| s.bus.limits.heavy.burst = 0.0),
            ("bus.limits.light.per_second", |s| {
                s.bus.limits.light.per_second = f64::INFINITY
            }),
            ("listen.wake_phrases", |s| {
                s.listen.wake_phrases = vec!["hey 2".into()]
            }),
            ("log.level", |s| s.log.level = "vocar=shouting".into()),
        ];
        for (field, spoil) in cases {
            let mut settings = Settings::default();
            spoil(&mut settings);
            assert_eq!(check(&settings).unwrap_err().field, field);
        }
    }

    #[test]
    fn an_unknown_profile_is_answered_with_the_known_ones() {
        let mut settings = Settings::default();
        settings.hardware.profile = "toaster".into();
        let message = check(&settings).unwrap_err().message;
        assert!(
            message.contains("toaster") && message.contains("raspberry-pi-5"),
            "{message}"
        );
        for profile in Profile::builtin() {
            settings.hardware.profile.clone_from(&profile.name);
            assert_eq!(check(&settings), Ok(()));
        }
    }
}
