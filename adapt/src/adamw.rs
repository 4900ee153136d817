//! AdamW (I. Loshchilov and F. Hutter, 2019), its state open, so that a training can go on where it stopped.

const BETAS: (f32, f32) = (0.9, 0.98);
const EPSILON: f32 = 1e-8;

/// What the optimiser remembers of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub first: Vec<f32>,
    pub second: Vec<f32>,
}

impl Moments {
    pub fn new(count: usize) -> Moments {
        Moments {
            first: vec![0.0; count],
            second: vec![0.0; count],
        }
    }

    /// Changes `values` by a step of size `rate`; `step` counts from 1.
    pub fn step(
        &mut self,
        values: &mut [f32],
        gradient: &[f32],
        step: usize,
        rate: f32,
        decay: f32,
    ) {
        let warm = |beta: f32| 1.0 - beta.powi(i32::try_from(step).unwrap_or(i32::MAX));
        let (warm_first, warm_second) = (warm(BETAS.0), warm(BETAS.1));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = BETAS.0 * *first + (1.0 - BETAS.0) * gradient;
            *second = BETAS.1 * *second + (1.0 - BETAS.1) * gradient * gradient;
            let towards = (*first / warm_first) / ((*second / warm_second).sqrt() + EPSILON);
            *value -= rate * (towards + decay * *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bowl_is_descended_to_its_bottom() {
        let (mut values, mut moments) = (vec![3.0f32, -2.0], Moments::new(2));
        for step in 1..=400 {
            let gradient: Vec<f32> = vec![2.0 * (values[0] - 1.0), 20.0 * (values[1] - 0.5)];
            moments.step(
                &mut values,
                &gradient,
                step,
                0.05 * 0.99f32.powi(step as i32),
                0.0,
            );
        }
        assert!(
            (values[0] - 1.0).abs() < 1e-2 && (values[1] - 0.5).abs() < 1e-2,
            "{values:?}"
        );
    }
}
