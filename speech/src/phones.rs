//! The phone units that words are spelled with.

use std::collections::HashMap;

use crate::resource::ResourceError;

/// A phone unit: its line number in the bundle's phone table. Unit 0 is silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(pub u8);

impl Unit {
    /// Silence, always the first unit.
    pub const SIL: Unit = Unit(0);

    /// The unit as an index into tables over units.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Output column of the acoustic model for the first frame of this unit.
    pub fn begin_column(self) -> usize {
        2 * self.index()
    }

    /// Output column of the acoustic model for any further frame of this unit.
    pub fn continue_column(self) -> usize {
        2 * self.index() + 1
    }
}

/// Names and numbers of the units.
#[derive(Debug, Clone)]
pub struct PhoneTable {
    names: Vec<String>,
    numbers: HashMap<String, Unit>,
}

impl PhoneTable {
    /// Reads one unit a line; the first must be `SIL`.
    ///
    /// # Errors
    /// [`ResourceError`] naming the line: no `SIL` first, a unit twice, an empty name, more than 128 units.
    pub fn parse(file: &str, text: &str) -> Result<PhoneTable, ResourceError> {
        let bad = |line: usize, problem: String| Err(ResourceError::line(file, line, problem));
        let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        if names.first().map(String::as_str) != Some("SIL") {
            return bad(1, "must be SIL, the silence unit".into());
        }
        if names.len() > 128 {
            return bad(
                129,
                format!("there are {} units, at most 128 are possible", names.len()),
            );
        }
        let mut numbers = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return bad(index + 1, "is empty".into());
            }
            if numbers.insert(name.clone(), Unit(index as u8)).is_some() {
                return bad(index + 1, format!("names {name} a second time"));
            }
        }
        Ok(PhoneTable { names, numbers })
    }

    /// Number of units, silence included.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never true: silence is always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The unit of this name.
    pub fn unit(&self, name: &str) -> Option<Unit> {
        self.numbers.get(name).copied()
    }

    /// The name of a unit of this table.
    pub fn name(&self, unit: Unit) -> &str {
        &self.names[unit.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_numbers_are_the_units() {
        let table = PhoneTable::parse("phones.txt", "SIL\nAA\nB\n").unwrap();
        assert_eq!(
            (table.len(), table.unit("B"), table.name(Unit(1))),
            (3, Some(Unit(2)), "AA")
        );
        assert_eq!((Unit(2).begin_column(), Unit(2).continue_column()), (4, 5));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("AA\nSIL\n", "line 1"),
            ("SIL\nAA\nAA\n", "line 3"),
            ("SIL\n\nB\n", "line 2"),
            ("", "line 1"),
        ] {
            let message = PhoneTable::parse("phones.txt", text)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains(part) && message.contains("phones.txt"),
                "{message}"
            );
        }
    }
}
