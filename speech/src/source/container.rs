//! WAV and FLAC.

use std::io::ErrorKind;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::MetadataOptions;

use super::error::Fault;
use super::{Bytes, Decode, Shape};

pub(super) fn open(bytes: Box<dyn Bytes>) -> Result<Box<dyn Decode>, Fault> {
    let stream = MediaSourceStream::new(Box::new(ReadOnlySource::new(bytes)), Default::default());
    let reader = symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(header_fault)?;
    let track = reader.default_track(TrackType::Audio).ok_or(Fault::Empty)?;
    let parameters = audio_parameters(track)?;
    let shape = shape_of(parameters)?;
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|_| Fault::Unsupported(format!("audio coded as {}", parameters.codec)))?;
    Ok(Box::new(Container {
        announced: announced_frames(track, shape),
        reader,
        decoder,
        shape,
        decoded: 0,
        packet: Vec::new(),
    }))
}

fn audio_parameters(track: &Track) -> Result<&AudioCodecParameters, Fault> {
    match &track.codec_params {
        Some(CodecParameters::Audio(parameters)) => Ok(parameters),
        _ => Err(Fault::Unsupported("a track that is no audio".into())),
    }
}

fn shape_of(parameters: &AudioCodecParameters) -> Result<Shape, Fault> {
    let rate = parameters.sample_rate.filter(|&rate| rate > 0);
    let channels = parameters
        .channels
        .as_ref()
        .map(|channels| channels.count());
    match (rate, channels.and_then(|count| u16::try_from(count).ok())) {
        (Some(rate), Some(channels)) if channels > 0 => Ok(Shape { rate, channels }),
        _ => Err(Fault::Damaged(
            "its header gives no rate or no channels".into(),
        )),
    }
}

/// Frames the header promises. Programs that write WAV into a pipe do not know and promise close to all that the field
/// can hold; that is no promise.
fn announced_frames(track: &Track, shape: Shape) -> Option<u64> {
    const PIPE: u64 = 0x7fff_0000;
    track
        .num_frames
        .filter(|frames| frames * u64::from(shape.channels) < PIPE / 4)
}

struct Container {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    shape: Shape,
    announced: Option<u64>,
    decoded: u64,
    packet: Vec<f32>,
}

impl Decode for Container {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn decode(&mut self, interleaved: &mut Vec<f32>) -> Result<bool, Fault> {
        let packet = match self.reader.next_packet() {
            Ok(Some(packet)) if packet.data.is_empty() => return self.end(),
            Ok(Some(packet)) => packet,
            Ok(None) => return self.end(),
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return self.end();
            }
            Err(Error::IoError(error)) => return Err(Fault::Read(error)),
            Err(error) => return Err(Fault::Damaged(error.to_string())),
        };
        let audio = self
            .decoder
            .decode(&packet)
            .map_err(|error| Fault::Damaged(error.to_string()))?;
        if audio.spec().rate() != self.shape.rate
            || audio.num_planes() != usize::from(self.shape.channels)
        {
            return Err(Fault::Damaged("rate or channels change on the way".into()));
        }
        audio.copy_to_vec_interleaved(&mut self.packet);
        self.decoded += (self.packet.len() / usize::from(self.shape.channels)) as u64;
        interleaved.extend_from_slice(&self.packet);
        Ok(true)
    }
}

impl Container {
    /// The bytes are at their end; is the audio?
    fn end(&self) -> Result<bool, Fault> {
        match self.announced {
            Some(announced) if self.decoded < announced => Err(Fault::BrokenOff {
                expected: Some(announced as f64 / f64::from(self.shape.rate)),
            }),
            _ => Ok(false),
        }
    }
}

fn header_fault(error: Error) -> Fault {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Fault::BrokenOff { expected: None }
        }
        Error::IoError(error) => Fault::Read(error),
        Error::Unsupported(what) => Fault::Unsupported(what.to_owned()),
        error => Fault::Damaged(error.to_string()),
    }
}
