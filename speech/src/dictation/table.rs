//! A small hash table from numbers to numbers, cleared in the time it took to fill it.

/// No entry.
const FREE: u64 = u64::MAX;
/// No entry of a table to read.
const NONE: u32 = u32::MAX;

/// Open addressing with linear probing; the number of slots is a power of two, at most two thirds of them taken.
#[derive(Debug, Clone)]
pub(super) struct Table<V> {
    slots: Vec<(u64, V)>,
    /// The slots that are taken, in the order in which they were.
    taken: Vec<u32>,
}

impl<V: Copy + Default> Table<V> {
    pub fn with_capacity(entries: usize) -> Table<V> {
        let size = (entries * 3 / 2 + 1).next_power_of_two().max(8);
        Table {
            slots: vec![(FREE, V::default()); size],
            taken: Vec::with_capacity(entries),
        }
    }

    /// A table to read of what is in this one, whose keys must be below [`u32::MAX`]; this one is empty afterwards.
    pub fn freeze(&mut self) -> Frozen<V> {
        let size = (self.taken.len() * 3 / 2 + 1).next_power_of_two();
        let mut slots = vec![(NONE, V::default()); size].into_boxed_slice();
        for slot in self.taken.drain(..) {
            let (key, value) =
                std::mem::replace(&mut self.slots[slot as usize], (FREE, V::default()));
            let key = key as u32;
            let at = probe(&slots, key);
            slots[at] = (key, value);
        }
        Frozen { slots }
    }

    pub fn clear(&mut self) {
        for slot in self.taken.drain(..) {
            self.slots[slot as usize].0 = FREE;
        }
    }

    /// The value of a key, and whether it is new; a new one begins as `V::default()`.
    pub fn entry(&mut self, key: u64) -> (&mut V, bool) {
        if (self.taken.len() + 1) * 3 > self.slots.len() * 2 {
            self.grow();
        }
        let at = self.slot(key);
        let fresh = self.slots[at].0 == FREE;
        if fresh {
            self.slots[at] = (key, V::default());
            self.taken.push(at as u32);
        }
        (&mut self.slots[at].1, fresh)
    }

    fn grow(&mut self) {
        let mut larger = Table::with_capacity(self.slots.len());
        for &slot in &self.taken {
            let (key, value) = self.slots[slot as usize];
            *larger.entry(key).0 = value;
        }
        *self = larger;
    }

    /// Where the key is or would be.
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(key) & mask;
        while self.slots[at].0 != key && self.slots[at].0 != FREE {
            at = (at + 1) & mask;
        }
        at
    }
}

/// A table to read: as few slots as keep a third of them free, and half as wide.
#[derive(Debug)]
pub(super) struct Frozen<V> {
    slots: Box<[(u32, V)]>,
}

impl<V: Copy> Frozen<V> {
    pub fn get(&self, key: u32) -> Option<V> {
        let (taken, value) = self.slots[probe(&self.slots, key)];
        (taken == key).then_some(value)
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        std::mem::size_of_val(&*self.slots)
    }
}

/// Fibonacci hashing: the upper bits of the product depend on all bits of the key.
fn hash(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

/// Where the key is or would be among slots to read.
fn probe<V>(slots: &[(u32, V)], key: u32) -> usize {
    let mask = slots.len() - 1;
    let mut at = hash(key.into()) & mask;
    while slots[at].0 != key && slots[at].0 != NONE {
        at = (at + 1) & mask;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn does_what_a_map_does(entries in prop::collection::vec((0u64..300, any::<u32>()), 0..600)) {
            let mut table = Table::<u32>::with_capacity(4);
            for round in 0..2 {
                let mut map = HashMap::new();
                for &(key, value) in &entries {
                    let (slot, fresh) = table.entry(key);
                    *slot = value;
                    prop_assert_eq!(fresh, map.insert(key, value).is_none());
                }
                // Emptied the one way in the first round, the other way in the second.
                let frozen = if round == 0 {
                    let frozen = table.clone().freeze();
                    table.clear();
                    frozen
                } else {
                    table.freeze()
                };
                for key in 0..300u32 {
                    prop_assert_eq!(frozen.get(key), map.get(&key.into()).copied(), "round {}", round);
                }
                prop_assert!(frozen.size() <= 8 * (3 * map.len() + 2));
                let empty = table.clone().freeze();
                prop_assert_eq!(empty.get(entries.first().map_or(0, |entry| entry.0 as u32)), None);
            }
        }
    }
}
