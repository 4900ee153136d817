//! Where the vehicle is at home, as far as it changes what words mean.

use std::fmt;
use std::str::FromStr;

use crate::value::TemperatureUnit;

/// A language and a region: `en-US`, `en_GB.UTF-8`, `en`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale {
    language: String,
    region: Option<String>,
}

/// Where people give the temperature in Fahrenheit (CLDR, `temperature` of `unitPreferenceData`).
const FAHRENHEIT: [&str; 6] = ["BS", "BZ", "KY", "PR", "PW", "US"];

impl Locale {
    /// What a temperature is in when nobody says.
    #[must_use]
    pub fn temperature_unit(&self) -> TemperatureUnit {
        let region = self.region.as_deref().unwrap_or_default();
        if FAHRENHEIT.contains(&region) {
            TemperatureUnit::Fahrenheit
        } else {
            TemperatureUnit::Celsius
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.language)?;
        self.region
            .as_ref()
            .map_or(Ok(()), |region| write!(f, "-{region}"))
    }
}

/// A text that is no locale.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no locale: write a language and a region, like en-US or en-GB")]
pub struct NoLocale(String);

impl FromStr for Locale {
    type Err = NoLocale;

    fn from_str(text: &str) -> Result<Self, NoLocale> {
        let wrong = || NoLocale(text.into());
        let plain = text.split(['.', '@']).next().unwrap_or_default();
        let mut parts = plain.split(['-', '_']);
        let language = parts.next().unwrap_or_default().to_ascii_lowercase();
        let letters = |part: &str| part.chars().all(|c| c.is_ascii_alphabetic());
        if !(2..=3).contains(&language.len()) || !letters(&language) {
            return Err(wrong());
        }
        // A script of four letters may stand between the two.
        let region = parts.find(|part| part.len() != 4);
        if region.is_some_and(|part| part.len() != 2 || !letters(part)) {
            return Err(wrong());
        }
        Ok(Self {
            language,
            region: region.map(str::to_ascii_uppercase),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_decides_the_scale() {
        for (text, name, unit) in [
            ("en-US", "en-US", TemperatureUnit::Fahrenheit),
            ("en_US.UTF-8", "en-US", TemperatureUnit::Fahrenheit),
            ("en-Latn-us", "en-US", TemperatureUnit::Fahrenheit),
            ("en-GB", "en-GB", TemperatureUnit::Celsius),
            ("de_DE@euro", "de-DE", TemperatureUnit::Celsius),
            ("en", "en", TemperatureUnit::Celsius),
        ] {
            let locale: Locale = text.parse().unwrap();
            assert_eq!(
                (locale.to_string().as_str(), locale.temperature_unit()),
                (name, unit)
            );
        }
        for text in ["", "C", "english", "en-", "en-USA", "e1"] {
            assert!(text.parse::<Locale>().is_err(), "{text}");
        }
    }
}
