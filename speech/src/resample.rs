//! Any sample rate to the 16 kHz everything downstream works at.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Indexing, SincInterpolationParameters, WindowFunction,
};

/// The sample rate of the front end, the voice activity detector and the recogniser, in Hz.
pub const RATE: u32 = 16_000;

/// The lowest rate accepted, in Hz: telephone speech.
pub const LOWEST_RATE: u32 = 8_000;

/// The highest rate accepted, in Hz.
pub const HIGHEST_RATE: u32 = 384_000;

/// Why a stream cannot be brought to 16 kHz.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResampleError {
    /// A rate no speech is recorded at.
    #[error(
        "a sample rate of {rate} Hz cannot be used: record at {LOWEST_RATE} to {HIGHEST_RATE} Hz, best at {RATE} or 48000 Hz"
    )]
    Rate {
        /// The offending rate in Hz.
        rate: u32,
    },
    /// The resampling library refused; no accepted rate is known to cause this.
    #[error("resampling from {rate} Hz failed: {reason}")]
    Library {
        /// The input rate in Hz.
        rate: u32,
        /// What the library said.
        reason: String,
    },
}

/// Streaming mono resampler to 16 kHz.
///
/// The filter's delay is taken off the front, so output sample `n` is the sound at `n / 16000` seconds of the input
/// (to within about a sample), and [`flush`](Resampler::flush) brings out the rest: `n` input samples make `ceil(n * 16000 / rate)` output samples.
pub struct Resampler {
    rate: u32,
    path: Path,
    received: u64,
    delivered: u64,
}

enum Path {
    /// The input is at 16 kHz already.
    Straight,
    Filtered(Box<Filter>),
}

struct Filter {
    inner: Box<dyn rubato::Resampler<f32>>,
    /// Input waiting for a whole block.
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Output samples still to be thrown away: the filter's start-up delay.
    delay: usize,
}

impl Resampler {
    /// A resampler from `rate` Hz.
    ///
    /// # Errors
    /// `rate` outside [`LOWEST_RATE`] to [`HIGHEST_RATE`].
    pub fn new(rate: u32) -> Result<Self, ResampleError> {
        if !(LOWEST_RATE..=HIGHEST_RATE).contains(&rate) {
            return Err(ResampleError::Rate { rate });
        }
        let path = if rate == RATE {
            Path::Straight
        } else {
            Path::Filtered(Box::new(Filter::new(rate)?))
        };
        Ok(Self {
            rate,
            path,
            received: 0,
            delivered: 0,
        })
    }

    /// The input rate in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Whether the input lacks the upper part of the band the recogniser listens to, so that recognition suffers.
    pub fn is_narrowband(&self) -> bool {
        self.rate < RATE
    }

    /// Takes finite mono samples at the input rate and appends the 16 kHz samples they complete to `out`.
    ///
    /// # Errors
    /// None for a resampler that [`new`](Resampler::new) made; the library's own are handed through.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        self.received += samples.len() as u64;
        let before = out.len();
        match &mut self.path {
            Path::Straight => out.extend_from_slice(samples),
            Path::Filtered(filter) => filter
                .push(samples, out)
                .map_err(|error| library(self.rate, &error))?,
        }
        self.delivered += (out.len() - before) as u64;
        Ok(())
    }

    /// Ends the stream: appends the samples still inside the filter, and starts a new stream.
    ///
    /// # Errors
    /// As [`push`](Resampler::push).
    pub fn flush(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let due = (self.received * u64::from(RATE)).div_ceil(u64::from(self.rate));
        if let Path::Filtered(filter) = &mut self.path {
            let before = out.len();
            let missing = (due - self.delivered.min(due)) as usize;
            while out.len() - before < missing {
                filter
                    .push_silence(out)
                    .map_err(|error| library(self.rate, &error))?;
            }
            out.truncate(before + missing);
        }
        self.reset();
        Ok(())
    }

    /// Forgets everything heard and starts a new stream.
    pub fn reset(&mut self) {
        if let Path::Filtered(filter) = &mut self.path {
            filter.reset();
        }
        self.received = 0;
        self.delivered = 0;
    }
}

fn library(rate: u32, reason: &dyn ToString) -> ResampleError {
    ResampleError::Library {
        rate,
        reason: reason.to_string(),
    }
}

impl Filter {
    fn new(rate: u32) -> Result<Self, ResampleError> {
        let inner = build(rate)?;
        Ok(Self {
            pending: Vec::with_capacity(inner.input_frames_max()),
            block: vec![0.0; inner.output_frames_max()],
            delay: inner.output_delay(),
            inner,
        })
    }

    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) -> rubato::ResampleResult<()> {
        loop {
            let wanted = self.inner.input_frames_next() - self.pending.len();
            let (now, later) = samples.split_at(samples.len().min(wanted));
            self.pending.extend_from_slice(now);
            samples = later;
            if now.len() < wanted {
                return Ok(());
            }
            self.process(None, out)?;
        }
    }

    /// Processes what is pending as if silence followed it.
    fn push_silence(&mut self, out: &mut Vec<f32>) -> rubato::ResampleResult<()> {
        let real = self.pending.len();
        self.pending.resize(self.inner.input_frames_next(), 0.0);
        self.process(Some(real), out)
    }

    fn process(
        &mut self,
        partial: Option<usize>,
        out: &mut Vec<f32>,
    ) -> rubato::ResampleResult<()> {
        let fits = "the slices have the lengths given";
        let input = SequentialSlice::new(&self.pending, 1, self.pending.len()).expect(fits);
        let frames = self.block.len();
        let mut output = SequentialSlice::new_mut(&mut self.block, 1, frames).expect(fits);
        let indexing = Indexing {
            partial_len: partial,
            ..Indexing::default()
        };
        let (_, made) = self
            .inner
            .process_into_buffer(&input, &mut output, Some(&indexing))?;
        let skipped = self.delay.min(made);
        self.delay -= skipped;
        out.extend_from_slice(&self.block[skipped..made]);
        self.pending.clear();
        Ok(())
    }

    fn reset(&mut self) {
        self.inner.reset();
        self.pending.clear();
        self.delay = self.inner.output_delay();
    }
}

/// The Fourier resampler where its blocks come out short, as for every rate in common use, because it is by far the
/// cheapest; for rates with hardly a common factor, which would need blocks of up to a second, the interpolating one.
fn build(rate: u32) -> Result<Box<dyn rubato::Resampler<f32>>, ResampleError> {
    const LONGEST_BLOCK: u32 = RATE / 25;
    let refused = |error: rubato::ResamplerConstructionError| library(rate, &error);
    // Blackman² lets the pass band reach 7.5 kHz with 20 ms blocks, and what aliases is below -100 dB.
    let window = WindowFunction::Blackman2;
    if RATE / gcd(rate, RATE) <= LONGEST_BLOCK {
        let block = (rate / 50) as usize;
        let fft = Fft::new_custom(
            rate as usize,
            RATE as usize,
            block,
            1,
            1,
            window,
            FixedSync::Both,
        );
        return Ok(Box::new(fft.map_err(refused)?));
    }
    let taps = 160 * rate.div_ceil(RATE) as usize;
    let parameters = SincInterpolationParameters::new(taps, window);
    let ratio = f64::from(RATE) / f64::from(rate);
    let sinc = Async::new_sinc(
        ratio,
        1.0,
        &parameters,
        (rate / 100) as usize,
        1,
        FixedAsync::Input,
    );
    Ok(Box::new(sinc.map_err(refused)?))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hertz: f64, len: usize) -> Vec<f32> {
        let turn = std::f64::consts::TAU * hertz / f64::from(rate);
        (0..len)
            .map(|n| 0.5 * (turn * n as f64).sin() as f32)
            .collect()
    }

    fn resampled(rate: u32, samples: &[f32], piece: usize) -> Vec<f32> {
        let mut resampler = Resampler::new(rate).unwrap();
        let mut out = Vec::new();
        for chunk in samples.chunks(piece) {
            resampler.push(chunk, &mut out).unwrap();
        }
        resampler.flush(&mut out).unwrap();
        out
    }

    /// Amplitude and lateness (in seconds) of a 1 kHz tone at 16 kHz, and the rms of what is not that tone; the ends,
    /// where the filter sees the edge of the tone, are left out.
    fn measure_kilohertz(got: &[f32]) -> (f64, f64, f64) {
        let inside = 1008..(got.len() - 1000) / 16 * 16;
        let angle = |n: usize| std::f64::consts::TAU * n as f64 / 16.0;
        let project = |wave: fn(f64) -> f64| {
            let sum: f64 = inside
                .clone()
                .map(|n| f64::from(got[n]) * wave(angle(n)))
                .sum();
            2.0 * sum / inside.len() as f64
        };
        let (sine, cosine) = (project(f64::sin), project(f64::cos));
        let residue =
            |n: usize| f64::from(got[n]) - sine * angle(n).sin() - cosine * angle(n).cos();
        let squares: f64 = inside.clone().map(|n| residue(n).powi(2)).sum();
        let late = (-cosine).atan2(sine) / (std::f64::consts::TAU * 1000.0);
        (
            sine.hypot(cosine),
            late,
            (squares / inside.len() as f64).sqrt(),
        )
    }

    #[test]
    fn every_rate_keeps_pitch_level_time_and_length() {
        for rate in [
            8_000, 11_025, 16_000, 22_050, 32_000, 44_056, 44_100, 47_999, 48_000, 88_200, 96_000,
            192_000,
        ] {
            let len = rate as usize + 123;
            let out = resampled(rate, &tone(rate, 1000.0, len), 777);
            assert_eq!(
                out.len(),
                (len * 16_000).div_ceil(rate as usize),
                "length from {rate} Hz"
            );
            let (amplitude, late, residue) = measure_kilohertz(&out);
            assert!(
                (amplitude - 0.5).abs() < 1e-3,
                "level {amplitude} from {rate} Hz"
            );
            // A filter's middle may lie between two samples.
            assert!(late.abs() < 1.1 / 16_000.0, "{late} s late from {rate} Hz");
            assert!(residue < 1e-3, "distortion {residue} from {rate} Hz");
        }
    }

    #[test]
    fn what_the_features_look_at_passes_and_what_would_alias_does_not() {
        for rate in [44_100, 47_999, 48_000, 96_000] {
            let level = |hertz| {
                let out = resampled(rate, &tone(rate, hertz, rate as usize), 480);
                let inside = &out[1000..15_000];
                (2.0 * inside.iter().map(|s| s * s).sum::<f32>() / inside.len() as f32).sqrt() / 0.5
            };
            assert!(
                (level(7000.0) - 1.0).abs() < 0.05,
                "7 kHz at {} from {rate} Hz",
                level(7000.0)
            );
            assert!(
                level(9000.0) < 1e-3,
                "9 kHz at {} from {rate} Hz",
                level(9000.0)
            );
            assert!(
                level(20_000.0) < 1e-3,
                "20 kHz at {} from {rate} Hz",
                level(20_000.0)
            );
        }
    }

    #[test]
    fn the_delay_is_short_enough_for_live_use() {
        for rate in [8_000, 22_050, 44_056, 44_100, 48_000, 96_000] {
            let mut resampler = Resampler::new(rate).unwrap();
            let mut out = Vec::new();
            resampler.push(&vec![0.0; rate as usize], &mut out).unwrap();
            let behind = RATE as usize - out.len();
            assert!(behind <= 16 * 40, "{behind} samples behind from {rate} Hz");
        }
    }

    #[test]
    fn a_flushed_resampler_starts_a_new_stream() {
        let samples = tone(44_100, 440.0, 20_000);
        let mut resampler = Resampler::new(44_100).unwrap();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for out in [&mut first, &mut second] {
            resampler.push(&samples, out).unwrap();
            resampler.flush(out).unwrap();
        }
        assert_eq!(first, second);
    }

    #[test]
    fn rates_of_no_use_are_refused_by_name() {
        for rate in [0, 7_999, 384_001] {
            assert_eq!(
                Resampler::new(rate).err(),
                Some(ResampleError::Rate { rate })
            );
        }
        assert!(Resampler::new(8_000).unwrap().is_narrowband());
        assert!(!Resampler::new(96_000).unwrap().is_narrowband());
    }
}
