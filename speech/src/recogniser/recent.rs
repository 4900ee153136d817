//! The newest samples, kept so that an utterance can begin before it was noticed.

/// A window on the end of the stream.
pub(super) struct Recent {
    samples: Vec<f32>,
    keep: usize,
    /// Samples of the stream so far.
    heard: u64,
}

impl Recent {
    pub fn new(keep: usize) -> Recent {
        Recent {
            samples: Vec::with_capacity(4 * keep),
            keep,
            heard: 0,
        }
    }

    /// Keeps at least so many samples from now on.
    pub fn keep(&mut self, samples: usize) {
        self.keep = self.keep.max(samples);
    }

    pub fn heard(&self) -> u64 {
        self.heard
    }

    pub fn push(&mut self, samples: &[f32]) {
        if self.samples.len() + samples.len() > 4 * self.keep {
            let surplus = self.samples.len().saturating_sub(self.keep);
            self.samples.drain(..surplus);
        }
        self.samples.extend_from_slice(samples);
        self.heard += samples.len() as u64;
    }

    /// Puts other samples in place of the newest ones, as far as those are kept.
    pub fn replace(&mut self, samples: &[f32]) {
        let count = samples.len().min(self.samples.len());
        let place = self.samples.len() - count;
        self.samples[place..].copy_from_slice(&samples[samples.len() - count..]);
    }

    /// The samples from `from` on, or from the oldest one kept; with the index of the first.
    pub fn since(&self, from: u64) -> (u64, &[f32]) {
        let oldest = self.heard - self.samples.len() as u64;
        let first = from.clamp(oldest, self.heard);
        (first, &self.samples[(first - oldest) as usize..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_what_was_asked_for_is_kept() {
        let mut recent = Recent::new(100);
        for block in 0..1000u64 {
            let samples: Vec<f32> = (block * 7..block * 7 + 7).map(|n| n as f32).collect();
            recent.push(&samples);
            let heard = recent.heard();
            let (first, kept) = recent.since(heard.saturating_sub(100));
            assert_eq!(first, heard.saturating_sub(100));
            assert!(
                kept.iter()
                    .enumerate()
                    .all(|(i, &sample)| sample == (first + i as u64) as f32)
            );
            assert_eq!(kept.len() as u64, heard - first);
        }
        assert_eq!(recent.since(u64::MAX), (7000, [].as_slice()));
    }

    #[test]
    fn another_hearing_takes_the_place_of_the_newest_samples() {
        let mut recent = Recent::new(4);
        recent.push(&[1.0, 2.0, 3.0, 4.0]);
        recent.replace(&[8.0, 9.0]);
        assert_eq!(recent.since(0), (0, [1.0, 2.0, 8.0, 9.0].as_slice()));
        recent.replace(&[5.0; 7]);
        assert_eq!(recent.since(0), (0, [5.0; 4].as_slice()));
        assert_eq!(recent.heard(), 4);
    }
}
