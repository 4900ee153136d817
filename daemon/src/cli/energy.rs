//! What a run costs: processor time by cluster, wake-ups, joules.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use vocar_hw::{Choice, ClusterTimes, EnergySensors};

/// Time between two looks at the threads: a thread that moved meanwhile is counted where it is found.
const PERIOD: Duration = Duration::from_millis(50);
const TASKS: &str = "/proc/self/task";

/// Measures this process until [`Meter::stop`].
#[derive(Debug)]
pub struct Meter {
    end: SyncSender<()>,
    thread: JoinHandle<Account>,
    profile: String,
}

/// What has been counted.
#[derive(Debug)]
struct Account {
    times: ClusterTimes,
    /// Processor nanoseconds of each thread when last seen; threads of the begin have what they had spent before.
    spent: BTreeMap<u32, u64>,
    /// Voluntary switches likewise.
    slept: BTreeMap<u32, u64>,
    wakeups: u64,
    sensors: Option<EnergySensors>,
    joules: f64,
    begin: Instant,
    seconds: f64,
}

impl Meter {
    /// Begins to measure on the machine of `choice`, whose sensors of power lie below `sysroot`.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(choice: &Choice, sysroot: &Path) -> std::io::Result<Self> {
        let (end, ended) = sync_channel(1);
        let account = Account::new(choice, sysroot);
        let thread = std::thread::Builder::new()
            .name("energy".into())
            .spawn(move || account.run(&ended))?;
        Ok(Self {
            end,
            thread,
            profile: choice.profile.name.clone(),
        })
    }

    /// What it cost, as an object: `cpu_seconds` by cluster, `cpu_share` (processor seconds for a second of `audio`),
    /// `wakeups`, `wakeups_per_second` of the clock on the wall, `joules` and `joules_from`.
    pub fn stop(self, audio: f64) -> Value {
        // The thread ends by itself when the channel closes, too.
        let _ = self.end.send(());
        drop(self.end);
        let Ok(account) = self.thread.join() else {
            return Value::Null;
        };
        account.report(audio, &self.profile)
    }
}

impl Account {
    fn new(choice: &Choice, sysroot: &Path) -> Self {
        let mut account = Self {
            times: ClusterTimes::new(choice),
            spent: BTreeMap::new(),
            slept: BTreeMap::new(),
            wakeups: 0,
            sensors: EnergySensors::find(sysroot),
            joules: 0.0,
            begin: Instant::now(),
            seconds: 0.0,
        };
        for thread in threads() {
            account.spent.insert(thread.id, thread.nanoseconds);
            account.slept.insert(thread.id, thread.switches);
        }
        account
    }

    fn run(mut self, ended: &Receiver<()>) -> Self {
        // SAFETY: gettid has no preconditions and cannot fail.
        let me = unsafe { libc::gettid() }.unsigned_abs();
        let mut last = Instant::now();
        loop {
            let more = ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout);
            let now = Instant::now();
            self.look(me, now - last);
            last = now;
            if !more {
                self.seconds = self.begin.elapsed().as_secs_f64();
                return self;
            }
        }
    }

    /// Adds what happened since the last look, but for the measuring itself.
    fn look(&mut self, me: u32, passed: Duration) {
        for thread in threads().filter(|thread| thread.id != me) {
            let before = self.spent.insert(thread.id, thread.nanoseconds);
            let new = thread.nanoseconds.saturating_sub(before.unwrap_or(0));
            self.times.add(thread.cpu, new as f64 * 1e-9);
            let before = self.slept.insert(thread.id, thread.switches);
            self.wakeups += thread.switches.saturating_sub(before.unwrap_or(0));
        }
        if let Some(sensors) = &mut self.sensors {
            self.joules = sensors.read(passed);
        }
    }

    fn report(&self, audio: f64, profile: &str) -> Value {
        let cpu: f64 = self.times.seconds.values().sum();
        let (joules, from) = match (&self.sensors, self.times.estimated_joules()) {
            (Some(sensors), _) => (
                Some(self.joules),
                format!("measured, the whole machine's: {}", sensors.name()),
            ),
            (None, Some(joules)) => (
                Some(joules),
                format!(
                    "an estimate: profile {profile}'s power of a busy core times processor seconds"
                ),
            ),
            (None, None) => (
                None,
                format!(
                    "the machine has no readable RAPL or hwmon sensor, and profile {profile} no figures for an estimate"
                ),
            ),
        };
        json!({
            "cpu_seconds": self.times.seconds,
            "cpu_share": (audio > 0.0).then_some(cpu / audio),
            "seconds": self.seconds,
            "wakeups": self.wakeups,
            "wakeups_per_second": self.wakeups as f64 / self.seconds.max(f64::MIN_POSITIVE),
            "joules": joules,
            "joules_from": from,
        })
    }
}

/// A thread of this process at one moment.
struct Thread {
    id: u32,
    nanoseconds: u64,
    switches: u64,
    cpu: usize,
}

fn threads() -> impl Iterator<Item = Thread> {
    let tasks = std::fs::read_dir(TASKS).into_iter().flatten().flatten();
    tasks.filter_map(|task| {
        let id = task.file_name().to_str()?.parse().ok()?;
        thread(id, &task.path())
    })
}

/// `None` when it has ended meanwhile.
fn thread(id: u32, dir: &Path) -> Option<Thread> {
    let text = |name: &str| std::fs::read_to_string(PathBuf::from(dir).join(name)).ok();
    let status = text("status")?;
    let switches = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    Some(Thread {
        id,
        nanoseconds: text("schedstat")?.split_whitespace().next()?.parse().ok()?,
        switches: switches.trim().parse().ok()?,
        cpu: processor(&text("stat")?)?,
    })
}

/// Field 39 of `/proc/…/stat` (proc(5)), counted behind the name in parentheses, which may hold anything.
fn processor(stat: &str) -> Option<usize> {
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(36)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("7 (a) b (c) {}", fields.join(" "));
        assert_eq!(processor(&stat), Some(39));
        assert_eq!(processor("7 (a"), None);
    }

    #[test]
    fn work_and_sleep_of_a_thread_are_seen() {
        let choice = crate::hardware::choose(&crate::config::Hardware::default());
        let meter = Meter::start(&choice, Path::new("/nonexistent")).unwrap();
        let worker = std::thread::spawn(|| {
            let begin = Instant::now();
            let mut sum = 0_u64;
            while begin.elapsed() < Duration::from_millis(300) {
                sum = std::hint::black_box(sum.wrapping_mul(3) + 1);
            }
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(Duration::from_millis(200));
            sum
        });
        worker.join().unwrap();
        let cost = meter.stop(1.0);
        // Others may have had the processor meanwhile.
        assert!(cost["cpu_share"].as_f64().unwrap() > 0.05, "{cost}");
        assert!(cost["wakeups"].as_u64().unwrap() >= 20, "{cost}");
        assert!(cost["joules_from"].as_str().unwrap().len() > 20, "{cost}");
    }
}
