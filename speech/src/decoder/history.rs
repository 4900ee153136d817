//! What each token has said: an arena of words linked to the words before them.

/// No word before this one.
pub(crate) const START: u32 = u32::MAX;

/// A word that a token has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Record {
    pub word: u32,
    /// First frame of the word and the first frame after it.
    pub begin: u32,
    pub end: u32,
    /// Score of the whole path before the word and after it, nats.
    pub score_before: f32,
    pub score: f32,
    /// The word before.
    pub previous: u32,
    /// The next worse way to be at the same place of the graph at the same frame.
    pub rival: u32,
}

/// Records, oldest first. Links go to smaller indices only.
#[derive(Debug, Default)]
pub(crate) struct History {
    records: Vec<Record>,
    moved: Vec<u32>,
}

impl History {
    pub fn with_capacity(records: usize) -> History {
        History {
            records: Vec::with_capacity(records),
            moved: Vec::with_capacity(records),
        }
    }

    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// Forgets all records but the first ones.
    pub fn truncate(&mut self, records: usize) {
        self.records.truncate(records);
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn add(&mut self, record: Record) -> u32 {
        self.records.push(record);
        (self.records.len() - 1) as u32
    }

    pub fn get(&self, index: u32) -> Option<&Record> {
        self.records.get(index as usize)
    }

    /// The words of a path, last first.
    pub fn walk(&self, last: u32) -> impl Iterator<Item = (u32, &Record)> {
        let step = |index: u32| self.get(index).map(|record| (index, record));
        std::iter::successors(step(last), move |(_, record)| step(record.previous))
    }

    /// First half of a clean-up: forgets every record but those that `roots` lead to.
    pub fn sweep(&mut self, roots: impl Iterator<Item = u32>) {
        const DEAD: u32 = u32::MAX;
        self.moved.clear();
        self.moved.resize(self.records.len(), DEAD);
        let mark = |moved: &mut Vec<u32>, index: u32| {
            if let Some(slot) = moved.get_mut(index as usize) {
                *slot = 0;
            }
        };
        roots.for_each(|root| mark(&mut self.moved, root));
        for index in (0..self.records.len()).rev() {
            if self.moved[index] != DEAD {
                mark(&mut self.moved, self.records[index].previous);
                mark(&mut self.moved, self.records[index].rival);
            }
        }
        let mut kept = 0;
        for index in 0..self.records.len() {
            if self.moved[index] == DEAD {
                continue;
            }
            let mut record = self.records[index];
            record.previous = self.moved_to(record.previous);
            record.rival = self.moved_to(record.rival);
            self.moved[index] = kept;
            self.records[kept as usize] = record;
            kept += 1;
        }
        self.records.truncate(kept as usize);
    }

    /// Second half: where [`Self::sweep`] put a record that was kept.
    pub fn moved_to(&self, index: u32) -> u32 {
        self.moved.get(index as usize).copied().unwrap_or(START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: u32, previous: u32, rival: u32) -> Record {
        Record {
            word,
            begin: 0,
            end: 1,
            score_before: 0.0,
            score: 0.0,
            previous,
            rival,
        }
    }

    #[test]
    fn a_sweep_keeps_paths_and_rivals() {
        let mut history = History::default();
        let first = history.add(word(10, START, START));
        let _dead = history.add(word(11, first, START));
        let rival = history.add(word(12, first, START));
        let last = history.add(word(13, first, rival));
        history.sweep([last, START].into_iter());
        let last = history.moved_to(last);
        assert_eq!((history.len(), history.moved_to(START)), (3, START));
        assert_eq!(
            history.walk(last).map(|(_, r)| r.word).collect::<Vec<_>>(),
            [13, 10]
        );
        let rival = history.get(last).unwrap().rival;
        assert_eq!(
            history.walk(rival).map(|(_, r)| r.word).collect::<Vec<_>>(),
            [12, 10]
        );
    }
}
