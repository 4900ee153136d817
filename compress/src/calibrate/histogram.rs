//! How often a tensor's values occur, in one pass, and the ranges that follow from it.

/// Bins on each side of nought.
const BINS: usize = 2048;
/// Steps of 8 bits on one side of nought.
const STEPS: usize = 128;

/// Counts of values in equal bins around nought. The bins grow when a value lies outside: two become one.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    /// Bin `n` is from `(n - BINS) * width`.
    counts: Vec<u64>,
    /// Of a bin; nought until there is a value other than nought.
    width: f32,
    low: f32,
    high: f32,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counts: vec![0; 2 * BINS],
            width: 0.0,
            low: 0.0,
            high: 0.0,
        }
    }
}

impl Histogram {
    /// Counts values; those that are no numbers are left out.
    pub fn add(&mut self, values: &[f32]) {
        let finite = values.iter().copied().filter(|value| value.is_finite());
        let (low, high) = finite
            .clone()
            .fold((0.0f32, 0.0f32), |(low, high), v| (low.min(v), high.max(v)));
        (self.low, self.high) = (self.low.min(low), self.high.max(high));
        self.reach(high.max(-low));
        for value in finite {
            let bin = (value / self.width).floor() + BINS as f32;
            let bin = if self.width > 0.0 { bin } else { BINS as f32 };
            self.counts[(bin.max(0.0) as usize).min(2 * BINS - 1)] += 1;
        }
    }

    /// Widens the bins until they reach so far.
    fn reach(&mut self, largest: f32) {
        if self.width == 0.0 {
            self.width = largest / BINS as f32;
        }
        while self.width > 0.0 && largest > self.width * BINS as f32 {
            let mut wider = vec![0; 2 * BINS];
            for (bin, count) in self.counts.iter().enumerate() {
                wider[BINS / 2 + bin / 2] += count;
            }
            self.counts = wider;
            self.width *= 2.0;
        }
    }

    /// Least and most.
    pub fn extremes(&self) -> [f32; 2] {
        [self.low, self.high]
    }

    /// What holds this share of the values (0 to 1), as many cut off at each end, widened to nought.
    pub fn percentile(&self, share: f64) -> [f32; 2] {
        let total: u64 = self.counts.iter().sum();
        let cut = (total as f64 * (1.0 - share) / 2.0) as u64;
        let until = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut seen = 0;
            counts
                .take_while(|count| {
                    seen += **count;
                    seen <= cut
                })
                .count()
        };
        let below = until(&mut self.counts.iter());
        let above = until(&mut self.counts.iter().rev());
        self.within(
            (below as f32 - BINS as f32) * self.width,
            (BINS as f32 - above as f32) * self.width,
        )
    }

    /// The threshold, to both sides of nought, with which 128 steps a side lose least: of all thresholds, the one whose
    /// rounded distribution diverges least from the one that is cut off there (S. Migacz, 2017).
    pub fn entropy(&self) -> [f32; 2] {
        let (below, above) = self.counts.split_at(BINS);
        let mut sizes: Vec<f64> = below
            .iter()
            .rev()
            .zip(above)
            .map(|(one, other)| (one + other) as f64)
            .collect();
        // Noughts are exact with any step; in the count they would outweigh everything else.
        sizes[0] = sizes[1];
        let least = (STEPS..=BINS)
            .map(|kept| (divergence(&sizes, kept), kept))
            .min_by(|one, other| one.0.total_cmp(&other.0));
        let threshold = least.map_or(BINS, |(_, kept)| kept) as f32 * self.width;
        self.within(-threshold, threshold)
    }

    /// Cut to what was seen, and widened to nought.
    fn within(&self, low: f32, high: f32) -> [f32; 2] {
        [low.max(self.low).min(0.0), high.min(self.high).max(0.0)]
    }
}

/// Divergence of the first `kept` bins rounded to 128 steps from the same bins with everything beyond in the last; nats.
fn divergence(sizes: &[f64], kept: usize) -> f64 {
    let beyond: f64 = sizes[kept..].iter().sum();
    let total: f64 = sizes.iter().sum();
    let rounded = rounded(&sizes[..kept]);
    let rounded_total: f64 = rounded.iter().sum();
    if total == 0.0 || rounded_total == 0.0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    for (bin, (&size, &rounded)) in sizes[..kept].iter().zip(&rounded).enumerate() {
        let cut_off = if bin + 1 == kept { beyond } else { 0.0 };
        let p = (size + cut_off) / total;
        if p > 0.0 {
            // A bin that only holds what was cut off has no share after rounding; a very small one instead of none.
            let q = (rounded / rounded_total).max(1e-9);
            sum += p * (p / q).ln();
        }
    }
    sum
}

/// Bins merged to 128 steps, each step's count spread evenly over those of its bins that hold anything.
fn rounded(sizes: &[f64]) -> Vec<f64> {
    let mut spread = vec![0.0; sizes.len()];
    for step in 0..STEPS {
        let bins = step * sizes.len() / STEPS..(step + 1) * sizes.len() / STEPS;
        let count: f64 = sizes[bins.clone()].iter().sum();
        let held = sizes[bins.clone()]
            .iter()
            .filter(|size| **size > 0.0)
            .count();
        for bin in bins.filter(|&bin| sizes[bin] > 0.0) {
            spread[bin] = count / held as f64;
        }
    }
    spread
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A bell around nought with an outlier.
    fn bell(outlier: f32) -> Vec<f32> {
        let uniform = |n: u32| {
            // SplitMix64 (G. Steele, D. Lea, C. Flood, 2014).
            let mixed = u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 40) as f32 / (1 << 24) as f32
        };
        let mut values: Vec<f32> = (0..20_000u32)
            .map(|n| (0..6).map(|k| uniform(6 * n + k) - 0.5).sum())
            .collect();
        values.push(outlier);
        values
    }

    #[test]
    fn an_outlier_stretches_the_extremes_alone() {
        let mut histogram = Histogram::default();
        histogram.add(&bell(40.0));
        assert_eq!(histogram.extremes()[1], 40.0);
        for [low, high] in [histogram.percentile(0.999), histogram.entropy()] {
            assert!(low < -1.0 && high > 1.0 && high < 10.0, "{low} {high}");
        }
    }

    #[test]
    fn values_that_are_never_negative_keep_a_range_from_nought() {
        let mut histogram = Histogram::default();
        histogram.add(
            &bell(1.0)
                .iter()
                .map(|value| value.abs())
                .collect::<Vec<_>>(),
        );
        for range in [
            histogram.extremes(),
            histogram.percentile(0.999),
            histogram.entropy(),
        ] {
            assert!(range[0] == 0.0 && range[1] > 0.9, "{range:?}");
        }
    }

    #[test]
    fn noughts_alone_have_the_range_nought() {
        let mut histogram = Histogram::default();
        histogram.add(&[0.0; 10]);
        for range in [
            histogram.extremes(),
            histogram.percentile(0.9),
            histogram.entropy(),
        ] {
            assert_eq!(range, [0.0, 0.0]);
        }
    }

    proptest! {
        #[test]
        fn a_percentile_holds_at_least_its_share_and_the_order_of_values_is_nothing(
            values in prop::collection::vec(-100.0f32..100.0, 1..300), share in 0.5f64..1.0
        ) {
            let mut together = Histogram::default();
            together.add(&values);
            let [low, high] = together.percentile(share);
            let held = values.iter().filter(|v| (low..=high).contains(v)).count();
            prop_assert!(held as f64 >= share * values.len() as f64 - 1.0);
            let mut one_by_one = Histogram::default();
            values.iter().for_each(|&value| one_by_one.add(&[value]));
            prop_assert_eq!(one_by_one.counts.iter().sum::<u64>(), values.len() as u64);
            prop_assert_eq!(one_by_one.extremes(), together.extremes());
        }
    }
}
