//! The mel scale and the bank of triangles on it.

use super::FeatureSpec;

/// The HTK mel scale: mels of a frequency in Hz.
pub fn hertz_to_mel(hertz: f64) -> f64 {
    2595.0 * (1.0 + hertz / 700.0).log10()
}

/// The inverse of [`hertz_to_mel`]: Hz of a mel value.
pub fn mel_to_hertz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

/// Triangles between equally spaced mel points, evaluated at the transform's bin frequencies in the mel domain.
///
/// Each band keeps only its non-zero weights: a few bins of the whole spectrum.
pub(super) struct MelBank {
    bands: Vec<Band>,
    weights: Vec<f32>,
}

/// One triangle: where its bins start in the spectrum and its weights in the bank's common store.
struct Band {
    first_bin: usize,
    weights: std::ops::Range<usize>,
}

impl MelBank {
    /// `spec` has been checked.
    pub(super) fn new(spec: &FeatureSpec) -> Self {
        let low = hertz_to_mel(spec.low_hz);
        let step = (hertz_to_mel(spec.high_hz) - low) / (spec.mels + 1) as f64;
        let bin_mels: Vec<f64> = (0..=spec.fft / 2)
            .map(|bin| hertz_to_mel(bin as f64 * f64::from(spec.sample_rate) / spec.fft as f64))
            .collect();
        let mut weights = Vec::new();
        let bands = (0..spec.mels)
            .map(|band| {
                let centre = low + step * (band + 1) as f64;
                let height = |mel: f64| 1.0 - (mel - centre).abs() / step;
                let first_bin = bin_mels.partition_point(|&mel| height(mel) <= 0.0 && mel < centre);
                let start = weights.len();
                let inside = bin_mels[first_bin..]
                    .iter()
                    .map(|&mel| height(mel))
                    .take_while(|&h| h > 0.0);
                weights.extend(inside.map(|h| h as f32));
                Band {
                    first_bin,
                    weights: start..weights.len(),
                }
            })
            .collect();
        Self { bands, weights }
    }

    /// The energy in each band of a power spectrum of `fft / 2 + 1` bins.
    pub(super) fn energies<'a>(&'a self, power: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.bands.iter().map(|band| {
            let weights = &self.weights[band.weights.clone()];
            let bins = &power[band.first_bin..band.first_bin + weights.len()];
            weights
                .iter()
                .zip(bins)
                .map(|(weight, bin)| weight * bin)
                .sum()
        })
    }
}
