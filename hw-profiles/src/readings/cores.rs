//! Load and frequency of each processor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sysroot::Sysroot;

/// One processor at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CoreReading {
    /// Its number.
    pub cpu: usize,
    /// Share of the time since the last reading in which it was busy, 0 to 1.
    pub load: Option<f32>,
    /// Frequency now, MHz.
    pub mhz: Option<f32>,
    /// The highest frequency it may take now, as a share (0 to 1) of the highest it can: below 1 when the kernel's
    /// cooling, the platform or an administrator holds it back.
    pub allowed: Option<f32>,
}

/// Time of a processor since the start of the machine, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    busy: u64,
    all: u64,
}

/// Reads processors; remembers the last reading, for loads are differences.
#[derive(Debug, Default)]
pub(super) struct Cores {
    last: BTreeMap<usize, Ticks>,
}

impl Cores {
    pub fn read(&mut self, root: &Sysroot) -> Vec<CoreReading> {
        let now = ticks(&root.text("/proc/stat").unwrap_or_default());
        let cores = now
            .iter()
            .map(|(&cpu, ticks)| CoreReading {
                cpu,
                load: self.last.get(&cpu).and_then(|last| load(*last, *ticks)),
                mhz: frequency(root, cpu, "scaling_cur_freq").map(|khz| khz / 1e3),
                allowed: allowed(root, cpu),
            })
            .collect();
        self.last = now;
        cores
    }
}

/// Lines `cpu3 user nice system idle iowait irq softirq steal …` of `/proc/stat`. What a hypervisor took away is busy:
/// nobody here could have it.
fn ticks(text: &str) -> BTreeMap<usize, Ticks> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let cpu = words.next()?.strip_prefix("cpu")?.parse().ok()?;
        let times: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let idle = times.get(3)? + times.get(4).unwrap_or(&0);
        let all = times
            .iter()
            .try_fold(0u64, |sum, time| sum.checked_add(*time))?;
        Some((
            cpu,
            Ticks {
                busy: all.checked_sub(idle)?,
                all,
            },
        ))
    };
    text.lines().filter_map(line).collect()
}

/// `None` when no time has passed, or the counters went back, as they do when a processor was taken off line.
fn load(last: Ticks, now: Ticks) -> Option<f32> {
    let all = now.all.checked_sub(last.all).filter(|all| *all > 0)?;
    let busy = now.busy.checked_sub(last.busy)?;
    Some(busy.min(all) as f32 / all as f32)
}

/// In kHz.
fn frequency(root: &Sysroot, cpu: usize, file: &str) -> Option<f32> {
    root.number(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/{file}"))
        .filter(|khz| *khz > 0.0)
}

fn allowed(root: &Sysroot, cpu: usize) -> Option<f32> {
    let able = frequency(root, cpu, "cpuinfo_max_freq")?;
    Some((frequency(root, cpu, "scaling_max_freq")? / able).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Sysroot) {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        let sys = Sysroot::new(dir.path());
        (dir, sys)
    }

    #[test]
    fn loads_are_of_the_time_between_two_readings() {
        let stat = "proc/stat";
        let freq = "sys/devices/system/cpu/cpu1/cpufreq";
        let (dir, sys) = root(&[
            (
                stat,
                "cpu 9 9 9 9\ncpu0 10 0 10 80 0 0 0 0\ncpu1 0 0 0 100 0 0 0 0\nintr 5\n",
            ),
            (&format!("{freq}/scaling_cur_freq"), "900000\n"),
            (&format!("{freq}/scaling_max_freq"), "1200000\n"),
            (&format!("{freq}/cpuinfo_max_freq"), "2400000\n"),
        ]);
        let mut cores = Cores::default();
        let first = cores.read(&sys);
        assert!(first.iter().all(|core| core.load.is_none()));
        assert_eq!((first[1].mhz, first[1].allowed), (Some(900.0), Some(0.5)));
        assert_eq!((first[0].mhz, first[0].allowed), (None, None));
        std::fs::write(
            dir.path().join(stat),
            "cpu0 40 0 10 130 20 0 0 0\ncpu1 50 0 0 100 0 25 0 25 900 0\n",
        )
        .expect("a file");
        let loads: Vec<Option<f32>> = cores.read(&sys).iter().map(|core| core.load).collect();
        assert_eq!(loads, [Some(0.3), Some(1.0)]);
        let still: Vec<Option<f32>> = cores.read(&sys).iter().map(|core| core.load).collect();
        assert_eq!(still, [None, None], "no time has passed");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(a in "(cpu[0-3]?|[0-9 \n]){0,60}", b in "(cpu[0-3]?|[0-9 \n]){0,60}") {
            let (old, new) = (ticks(&a), ticks(&b));
            for (cpu, now) in new {
                let load = old.get(&cpu).and_then(|last| load(*last, now));
                prop_assert!(load.is_none_or(|load| (0.0..=1.0).contains(&load)));
            }
        }
    }
}
