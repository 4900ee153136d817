//! What the channels of recordings are: seats' microphones, a reference of what was played.

use super::{Code, Failure};
use crate::config::Settings;
use crate::microphone::echo;
use clap::Args;
use std::path::PathBuf;
use vocar_speech::cabin::{Cabin, CabinConfig};
use vocar_speech::pcm::ChannelPick;
use vocar_speech::resample::Resampler;
use vocar_speech::source::AudioSource;

/// Samples (16 kHz) given to the pipeline at a time: 20 ms, about what a microphone delivers.
const PIECE: usize = 320;

/// Options for recordings with several channels. Without any, a recording is heard as the mean of its channels.
#[derive(Debug, Args)]
pub struct Channels {
    /// Seat zone and the channel (from 0) of its microphone, such as driver=0; once for each seat. The microphone that
    /// the voice reaches first is listened to, and its zone stands in the events.
    #[arg(long = "microphone", value_name = "ZONE=CHANNEL", value_parser = seat)]
    microphones: Vec<(String, u16)>,
    /// Channel (from 0) that holds what the car played; may be repeated. It is taken out of what the microphones heard;
    /// the microphone is channel 0 unless --microphone says otherwise.
    #[arg(long, value_name = "CHANNEL")]
    reference_channel: Vec<u16>,
    /// Recording of what the car played, begun with the other.
    #[arg(long, value_name = "FILE", conflicts_with = "reference_channel")]
    reference: Option<PathBuf>,
}

fn seat(text: &str) -> Result<(String, u16), String> {
    let wrong =
        || format!("\"{text}\" names no microphone: give zone and channel, such as driver=0");
    let (zone, channel) = text.split_once('=').ok_or_else(wrong)?;
    let channel = channel.parse().map_err(|_| wrong())?;
    if zone.is_empty() {
        Err(wrong())
    } else {
        Ok((zone.to_owned(), channel))
    }
}

impl Channels {
    fn references(&self) -> usize {
        self.reference_channel.len() + usize::from(self.reference.is_some())
    }

    /// A new cabin for these channels; nothing where there is one microphone and no reference.
    ///
    /// # Errors
    /// [`Code::Input`] when a reference is given and echoes cannot be cancelled.
    pub fn cabin(&self, settings: &Settings) -> Result<Option<Cabin>, Failure> {
        if self.microphones.is_empty() && self.references() == 0 {
            return Ok(None);
        }
        let mut zones: Vec<String> = self
            .microphones
            .iter()
            .map(|(zone, _)| zone.clone())
            .collect();
        if zones.is_empty() {
            zones.push(settings.audio.zone.clone());
        }
        let config = CabinConfig {
            zones,
            one_clock: true,
            references: self.references(),
            echo: echo(&settings.audio.reference),
        };
        Cabin::new(&config)
            .map(Some)
            .map_err(|error| Failure::new(Code::Input, error.to_string()))
    }

    fn picks(&self) -> Vec<ChannelPick> {
        let mut picks: Vec<_> = self
            .microphones
            .iter()
            .map(|(_, channel)| ChannelPick::One(*channel))
            .collect();
        if picks.is_empty() {
            picks.push(if self.reference_channel.is_empty() {
                ChannelPick::Mix
            } else {
                ChannelPick::One(0)
            });
        }
        picks.extend(self.reference_channel.iter().copied().map(ChannelPick::One));
        picks
    }

    /// Gives the recording, as the cabin's 16 kHz tracks, to `take`: at most 20 ms at a time.
    ///
    /// # Errors
    /// [`Code::Input`] names the recording and what is wrong with it, or whatever `take` fails with.
    pub fn play(
        &self,
        source: AudioSource,
        mut take: impl FnMut(&[Vec<f32>]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut recording = Recording::new(source.listen_to_all(self.picks()).map_err(unusable)?)?;
        let reference = self.reference.as_deref().map(AudioSource::open).transpose();
        let mut reference = reference
            .map_err(unusable)?
            .map(Recording::new)
            .transpose()?;
        loop {
            let mut piece = recording.next()?;
            let length = piece[0].len();
            if length == 0 {
                return Ok(());
            }
            if let Some(reference) = &mut reference {
                let mut played = reference.take(length)?.remove(0);
                played.resize(length, 0.0);
                piece.push(played);
            }
            take(&piece)?;
        }
    }
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Input, error.to_string())
}

/// A recording brought to 16 kHz, track by track.
struct Recording {
    source: AudioSource,
    resamplers: Vec<Resampler>,
    tracks: Vec<Vec<f32>>,
    ended: bool,
}

impl Recording {
    fn new(source: AudioSource) -> Result<Self, Failure> {
        let resamplers: Result<Vec<_>, _> = (0..source.tracks())
            .map(|_| Resampler::new(source.rate()))
            .collect();
        let resamplers = resamplers.map_err(unusable)?;
        Ok(Self {
            tracks: vec![Vec::new(); resamplers.len()],
            resamplers,
            source,
            ended: false,
        })
    }

    /// The next piece; empty at the end.
    fn next(&mut self) -> Result<Vec<Vec<f32>>, Failure> {
        self.take(PIECE)
    }

    /// So many samples of each track, fewer at the end.
    fn take(&mut self, count: usize) -> Result<Vec<Vec<f32>>, Failure> {
        while self.tracks[0].len() < count && !self.ended {
            self.read()?;
        }
        let count = count.min(self.tracks[0].len());
        Ok(self
            .tracks
            .iter_mut()
            .map(|track| track.drain(..count).collect())
            .collect())
    }

    fn read(&mut self) -> Result<(), Failure> {
        let lines = self.resamplers.iter_mut().zip(&mut self.tracks);
        match self.source.next_tracks().map_err(unusable)? {
            Some(tracks) => {
                for ((resampler, track), samples) in lines.zip(tracks) {
                    resampler.push(samples, track).map_err(unusable)?;
                }
            }
            None => {
                self.ended = true;
                for (resampler, track) in lines {
                    resampler.flush(track).map_err(unusable)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_a_zone_and_a_channel() {
        assert_eq!(seat("rear_left=3"), Ok(("rear_left".into(), 3)));
        for text in ["driver", "=1", "driver=left", "driver=-1"] {
            assert!(seat(text).unwrap_err().contains("driver=0"), "{text}");
        }
    }
}
