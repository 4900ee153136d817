//! Days: "tomorrow", "next friday", "in two weeks", "the third of march", "march third twenty twenty seven".
//!
//! What is said without a year, or as a day of the week or of the month, is the next such day. "Friday" is the coming one
//! and never today, "this friday" may be today, "next friday" is the one in the week after this; weeks begin on Monday.

use super::number::{ordinal_word, read_cardinal, say_cardinal};
use super::{Saying, follows, follows_any, phrase};
use crate::automaton::{Automaton, Builder};
use crate::calendar::{Date, days_in};
use crate::value::SlotValue;

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
/// Days by their distance from today; the last two are understood, not listened for.
const NEAR: [(&str, i64); 6] = [
    ("today", 0),
    ("tomorrow", 1),
    ("the day after tomorrow", 2),
    ("yesterday", -1),
    ("day after tomorrow", 2),
    ("the day before yesterday", -2),
];
const LISTENED_NEAR: usize = 4;
/// Most days and weeks ahead that are listened for.
const MOST_DAYS: u32 = 31;
const MOST_WEEKS: u32 = 8;
/// Years that are listened for; from 1900 to 2099 are understood.
const YEARS: std::ops::RangeInclusive<u16> = 2020..=2049;

/// A day as it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    InDays(i64),
    Weekday(u8, Which),
    DayOfMonth(u8),
    /// Month and day.
    DayOfYear(u8, u8),
    Full(Date),
}

/// Which of the days of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Coming,
    This,
    Next,
}

impl Said {
    fn on(self, today: Date) -> Option<Date> {
        let later = |fits: &dyn Fn(Date) -> bool| {
            // The longest wait is for a 29 February over a century without one.
            (0..8 * 366)
                .map(|days| today.plus(days))
                .find(|day| fits(*day))
        };
        match self {
            Self::InDays(days) => Some(today.plus(days)),
            Self::Weekday(day, which) => {
                let ahead = i64::from((day + 7 - today.weekday()) % 7);
                Some(today.plus(match which {
                    Which::This => ahead,
                    Which::Coming if ahead == 0 => 7,
                    Which::Coming => ahead,
                    Which::Next => 7 + i64::from(day) - i64::from(today.weekday()),
                }))
            }
            Self::DayOfMonth(day) => later(&|date| date.day == day),
            Self::DayOfYear(month, day) => later(&|date| (date.month, date.day) == (month, day)),
            Self::Full(date) => Some(date),
        }
    }
}

fn say_ordinal(value: u8) -> Vec<String> {
    let mut words = say_cardinal(u32::from(value));
    if let Some(last) = words.last_mut() {
        *last = ordinal_word(last).unwrap_or_default();
    }
    words
}

/// Ways to say a day of a month: "march third", "march the third", "march three", "[the] third of march".
fn say_day_of_year(month: u8, day: u8) -> Vec<Vec<String>> {
    let name = || phrase(MONTHS[usize::from(month) - 1]);
    let ordinal = say_ordinal(day);
    vec![
        [name(), ordinal.clone()].concat(),
        [name(), phrase("the"), ordinal.clone()].concat(),
        [name(), say_cardinal(u32::from(day))].concat(),
        [ordinal.clone(), phrase("of"), name()].concat(),
        [phrase("the"), ordinal, phrase("of"), name()].concat(),
    ]
}

/// Ways to say a year: "twenty twenty seven", "two thousand [and] twenty seven".
fn say_year(year: u16) -> Vec<Vec<String>> {
    let (century, rest) = (u32::from(year / 100), u32::from(year % 100));
    let mut ways = Vec::new();
    match rest {
        0 if year == 2000 => {}
        0 => ways.push([say_cardinal(century), phrase("hundred")].concat()),
        1..=9 => ways.push([say_cardinal(century), phrase("oh"), say_cardinal(rest)].concat()),
        _ => ways.push([say_cardinal(century), say_cardinal(rest)].concat()),
    }
    if century == 20 {
        let thousand = phrase("two thousand");
        if rest == 0 {
            ways.push(thousand);
        } else {
            ways.push([thousand.clone(), say_cardinal(rest)].concat());
            ways.push([thousand, phrase("and"), say_cardinal(rest)].concat());
        }
    }
    ways
}

/// Everything without a year, as it is listened for.
fn all() -> Vec<(Vec<String>, Said)> {
    let mut out: Vec<(Vec<String>, Said)> = NEAR[..LISTENED_NEAR]
        .iter()
        .map(|(say, days)| (phrase(say), Said::InDays(*days)))
        .collect();
    for (day, name) in (0..).zip(WEEKDAYS) {
        for (before, which) in [
            ("", Which::Coming),
            ("this ", Which::This),
            ("next ", Which::Next),
        ] {
            out.push((
                phrase(&format!("{before}{name}")),
                Said::Weekday(day, which),
            ));
        }
    }
    for (one, many, days, most) in UNITS {
        out.push((phrase(&format!("in a {one}")), Said::InDays(days)));
        for count in 1..=most {
            let unit = if count == 1 { one } else { many };
            let words = [phrase("in"), say_cardinal(count), phrase(unit)].concat();
            out.push((words, Said::InDays(days * i64::from(count))));
        }
    }
    for day in 1..=31 {
        out.push((
            [phrase("the"), say_ordinal(day)].concat(),
            Said::DayOfMonth(day),
        ));
        let months = (1..=12).filter(|month| day <= days_in(LEAP, *month));
        out.extend(months.flat_map(|month| {
            let ways = say_day_of_year(month, day).into_iter();
            ways.map(move |words| (words, Said::DayOfYear(month, day)))
        }));
    }
    out
}

const UNITS: [(&str, &str, i64, u32); 2] = [
    ("day", "days", 1, MOST_DAYS),
    ("week", "weeks", 7, MOST_WEEKS),
];
/// A year that has all days.
const LEAP: u16 = 2000;

/// Sayings of the days within a year of today.
pub(super) fn sayings(today: Date) -> Vec<Saying> {
    all()
        .into_iter()
        .filter_map(|(words, said)| Some((words, SlotValue::Date(said.on(today)?))))
        .collect()
}

/// What is listened for: the sayings, and days of the year with a year.
pub(super) fn words() -> Automaton<String> {
    let mut builder = Builder::default();
    let year = builder.state();
    for (words, said) in all() {
        let mut at = Builder::<String>::START;
        for word in words {
            let next = builder.state();
            builder.arc(at, Some(word), next);
            at = next;
        }
        builder.accept(at, 0);
        if matches!(said, Said::DayOfYear(..)) {
            builder.arc(at, None, year);
        }
    }
    for words in YEARS.flat_map(say_year) {
        let mut at = year;
        for word in words {
            let next = builder.state();
            builder.arc(at, Some(word), next);
            at = next;
        }
        builder.accept(at, 0);
    }
    builder.build()
}

/// Readings of a day.
pub(super) fn read(words: &[String], at: usize, today: Date) -> Vec<(usize, SlotValue)> {
    let mut said = read_near(words, at);
    said.extend(read_weekday(words, at));
    said.extend(read_distance(words, at));
    said.extend(read_day_of_year(words, at));
    said.extend(
        read_ordinal(words, at)
            .filter(|_| follows(words, at, "the").is_some())
            .map(|(end, day)| (end, Said::DayOfMonth(day))),
    );
    said.into_iter()
        .filter_map(|(end, said)| Some((end, SlotValue::Date(said.on(today)?))))
        .collect()
}

fn read_near(words: &[String], at: usize) -> Vec<(usize, Said)> {
    let hits = NEAR
        .iter()
        .filter_map(|(say, days)| Some((follows(words, at, say)?, Said::InDays(*days))));
    hits.collect()
}

fn read_weekday(words: &[String], at: usize) -> Option<(usize, Said)> {
    let (place, which) = if let Some(place) = follows_any(words, at, &["this", "this coming"]) {
        (
            follows(words, place, "coming").unwrap_or(place),
            Which::This,
        )
    } else if let Some(place) = follows(words, at, "next") {
        (place, Which::Next)
    } else {
        (at, Which::Coming)
    };
    let word = words.get(place)?;
    let day = WEEKDAYS.iter().position(|name| name == word)?;
    Some((place + 1, Said::Weekday(day as u8, which)))
}

/// "in two weeks", "three days from now", "a week from tomorrow".
fn read_distance(words: &[String], at: usize) -> Vec<(usize, Said)> {
    let ahead = follows(words, at, "in");
    let place = ahead.unwrap_or(at);
    let mut counts = read_cardinal(words, place);
    counts.extend(follows(words, place, "a").map(|end| (end, 1)));
    let mut out = Vec::new();
    for (end, count) in counts {
        for (one, many, days, _) in UNITS {
            let Some(end) = follows_any(words, end, &[one, many]).filter(|_| count > 0) else {
                continue;
            };
            let days = days * i64::from(count);
            let from = follows_any(words, end, &["from now", "from today"]).map(|end| (end, 0));
            let from = from.or_else(|| follows(words, end, "from tomorrow").map(|end| (end, 1)));
            match (ahead, from) {
                (Some(_), None) => out.push((end, Said::InDays(days))),
                (None, Some((end, more))) => out.push((end, Said::InDays(days + more))),
                _ => {}
            }
        }
    }
    out
}

/// "third" or "the third".
fn read_ordinal(words: &[String], at: usize) -> Option<(usize, u8)> {
    let place = follows(words, at, "the").unwrap_or(at);
    (1..=31)
        .rev()
        .find(|day| words[place.min(words.len())..].starts_with(&say_ordinal(*day)))
        .map(|day| (place + say_ordinal(day).len(), day))
}

fn read_month(words: &[String], at: usize) -> Option<(usize, u8)> {
    let word = words.get(at)?;
    let month = MONTHS.iter().position(|name| name == word)?;
    Some((at + 1, month as u8 + 1))
}

fn read_day_of_year(words: &[String], at: usize) -> Vec<(usize, Said)> {
    let mut found = Vec::new();
    if let Some((place, month)) = read_month(words, at) {
        found.extend(read_ordinal(words, place).map(|(end, day)| (end, month, day)));
        let days = read_cardinal(words, place).into_iter();
        let days = days.filter(|(_, day)| (1..=31).contains(day));
        found.extend(days.map(|(end, day)| (end, month, day as u8)));
    }
    if let Some((place, day)) = read_ordinal(words, at) {
        let place = follows(words, place, "of").unwrap_or(place);
        found.extend(read_month(words, place).map(|(end, month)| (end, month, day)));
    }
    let mut out = Vec::new();
    for (end, month, day) in found {
        if day <= days_in(LEAP, month) {
            out.push((end, Said::DayOfYear(month, day)));
        }
        let full = read_years(words, end).into_iter();
        out.extend(
            full.filter_map(|(end, year)| Some((end, Said::Full(Date::new(year, month, day)?)))),
        );
    }
    out
}

fn read_years(words: &[String], at: usize) -> Vec<(usize, u16)> {
    let at = follows(words, at, "in").unwrap_or(at);
    let starts = |way: &Vec<String>| words[at.min(words.len())..].starts_with(way);
    (1900..2100)
        .flat_map(|year| say_year(year).into_iter().map(move |way| (way, year)))
        .filter(|(way, _)| starts(way))
        .map(|(way, year)| (at + way.len(), year))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A Wednesday.
    const TODAY: &str = "2026-11-25";

    #[test]
    fn everyday_days_are_read() {
        for (text, day) in [
            ("today", "2026-11-25"),
            ("tomorrow", "2026-11-26"),
            ("the day after tomorrow", "2026-11-27"),
            ("yesterday", "2026-11-24"),
            ("friday", "2026-11-27"),
            ("wednesday", "2026-12-02"),
            ("this wednesday", "2026-11-25"),
            ("this coming friday", "2026-11-27"),
            ("next friday", "2026-12-04"),
            ("next monday", "2026-11-30"),
            ("in three days", "2026-11-28"),
            ("in a week", "2026-12-02"),
            ("two weeks from now", "2026-12-09"),
            ("a week from tomorrow", "2026-12-03"),
            ("the third of march", "2027-03-03"),
            ("march third", "2027-03-03"),
            ("march the third", "2027-03-03"),
            ("december twenty five", "2026-12-25"),
            ("november twenty fifth", "2026-11-25"),
            ("the twenty fourth", "2026-12-24"),
            ("the thirty first", "2026-12-31"),
            ("february twenty ninth", "2028-02-29"),
            ("the first of january two thousand and thirty", "2030-01-01"),
            ("july fourth nineteen seventy six", "1976-07-04"),
        ] {
            let words = phrase(text);
            let found = read(&words, 0, TODAY.parse().unwrap());
            let whole: Vec<_> = found
                .iter()
                .filter(|(end, _)| *end == words.len())
                .collect();
            let day = SlotValue::Date(day.parse().unwrap());
            assert_eq!(whole, [&(words.len(), day)], "{text}");
        }
        for text in [
            "february thirtieth",
            "the",
            "in",
            "third",
            "next",
            "a week",
            "in zero days",
        ] {
            let words = phrase(text);
            let found = read(&words, 0, TODAY.parse().unwrap());
            assert!(
                found.iter().all(|(end, _)| *end < words.len()),
                "{text}: {found:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_day_of_every_year_survives_being_said(days in 0_i64..73_000, way in 0_usize..5, year in 0_usize..3) {
            let date = "1900-01-01".parse::<Date>().unwrap().plus(days);
            let years = say_year(date.year);
            let words = [
                say_day_of_year(date.month, date.day)[way].clone(),
                years[year % years.len()].clone(),
            ].concat();
            let found = read(&words, 0, TODAY.parse().unwrap());
            prop_assert!(found.contains(&(words.len(), SlotValue::Date(date))), "{:?} {:?}", words, found);
            if YEARS.contains(&date.year) {
                let graph = super::words();
                let ends = graph.prefixes(&words, 0);
                prop_assert!(ends.iter().any(|(end, _)| *end == words.len()), "{:?}", words);
            }
        }

        #[test]
        fn the_next_such_day_is_never_behind(days in 0_i64..40_000) {
            let today = "1990-01-01".parse::<Date>().unwrap().plus(days);
            for (words, said) in all() {
                let day = said.on(today).unwrap();
                prop_assert!(day >= today || said == Said::InDays(-1), "{:?} {}", words, day);
            }
        }
    }
}
