//! Int4 weights out of floats, for tests: a network's are quantised before it is written.

use super::{GROUP, Int4Weights};

impl Int4Weights {
    /// Rounds float weights, row-major `[inputs][outputs]`: the value of largest size in a group becomes -8, which uses all
    /// sixteen steps.
    ///
    /// # Panics
    /// When `weight` does not hold `inputs * outputs` values.
    pub fn quantise(weight: &[f32], inputs: usize, outputs: usize) -> Int4Weights {
        assert_eq!(weight.len(), inputs * outputs, "values of the weight");
        let groups = inputs.div_ceil(GROUP);
        let mut scales = vec![0.0; outputs * groups];
        let mut integers = vec![0; inputs * outputs];
        for output in 0..outputs {
            for group in 0..groups {
                let inputs = group * GROUP..inputs.min((group + 1) * GROUP);
                let largest = inputs
                    .clone()
                    .map(|input| weight[input * outputs + output])
                    .fold(
                        0.0f32,
                        |one, other| {
                            if other.abs() > one.abs() { other } else { one }
                        },
                    );
                let scale = largest / -8.0;
                scales[output * groups + group] = scale;
                if scale == 0.0 {
                    continue;
                }
                for input in inputs {
                    let rounded = (weight[input * outputs + output] / scale).round_ties_even();
                    integers[input * outputs + output] = rounded.clamp(-8.0, 7.0) as i8;
                }
            }
        }
        Int4Weights::from_integers(&integers, inputs, outputs, &scales)
    }
}
