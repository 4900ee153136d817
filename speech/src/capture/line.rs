//! The line from the audio callback to the reader: a lock-free ring of bytes with an inlet and an outlet.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::samples::Decode;
use super::{CaptureStats, StreamInfo};
use crate::pcm::{self, ChannelPick};
use crate::resample::{ResampleError, Resampler};

/// Counts kept by the callback and the supervisor, read by anyone.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub frames: AtomicU64,
    pub dropped: AtomicU64,
    pub overruns: AtomicU64,
    pub opened: AtomicU64,
    pub lost: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> CaptureStats {
        CaptureStats {
            frames: self.frames.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            overruns: self.overruns.load(Relaxed),
            opened: self.opened.load(Relaxed),
            lost: self.lost.load(Relaxed),
            replaced: 0,
        }
    }
}

/// A ring that holds `ring` of the stream `info` describes, and its two ends.
///
/// `sample_size` is the number of bytes in a sample, which `decode` understands.
///
/// # Errors
/// A rate that cannot be resampled.
pub(super) fn line(
    info: StreamInfo,
    sample_size: usize,
    decode: Decode,
    picks: Vec<ChannelPick>,
    ring: Duration,
    counters: Arc<Counters>,
) -> Result<(Inlet, Outlet), ResampleError> {
    let frame_size = sample_size * usize::from(info.channels);
    // A whole number of frames, so that none is torn where the ring wraps around.
    let frames = (ring.as_secs_f64() * f64::from(info.rate)).ceil() as usize;
    let (producer, consumer) = RingBuffer::new(frames * frame_size);
    let resamplers = picks
        .iter()
        .map(|_| Resampler::new(info.rate))
        .collect::<Result<_, _>>()?;
    let inlet = Inlet {
        producer,
        frame_size,
        counters,
    };
    let outlet = Outlet {
        consumer,
        frame_size,
        decode,
        picks,
        resamplers,
        info,
        interleaved: Vec::new(),
        mono: Vec::new(),
        replaced: 0,
    };
    Ok((inlet, outlet))
}

/// The callback's end.
pub(super) struct Inlet {
    producer: Producer<u8>,
    frame_size: usize,
    counters: Arc<Counters>,
}

impl Inlet {
    /// Copies as many whole frames as there is room for and counts the rest; never allocates, locks or waits.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let frames = bytes.len() / self.frame_size;
        let fitting = frames.min(self.producer.slots() / self.frame_size);
        let (_, left) = self
            .producer
            .push_partial_slice(&bytes[..fitting * self.frame_size]);
        debug_assert!(left.is_empty());
        self.counters.frames.fetch_add(frames as u64, Relaxed);
        self.counters
            .dropped
            .fetch_add((frames - fitting) as u64, Relaxed);
    }
}

/// The reader's end.
pub(super) struct Outlet {
    consumer: Consumer<u8>,
    frame_size: usize,
    decode: Decode,
    picks: Vec<ChannelPick>,
    /// One for each pick; all work alike, so that the tracks stay of one length.
    resamplers: Vec<Resampler>,
    info: StreamInfo,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    replaced: u64,
}

impl Outlet {
    pub(super) fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// Samples so far that were not numbers.
    pub(super) fn replaced(&self) -> u64 {
        self.replaced
    }

    /// Empties the ring into `tracks`, one for each pick, at 16 kHz.
    pub(super) fn read(&mut self, tracks: &mut [Vec<f32>]) -> Result<(), ResampleError> {
        let whole = self.consumer.slots() / self.frame_size * self.frame_size;
        if whole == 0 {
            return Ok(());
        }
        self.interleaved.clear();
        let chunk = self
            .consumer
            .read_chunk(whole)
            .expect("so many bytes were there a moment ago");
        let (first, second) = chunk.as_slices();
        (self.decode)(first, &mut self.interleaved);
        (self.decode)(second, &mut self.interleaved);
        chunk.commit_all();
        self.replaced += pcm::sanitise(&mut self.interleaved);
        let lines = self.picks.iter().zip(&mut self.resamplers).zip(tracks);
        for ((&pick, resampler), track) in lines {
            self.mono.clear();
            pcm::mix_down(&self.interleaved, self.info.channels, pick, &mut self.mono);
            resampler.push(&self.mono, track)?;
        }
        Ok(())
    }

    /// Appends what is left in the resamplers.
    pub(super) fn flush(&mut self, tracks: &mut [Vec<f32>]) {
        for (resampler, track) in self.resamplers.iter_mut().zip(tracks) {
            if let Err(error) = resampler.flush(track) {
                tracing::warn!(%error, "the last milliseconds of a lost microphone are lost too");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_mut;

    use super::*;
    use crate::capture::samples::decoder;

    fn info(rate: u32, channels: u16) -> StreamInfo {
        StreamInfo {
            device: "test".into(),
            rate,
            channels,
            format: "i16".into(),
        }
    }

    fn stereo_line(ring_ms: u64) -> (Inlet, Outlet, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let decode = decoder(cpal::SampleFormat::I16).unwrap();
        let ring = Duration::from_millis(ring_ms);
        let (inlet, outlet) = line(
            info(16_000, 2),
            2,
            decode,
            vec![ChannelPick::One(1)],
            ring,
            counters.clone(),
        )
        .unwrap();
        (inlet, outlet, counters)
    }

    fn stereo(frames: impl Iterator<Item = i16>) -> Vec<u8> {
        frames
            .flat_map(|right| [(-1i16).to_ne_bytes(), right.to_ne_bytes()].concat())
            .collect()
    }

    #[test]
    fn frames_survive_wrapping_around_the_ring_many_times() {
        let (mut inlet, mut outlet, counters) = stereo_line(10);
        let mut samples = Vec::new();
        for piece in (0..3000i16).collect::<Vec<_>>().chunks(37) {
            inlet.take(&stereo(piece.iter().copied()));
            outlet.read(from_mut(&mut samples)).unwrap();
        }
        let want: Vec<f32> = (0..3000).map(|n| n as f32 / 32_768.0).collect();
        assert_eq!(samples, want);
        assert_eq!(
            counters.snapshot(),
            CaptureStats {
                frames: 3000,
                ..CaptureStats::default()
            }
        );
    }

    #[test]
    fn what_finds_no_room_is_dropped_whole_and_counted() {
        let (mut inlet, mut outlet, counters) = stereo_line(10);
        inlet.take(&stereo(0..100));
        inlet.take(&stereo(100..200));
        inlet.take(&stereo(200..300));
        assert_eq!(
            counters.snapshot(),
            CaptureStats {
                frames: 300,
                dropped: 140,
                ..CaptureStats::default()
            }
        );
        let mut samples = Vec::new();
        outlet.read(from_mut(&mut samples)).unwrap();
        inlet.take(&stereo(300..310));
        outlet.read(from_mut(&mut samples)).unwrap();
        let want: Vec<f32> = (0..160)
            .chain(300..310)
            .map(|n| n as f32 / 32_768.0)
            .collect();
        assert_eq!(samples, want);
    }

    #[test]
    fn a_broken_driver_cannot_send_what_is_no_number() {
        let decode = decoder(cpal::SampleFormat::F32).unwrap();
        let ring = Duration::from_millis(100);
        let (mut inlet, mut outlet) = line(
            info(48_000, 1),
            4,
            decode,
            vec![ChannelPick::Mix],
            ring,
            Arc::default(),
        )
        .unwrap();
        inlet.take(
            &[f32::NAN, f32::INFINITY, 0.1, 1e30]
                .repeat(500)
                .iter()
                .flat_map(|s| s.to_ne_bytes())
                .collect::<Vec<_>>(),
        );
        let mut samples = Vec::new();
        outlet.read(from_mut(&mut samples)).unwrap();
        outlet.flush(from_mut(&mut samples));
        assert_eq!(outlet.replaced(), 1000);
        assert_eq!(samples.len(), 667);
        assert!(samples.iter().all(|sample| sample.is_finite()));
    }

    /// The callback runs on its own thread; nothing may be torn between the two.
    #[test]
    fn two_threads_see_the_same_frames() {
        let (mut inlet, mut outlet, counters) = stereo_line(1000);
        let writer = std::thread::spawn(move || {
            for piece in 0..2000i16 {
                inlet.take(&stereo(std::iter::repeat_n(piece, 7)));
                while inlet.producer.slots() < 1000 {
                    std::thread::yield_now();
                }
            }
        });
        let mut samples = Vec::new();
        while samples.len() < 14_000 {
            outlet.read(from_mut(&mut samples)).unwrap();
        }
        writer.join().unwrap();
        let want: Vec<f32> = (0..14_000).map(|n| (n / 7) as f32 / 32_768.0).collect();
        assert_eq!(samples, want);
        assert_eq!(counters.snapshot().dropped, 0);
    }

    #[test]
    fn several_channels_come_as_tracks_of_one_length() {
        let decode = decoder(cpal::SampleFormat::I16).unwrap();
        let picks = vec![ChannelPick::One(1), ChannelPick::One(0), ChannelPick::Mix];
        let ring = Duration::from_millis(200);
        let (mut inlet, mut outlet) =
            line(info(48_000, 2), 2, decode, picks, ring, Arc::default()).unwrap();
        let mut tracks = vec![Vec::new(); 3];
        for _ in 0..7 {
            inlet.take(&stereo(std::iter::repeat_n(16_384, 601)));
            outlet.read(&mut tracks).unwrap();
        }
        outlet.flush(&mut tracks);
        assert_eq!(
            tracks.iter().map(Vec::len).collect::<Vec<_>>(),
            [1403, 1403, 1403]
        );
        let middle: Vec<f32> = tracks.iter().map(|track| track[700]).collect();
        assert!((middle[0] - 0.5).abs() < 1e-3, "{middle:?}");
        assert!(middle[1].abs() < 1e-3, "{middle:?}");
        assert!((middle[2] - 0.25).abs() < 1e-3, "{middle:?}");
    }
}
