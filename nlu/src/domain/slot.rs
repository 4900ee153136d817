//! `[slots]`: builtins with ranges of the domain's own.

use super::error::{DomainError, Place};
use super::file;
use crate::builtin::{self, Builtin, Scale, Thermometer};
use crate::value::TemperatureUnit;

/// The builtin that a `[slots]` entry names, with its range.
pub(super) fn builtin(slot: &file::Slot, place: &Place) -> Result<Builtin, DomainError> {
    let ranged = |mend: &str| place.error("the range cannot be used", mend.to_string());
    let builtin = Builtin::named(&slot.kind).ok_or_else(|| {
        place.error(
            format!("the type '{}' does not exist", slot.kind),
            format!("use one of {}", Builtin::NAMES),
        )
    })?;
    if slot.unit.is_some() && !matches!(builtin, Builtin::Temperature(_)) {
        return Err(place.error(
            format!("'{}' has no unit", slot.kind),
            "take unit away: only temperatures have one",
        ));
    }
    match builtin {
        Builtin::Number { min, max, step } => {
            let (min, max) = (slot.min.unwrap_or(min), slot.max.unwrap_or(max));
            let step = slot.step.unwrap_or(step);
            let sound =
                min >= -999_999.0 && max <= 999_999.0 && min <= max && are_few(min, max, step);
            if !sound {
                return Err(ranged(
                    "-999999 <= min <= max <= 999999, step at least 0.1, and at most 2000 steps",
                ));
            }
            Ok(Builtin::Number { min, max, step })
        }
        Builtin::Temperature(usual) => thermometer(slot, usual, place).map(Builtin::Temperature),
        Builtin::Ordinal { min, max } => whole_range(slot, min as usize, max as usize, 999)
            .map(|(min, max)| Builtin::Ordinal {
                min: min as u32,
                max: max as u32,
            })
            .ok_or_else(|| ranged("1 <= min <= max <= 999")),
        Builtin::Digits { min, max } => whole_range(slot, min, max, builtin::digits::MOST)
            .map(|(min, max)| Builtin::Digits { min, max })
            .ok_or_else(|| ranged("1 <= min <= max <= 20")),
        Builtin::Spelling { min, max } => whole_range(slot, min, max, builtin::spelling::MOST)
            .map(|(min, max)| Builtin::Spelling { min, max })
            .ok_or_else(|| ranged("1 <= min <= max <= 30")),
        _ if slot.min.is_some() || slot.max.is_some() || slot.step.is_some() => Err(place.error(
            format!("'{}' has no range", slot.kind),
            "take min, max and step away",
        )),
        plain => Ok(plain),
    }
}

fn are_few(min: f64, max: f64, step: f64) -> bool {
    step >= 0.1 && (max - min) / step <= 2000.0
}

fn whole_range(slot: &file::Slot, min: usize, max: usize, most: usize) -> Option<(usize, usize)> {
    let min = slot.min.map_or(min, |value| value as usize);
    let max = slot.max.map_or(max, |value| value as usize);
    let sound = min >= 1 && min <= max && max <= most && slot.step.is_none();
    sound.then_some((min, max))
}

/// A range of temperatures in the scale that the slot names.
fn thermometer(
    slot: &file::Slot,
    usual: Thermometer,
    place: &Place,
) -> Result<Thermometer, DomainError> {
    if slot.min.is_none() && slot.max.is_none() && slot.step.is_none() {
        let unsaid = slot.unit.or(usual.unsaid);
        return Ok(Thermometer { unsaid, ..usual });
    }
    let Some(unit) = slot.unit else {
        return Err(place.error(
            "the range of temperatures has no scale",
            "add unit = \"celsius\" or unit = \"fahrenheit\"",
        ));
    };
    let cabin = match unit {
        TemperatureUnit::Celsius => usual.celsius,
        TemperatureUnit::Fahrenheit => usual.fahrenheit,
    };
    let scale = Scale {
        min: slot.min.unwrap_or(cabin.min),
        max: slot.max.unwrap_or(cabin.max),
        step: slot.step.unwrap_or(1.0),
    };
    let sensible = scale.min <= scale.max && scale.min >= -300.0 && scale.max <= 3000.0;
    if !(sensible && are_few(scale.min, scale.max, scale.step)) {
        return Err(place.error(
            "the range cannot be used",
            "-300 <= min <= max <= 3000, step at least 0.1, and at most 2000 steps",
        ));
    }
    Ok(Thermometer::of(unit, scale))
}
