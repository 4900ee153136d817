//! The microphones as the worker needs them: configured, opened with a deadline, their mishaps in words.

use crate::config::{Audio, Reference};
use std::time::{Duration, Instant};
use vocar_speech::cabin::CabinConfig;
use vocar_speech::capture::{CaptureConfig, CaptureEvent, Ensemble};
use vocar_speech::echo::EchoConfig;
use vocar_speech::pcm::ChannelPick;

/// What happened to the microphone.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sound flows, from this device.
    Opened(String),
    /// It cannot be opened or is gone; it is tried again and again.
    Lost(String),
    /// Another device (a seat's, or the reference) is there.
    Joined(String),
    /// Another device is not there: its tracks are silent.
    Missing(String),
    /// So many frames came too fast to be processed.
    Dropped(u64),
    /// The sound system lost sound so many times.
    Overrun(u64),
}

/// Which tracks are captured from which devices.
#[derive(Debug, Clone, PartialEq, Default)]
struct Plan {
    /// Devices (empty: the configured one), the leading one first, with the channels of each.
    devices: Vec<(String, Vec<ChannelPick>)>,
    /// Where each track of the cabin comes from: device and track of the device.
    order: Vec<(usize, usize)>,
}

impl Plan {
    fn of(audio: &Audio) -> Self {
        let mut plan = Self::default();
        for microphone in &audio.microphones {
            plan.add(
                &microphone.device,
                ChannelPick::One(microphone.channel),
                audio,
            );
        }
        if audio.microphones.is_empty() {
            plan.add("", ChannelPick::Mix, audio);
        }
        for pick in references(&audio.reference) {
            plan.add(&audio.reference.device, pick, audio);
        }
        plan
    }

    fn add(&mut self, device: &str, pick: ChannelPick, audio: &Audio) {
        let device = if device.is_empty() {
            &audio.device
        } else {
            device
        };
        let number = self.devices.iter().position(|(known, _)| known == device);
        let number = number.unwrap_or_else(|| {
            self.devices.push((device.to_owned(), Vec::new()));
            self.devices.len() - 1
        });
        let picks = &mut self.devices[number].1;
        self.order.push((number, picks.len()));
        picks.push(pick);
    }

    /// Where each track of the cabin stands among the tracks of all devices, one device behind the other.
    fn places(&self) -> Vec<usize> {
        let before = |device: usize| -> usize {
            self.devices[..device]
                .iter()
                .map(|(_, picks)| picks.len())
                .sum()
        };
        self.order
            .iter()
            .map(|&(device, track)| before(device) + track)
            .collect()
    }
}

fn references(reference: &Reference) -> Vec<ChannelPick> {
    if !reference.is_given() {
        return Vec::new();
    }
    if reference.channels.is_empty() {
        return vec![ChannelPick::Mix];
    }
    reference
        .channels
        .iter()
        .copied()
        .map(ChannelPick::One)
        .collect()
}

/// The cabin these settings describe; nothing for one microphone without a reference.
#[must_use]
pub fn cabin(audio: &Audio) -> Option<CabinConfig> {
    let zones: Vec<String> = audio
        .microphones
        .iter()
        .map(|microphone| microphone.zone.clone())
        .collect();
    let device = |named: &String| -> String {
        if named.is_empty() {
            audio.device.clone()
        } else {
            named.clone()
        }
    };
    let mut devices: Vec<_> = audio
        .microphones
        .iter()
        .map(|one| device(&one.device))
        .collect();
    devices.dedup();
    let references = references(&audio.reference).len();
    (!zones.is_empty() || references > 0).then(|| CabinConfig {
        zones: if zones.is_empty() {
            vec![audio.zone.clone()]
        } else {
            zones
        },
        one_clock: devices.len() <= 1,
        references,
        echo: echo(&audio.reference),
    })
}

/// How the echo comes about, as configured.
#[must_use]
pub fn echo(reference: &Reference) -> EchoConfig {
    EchoConfig {
        tail: Duration::from_secs_f64(reference.tail_ms / 1e3),
        delay: Duration::from_secs_f64(reference.delay_ms / 1e3),
    }
}

/// Microphones, and a reference, that are kept open.
pub struct Microphone {
    ensemble: Ensemble,
    places: Vec<usize>,
    /// Tracks as the devices deliver them.
    raw: Vec<Vec<f32>>,
}

impl std::fmt::Debug for Microphone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microphone")
            .field("stats", &self.ensemble.leader().stats())
            .finish_non_exhaustive()
    }
}

impl Microphone {
    /// Starts to open the configured devices.
    ///
    /// # Errors
    /// In words, when the settings fit no device.
    pub fn open(audio: &Audio) -> Result<Self, String> {
        let plan = Plan::of(audio);
        let mut configs = plan.devices.iter().map(|(device, picks)| CaptureConfig {
            device: (device != "default").then(|| device.clone()),
            retry: Duration::from_secs_f64(audio.retry_s),
            period: Duration::from_secs_f64(audio.period_ms / 1e3),
            picks: picks.clone(),
            ..CaptureConfig::default()
        });
        let leader = configs.next().unwrap_or_default();
        let ensemble = Ensemble::start(leader, configs.collect())
            .map_err(|error| format!("audio.device: {error}"))?;
        Ok(Self {
            raw: vec![Vec::new(); ensemble.tracks()],
            places: plan.places(),
            ensemble,
        })
    }

    /// Waits until sound flows; what flows meanwhile is appended to `tracks`.
    ///
    /// # Errors
    /// In words, when the device cannot be opened; a device that is merely slow is no error.
    pub fn wait(&mut self, limit: Duration, tracks: &mut Vec<Vec<f32>>) -> Result<(), String> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            for change in self.read(Duration::from_millis(20), tracks) {
                match change {
                    Change::Opened(_) => return Ok(()),
                    Change::Lost(why) => return Err(why),
                    Change::Joined(_)
                    | Change::Missing(_)
                    | Change::Dropped(_)
                    | Change::Overrun(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Appends what was heard (16 kHz; the seats' tracks, then the reference's) to `tracks`, which gets as many as there
    /// are, waiting up to `patience` for some; tells what changed.
    pub fn read(&mut self, patience: Duration, tracks: &mut Vec<Vec<f32>>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.raw.iter_mut().for_each(Vec::clear);
        self.ensemble
            .read(patience, &mut self.raw, &mut |device, event| {
                changes.push(change(device, event));
            });
        tracks.resize(self.places.len(), Vec::new());
        for (track, &place) in tracks.iter_mut().zip(&self.places) {
            track.extend_from_slice(&self.raw[place]);
        }
        changes
    }
}

fn change(device: usize, event: CaptureEvent) -> Change {
    match event {
        CaptureEvent::Opened(stream) if device == 0 => Change::Opened(stream.device),
        CaptureEvent::Opened(stream) => Change::Joined(stream.device),
        CaptureEvent::Unavailable { reason } => missing(device, reason.to_string()),
        CaptureEvent::Lost {
            device: name,
            reason,
        } => missing(device, format!("microphone {name} is gone: {reason}")),
        CaptureEvent::Dropped { frames } => Change::Dropped(frames),
        CaptureEvent::Overrun { count } => Change::Overrun(count),
    }
}

const fn missing(device: usize, why: String) -> Change {
    if device == 0 {
        Change::Lost(why)
    } else {
        Change::Missing(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SeatMicrophone;

    fn seat(zone: &str, device: &str, channel: u16) -> SeatMicrophone {
        SeatMicrophone {
            zone: zone.into(),
            device: device.into(),
            channel,
        }
    }

    #[test]
    fn one_microphone_needs_no_cabin() {
        let audio = Audio::default();
        assert_eq!(cabin(&audio), None);
        assert_eq!(
            Plan::of(&audio).devices,
            [("default".into(), vec![ChannelPick::Mix])]
        );
    }

    #[test]
    fn channels_of_one_device_are_captured_together() {
        let audio = Audio {
            microphones: vec![seat("driver", "", 0), seat("passenger", "default", 1)],
            reference: Reference {
                channels: vec![2, 3],
                ..Reference::default()
            },
            ..Audio::default()
        };
        let plan = Plan::of(&audio);
        assert_eq!(plan.devices.len(), 1);
        assert_eq!(plan.devices[0].1, [0, 1, 2, 3].map(ChannelPick::One));
        let cabin = cabin(&audio).unwrap();
        assert_eq!((cabin.one_clock, cabin.references), (true, 2));
        assert_eq!(cabin.zones, ["driver", "passenger"]);
    }

    #[test]
    fn tracks_find_their_place_among_several_devices() {
        let audio = Audio {
            microphones: vec![
                seat("driver", "a", 0),
                seat("rear", "b", 0),
                seat("passenger", "a", 1),
            ],
            reference: Reference {
                device: "monitor".into(),
                ..Reference::default()
            },
            ..Audio::default()
        };
        let plan = Plan::of(&audio);
        assert_eq!(plan.places(), [0, 2, 1, 3]);
        assert_eq!(plan.devices[2], ("monitor".into(), vec![ChannelPick::Mix]));
        assert!(!cabin(&audio).unwrap().one_clock);
    }
}
