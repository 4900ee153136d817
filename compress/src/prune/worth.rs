//! What a group of a part is worth, and which ones stay.

use super::records::Moments;

/// A constant matrix `[inputs][outputs]`, row-major, that reads a part's groups.
pub(super) struct Reading<'a> {
    pub weights: &'a [f32],
    pub outputs: usize,
    /// How its inputs vary; without it they are taken to vary alike and apart from each other.
    pub moments: Option<&'a Moments>,
    /// Whether what an input gives on the average can go into a bias, so that only its changes count.
    pub biased: bool,
}

impl Reading<'_> {
    /// What two inputs do together: covariance, or the mean product where no bias takes the means up.
    pub fn together(&self, one: usize, other: usize) -> f64 {
        match self.moments {
            None => f64::from(u8::from(one == other)),
            Some(moments) if self.biased => moments.covariance(one, other),
            Some(moments) => {
                moments.covariance(one, other) + moments.mean(one) * moments.mean(other)
            }
        }
    }

    /// Mean square of what each of so many groups adds to the outputs (after An et al., "Fluctuation-based adaptive
    /// structured pruning", AAAI 2024, for groups of any size).
    pub fn worth(&self, groups: usize) -> Vec<f64> {
        let inputs = self.weights.len() / self.outputs;
        let size = inputs / groups;
        let row = |input: usize| &self.weights[input * self.outputs..(input + 1) * self.outputs];
        let dot = |one: usize, other: usize| -> f64 {
            let pairs = row(one).iter().zip(row(other));
            pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let worth = |group: usize| {
            let own = group * size..(group + 1) * size;
            own.clone()
                .flat_map(|one| own.clone().map(move |other| (one, other)))
                .map(|(one, other)| self.together(one, other) * dot(one, other))
                .sum::<f64>()
        };
        (0..groups).map(worth).collect()
    }
}

/// Which groups of each part stay, in order, when this share of all groups goes: the least worth first, in whole granules, and at
/// least one granule stays of each part. What a part has beyond whole granules goes first.
pub(super) fn staying(worth: &[Vec<f64>], share: f64, granule: usize) -> Vec<Vec<usize>> {
    let granule = granule.max(1);
    let mut ranked: Vec<Vec<usize>> = worth
        .iter()
        .map(|worth| {
            let mut order: Vec<usize> = (0..worth.len()).collect();
            order.sort_by(|&one, &other| worth[other].total_cmp(&worth[one]).then(one.cmp(&other)));
            order
        })
        .collect();
    let total: usize = ranked.iter().map(Vec::len).sum();
    let mut left = share * total as f64;
    loop {
        let last = |part: usize| {
            let there = ranked[part].len();
            let size = if there.is_multiple_of(granule) {
                granule
            } else {
                there % granule
            };
            (there > size).then(|| {
                let groups = &ranked[part][there - size..];
                let sum: f64 = groups.iter().map(|&group| worth[part][group]).sum();
                (sum / size as f64, part, size)
            })
        };
        let weakest = (0..ranked.len())
            .filter_map(last)
            .min_by(|one, other| one.0.total_cmp(&other.0));
        // Whichever is nearer to the share: with this granule or without it.
        match weakest {
            Some((_, part, size)) if size as f64 <= 2.0 * left => {
                let there = ranked[part].len();
                ranked[part].truncate(there - size);
                left -= size as f64;
            }
            _ => break,
        }
    }
    for part in &mut ranked {
        part.sort_unstable();
    }
    ranked
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_group_that_adds_nothing_or_always_the_same_is_worth_nothing() {
        let mut moments = Moments::new(3);
        for frame in 0..8 {
            moments.add(&[frame as f32, 5.0, 0.0]);
        }
        let weights: [f32; 6] = [1.0, 0.0, 2.0, 2.0, 3.0, 3.0];
        let reading = |biased| Reading {
            weights: &weights,
            outputs: 2,
            moments: Some(&moments),
            biased,
        };
        let [biased, plain] = [true, false].map(|biased| reading(biased).worth(3));
        assert!(
            biased[0] > 5.0 && biased[1].abs() < 1e-9 && biased[2].abs() < 1e-9,
            "{biased:?}"
        );
        assert!((plain[1] - 200.0).abs() < 1e-9, "{plain:?}");
        let unheard = Reading {
            moments: None,
            ..reading(true)
        };
        assert_eq!(unheard.worth(3), [1.0, 8.0, 18.0]);
    }

    #[test]
    fn a_group_is_what_its_inputs_give_together() {
        let mut moments = Moments::new(2);
        for frame in [1.0, -1.0, 2.0, -2.0] {
            moments.add(&[frame, -frame]);
        }
        // The two inputs cancel out.
        let reading = Reading {
            weights: &[1.0, 1.0],
            outputs: 1,
            moments: Some(&moments),
            biased: true,
        };
        assert!(reading.worth(1)[0].abs() < 1e-12);
        assert!(reading.worth(2)[0] > 2.0);
    }

    proptest! {
        #[test]
        fn the_share_is_kept_to_within_a_granule(
            worth in prop::collection::vec(prop::collection::vec(0.0f64..1.0, 1..40), 1..6),
            share in 0.0f64..1.0,
            granule in 1usize..9,
        ) {
            let kept = staying(&worth, share, granule);
            let total: usize = worth.iter().map(Vec::len).sum();
            let gone = total - kept.iter().map(Vec::len).sum::<usize>();
            for (kept, worth) in kept.iter().zip(&worth) {
                let there = worth.len();
                prop_assert!(kept.len() == there || kept.len().is_multiple_of(granule));
                prop_assert!(kept.len() >= granule.min(there) && kept.is_sorted());
                // Nothing that stays is worth less than what went.
                let least = kept.iter().map(|&group| worth[group]).fold(f64::INFINITY, f64::min);
                prop_assert!((0..there).all(|group| kept.contains(&group) || worth[group] <= least));
            }
            let can_go: usize = worth.iter().map(|worth| {
                let there = worth.len();
                there - granule.min(there)
            }).sum();
            let wanted = share * total as f64;
            prop_assert!((gone as f64) <= wanted + granule as f64 / 2.0);
            prop_assert!(gone as f64 >= wanted - granule as f64 / 2.0 || gone + granule > can_go);
        }
    }
}
