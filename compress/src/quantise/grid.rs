//! Which integers stand for a weight's values.

use super::{Granularity, Method};
use crate::products::Matrix;

/// Inputs that share a scale in int4.
pub(crate) const GROUP: usize = 32;

/// A scale and the integer that stands for nought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub scale: f32,
    pub zero: i32,
}

impl Step {
    /// The step with which the integers `least..=most` cover a range that holds nought.
    ///
    /// Symmetric: nought is nought and the larger side becomes `most`; else the range becomes all of the integers.
    pub fn covering(low: f32, high: f32, least: i32, most: i32, method: Method) -> Step {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let (scale, zero) = match method {
            Method::Symmetric => ((-low).max(high) / most as f32, 0.0),
            Method::Asymmetric => {
                let scale = (high - low) / (most - least) as f32;
                (scale, least as f32 - low / scale)
            }
        };
        // A range of noughts needs some scale that other runtimes can divide by.
        if scale < f32::MIN_POSITIVE {
            return Step {
                scale: 1.0,
                zero: 0.max(least),
            };
        }
        Step {
            scale,
            zero: zero.round_ties_even().clamp(least as f32, most as f32) as i32,
        }
    }

    /// The nearest integer of `least..=most`.
    pub fn round(self, value: f32, least: i32, most: i32) -> i32 {
        let rounded = (value / self.scale).round_ties_even() + self.zero as f32;
        rounded.clamp(least as f32, most as f32) as i32
    }
}

/// A weight in int8.
pub(crate) struct Int8 {
    /// In the order of the weight.
    pub integers: Vec<i8>,
    /// One, or one for each channel.
    pub scales: Vec<f32>,
    /// As many as scales; noughts when symmetric.
    pub zeros: Vec<i8>,
}

/// Rounds values whose channel is `channel(place)` of so many to int8. Symmetric integers are -127 to 127.
pub(crate) fn int8(
    values: &[f32],
    channels: usize,
    channel: impl Fn(usize) -> usize,
    method: Method,
    granularity: Granularity,
) -> Int8 {
    let least = match method {
        Method::Symmetric => -127,
        Method::Asymmetric => -128,
    };
    let (count, channel): (usize, &dyn Fn(usize) -> usize) = match granularity {
        Granularity::Tensor => (1, &|_| 0),
        _ => (channels, &channel),
    };
    let mut ranges = vec![(0.0f32, 0.0f32); count];
    for (place, &value) in values.iter().enumerate() {
        let (low, high) = &mut ranges[channel(place)];
        (*low, *high) = (low.min(value), high.max(value));
    }
    let steps: Vec<Step> = ranges
        .into_iter()
        .map(|(low, high)| Step::covering(low, high, least, 127, method))
        .collect();
    let integer =
        |(place, &value): (usize, &f32)| steps[channel(place)].round(value, least, 127) as i8;
    Int8 {
        integers: values.iter().enumerate().map(integer).collect(),
        scales: steps.iter().map(|step| step.scale).collect(),
        zeros: steps.iter().map(|step| step.zero as i8).collect(),
    }
}

/// A weight in int4, in groups of 32 inputs.
pub(super) struct Int4 {
    /// Half bytes `[outputs][groups][16]`, the first of a pair in the low half; symmetric ones are 8 too high.
    pub bytes: Vec<u8>,
    /// `[outputs][groups]`.
    pub scales: Vec<f32>,
    /// `[outputs][groups / 2, rounded up]`, two in a byte; none when symmetric.
    pub zeros: Vec<u8>,
}

/// Rounds a weight to int4. Of a few scales for each group, the one with the least squared error is taken.
pub(super) fn int4(weight: &Matrix, method: Method) -> Int4 {
    let groups = weight.inputs / GROUP;
    let mut made = Int4 {
        bytes: Vec::new(),
        scales: Vec::new(),
        zeros: Vec::new(),
    };
    for output in 0..weight.outputs {
        let mut zeros = Vec::with_capacity(groups);
        for group in 0..groups {
            let values: [f32; GROUP] = std::array::from_fn(|place| {
                weight.values[(group * GROUP + place) * weight.outputs + output]
            });
            let step = match method {
                Method::Symmetric => symmetric(&values),
                Method::Asymmetric => asymmetric(&values),
            };
            let pairs = values.chunks(2);
            made.bytes.extend(pairs.map(|pair| {
                let half = |value: f32| half(value, step);
                half(pair[0]) | (half(pair[1]) << 4)
            }));
            made.scales.push(step.scale);
            zeros.push(step.zero as u8);
        }
        if method == Method::Asymmetric {
            let pair = |pair: &[u8]| pair[0] | (pair.get(1).unwrap_or(&0) << 4);
            made.zeros.extend(zeros.chunks(2).map(pair));
        }
    }
    made
}

/// 0 to 15. A group of noughts has the scale nought.
fn half(value: f32, step: Step) -> u8 {
    if step.scale == 0.0 {
        step.zero as u8
    } else {
        step.round(value, 0, 15) as u8
    }
}

fn squared_error(values: &[f32], step: Step) -> f32 {
    let back = |value: f32| (i32::from(half(value, step)) - step.zero) as f32 * step.scale;
    values
        .iter()
        .map(|&value| (back(value) - value).powi(2))
        .sum()
}

fn best(values: &[f32], candidates: impl Iterator<Item = Step>) -> Option<Step> {
    candidates
        .min_by(|&one, &other| squared_error(values, one).total_cmp(&squared_error(values, other)))
}

/// With which the largest becomes -8 or a little less; 8 stands for nought.
fn symmetric(values: &[f32]) -> Step {
    let largest = values.iter().fold(
        0.0f32,
        |one, &other| if other.abs() > one.abs() { other } else { one },
    );
    let step = |n: u8| Step {
        scale: largest / (-8.0 + 0.25 * f32::from(n)),
        zero: 8,
    };
    best(values, (0..12).map(step)).unwrap_or(step(0))
}

/// With which the range or a little less becomes 0 to 15.
fn asymmetric(values: &[f32]) -> Step {
    let low = values.iter().copied().fold(0.0, f32::min);
    let high = values.iter().copied().fold(0.0, f32::max);
    let step = |n: u8| {
        let shrunk = 1.0 - 0.03 * f32::from(n);
        Step::covering(low * shrunk, high * shrunk, 0, 15, Method::Asymmetric)
    };
    best(values, (0..10).map(step)).unwrap_or(step(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn int4_uses_its_steps_and_is_never_worse_than_the_plain_scale() {
        let values: Vec<f32> = (0..GROUP).map(|n| (n as f32 * 1.7).sin()).collect();
        let largest = values
            .iter()
            .fold(0.0f32, |a, &b| if b.abs() > a.abs() { b } else { a });
        let plain = Step {
            scale: largest / -8.0,
            zero: 8,
        };
        let error = squared_error(&values, symmetric(&values));
        assert!(
            error <= squared_error(&values, plain) && error < 0.2,
            "{error}"
        );
        assert_eq!(symmetric(&[0.0; GROUP]).scale.abs(), 0.0);
    }

    #[test]
    fn a_lopsided_group_is_nearer_with_a_zero_point() {
        let values: Vec<f32> = (0..GROUP).map(|n| n as f32 * 0.1 - 0.2).collect();
        let with = squared_error(&values, asymmetric(&values));
        let without = squared_error(&values, symmetric(&values));
        assert!(with < 0.5 * without, "{with} {without}");
    }

    #[test]
    fn int8_rounds_each_channel_to_its_largest() {
        let values = [1.0, 0.0, -0.5, 0.0];
        let made = int8(
            &values,
            2,
            |at| at % 2,
            Method::Symmetric,
            Granularity::Channel,
        );
        assert_eq!(
            (made.integers, made.scales, made.zeros),
            (vec![127, 0, -64, 0], vec![1.0 / 127.0, 1.0], vec![0, 0])
        );
        let made = int8(
            &values,
            2,
            |at| at % 2,
            Method::Symmetric,
            Granularity::Tensor,
        );
        assert_eq!(made.scales, [1.0 / 127.0]);
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        inputs: usize,
        outputs: usize,
        layer: Floats,
        int8: Grid,
        int4: Grid,
    }

    #[derive(serde::Deserialize)]
    struct Floats {
        weight: Vec<f32>,
    }

    #[derive(serde::Deserialize)]
    struct Grid {
        integers: Vec<i8>,
        scales: Vec<f32>,
    }

    /// What `training/fake_quant.py` trains with is what comes out here.
    #[test]
    fn training_in_low_precision_finds_the_same_integers_and_scales() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../inference/tests/data/fake-quant.toml"
        );
        let fixture: Fixture = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let Fixture {
            inputs, outputs, ..
        } = fixture;
        let weight = Matrix {
            name: "w".into(),
            inputs,
            outputs,
            values: fixture.layer.weight,
        };
        let made = int8(
            &weight.values,
            outputs,
            |at| at % outputs,
            Method::Symmetric,
            Granularity::Channel,
        );
        assert_eq!(
            (made.integers, made.scales),
            (fixture.int8.integers, fixture.int8.scales)
        );
        let made = int4(&weight, Method::Symmetric);
        let half = |input: usize, output: usize| {
            let byte = made.bytes[(output * inputs + input) / 2];
            (byte >> (input % 2 * 4) & 15) as i8 - 8
        };
        let integers: Vec<i8> = (0..inputs)
            .flat_map(|input| (0..outputs).map(move |output| (input, output)))
            .map(|(input, output)| half(input, output))
            .collect();
        assert_eq!(
            (integers, made.scales),
            (fixture.int4.integers, fixture.int4.scales)
        );
    }

    proptest! {
        #[test]
        fn every_value_of_a_range_comes_back_within_half_a_step_and_nought_exactly(
            low in -10.0f32..0.0, high in 0.001f32..10.0, part in 0.0f32..=1.0
        ) {
            for (least, most) in [(0, 255), (-128, 127)] {
                let step = Step::covering(low, high, least, most, Method::Asymmetric);
                let back = |value| (step.round(value, least, most) - step.zero) as f32 * step.scale;
                let value = low + part * (high - low);
                // The ends may lie half a step outside, since nought has its own integer.
                prop_assert!((back(value) - value).abs() <= 1.01 * step.scale);
                prop_assert_eq!(back(0.0), 0.0);
            }
        }
    }
}
