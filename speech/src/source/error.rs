//! What can be wrong with a recording.

use std::io;

/// Why a recording cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be opened.
    #[error("{name}: cannot be opened: {reason}")]
    Open {
        /// The recording.
        name: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The first bytes belong to no audio format that is known.
    #[error(
        "{name}: is no audio (it begins with {head:?}): give a WAV, FLAC or Ogg Opus recording"
    )]
    NotAudio {
        /// The recording.
        name: String,
        /// Its first bytes, as text where they are text.
        head: String,
    },
    /// Audio, but of a kind that is not read.
    #[error("{name}: {what} is not supported: convert it to WAV, FLAC or Ogg Opus")]
    Unsupported {
        /// The recording.
        name: String,
        /// What it holds.
        what: String,
    },
    /// No channel of that number.
    #[error("{name}: has {channels} channel(s), counted from 0: choose one of them or the mix")]
    Channel {
        /// The recording.
        name: String,
        /// How many channels it has.
        channels: u16,
    },
    /// Not a single sample.
    #[error("{name}: holds no audio: check what recorded it")]
    Empty {
        /// The recording.
        name: String,
    },
    /// The stream ends before the audio does.
    #[error("{name}: breaks off after {seconds:.2} s{}: copy or record it again", announced(*.expected))]
    Truncated {
        /// The recording.
        name: String,
        /// Seconds of audio that were there and have been delivered.
        seconds: f64,
        /// Seconds the header promises, if it says.
        expected: Option<f64>,
    },
    /// Bytes that cannot be decoded.
    #[error("{name}: is damaged after {seconds:.2} s ({reason}): copy or record it again")]
    Damaged {
        /// The recording.
        name: String,
        /// Seconds of audio before the damage, which have been delivered.
        seconds: f64,
        /// What is wrong.
        reason: String,
    },
    /// The system failed to read on.
    #[error("{name}: cannot be read after {seconds:.2} s: {reason}")]
    Read {
        /// The recording.
        name: String,
        /// Seconds of audio before the failure, which have been delivered.
        seconds: f64,
        /// What the system said.
        reason: io::Error,
    },
}

fn announced(expected: Option<f64>) -> String {
    expected
        .map(|seconds| format!(" of {seconds:.2} s"))
        .unwrap_or_default()
}

/// A fault as a decoder sees it, which knows neither the recording's name nor how much has been delivered.
#[derive(Debug)]
pub(super) enum Fault {
    NotAudio { head: Vec<u8> },
    Unsupported(String),
    Empty,
    BrokenOff { expected: Option<f64> },
    Damaged(String),
    Read(io::Error),
}

impl Fault {
    pub(super) fn named(self, name: &str, seconds: f64) -> SourceError {
        let name = name.to_owned();
        match self {
            Self::NotAudio { head } => SourceError::NotAudio {
                name,
                head: String::from_utf8_lossy(&head).into_owned(),
            },
            Self::Unsupported(what) => SourceError::Unsupported { name, what },
            Self::Empty => SourceError::Empty { name },
            Self::BrokenOff { expected } => SourceError::Truncated {
                name,
                seconds,
                expected,
            },
            Self::Damaged(reason) => SourceError::Damaged {
                name,
                seconds,
                reason,
            },
            Self::Read(reason) => SourceError::Read {
                name,
                seconds,
                reason,
            },
        }
    }
}
