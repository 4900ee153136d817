//! Temperatures in Celsius or Fahrenheit.

use super::number::{decimal_sayings, read_signed};
use super::{Saying, follows_any, phrase};
use crate::value::{SlotValue, TemperatureUnit};

/// Without a scale and a locale, this many degrees and less are Celsius: no cabin is set to 45 °C, none to 45 °F.
const WARMEST_CELSIUS: f64 = 45.0;

/// The temperatures of one scale that are listened for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Coldest, degrees.
    pub min: f64,
    /// Warmest, degrees.
    pub max: f64,
    /// Distance between two, at least a tenth of a degree.
    pub step: f64,
}

impl Scale {
    fn holds(&self, degrees: f64) -> bool {
        (self.min..=self.max).contains(&degrees)
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let (min, step) = (self.min, self.step);
        let count = ((self.max - min) / step + 1e-6) as usize;
        (0..=count).map(move |n| ((min + n as f64 * step) * 10.0).round() / 10.0)
    }
}

/// Which temperatures are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thermometer {
    /// The scale when none is said; `None`: what the number can only be in a cabin.
    pub unsaid: Option<TemperatureUnit>,
    /// Degrees Celsius.
    pub celsius: Scale,
    /// Degrees Fahrenheit.
    pub fahrenheit: Scale,
}

impl Thermometer {
    /// What people set in a cabin: 10 to 32 °C by halves, 50 to 90 °F by ones.
    #[must_use]
    pub const fn cabin() -> Self {
        Self {
            unsaid: None,
            celsius: Scale {
                min: 10.0,
                max: 32.0,
                step: 0.5,
            },
            fahrenheit: Scale {
                min: 50.0,
                max: 90.0,
                step: 1.0,
            },
        }
    }

    /// A range of one scale, and the same of the other in whole degrees.
    #[must_use]
    pub fn of(unit: TemperatureUnit, scale: Scale) -> Self {
        let other = |convert: fn(f64) -> f64| Scale {
            min: convert(scale.min).round(),
            max: convert(scale.max).round(),
            step: 1.0,
        };
        let (celsius, fahrenheit) = match unit {
            TemperatureUnit::Celsius => (scale, other(|celsius| celsius * 1.8 + 32.0)),
            TemperatureUnit::Fahrenheit => (other(|fahrenheit| (fahrenheit - 32.0) / 1.8), scale),
        };
        Self {
            unsaid: Some(unit),
            celsius,
            fahrenheit,
        }
    }

    const fn scale(&self, unit: TemperatureUnit) -> &Scale {
        match unit {
            TemperatureUnit::Celsius => &self.celsius,
            TemperatureUnit::Fahrenheit => &self.fahrenheit,
        }
    }

    /// The scale of a number without one: that of the place, unless the number only makes sense in the other.
    fn guess(&self, degrees: f64) -> TemperatureUnit {
        match self.unsaid {
            Some(unit) if self.scale(unit).holds(degrees) => unit,
            Some(unit) if self.scale(unit.other()).holds(degrees) => unit.other(),
            Some(unit) => unit,
            None if degrees <= WARMEST_CELSIUS => TemperatureUnit::Celsius,
            None => TemperatureUnit::Fahrenheit,
        }
    }

    fn value(&self, degrees: f64, said: Option<TemperatureUnit>) -> SlotValue {
        SlotValue::Temperature {
            degrees,
            unit: said.unwrap_or_else(|| self.guess(degrees)),
        }
    }

    /// Sayings of both scales; without naming the scale, those of the scale of the place or, where none is set, of both.
    pub(super) fn sayings(&self) -> Vec<Saying> {
        let mut out = Vec::new();
        for (unit, full) in [
            (TemperatureUnit::Celsius, "degrees celsius"),
            (TemperatureUnit::Fahrenheit, "degrees fahrenheit"),
        ] {
            let usual = self.unsaid.is_none_or(|unsaid| unsaid == unit);
            for degrees in self.scale(unit).values() {
                for words in decimal_sayings(degrees) {
                    if usual {
                        let value = self.value(degrees, None);
                        out.push((words.clone(), value.clone()));
                        out.push(([words.clone(), phrase("degrees")].concat(), value));
                    }
                    out.push((
                        [words, phrase(full)].concat(),
                        self.value(degrees, Some(unit)),
                    ));
                }
            }
        }
        out
    }

    /// Readings of a temperature; scale names without "degrees" and "centigrade" are understood too.
    pub(super) fn read(&self, words: &[String], at: usize) -> Vec<(usize, SlotValue)> {
        let mut out = Vec::new();
        for (end, degrees) in read_signed(words, at) {
            out.push((end, self.value(degrees, None)));
            let after = follows_any(words, end, &["degrees", "degree"]);
            out.extend(after.map(|end| (end, self.value(degrees, None))));
            let place = after.unwrap_or(end);
            for (names, unit) in [
                (&["celsius", "centigrade"][..], TemperatureUnit::Celsius),
                (&["fahrenheit"][..], TemperatureUnit::Fahrenheit),
            ] {
                let said = follows_any(words, place, names);
                out.extend(said.map(|end| (end, self.value(degrees, Some(unit)))));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn celsius(degrees: f64) -> Option<SlotValue> {
        Some(SlotValue::Temperature {
            degrees,
            unit: TemperatureUnit::Celsius,
        })
    }

    fn fahrenheit(degrees: f64) -> Option<SlotValue> {
        Some(SlotValue::Temperature {
            degrees,
            unit: TemperatureUnit::Fahrenheit,
        })
    }

    fn read_whole(thermometer: &Thermometer, text: &str) -> Option<SlotValue> {
        let words = phrase(text);
        let mut found = thermometer.read(&words, 0).into_iter();
        found
            .find(|(end, _)| *end == words.len())
            .map(|(_, value)| value)
    }

    #[test]
    fn scale_is_guessed_from_the_size_and_taken_when_said() {
        let cabin = Thermometer::cabin();
        let read_whole = |text| read_whole(&cabin, text);
        assert_eq!(read_whole("twenty one and a half degrees"), celsius(21.5));
        assert_eq!(read_whole("nineteen point five"), celsius(19.5));
        assert_eq!(read_whole("seventy two"), fahrenheit(72.0));
        assert_eq!(read_whole("forty degrees fahrenheit"), fahrenheit(40.0));
        assert_eq!(read_whole("twenty centigrade"), celsius(20.0));
        assert_eq!(read_whole("warm"), None);
    }

    #[test]
    fn the_place_decides_what_could_be_either() {
        let scale = Scale {
            min: -20.0,
            max: 90.0,
            step: 1.0,
        };
        let here = Thermometer::of(TemperatureUnit::Celsius, scale);
        let there = Thermometer {
            unsaid: Some(TemperatureUnit::Fahrenheit),
            ..here
        };
        assert_eq!(read_whole(&here, "fifty degrees"), celsius(50.0));
        assert_eq!(read_whole(&there, "fifty degrees"), fahrenheit(50.0));
        assert_eq!(read_whole(&here, "minus ten"), celsius(-10.0));
        assert_eq!(
            read_whole(&there, "minus ten"),
            celsius(-10.0),
            "below what is meant there"
        );
        assert_eq!(
            read_whole(&here, "one hundred and eighty"),
            fahrenheit(180.0)
        );
        assert_eq!(read_whole(&there, "fifty degrees celsius"), celsius(50.0));
    }

    proptest! {
        #[test]
        fn every_temperature_listened_for_is_read(min in -40_i32..50, length in 0_i32..60, halves: bool, which: bool) {
            let unit = if which { TemperatureUnit::Celsius } else { TemperatureUnit::Fahrenheit };
            let (min, step) = (f64::from(min), if halves { 0.5 } else { 1.0 });
            let thermometer = Thermometer::of(unit, Scale { min, max: min + f64::from(length), step });
            for (words, value) in thermometer.sayings() {
                prop_assert_eq!(read_whole(&thermometer, &words.join(" ")), Some(value));
            }
        }
    }
}
