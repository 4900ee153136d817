//! Days of the Gregorian calendar.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Date {
    /// Year, 1 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

/// Days in four centuries, after which the calendar repeats itself, and in a century, four years and a year without the
/// leap day at their end.
const CYCLE: [i64; 4] = [146_097, 36_524, 1_461, 365];
/// Day number of 1 January 1970 when 1 January of the year 1 is day nought.
const EPOCH: i64 = 719_162;

impl Date {
    /// The day with these numbers, if the calendar has it.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let real = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day);
        real.then_some(Self { year, month, day })
    }

    /// The day it is in Greenwich.
    #[must_use]
    pub fn today_utc() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::from_number(EPOCH + since.map_or(0, |time| (time.as_secs() / 86_400) as i64))
    }

    /// The day so many days later, or earlier; the calendar's first or last day beyond its ends.
    #[must_use]
    pub fn plus(self, days: i64) -> Self {
        Self::from_number(self.number().saturating_add(days))
    }

    /// The day of the week, Monday nought to Sunday six.
    #[must_use]
    pub fn weekday(self) -> u8 {
        // 1 January of the year 1 is a Monday.
        self.number().rem_euclid(7) as u8
    }

    /// Days since 1 January of the year 1.
    fn number(self) -> i64 {
        let before = i64::from(self.year) - 1;
        let leap_days = before / 4 - before / 100 + before / 400;
        let months: i64 = (1..self.month)
            .map(|month| i64::from(days_in(self.year, month)))
            .sum();
        before * 365 + leap_days + months + i64::from(self.day) - 1
    }

    fn from_number(number: i64) -> Self {
        let last = Self {
            year: 9999,
            month: 12,
            day: 31,
        };
        let number = number.clamp(0, last.number());
        let [four_centuries, century, four_years, year] = CYCLE;
        let (cycles, rest) = (number / four_centuries, number % four_centuries);
        // The last day of a cycle is a leap day, which belongs to the century and to the year before it.
        let centuries = (rest / century).min(3);
        let rest = rest - centuries * century;
        let (fours, rest) = (rest / four_years, rest % four_years);
        let years = (rest / year).min(3);
        let mut rest = rest - years * year;
        let year = (cycles * 400 + centuries * 100 + fours * 4 + years + 1) as u16;
        let mut month = 1;
        while rest >= i64::from(days_in(year, month)) {
            rest -= i64::from(days_in(year, month));
            month += 1;
        }
        Self {
            year,
            month,
            day: rest as u8 + 1,
        }
    }
}

/// Number of days of a month.
#[must_use]
pub fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no day: write it like 2026-03-01")]
pub struct NoDate(String);

impl FromStr for Date {
    type Err = NoDate;

    fn from_str(text: &str) -> Result<Self, NoDate> {
        let mut parts = text.splitn(3, '-');
        let mut number = || parts.next()?.parse::<u16>().ok();
        let date = (|| {
            let (year, month, day) = (number()?, number()?, number()?);
            Self::new(year, month.try_into().ok()?, day.try_into().ok()?)
        })();
        date.ok_or_else(|| NoDate(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn known_days_fall_on_known_weekdays() {
        for (day, weekday) in [
            ("1970-01-01", 3),
            ("2000-02-29", 1),
            ("2024-02-29", 3),
            ("2026-11-25", 2),
            ("0001-01-01", 0),
        ] {
            assert_eq!(date(day).weekday(), weekday, "{day}");
        }
        assert_eq!(date("1970-01-01").number(), EPOCH);
        assert_eq!(date("2023-12-31").plus(60), date("2024-02-29"));
        assert_eq!(date("1900-02-28").plus(1), date("1900-03-01"));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-1",
            "soon",
            "",
        ] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert!(Date::today_utc() > date("2025-01-01"));
    }

    proptest! {
        #[test]
        fn days_are_counted_one_by_one(number in 0_i64..3_652_059) {
            let day = Date::from_number(number);
            prop_assert_eq!(day.number(), number);
            prop_assert_eq!(day.to_string().parse::<Date>(), Ok(day));
            let next = day.plus(1);
            prop_assert!(next > day || number == 3_652_058);
            prop_assert_eq!(next.plus(-1), if number == 3_652_058 { day.plus(-1) } else { day });
        }
    }
}
