//! Recorded audio: WAV, FLAC and Ogg Opus files, and the same or raw samples on standard input.
//!
//! What a stream holds is told from its first bytes, never from a file's name. Audio comes out as mono chunks at the
//! recording's own rate; [`crate::resample`] brings it to 16 kHz, as [`AudioSource::whole`] does for a whole recording.

mod container;
mod error;
mod input;
mod opus;
mod raw;
mod whole;

pub use error::SourceError;
pub use input::{InputFormat, InputFormatError, RawShape};
pub use whole::RecordingError;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::pcm::{self, ChannelPick};
use error::Fault;

/// Bytes a stream comes from. `Sync` is what the container library asks for.
trait Bytes: Read + Send + Sync {}
impl<R: Read + Send + Sync> Bytes for R {}

/// How a stream's samples are laid out in time and in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    rate: u32,
    channels: u16,
}

/// Turns one kind of stream into interleaved samples.
trait Decode: Send {
    fn shape(&self) -> Shape;

    /// Appends some whole frames to `interleaved`; `false` once there are no more, again and again.
    fn decode(&mut self, interleaved: &mut Vec<f32>) -> Result<bool, Fault>;
}

/// One recording being read.
///
/// ```no_run
/// # fn main() -> Result<(), vocar_speech::source::SourceError> {
/// let mut source = vocar_speech::source::AudioSource::open("command.opus".as_ref())?;
/// while let Some(samples) = source.next_chunk()? {
///     println!("{} samples at {} Hz", samples.len(), source.rate());
/// #   break;
/// }
/// # Ok(())
/// # }
/// ```
pub struct AudioSource {
    name: String,
    decoder: Box<dyn Decode>,
    shape: Shape,
    picks: Vec<ChannelPick>,
    interleaved: Vec<f32>,
    tracks: Vec<Vec<f32>>,
    delivered: u64,
    replaced: u64,
    ended: bool,
}

impl AudioSource {
    /// Opens a WAV, FLAC or Ogg Opus file.
    ///
    /// # Errors
    /// The file cannot be opened, is empty, holds no audio, or audio of a kind that is not read here.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let refused = |reason| SourceError::Open {
            name: name.clone(),
            reason,
        };
        let file = File::open(path).map_err(refused)?;
        if file.metadata().map_err(refused)?.is_dir() {
            return Err(refused(std::io::Error::from(
                std::io::ErrorKind::IsADirectory,
            )));
        }
        Self::from_reader(name.clone(), file, InputFormat::Detect)
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// As [`open`](AudioSource::open) for [`InputFormat::Detect`]; none for raw samples.
    pub fn stdin(format: InputFormat) -> Result<Self, SourceError> {
        Self::from_reader("standard input".into(), std::io::stdin(), format)
    }

    /// Reads any stream of bytes; `name` is how errors call it.
    ///
    /// # Errors
    /// As [`stdin`](AudioSource::stdin).
    pub fn from_reader(
        name: String,
        reader: impl Read + Send + Sync + 'static,
        format: InputFormat,
    ) -> Result<Self, SourceError> {
        let decoder = match format {
            InputFormat::Detect => detect(Box::new(BufReader::new(reader))),
            InputFormat::S16Le(shape) => Ok(raw::s16le(Box::new(reader), shape)),
            InputFormat::F32Le(shape) => Ok(raw::f32le(Box::new(reader), shape)),
        }
        .map_err(|fault| fault.named(&name, 0.0))?;
        Ok(Self {
            name,
            shape: decoder.shape(),
            decoder,
            picks: vec![ChannelPick::Mix],
            interleaved: Vec::new(),
            tracks: vec![Vec::new()],
            delivered: 0,
            replaced: 0,
            ended: false,
        })
    }

    /// Listens to `pick` instead of the mean of all channels.
    ///
    /// # Errors
    /// The recording has no such channel.
    pub fn listen_to(self, pick: ChannelPick) -> Result<Self, SourceError> {
        self.listen_to_all(vec![pick])
    }

    /// Listens to several channels at once, each a track of its own: [`next_tracks`](AudioSource::next_tracks) brings
    /// them in the order of `picks`.
    ///
    /// # Errors
    /// The recording lacks one of the channels.
    pub fn listen_to_all(mut self, picks: Vec<ChannelPick>) -> Result<Self, SourceError> {
        let channels = self.shape.channels;
        if picks.is_empty() || !picks.iter().all(|pick| pick.fits(channels)) {
            return Err(SourceError::Channel {
                name: self.name,
                channels,
            });
        }
        self.tracks = vec![Vec::new(); picks.len()];
        self.picks = picks;
        Ok(self)
    }

    /// What errors call this recording: its path, or "standard input".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples per second of the chunks, in Hz.
    pub fn rate(&self) -> u32 {
        self.shape.rate
    }

    /// Channels in the recording, before they are made one.
    pub fn channels(&self) -> u16 {
        self.shape.channels
    }

    /// Tracks that are listened to.
    pub fn tracks(&self) -> usize {
        self.picks.len()
    }

    /// Seconds of audio delivered so far.
    pub fn seconds(&self) -> f64 {
        self.delivered as f64 / f64::from(self.shape.rate)
    }

    /// Samples so far that were not numbers (NaN, infinite) and were replaced by silence.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The next piece of audio, mono (the first track), finite, in [-1, 1]; `None` at the end.
    ///
    /// # Errors
    /// As [`next_tracks`](AudioSource::next_tracks).
    pub fn next_chunk(&mut self) -> Result<Option<&[f32]>, SourceError> {
        Ok(self.next_tracks()?.map(|tracks| tracks[0].as_slice()))
    }

    /// The next piece of audio, a track for each channel listened to, all of one length, finite, in [-1, 1]; `None` at
    /// the end.
    ///
    /// # Errors
    /// The recording holds no audio at all, breaks off, is damaged, or cannot be read on. Everything before the fault
    /// has been delivered by then, and after it the source is at its end.
    pub fn next_tracks(&mut self) -> Result<Option<&[Vec<f32>]>, SourceError> {
        self.tracks.iter_mut().for_each(Vec::clear);
        while self.tracks[0].is_empty() && !self.ended {
            self.interleaved.clear();
            let outcome = self.decoder.decode(&mut self.interleaved);
            self.take_in();
            match outcome {
                Ok(true) => {}
                Ok(false) => {
                    self.ended = true;
                    if self.delivered == 0 {
                        return Err(SourceError::Empty {
                            name: self.name.clone(),
                        });
                    }
                }
                Err(fault) => {
                    self.ended = true;
                    return Err(fault.named(&self.name, self.seconds()));
                }
            }
        }
        Ok((!self.tracks[0].is_empty()).then_some(&self.tracks))
    }

    fn take_in(&mut self) {
        self.replaced += pcm::sanitise(&mut self.interleaved);
        pcm::split(
            &self.interleaved,
            self.shape.channels,
            &self.picks,
            &mut self.tracks,
        );
        self.delivered += (self.interleaved.len() / usize::from(self.shape.channels)) as u64;
    }
}

/// The most bytes that tell formats apart: an Ogg page header with one segment, and the codec's name behind it.
const SNIFFED: usize = 36;

fn detect(mut bytes: Box<dyn Bytes>) -> Result<Box<dyn Decode>, Fault> {
    let mut head = Vec::with_capacity(SNIFFED);
    bytes
        .by_ref()
        .take(SNIFFED as u64)
        .read_to_end(&mut head)
        .map_err(Fault::Read)?;
    let kind = Kind::of(&head)?;
    let whole: Box<dyn Bytes> = Box::new(std::io::Cursor::new(head).chain(bytes));
    match kind {
        Kind::Container => container::open(whole),
        Kind::OggOpus => opus::open(whole),
    }
}

/// Which decoder a stream needs.
enum Kind {
    Container,
    OggOpus,
}

impl Kind {
    fn of(head: &[u8]) -> Result<Self, Fault> {
        if head.is_empty() {
            return Err(Fault::Empty);
        }
        let form = head.get(8..12);
        match head.get(..4) {
            Some(b"RIFF") if form == Some(b"WAVE") => Ok(Self::Container),
            Some(b"RIFF") if form.is_none() => Err(Fault::BrokenOff { expected: None }),
            Some(b"fLaC") => Ok(Self::Container),
            Some(b"OggS") if head.get(28..36) == Some(b"OpusHead") => Ok(Self::OggOpus),
            Some(b"OggS") if head.len() < SNIFFED => Err(Fault::BrokenOff { expected: None }),
            Some(b"OggS") => Err(Fault::Unsupported(
                "Ogg with another codec than Opus".into(),
            )),
            Some(b"RF64") => Err(Fault::Unsupported("RF64, the 64-bit WAV".into())),
            _ => Err(Fault::NotAudio {
                head: head[..head.len().min(4)].to_vec(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
