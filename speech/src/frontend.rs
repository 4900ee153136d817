//! The front end: 16 kHz samples in, log-mel filterbank frames out, as they come.

mod mel;

pub use mel::{hertz_to_mel, mel_to_hertz};

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use vocar_inference::Features;

use mel::MelBank;

/// How features are computed: the `[features]` table of a speech bundle's manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSpec {
    /// Sample rate in Hz.
    pub sample_rate: u32,
    /// Samples under one frame's periodic Hann window.
    pub window: usize,
    /// Samples from one frame's start to the next.
    pub hop: usize,
    /// Length of the zero-padded Fourier transform, at least `window`.
    pub fft: usize,
    /// Number of mel bands, the width of a feature frame.
    pub mels: usize,
    /// Lower edge of the lowest band in Hz.
    pub low_hz: f64,
    /// Upper edge of the highest band in Hz, at most half the sample rate.
    pub high_hz: f64,
    /// Added to a band's energy before the logarithm.
    pub floor: f64,
}

impl Default for FeatureSpec {
    /// What the shipped English bundle uses: 25 ms windows every 10 ms, 80 bands from 20 Hz to 7.6 kHz.
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            window: 400,
            hop: 160,
            fft: 512,
            mels: 80,
            low_hz: 20.0,
            high_hz: 7600.0,
            floor: 1e-7,
        }
    }
}

impl From<&Features> for FeatureSpec {
    fn from(manifest: &Features) -> Self {
        Self {
            sample_rate: manifest.sample_rate,
            window: manifest.window,
            hop: manifest.hop,
            fft: manifest.fft,
            mels: manifest.mels,
            low_hz: f64::from(manifest.low_hz),
            high_hz: f64::from(manifest.high_hz),
            floor: f64::from(manifest.floor),
        }
    }
}

/// A feature specification nobody can compute.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("features.{field} = {value} is out of range: {mend}")]
pub struct FeatureSpecError {
    /// The offending key of the `[features]` table.
    pub field: &'static str,
    /// The value found there.
    pub value: String,
    /// What would be accepted.
    pub mend: String,
}

impl FeatureSpec {
    fn check(&self) -> Result<(), FeatureSpecError> {
        let half = f64::from(self.sample_rate) / 2.0;
        let wrong = |field, value: &dyn ToString, mend: String| {
            Err(FeatureSpecError {
                field,
                value: value.to_string(),
                mend,
            })
        };
        if self.window == 0 {
            return wrong("window", &self.window, "give at least one sample".into());
        }
        if self.hop == 0 || self.hop > self.window {
            return wrong(
                "hop",
                &self.hop,
                format!("give 1 to {} (the window)", self.window),
            );
        }
        if self.fft < self.window {
            return wrong(
                "fft",
                &self.fft,
                format!("give at least {} (the window)", self.window),
            );
        }
        if self.mels == 0 {
            return wrong("mels", &self.mels, "give at least one band".into());
        }
        if !(self.low_hz >= 0.0 && self.low_hz < half) {
            return wrong(
                "low_hz",
                &self.low_hz,
                format!("give 0 to {half} (half the sample rate)"),
            );
        }
        if !(self.high_hz > self.low_hz && self.high_hz <= half) {
            return wrong(
                "high_hz",
                &self.high_hz,
                format!("give more than {} and at most {half}", self.low_hz),
            );
        }
        if !(self.floor > 0.0 && self.floor.is_finite()) {
            return wrong(
                "floor",
                &self.floor,
                "give a small positive number such as 1e-7".into(),
            );
        }
        Ok(())
    }
}

/// Streaming log-mel filterbank.
///
/// Frame `t` covers the samples `[hop * t, hop * t + window)` of everything pushed since creation or [`reset`]; there is
/// no padding at the start and no frame for a torn end. Nothing is allocated per frame beyond the growth of the
/// caller's vector.
///
/// [`reset`]: LogMel::reset
pub struct LogMel {
    spec: FeatureSpec,
    window: Vec<f32>,
    bank: MelBank,
    transform: Arc<dyn RealToComplex<f32>>,
    /// The samples of the frame being filled, at most a window of them.
    pending: Vec<f32>,
    padded: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    scratch: Vec<Complex<f32>>,
}

impl LogMel {
    /// Prepares the window, the filterbank and the transform.
    ///
    /// # Errors
    /// A field of `spec` out of its range.
    pub fn new(spec: &FeatureSpec) -> Result<Self, FeatureSpecError> {
        spec.check()?;
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(spec.fft);
        Ok(Self {
            window: periodic_hann(spec.window),
            bank: MelBank::new(spec),
            pending: Vec::with_capacity(spec.window),
            padded: transform.make_input_vec(),
            spectrum: transform.make_output_vec(),
            power: vec![0.0; spec.fft / 2 + 1],
            scratch: transform.make_scratch_vec(),
            transform,
            spec: spec.clone(),
        })
    }

    /// The specification this front end was built from.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Takes samples in [-1, 1] and appends every frame they complete to `features`, `mels` values a frame.
    ///
    /// Returns the number of frames appended.
    pub fn push(&mut self, mut samples: &[f32], features: &mut Vec<f32>) -> usize {
        let mut frames = 0;
        loop {
            let (now, later) =
                samples.split_at(samples.len().min(self.spec.window - self.pending.len()));
            self.pending.extend_from_slice(now);
            samples = later;
            if self.pending.len() < self.spec.window {
                return frames;
            }
            self.append_frame(features);
            self.pending.copy_within(self.spec.hop.., 0);
            self.pending.truncate(self.spec.window - self.spec.hop);
            frames += 1;
        }
    }

    /// Forgets the samples of the unfinished frame: the next sample is sample 0 of a new stream.
    pub fn reset(&mut self) {
        self.pending.clear();
    }

    fn append_frame(&mut self, features: &mut Vec<f32>) {
        // The transform uses its input as working room, so the padding has to be written anew each time.
        let (head, tail) = self.padded.split_at_mut(self.spec.window);
        for ((out, sample), weight) in head.iter_mut().zip(&self.pending).zip(&self.window) {
            *out = sample * weight;
        }
        tail.fill(0.0);
        self.transform
            .process_with_scratch(&mut self.padded, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers were made by the transform itself");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
        let floor = self.spec.floor as f32;
        features.extend(
            self.bank
                .energies(&self.power)
                .map(|energy| (energy + floor).ln()),
        );
    }
}

fn periodic_hann(len: usize) -> Vec<f32> {
    let turn = std::f64::consts::TAU / len as f64;
    (0..len)
        .map(|n| (0.5 - 0.5 * (turn * n as f64).cos()) as f32)
        .collect()
}

#[cfg(test)]
mod tests;
