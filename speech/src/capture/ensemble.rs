//! Several devices heard as one: the first leads, the others follow its clock.

use std::time::Duration;

use super::{Capture, CaptureConfig, CaptureError, CaptureEvent};

/// Devices whose tracks run side by side. Two devices have two clocks: a follower that runs slow or comes late repeats
/// its last sample, one that runs fast leaves out one now and then, so that its tracks stay within 10 ms and the
/// jitter of its deliveries behind the leader's.
pub struct Ensemble {
    leader: Capture,
    leading: usize,
    followers: Vec<(Capture, Follower)>,
}

impl Ensemble {
    /// Starts all devices, the leader first.
    ///
    /// # Errors
    /// A device's settings are out of range; see [`Capture::start`].
    pub fn start(leader: CaptureConfig, others: Vec<CaptureConfig>) -> Result<Self, CaptureError> {
        let followers = others
            .into_iter()
            .map(|config| {
                let tracks = config.picks.len();
                Ok((Capture::start(config)?, Follower::new(tracks)))
            })
            .collect::<Result<_, CaptureError>>()?;
        Ok(Self {
            leading: leader.picks.len(),
            leader: Capture::start(leader)?,
            followers,
        })
    }

    /// Tracks of all devices.
    pub fn tracks(&self) -> usize {
        let following: usize = self.followers.iter().map(|(_, one)| one.tracks.len()).sum();
        self.leading + following
    }

    /// The device that leads, to look at its counts.
    pub fn leader(&self) -> &Capture {
        &self.leader
    }

    /// Appends the sound that has come in to `tracks`: the leader's picks, then each follower's, all equally long. Waits
    /// up to `timeout` for some. `report` learns what happened and to which device, counted from 0, the leader.
    pub fn read(
        &mut self,
        timeout: Duration,
        tracks: &mut [Vec<f32>],
        report: &mut dyn FnMut(usize, CaptureEvent),
    ) -> usize {
        let (leading, mut rest) = tracks.split_at_mut(self.leading);
        let count = self
            .leader
            .read_tracks(timeout, leading, &mut |event| report(0, event));
        for (number, (capture, follower)) in (1..).zip(&mut self.followers) {
            capture.read_tracks(Duration::ZERO, &mut follower.tracks, &mut |event| {
                report(number, event);
            });
            let (own, others) = rest.split_at_mut(follower.tracks.len());
            follower.deliver(count, own);
            rest = others;
        }
        count
    }
}

/// A follower may be so far ahead before samples are left out: 10 ms at 16 kHz.
const SLACK: usize = 160;
/// How long the least lead is watched: 4 s.
const WATCH: usize = 64_000;

/// The sound of a device on another clock, waiting to be asked for.
struct Follower {
    tracks: Vec<Vec<f32>>,
    last: Vec<f32>,
    /// Least that was left over, and for how many samples it has been watched.
    least: usize,
    watched: usize,
    /// Samples still to leave out, one a delivery.
    surplus: usize,
}

impl Follower {
    fn new(tracks: usize) -> Self {
        Self {
            tracks: vec![Vec::new(); tracks],
            last: vec![0.0; tracks],
            least: usize::MAX,
            watched: 0,
            surplus: 0,
        }
    }

    /// Appends exactly `count` samples to each of `out`.
    fn deliver(&mut self, count: usize, out: &mut [Vec<f32>]) {
        if count == 0 {
            return;
        }
        let there = self.tracks[0].len();
        let skipped = usize::from(self.surplus > 0 && there > count);
        self.surplus -= skipped;
        let taken = count.min(there - skipped);
        for ((track, last), out) in self.tracks.iter_mut().zip(&mut self.last).zip(out) {
            out.extend(track.drain(..skipped + taken).skip(skipped));
            if let Some(&newest) = out.last().filter(|_| taken > 0) {
                *last = newest;
            }
            // A short gap repeats the last sample; in a long one the device is away, and silence is the truth.
            let filling = if there == 0 { 0.0 } else { *last };
            out.extend(std::iter::repeat_n(filling, count - taken));
        }
        self.watch(count, there - skipped - taken);
    }

    fn watch(&mut self, count: usize, left: usize) {
        self.least = self.least.min(left);
        self.watched += count;
        if self.watched >= WATCH {
            self.surplus = self.least.saturating_sub(SLACK);
            self.least = usize::MAX;
            self.watched = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers a ramp whose slope is the follower's clock; returns by how many samples the newest sample is behind the
    /// leader's time, every second.
    fn lags(clock: f64) -> Vec<f64> {
        let mut follower = Follower::new(1);
        let (mut given, mut lags) = (0.0, Vec::new());
        for turn in 1..=6000_usize {
            // The leader delivers 30 ms; the follower in pieces of 50 ms.
            let now = (turn * 480) as f64;
            let due = (now * clock / 800.0).floor() * 800.0;
            while given < due {
                follower.tracks[0].push((given / clock) as f32);
                given += 1.0;
            }
            let mut out = vec![Vec::new()];
            follower.deliver(480, &mut out);
            assert_eq!(out[0].len(), 480);
            if turn % 33 == 0 && turn > 600 {
                lags.push(now - f64::from(*out[0].last().unwrap()));
            }
        }
        lags
    }

    #[test]
    fn a_follower_with_another_clock_stays_in_step() {
        for clock in [1.0, 1.0001, 0.9999] {
            let lags = lags(clock);
            let (low, high) = lags.iter().fold((f64::MAX, f64::MIN), |(low, high), &lag| {
                (low.min(lag), high.max(lag))
            });
            assert!(high < 1700.0, "{clock}: {high} samples behind");
            assert!(high - low < 700.0, "{clock}: {low} to {high}");
        }
    }

    #[test]
    fn a_device_that_is_away_is_silent() {
        let mut follower = Follower::new(1);
        follower.tracks[0] = vec![0.5; 100];
        let mut out = vec![Vec::new()];
        follower.deliver(160, &mut out);
        follower.deliver(160, &mut out);
        assert_eq!(out[0][..160], [0.5; 160]);
        assert_eq!(out[0][160..], [0.0; 160]);
    }
}
