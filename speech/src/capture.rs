//! Live sound from a microphone.
//!
//! A supervisor thread owns the device: it opens it, watches it, and when it disappears or falls silent reports that
//! and tries again until it is back. The audio callback only copies bytes into a lock-free ring; everything else -
//! conversion, mixing, resampling to 16 kHz - happens in [`Capture::read`], on the reader's thread. When the ring is
//! full the frames that do not fit are dropped and counted.

mod choice;
mod device;
mod ensemble;
mod line;
mod samples;
mod supervisor;

pub use device::{DeviceInfo, devices};
pub use ensemble::Ensemble;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::pcm::ChannelPick;
use crate::resample::{HIGHEST_RATE, LOWEST_RATE, ResampleError};
use line::{Counters, Outlet};
use supervisor::{Message, Supervisor};

/// Which microphone, and how to listen to it.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureConfig {
    /// The sound system, such as `alsa`; the platform's usual one when left out.
    pub host: Option<String>,
    /// The device: its id (`hw:CARD=0,DEV=0`, `pulse`) or a part of its description; the host's default when left out.
    /// Through ALSA's default, PulseAudio and PipeWire are reached.
    pub device: Option<String>,
    /// Frames per second to ask the device for, in Hz; a usual one it offers when left out.
    pub rate: Option<u32>,
    /// Channels to ask the device for; as few as it offers when left out.
    pub channels: Option<u16>,
    /// What is listened to: each pick is a track of its own.
    pub picks: Vec<ChannelPick>,
    /// How much sound the device gathers before handing it over, 5 ms to 500 ms.
    pub period: Duration,
    /// How much sound the ring holds for a reader that is late, 100 ms to 60 s.
    pub ring: Duration,
    /// How long to wait before the first try to reopen a lost device; the wait doubles up to ten times this.
    pub retry: Duration,
    /// A running device that delivers nothing for so long is taken for lost.
    pub stall: Duration,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            host: None,
            device: None,
            rate: None,
            channels: None,
            picks: vec![ChannelPick::Mix],
            period: Duration::from_millis(30),
            ring: Duration::from_secs(4),
            retry: Duration::from_millis(500),
            stall: Duration::from_secs(2),
        }
    }
}

impl CaptureConfig {
    /// Whether a device of `channels` channels has all that is listened to.
    fn fits(&self, channels: u16) -> bool {
        self.picks.iter().all(|pick| pick.fits(channels))
    }
}

/// Why capture cannot start, or a device cannot be opened.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CaptureError {
    /// A setting no device could satisfy.
    #[error("capture {field} = {value} is out of range: {mend}")]
    Setting {
        /// The field of [`CaptureConfig`].
        field: &'static str,
        /// The value found there.
        value: String,
        /// What would be accepted.
        mend: String,
    },
    /// No such sound system.
    #[error("sound system {name:?} is unknown or absent: choose one of {known}")]
    Host {
        /// What was asked for.
        name: String,
        /// The sound systems there are.
        known: String,
    },
    /// No such device, at least now.
    #[error("microphone {name:?} is not there: choose one of {known}")]
    Device {
        /// What was asked for.
        name: String,
        /// The devices there are.
        known: String,
    },
    /// The device offers nothing that fits the settings.
    #[error("microphone {device}: cannot give {wish}: it offers {offered}")]
    Format {
        /// The device.
        device: String,
        /// What was asked for.
        wish: String,
        /// What the device can do.
        offered: String,
    },
    /// The sound system or the device failed.
    #[error("microphone {device}: {reason}")]
    Backend {
        /// The device.
        device: String,
        /// What the sound system said.
        reason: String,
    },
    /// The device's rate cannot be brought to 16 kHz.
    #[error(transparent)]
    Rate(#[from] ResampleError),
}

/// What happens to a microphone, in order with its samples.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptureEvent {
    /// Sound flows.
    Opened(StreamInfo),
    /// The device cannot be opened now; it is tried again and again. Repeated only when the reason changes.
    Unavailable {
        /// Why.
        reason: CaptureError,
    },
    /// A device that was open is gone; it is tried again and again. The sound before and after are not one stream:
    /// whoever was in the middle of an utterance should give it up.
    Lost {
        /// The device.
        device: String,
        /// What the sound system said.
        reason: String,
    },
    /// The ring was full: the reader came too late.
    Dropped {
        /// Frames lost since the last such event.
        frames: u64,
    },
    /// The sound system's own buffer was full: its thread came too late. Sound of unknown length is missing.
    Overrun {
        /// Times since the last such event.
        count: u64,
    },
}

/// An open device and the format it delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// The device's id.
    pub device: String,
    /// Frames per second, in Hz.
    pub rate: u32,
    /// Samples in a frame.
    pub channels: u16,
    /// The sample format, as the sound system calls it.
    pub format: String,
}

/// Counts since capture started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaptureStats {
    /// Frames the device delivered.
    pub frames: u64,
    /// Frames of them that found no room in the ring.
    pub dropped: u64,
    /// Overruns inside the sound system, each a gap of unknown length.
    pub overruns: u64,
    /// Times a device was opened.
    pub opened: u64,
    /// Times an open device was lost.
    pub lost: u64,
    /// Samples that were not numbers and were replaced by silence.
    pub replaced: u64,
}

/// A microphone, kept open for as long as this lives.
pub struct Capture {
    messages: Receiver<Message>,
    counters: Arc<Counters>,
    /// The stream being read, if a device is open.
    outlet: Option<Outlet>,
    dropped_reported: u64,
    overruns_reported: u64,
    replaced_before: u64,
    /// Dropping it stops the thread and closes the device.
    _supervisor: Supervisor,
}

/// How long a reader naps while there is nothing to read: short against the period, long against a context switch.
const NAP: Duration = Duration::from_millis(8);

impl Capture {
    /// Starts listening. A device that is not there yet is no error: it is waited for, and reported by
    /// [`read`](Capture::read).
    ///
    /// # Errors
    /// A setting out of its range, or a sound system that does not exist.
    pub fn start(config: CaptureConfig) -> Result<Self, CaptureError> {
        check(&config)?;
        let host = device::host(config.host.as_deref())?;
        let counters = Arc::new(Counters::default());
        let (supervisor, messages) = Supervisor::start(host, config, counters.clone());
        Ok(Self {
            messages,
            counters,
            outlet: None,
            dropped_reported: 0,
            overruns_reported: 0,
            replaced_before: 0,
            _supervisor: supervisor,
        })
    }

    /// As [`read_tracks`](Capture::read_tracks), for a capture of one track.
    pub fn read(
        &mut self,
        timeout: Duration,
        samples: &mut Vec<f32>,
        report: &mut dyn FnMut(CaptureEvent),
    ) -> usize {
        self.read_tracks(timeout, std::slice::from_mut(samples), report)
    }

    /// Appends the sound that has come in, 16 kHz in [-1, 1], to `tracks`, one for each of the configured picks, waiting
    /// up to `timeout` for some, and reports what happened on the way. Returns the number of samples appended to each
    /// track: 0 after the timeout or an event.
    pub fn read_tracks(
        &mut self,
        timeout: Duration,
        tracks: &mut [Vec<f32>],
        report: &mut dyn FnMut(CaptureEvent),
    ) -> usize {
        let until = Instant::now() + timeout;
        let before = tracks[0].len();
        loop {
            let mut happened = false;
            self.take_sound(tracks, &mut |event| {
                happened = true;
                report(event);
            });
            if tracks[0].len() == before && !happened {
                happened = self.take_message(tracks, report);
            }
            let now = Instant::now();
            if tracks[0].len() > before || happened || now >= until {
                return tracks[0].len() - before;
            }
            std::thread::sleep(NAP.min(until - now));
        }
    }

    /// Counts since the start.
    pub fn stats(&self) -> CaptureStats {
        let mut stats = self.counters.snapshot();
        stats.replaced = self.replaced_before + self.outlet.as_ref().map_or(0, Outlet::replaced);
        stats
    }

    fn take_sound(&mut self, tracks: &mut [Vec<f32>], report: &mut dyn FnMut(CaptureEvent)) {
        let Some(outlet) = &mut self.outlet else {
            return;
        };
        if let Err(error) = outlet.read(tracks) {
            report(CaptureEvent::Unavailable {
                reason: error.into(),
            });
            self.close_outlet(tracks);
        }
        let CaptureStats {
            dropped, overruns, ..
        } = self.counters.snapshot();
        if dropped > self.dropped_reported {
            report(CaptureEvent::Dropped {
                frames: dropped - self.dropped_reported,
            });
            self.dropped_reported = dropped;
        }
        if overruns > self.overruns_reported {
            report(CaptureEvent::Overrun {
                count: overruns - self.overruns_reported,
            });
            self.overruns_reported = overruns;
        }
    }

    /// Follows what the supervisor says; whether it said anything. Called with the ring empty, so that the sound before
    /// a loss comes before the loss.
    fn take_message(
        &mut self,
        tracks: &mut [Vec<f32>],
        report: &mut dyn FnMut(CaptureEvent),
    ) -> bool {
        let event = match self.messages.try_recv() {
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            Ok(Message::Opened(outlet)) => {
                let event = CaptureEvent::Opened(outlet.info().clone());
                self.close_outlet(tracks);
                self.outlet = Some(*outlet);
                event
            }
            Ok(Message::Unavailable(reason)) => CaptureEvent::Unavailable { reason },
            Ok(Message::Lost { device, reason }) => {
                // The stream is closed by now, so this is the last of it.
                self.take_sound(tracks, report);
                self.close_outlet(tracks);
                CaptureEvent::Lost { device, reason }
            }
        };
        report(event);
        true
    }

    fn close_outlet(&mut self, tracks: &mut [Vec<f32>]) {
        if let Some(mut outlet) = self.outlet.take() {
            outlet.flush(tracks);
            self.replaced_before += outlet.replaced();
        }
    }
}

fn check(config: &CaptureConfig) -> Result<(), CaptureError> {
    let within = |field, value: Duration, low: u64, high: u64| {
        if (Duration::from_millis(low)..=Duration::from_millis(high)).contains(&value) {
            return Ok(());
        }
        Err(CaptureError::Setting {
            field,
            value: format!("{value:?}"),
            mend: format!("give {low} ms to {high} ms"),
        })
    };
    within("period", config.period, 5, 500)?;
    within("ring", config.ring, 100, 60_000)?;
    within("retry", config.retry, 10, 60_000)?;
    within("stall", config.stall, 500, 600_000)?;
    if let Some(rate) = config
        .rate
        .filter(|rate| !(LOWEST_RATE..=HIGHEST_RATE).contains(rate))
    {
        let mend = format!("give {LOWEST_RATE} to {HIGHEST_RATE} Hz, or leave it out");
        return Err(CaptureError::Setting {
            field: "rate",
            value: rate.to_string(),
            mend,
        });
    }
    if let Some(channels) = config.channels.filter(|&channels| !config.fits(channels)) {
        let mend = format!(
            "give enough for the channel listened to ({:?}), or leave it out",
            config.picks
        );
        return Err(CaptureError::Setting {
            field: "channels",
            value: channels.to_string(),
            mend,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let field = |config| match Capture::start(config) {
            Err(CaptureError::Setting { field, .. }) => field,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("started"),
        };
        let good = CaptureConfig::default;
        assert_eq!(
            field(CaptureConfig {
                period: Duration::ZERO,
                ..good()
            }),
            "period"
        );
        assert_eq!(
            field(CaptureConfig {
                ring: Duration::from_millis(1),
                ..good()
            }),
            "ring"
        );
        assert_eq!(
            field(CaptureConfig {
                retry: Duration::ZERO,
                ..good()
            }),
            "retry"
        );
        assert_eq!(
            field(CaptureConfig {
                stall: Duration::ZERO,
                ..good()
            }),
            "stall"
        );
        assert_eq!(
            field(CaptureConfig {
                rate: Some(4000),
                ..good()
            }),
            "rate"
        );
        assert_eq!(
            field(CaptureConfig {
                channels: Some(2),
                picks: vec![ChannelPick::One(2)],
                ..good()
            }),
            "channels"
        );
    }

    #[test]
    fn an_unknown_sound_system_is_refused_with_those_there_are() {
        let error = Capture::start(CaptureConfig {
            host: Some("asio".into()),
            ..CaptureConfig::default()
        })
        .err();
        let text = error.expect("a refusal").to_string();
        assert!(
            text.contains("\"asio\"") && text.to_lowercase().contains("alsa"),
            "{text}"
        );
    }

    #[test]
    fn a_device_that_is_not_there_is_reported_once_and_waited_for() {
        let config = CaptureConfig {
            device: Some("no such microphone".into()),
            retry: Duration::from_millis(10),
            ..CaptureConfig::default()
        };
        let mut capture = Capture::start(config).unwrap();
        let mut events = Vec::new();
        let mut samples = Vec::new();
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            capture.read(Duration::from_millis(100), &mut samples, &mut |event| {
                events.push(event)
            });
        }
        assert!(samples.is_empty());
        assert!(
            matches!(&events[..], [CaptureEvent::Unavailable { reason: CaptureError::Device { name, .. } }]
                if name == "no such microphone"),
            "{events:?}"
        );
        assert_eq!(capture.stats(), CaptureStats::default());
    }
}
