//! Cabin temperatures in Celsius or Fahrenheit.

use super::number::{decimal_sayings, read_decimal};
use super::{Saying, follows_any, phrase};
use crate::value::{SlotValue, TemperatureUnit};

/// Without a scale, this many degrees and less are Celsius: no cabin is set to 45 °C, none to 45 °F.
const WARMEST_CELSIUS: f64 = 45.0;

fn value(degrees: f64, unit: Option<TemperatureUnit>) -> SlotValue {
    let usual = if degrees <= WARMEST_CELSIUS {
        TemperatureUnit::Celsius
    } else {
        TemperatureUnit::Fahrenheit
    };
    SlotValue::Temperature {
        degrees,
        unit: unit.unwrap_or(usual),
    }
}

/// Sayings of 10 to 32 °C by halves and 50 to 90 °F by ones.
pub(super) fn sayings() -> Vec<Saying> {
    let celsius = (20..=64).map(|halves| {
        (
            f64::from(halves) / 2.0,
            TemperatureUnit::Celsius,
            "degrees celsius",
        )
    });
    let fahrenheit = (50..=90).map(|n| {
        (
            f64::from(n),
            TemperatureUnit::Fahrenheit,
            "degrees fahrenheit",
        )
    });
    let mut out = Vec::new();
    for (degrees, unit, full) in celsius.chain(fahrenheit) {
        for words in decimal_sayings(degrees) {
            out.push((words.clone(), value(degrees, None)));
            out.push((
                [words.clone(), phrase("degrees")].concat(),
                value(degrees, None),
            ));
            out.push(([words, phrase(full)].concat(), value(degrees, Some(unit))));
        }
    }
    out
}

/// Readings of a temperature; scale names without "degrees" and "centigrade" are understood too.
pub(super) fn read(words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
    let mut out = Vec::new();
    for (end, degrees) in read_decimal(words, at) {
        out.push((end, value(degrees, None)));
        let after = follows_any(words, end, &["degrees", "degree"]);
        out.extend(after.map(|end| (end, value(degrees, None))));
        let scale = after.unwrap_or(end);
        let celsius = follows_any(words, scale, &["celsius", "centigrade"]);
        out.extend(celsius.map(|end| (end, value(degrees, Some(TemperatureUnit::Celsius)))));
        let fahrenheit = follows_any(words, scale, &["fahrenheit"]);
        out.extend(fahrenheit.map(|end| (end, value(degrees, Some(TemperatureUnit::Fahrenheit)))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_guessed_from_the_size_and_taken_when_said() {
        let read_whole = |text: &str| {
            let words = phrase(text);
            read(&words, 0)
                .into_iter()
                .find(|(end, _)| *end == words.len())
                .map(|(_, value)| value)
        };
        let celsius = |degrees| {
            Some(SlotValue::Temperature {
                degrees,
                unit: TemperatureUnit::Celsius,
            })
        };
        let fahrenheit = |degrees| {
            Some(SlotValue::Temperature {
                degrees,
                unit: TemperatureUnit::Fahrenheit,
            })
        };
        assert_eq!(read_whole("twenty one and a half degrees"), celsius(21.5));
        assert_eq!(read_whole("nineteen point five"), celsius(19.5));
        assert_eq!(read_whole("seventy two"), fahrenheit(72.0));
        assert_eq!(read_whole("forty degrees fahrenheit"), fahrenheit(40.0));
        assert_eq!(read_whole("twenty centigrade"), celsius(20.0));
        assert_eq!(read_whole("warm"), None);
    }
}
