//! Counters of energy where the machine has them, and the profile's estimate where it has none.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::choice::Choice;
use crate::cpulist::CpuList;
use crate::sysroot::Sysroot;

const POWERCAP: &str = "/sys/class/powercap";
const HWMON: &str = "/sys/class/hwmon";

/// Where joules come from.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    /// A counter of microjoules that begins anew at its range.
    Counter { file: String, range: Option<u64> },
    /// A sensor of microwatts.
    Power { file: String },
}

/// Sensors of the whole machine's (or processor package's) power below a root: Intel's RAPL (Linux
/// `Documentation/power/powercap/powercap.rst`), else the energy or power inputs of a hwmon device
/// (`Documentation/hwmon/sysfs-interface.rst`).
#[derive(Debug, Clone)]
pub struct EnergySensors {
    root: Sysroot,
    name: String,
    sources: Vec<Source>,
    last: Vec<Option<u64>>,
    joules: f64,
}

impl EnergySensors {
    /// Looks for sensors that can be read; `None` where there are none.
    pub fn find(root: &Path) -> Option<EnergySensors> {
        let sys = Sysroot::new(root);
        let found = [("RAPL", rapl(&sys)), ("hwmon", hwmon(&sys))];
        let (name, sources) = found.into_iter().find(|(_, sources)| !sources.is_empty())?;
        let last = sources.iter().map(|source| read(&sys, source)).collect();
        let files: Vec<&str> = sources.iter().map(Source::file).collect();
        Some(EnergySensors {
            name: format!("{name}: {}", files.join(", ")),
            root: sys,
            sources,
            last,
            joules: 0.0,
        })
    }

    /// Which sensors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads again, `passed` after the last time; the joules since the sensors were found. Counters have to be read
    /// before they begin anew twice (minutes), power often enough to be a mean.
    pub fn read(&mut self, passed: Duration) -> f64 {
        for (source, last) in self.sources.iter().zip(&mut self.last) {
            let now = read(&self.root, source);
            let micro = match (source, now, *last) {
                (Source::Power { .. }, Some(now), _) => now as f64 * passed.as_secs_f64(),
                (Source::Counter { .. }, Some(now), Some(last)) if now >= last => {
                    (now - last) as f64
                }
                (
                    Source::Counter {
                        range: Some(range), ..
                    },
                    Some(now),
                    Some(last),
                ) => (range.saturating_sub(last) + now) as f64,
                _ => 0.0,
            };
            self.joules += micro / 1e6;
            *last = now;
        }
        self.joules
    }
}

impl Source {
    fn file(&self) -> &str {
        match self {
            Source::Counter { file, .. } | Source::Power { file } => file,
        }
    }
}

fn read(root: &Sysroot, source: &Source) -> Option<u64> {
    root.number(source.file())
}

/// The packages, `intel-rapl:0`: their parts (`intel-rapl:0:0`) are in them.
fn rapl(root: &Sysroot) -> Vec<Source> {
    let package = |name: &String| {
        let number = name.strip_prefix("intel-rapl:")?;
        (!number.contains(':')).then(|| format!("{POWERCAP}/{name}"))
    };
    let counter = |dir: String| Source::Counter {
        file: format!("{dir}/energy_uj"),
        range: root.number(&format!("{dir}/max_energy_range_uj")),
    };
    let names = root.names(POWERCAP);
    let counters = names.iter().filter_map(package).map(counter);
    counters
        .filter(|source| read(root, source).is_some())
        .collect()
}

/// The first device that has any: two devices may well measure the same current.
fn hwmon(root: &Sysroot) -> Vec<Source> {
    let sources = |dir: &String| -> Vec<Source> {
        let path = format!("{HWMON}/{dir}");
        let names = root.names(&path);
        let inputs = |prefix: &str| -> Vec<String> {
            let input = |name: &&String| name.starts_with(prefix) && name.ends_with("_input");
            let found = names.iter().filter(input);
            found.map(|name| format!("{path}/{name}")).collect()
        };
        let counters: Vec<Source> = inputs("energy")
            .into_iter()
            .map(|file| Source::Counter { file, range: None })
            .collect();
        if counters.is_empty() {
            let powers = inputs("power").into_iter();
            powers.map(|file| Source::Power { file }).collect()
        } else {
            counters
        }
    };
    let devices = root.names(HWMON);
    let mut all = devices.iter().map(sources);
    all.find(|sources| sources.iter().any(|source| read(root, source).is_some()))
        .unwrap_or_default()
}

/// Processor seconds by cluster: those of the profile, else those that the kernel shows, else all processors as one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClusterTimes {
    #[serde(skip)]
    clusters: Vec<(String, CpuList, Option<u32>)>,
    /// Name of the cluster → processor seconds.
    pub seconds: BTreeMap<String, f64>,
}

impl ClusterTimes {
    /// No time yet on the machine of `choice`.
    pub fn new(choice: &Choice) -> ClusterTimes {
        let clusters: Vec<_> = choice
            .profile
            .clusters
            .iter()
            .map(|spec| {
                (
                    spec.name.clone(),
                    spec.cpus.clone(),
                    Some(spec.estimated_mw),
                )
            })
            .collect();
        let seconds = clusters.iter().map(|(name, ..)| (name.clone(), 0.0));
        ClusterTimes {
            seconds: seconds.collect(),
            clusters,
        }
    }

    /// Adds time spent on a processor.
    pub fn add(&mut self, cpu: usize, seconds: f64) {
        let holds = |cluster: &&(String, CpuList, Option<u32>)| cluster.1.contains(cpu);
        let name = self.clusters.iter().find(holds);
        let name = name.map_or("all", |(name, ..)| name.as_str());
        *self.seconds.entry(name.to_owned()).or_default() += seconds;
    }

    /// Joules by the profile's power of a busy core: an estimate. `None` when time was spent on a processor of which the
    /// profile has no figure.
    pub fn estimated_joules(&self) -> Option<f64> {
        let joules = |(name, seconds): (&String, &f64)| {
            let cluster = self.clusters.iter().find(|(known, ..)| known == name)?;
            Some(f64::from(cluster.2?) / 1e3 * seconds)
        };
        self.seconds.iter().map(joules).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, choose};

    fn write(dir: &Path, file: &str, text: &str) {
        let path = dir.join(file.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    #[test]
    fn packages_are_counted_over_the_end_of_their_range_and_parts_not_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        assert!(EnergySensors::find(root).is_none());
        let file = |name: &str| format!("{POWERCAP}/{name}/energy_uj");
        write(root, &file("intel-rapl:0"), "9000000\n");
        write(
            root,
            &format!("{POWERCAP}/intel-rapl:0/max_energy_range_uj"),
            "10000000\n",
        );
        write(root, &file("intel-rapl:0:0"), "1\n");
        write(root, &format!("{HWMON}/hwmon0/power1_input"), "5000000\n");
        let mut sensors = EnergySensors::find(root).expect("sensors");
        assert!(sensors.name().starts_with("RAPL") && !sensors.name().contains(":0:0"));
        write(root, &file("intel-rapl:0"), "9500000\n");
        assert!((sensors.read(Duration::from_secs(1)) - 0.5).abs() < 1e-9);
        write(root, &file("intel-rapl:0"), "250000\n");
        assert!((sensors.read(Duration::from_secs(1)) - 1.25).abs() < 1e-9);
    }

    #[test]
    fn power_is_summed_over_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let power = format!("{HWMON}/hwmon3/power1_input");
        write(dir.path(), &format!("{HWMON}/hwmon1/temp1_input"), "5\n");
        write(dir.path(), &power, "2000000\n");
        let mut sensors = EnergySensors::find(dir.path()).expect("sensors");
        assert!((sensors.read(Duration::from_millis(500)) - 1.0).abs() < 1e-9);
        write(dir.path(), &power, "4000000\n");
        assert!((sensors.read(Duration::from_secs(1)) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn times_are_the_clusters_and_an_estimate_needs_figures() {
        let machines = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/machines");
        let mut times = ClusterTimes::new(&choose(&Machine::detect(&machines.join("sa8155p"))));
        times.add(0, 2.0);
        times.add(5, 1.0);
        assert_eq!(times.seconds["silver"], 2.0);
        assert_eq!(times.seconds["prime"], 0.0);
        let joules = times.estimated_joules().expect("an estimate");
        assert!((joules - (2.0 * 0.22 + 1.1)).abs() < 1e-9, "{joules}");
        times.add(12, 1.0);
        assert_eq!(times.estimated_joules(), None);
        let generic = choose(&Machine::detect(&machines.join("generic-x86-64")));
        let mut times = ClusterTimes::new(&generic);
        times.add(1, 1.0);
        assert_eq!(times.seconds["all"], 1.0);
        assert_eq!(times.estimated_joules(), None);
    }
}
