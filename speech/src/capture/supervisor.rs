//! The thread that owns the device: opens it, watches it, opens it again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Device, ErrorKind, Host, SampleFormat, Stream, StreamConfig};

use super::line::{self, Counters, Inlet, Outlet};
use super::{CaptureConfig, CaptureError, StreamInfo, choice, device, samples};

/// What the supervisor tells the reader.
pub(super) enum Message {
    Opened(Box<Outlet>),
    Unavailable(CaptureError),
    Lost { device: String, reason: String },
}

/// What the supervisor is woken by.
enum Signal {
    Failed(String),
    Stop,
}

/// Handle to the thread; dropping it stops the thread and closes the device.
pub(super) struct Supervisor {
    signals: SyncSender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    pub(super) fn start(
        host: Host,
        config: CaptureConfig,
        counters: Arc<Counters>,
    ) -> (Self, Receiver<Message>) {
        // Failures beyond a handful say nothing new: a broken device repeats itself.
        let (signals, woken_by) = mpsc::sync_channel(8);
        let (messages, reader) = mpsc::channel();
        let watch = Watch {
            host,
            config,
            counters,
            messages,
            signals: signals.clone(),
            woken_by,
        };
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || watch.run())
            .expect("the system can start a thread");
        (
            Self {
                signals,
                thread: Some(thread),
            },
            reader,
        )
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Fails only when the thread has ended already.
        let _ = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    host: Host,
    config: CaptureConfig,
    counters: Arc<Counters>,
    messages: Sender<Message>,
    signals: SyncSender<Signal>,
    woken_by: Receiver<Signal>,
}

/// An open device.
struct Open {
    stream: Stream,
    device: String,
}

/// Why watching an open device ended.
enum Ending {
    Stopped,
    Lost(String),
}

impl Watch {
    fn run(self) {
        let mut wait = self.config.retry;
        let mut told = None;
        loop {
            match self.open() {
                Ok(open) => {
                    wait = self.config.retry;
                    told = None;
                    let ending = self.watch();
                    drop(open.stream);
                    let Ending::Lost(reason) = ending else { return };
                    self.counters.lost.fetch_add(1, Relaxed);
                    tracing::warn!(device = open.device, reason, "microphone lost");
                    self.tell(Message::Lost {
                        device: open.device,
                        reason,
                    });
                }
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(%error, "microphone unavailable");
                        self.tell(Message::Unavailable(error.clone()));
                        told = Some(error);
                    }
                }
            }
            if self.stopped_within(wait) {
                return;
            }
            wait = (wait * 2).min(self.config.retry * 10);
        }
    }

    fn tell(&self, message: Message) {
        // A reader that is gone will stop this thread in a moment.
        let _ = self.messages.send(message);
    }

    fn open(&self) -> Result<Open, CaptureError> {
        let device = device::find(&self.host, self.config.device.as_deref())?;
        let name = device::describe(&device).id;
        let refused = |error: cpal::Error| backend(&name, &error);
        let offered: Vec<_> = device.supported_input_configs().map_err(refused)?.collect();
        let Some((config, format)) = choice::choose(&offered, &self.config) else {
            return Err(CaptureError::Format {
                device: name,
                wish: choice::describe_wish(&self.config),
                offered: choice::describe(&offered),
            });
        };
        let (stream, outlet) = self.build(&device, &name, config, format)?;
        stream.play().map_err(refused)?;
        tracing::info!(device = name, rate = config.sample_rate, channels = config.channels, %format, "microphone open");
        self.counters.opened.fetch_add(1, Relaxed);
        self.tell(Message::Opened(Box::new(outlet)));
        Ok(Open {
            stream,
            device: name,
        })
    }

    /// The stream with the period asked for or, where the device will not have that, with its own.
    fn build(
        &self,
        device: &Device,
        name: &str,
        config: StreamConfig,
        format: SampleFormat,
    ) -> Result<(Stream, Outlet), CaptureError> {
        let (inlet, outlet) = self.line(name, config, format)?;
        match self.stream(device, config, format, inlet) {
            Ok(stream) => return Ok((stream, outlet)),
            Err(error) => tracing::debug!(%error, "period refused, taking the device's own"),
        }
        let config = StreamConfig {
            buffer_size: BufferSize::Default,
            ..config
        };
        let (inlet, outlet) = self.line(name, config, format)?;
        let stream = self
            .stream(device, config, format, inlet)
            .map_err(|error| backend(name, &error))?;
        Ok((stream, outlet))
    }

    fn line(
        &self,
        name: &str,
        config: StreamConfig,
        format: SampleFormat,
    ) -> Result<(Inlet, Outlet), CaptureError> {
        let info = StreamInfo {
            device: name.to_owned(),
            rate: config.sample_rate,
            channels: config.channels,
            format: format.to_string(),
        };
        let decode = samples::decoder(format).expect("only formats with a decoder are chosen");
        let counters = self.counters.clone();
        Ok(line::line(
            info,
            format.sample_size(),
            decode,
            self.config.picks.clone(),
            self.config.ring,
            counters,
        )?)
    }

    fn stream(
        &self,
        device: &Device,
        config: StreamConfig,
        format: SampleFormat,
        mut inlet: Inlet,
    ) -> Result<Stream, cpal::Error> {
        let counters = self.counters.clone();
        let signals = self.signals.clone();
        let on_error = move |error: cpal::Error| match error.kind() {
            ErrorKind::Xrun => {
                counters.overruns.fetch_add(1, Relaxed);
            }
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
            // When the queue is full the thread has enough to go by.
            _ => drop(signals.try_send(Signal::Failed(error.to_string()))),
        };
        device.build_input_stream_raw(
            config,
            format,
            move |data, _| inlet.take(data.bytes()),
            on_error,
            None,
        )
    }

    /// Waits until the open device fails, falls silent, or capture is stopped.
    fn watch(&self) -> Ending {
        let glance = self.config.stall / 4;
        let mut frames = self.counters.frames.load(Relaxed);
        let mut last_heard = Instant::now();
        loop {
            match self.woken_by.recv_timeout(glance) {
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Ending::Stopped,
                Ok(Signal::Failed(reason)) => return Ending::Lost(reason),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = self.counters.frames.load(Relaxed);
            if now != frames {
                frames = now;
                last_heard = Instant::now();
            } else if last_heard.elapsed() >= self.config.stall {
                return Ending::Lost(format!("no sound for {:?}", self.config.stall));
            }
        }
    }

    /// Waits before the next try; whether capture was stopped meanwhile. What a closed stream still had to say is past.
    fn stopped_within(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            match self
                .woken_by
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Signal::Failed(_)) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

fn backend(device: &str, error: &cpal::Error) -> CaptureError {
    CaptureError::Backend {
        device: device.to_owned(),
        reason: error.to_string(),
    }
}
