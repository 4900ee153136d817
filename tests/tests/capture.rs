//! Capture from a real sound server through ALSA: rates, and a device that goes away and comes back.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use vocar_speech::resample::Resampler;
use vocar_tests::eventually;
use vocar_tests::sound::{MICROPHONE, SoundServer};

/// A process that listens to a microphone, and the lines it prints.
struct Listener {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    samples: PathBuf,
    _folder: tempfile::TempDir,
}

impl Listener {
    fn start(sound: &SoundServer, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let samples = folder.path().join("heard.f32");
        let mut child = Command::new(env!("CARGO_BIN_EXE_hear"))
            .arg(&samples)
            .args(arguments)
            .envs(sound.environment())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (printed, lines) = channel();
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| printed.send(line))
        });
        Self {
            stdin: child.stdin.take(),
            child,
            lines,
            samples,
            _folder: folder,
        }
    }

    /// The next line that begins with `word`; whatever comes before it is passed over.
    fn expect(&self, word: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("waited in vain for {word:?}"));
            println!("{line}");
            if line.starts_with(word) {
                return line;
            }
        }
    }

    /// Waits until `count` more samples have been heard.
    fn hear(&self, count: u64) {
        let len = || std::fs::metadata(&self.samples).map_or(0, |file| file.len());
        let enough = len() + 4 * count;
        eventually("sound flows", Duration::from_secs(20), || {
            (len() >= enough).then_some(())
        });
    }

    /// Ends the process; what it heard, at 16 kHz, and its last line.
    fn finish(mut self) -> (Vec<f32>, String) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        (read_floats(&self.samples), self.expect("CaptureStats"))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_floats(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let (samples, torn) = bytes.as_chunks();
    assert!(torn.is_empty());
    samples
        .iter()
        .map(|&sample| f32::from_le_bytes(sample))
        .collect()
}

/// A sound of two seconds that resembles itself nowhere else: a sweep from `low` Hz upwards.
fn sweep(rate: u32, low: f64) -> Vec<f32> {
    let len = 2 * rate as usize;
    (0..len)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            let ends = (t / 0.05).min((2.0 - t) / 0.05).min(1.0);
            (0.4 * ends * (std::f64::consts::TAU * (low + 700.0 * t) * t).sin()) as f32
        })
        .collect()
}

fn at_16_khz(rate: u32, samples: &[f32]) -> Vec<f32> {
    let mut resampler = Resampler::new(rate).unwrap();
    let mut out = Vec::new();
    resampler.push(samples, &mut out).unwrap();
    resampler.flush(&mut out).unwrap();
    out
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

/// How a sound was heard.
struct Hearing {
    /// The sample at which it begins.
    at: usize,
    /// 1: undistorted and whole; 0: something else was heard.
    alike: f64,
    /// How loud it is against what was said.
    loud: f64,
}

/// Finds in `heard`, at 16 kHz, what was `said` at `rate`. It may begin between two samples of `heard`, so it is looked
/// for at every shift that `rate` allows.
fn locate(heard: &[f32], rate: u32, said: &[f32]) -> Hearing {
    let shifts = 0..rate.div_ceil(16_000) as usize;
    let hearings = shifts.map(|shift| {
        let late = [vec![0.0; shift], said.to_vec()].concat();
        locate_whole(heard, &at_16_khz(rate, &late))
    });
    hearings.max_by(|a, b| a.alike.total_cmp(&b.alike)).unwrap()
}

fn locate_whole(heard: &[f32], said: &[f32]) -> Hearing {
    assert!(
        heard.len() >= said.len(),
        "heard {} samples of {}",
        heard.len(),
        said.len()
    );
    let snippet = 4_000..8_000;
    let places = 0..=heard.len() - said.len();
    let likeness = |at: &usize| {
        dot(
            &heard[at + snippet.start..at + snippet.end],
            &said[snippet.clone()],
        )
    };
    let at = places
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap();
    let piece = &heard[at..at + said.len()];
    let (both, own, its) = (dot(piece, said), dot(piece, piece), dot(said, said));
    Hearing {
        at,
        alike: both / (own * its).sqrt(),
        loud: both / its,
    }
}

fn hear_a_sweep(rate: u32, arguments: &[&str], opened: &str) {
    let Some(sound) = SoundServer::start(rate, &format!("capture at {rate} Hz")) else {
        return;
    };
    let listener = Listener::start(&sound, arguments);
    assert_eq!(listener.expect("opened"), opened);
    listener.hear(8_000);
    let said = sweep(rate, 300.0);
    sound.play(&said);
    listener.hear(8_000);
    let (heard, stats) = listener.finish();
    let Hearing { alike, loud, .. } = locate(&heard, rate, &said);
    assert!(alike > 0.99, "at {rate} Hz only {alike} alike; {stats}");
    assert!(
        (loud - 1.0).abs() < 0.03,
        "at {rate} Hz {loud} as loud; {stats}"
    );
    assert!(
        stats.contains(" dropped: 0,") && stats.contains(" lost: 0,"),
        "{stats}"
    );
}

#[test]
fn a_sound_at_44100_hz_is_heard_whole() {
    hear_a_sweep(44_100, &[MICROPHONE, "44100"], "opened cabin 44100 1 f32");
}

#[test]
fn a_sound_at_48000_hz_is_heard_whole_by_default() {
    hear_a_sweep(48_000, &[], "opened default 48000 1 f32");
}

#[test]
fn a_microphone_is_found_by_its_description() {
    hear_a_sweep(
        16_000,
        &["cabin MICRO", "16000"],
        "opened cabin 16000 1 f32",
    );
}

#[test]
fn a_device_that_vanishes_is_reported_and_comes_back() {
    let Some(mut sound) = SoundServer::start(48_000, "a device that vanishes") else {
        return;
    };
    let listener = Listener::start(&sound, &[MICROPHONE]);
    listener.expect("opened cabin");
    let (before, after) = (sweep(48_000, 300.0), sweep(48_000, 1_500.0));
    listener.hear(8_000);
    sound.play(&before);
    sound.kill();
    listener.expect("lost cabin");
    listener.expect("unavailable");
    sound.restart();
    listener.expect("opened cabin");
    listener.hear(8_000);
    sound.play(&after);
    listener.hear(8_000);
    let (heard, stats) = listener.finish();
    // The end of the first sound may have died with the server.
    let first = locate(&heard, 48_000, &before[..72_000]);
    assert!(
        first.alike > 0.99,
        "before the loss only {} alike; {stats}",
        first.alike
    );
    let second = locate(&heard, 48_000, &after);
    assert!(
        second.alike > 0.99,
        "after the loss only {} alike; {stats}",
        second.alike
    );
    assert!(first.at + 24_000 <= second.at);
    assert!(stats.contains(" opened: 2, lost: 1,"), "{stats}");
}

#[test]
fn a_server_that_starts_after_the_listener_is_waited_for() {
    let Some(mut sound) = SoundServer::start(48_000, "a device that comes late") else {
        return;
    };
    sound.kill();
    let listener = Listener::start(&sound, &[]);
    listener.expect("unavailable");
    sound.restart();
    listener.expect("opened default");
    listener.hear(8_000);
    let (_, stats) = listener.finish();
    assert!(stats.contains(" opened: 1, lost: 0,"), "{stats}");
}
