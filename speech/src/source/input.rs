//! How a user says what standard input carries.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

/// What a stream of bytes holds.
///
/// Written `auto`, `wav` (both: told from the first bytes), or `s16le` and `f32le` with optional rate and channels, as
/// in `s16le:48000:2`; left out they are 16000 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputFormat {
    /// WAV, FLAC or Ogg Opus, told from the first bytes.
    #[default]
    Detect,
    /// Raw signed 16-bit little-endian samples.
    S16Le(RawShape),
    /// Raw 32-bit little-endian IEEE floats, full scale ±1.
    F32Le(RawShape),
}

/// What a header would say, if raw samples had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawShape {
    /// Frames per second, in Hz.
    pub rate: NonZero<u32>,
    /// Interleaved samples in a frame.
    pub channels: NonZero<u16>,
}

impl Default for RawShape {
    /// 16 kHz mono.
    fn default() -> Self {
        const RATE: NonZero<u32> = NonZero::new(crate::resample::RATE).unwrap();
        Self {
            rate: RATE,
            channels: NonZero::<u16>::MIN,
        }
    }
}

/// Text that names no input format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "input format {text:?}: {what}: give auto, wav, s16le[:RATE[:CHANNELS]] or f32le[:RATE[:CHANNELS]]"
)]
pub struct InputFormatError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
}

impl FromStr for InputFormat {
    type Err = InputFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: String| InputFormatError {
            text: text.to_owned(),
            what,
        };
        let mut parts = text.split(':');
        let kind = parts.next().unwrap_or_default();
        let mut shape = RawShape::default();
        if let Some(rate) = parts.next() {
            shape.rate = rate
                .parse()
                .map_err(|_| wrong(format!("{rate:?} is no rate in Hz")))?;
        }
        if let Some(channels) = parts.next() {
            shape.channels = channels
                .parse()
                .map_err(|_| wrong(format!("{channels:?} is no number of channels")))?;
        }
        if let Some(more) = parts.next() {
            return Err(wrong(format!("nothing is known of {more:?}")));
        }
        match kind {
            "s16le" => Ok(Self::S16Le(shape)),
            "f32le" => Ok(Self::F32Le(shape)),
            "auto" | "wav" if text.contains(':') => {
                Err(wrong("its header says rate and channels".into()))
            }
            "auto" | "wav" => Ok(Self::Detect),
            _ => Err(wrong(format!("{kind:?} is unknown"))),
        }
    }
}

impl fmt::Display for InputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detect => f.write_str("auto"),
            Self::S16Le(shape) => write!(f, "s16le:{}:{}", shape.rate, shape.channels),
            Self::F32Le(shape) => write!(f, "f32le:{}:{}", shape.rate, shape.channels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rate: u32, channels: u16) -> RawShape {
        RawShape {
            rate: NonZero::new(rate).unwrap(),
            channels: NonZero::new(channels).unwrap(),
        }
    }

    #[test]
    fn every_way_of_writing_a_format_is_understood() {
        let parse = |text: &str| text.parse::<InputFormat>().unwrap();
        assert_eq!(parse("auto"), InputFormat::Detect);
        assert_eq!(parse("wav"), InputFormat::Detect);
        assert_eq!(parse("s16le"), InputFormat::S16Le(shape(16_000, 1)));
        assert_eq!(parse("f32le:48000"), InputFormat::F32Le(shape(48_000, 1)));
        assert_eq!(parse("s16le:44100:2"), InputFormat::S16Le(shape(44_100, 2)));
        for text in ["auto", "s16le:44100:2", "f32le:8000:1"] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            ("", "unknown"),
            ("mp3", "unknown"),
            ("s16le:fast", "no rate"),
            ("s16le:0", "no rate"),
            ("f32le:16000:0", "no number of channels"),
            ("f32le:16000:1:2", "nothing is known"),
            ("wav:16000", "header"),
        ] {
            let error = text.parse::<InputFormat>().unwrap_err();
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
    }
}
