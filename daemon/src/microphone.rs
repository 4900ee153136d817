//! The microphone as the worker needs it: configured, opened with a deadline, its mishaps in words.

use crate::config::Audio;
use std::time::{Duration, Instant};
use vocar_speech::capture::{Capture, CaptureConfig, CaptureEvent};

/// What happened to the microphone.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Sound flows, from this device.
    Opened(String),
    /// It cannot be opened or is gone; it is tried again and again.
    Lost(String),
    /// So many frames came too fast to be processed.
    Dropped(u64),
}

/// A microphone that is kept open.
pub struct Microphone {
    capture: Capture,
}

impl std::fmt::Debug for Microphone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microphone")
            .field("stats", &self.capture.stats())
            .finish()
    }
}

impl Microphone {
    /// Starts to open the configured device.
    ///
    /// # Errors
    /// In words, when the settings fit no device.
    pub fn open(audio: &Audio) -> Result<Self, String> {
        let config = CaptureConfig {
            device: (audio.device != "default").then(|| audio.device.clone()),
            retry: Duration::from_secs_f64(audio.retry_s),
            ..CaptureConfig::default()
        };
        Capture::start(config)
            .map(|capture| Self { capture })
            .map_err(|error| format!("audio.device: {error}"))
    }

    /// Waits until sound flows; what flows meanwhile is appended to `sound`.
    ///
    /// # Errors
    /// In words, when the device cannot be opened; a device that is merely slow is no error.
    pub fn wait(&mut self, limit: Duration, sound: &mut Vec<f32>) -> Result<(), String> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            for change in self.read(Duration::from_millis(20), sound) {
                match change {
                    Change::Opened(_) => return Ok(()),
                    Change::Lost(why) => return Err(why),
                    Change::Dropped(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Appends what was heard (16 kHz mono) to `sound`, waiting up to `patience` for some; tells what changed.
    pub fn read(&mut self, patience: Duration, sound: &mut Vec<f32>) -> Vec<Change> {
        let mut changes = Vec::new();
        self.capture
            .read(patience, sound, &mut |event| changes.push(change(event)));
        changes
    }
}

fn change(event: CaptureEvent) -> Change {
    match event {
        CaptureEvent::Opened(stream) => Change::Opened(stream.device),
        CaptureEvent::Unavailable { reason } => Change::Lost(reason.to_string()),
        CaptureEvent::Lost { device, reason } => {
            Change::Lost(format!("microphone {device} is gone: {reason}"))
        }
        CaptureEvent::Dropped { frames } => Change::Dropped(frames),
    }
}
