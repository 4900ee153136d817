//! A recording as a whole, at the rate of everything downstream.

use super::{AudioSource, SourceError};
use crate::resample::{ResampleError, Resampler};

/// Why a recording cannot be had at 16 kHz.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read, or not to its end.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its sample rate is of no use.
    #[error("{name}: {problem}")]
    Rate {
        /// The recording.
        name: String,
        /// What is wrong with the rate.
        problem: ResampleError,
    },
}

impl AudioSource {
    /// The rest of the recording as 16 kHz mono (the first track), in [-1, 1].
    ///
    /// # Errors
    /// [`RecordingError`] when the recording is no good to its end or its rate is out of range.
    pub fn whole(mut self) -> Result<Vec<f32>, RecordingError> {
        let name = self.name().to_owned();
        let rate = |problem| RecordingError::Rate {
            name: name.clone(),
            problem,
        };
        let mut resampler = Resampler::new(self.rate()).map_err(rate)?;
        let mut samples = Vec::new();
        while let Some(chunk) = self.next_chunk()? {
            resampler.push(chunk, &mut samples).map_err(rate)?;
        }
        resampler.flush(&mut samples).map_err(rate)?;
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::source::InputFormat;

    fn raw(rate: u32, samples: usize) -> AudioSource {
        let bytes: Vec<u8> = (0..samples)
            .map(|n| ((n as f32 * 0.1).sin() * 8000.0) as i16)
            .flat_map(i16::to_le_bytes)
            .collect();
        let format = format!("s16le:{rate}").parse::<InputFormat>().unwrap();
        AudioSource::from_reader("a test".into(), Cursor::new(bytes), format).unwrap()
    }

    #[test]
    fn every_rate_comes_out_at_16_khz_with_its_length() {
        assert_eq!(raw(16_000, 1600).whole().unwrap().len(), 1600);
        assert_eq!(raw(48_000, 4800).whole().unwrap().len(), 1600);
        let loudest = raw(8_000, 800)
            .whole()
            .unwrap()
            .into_iter()
            .fold(0.0, f32::max);
        assert!(loudest > 0.2, "{loudest}");
    }

    #[test]
    fn a_rate_that_is_no_use_is_refused_by_the_name_of_the_recording() {
        let refused = raw(4_000, 400).whole().unwrap_err().to_string();
        assert!(
            refused.contains("a test") && refused.contains("4000 Hz"),
            "{refused}"
        );
    }
}
