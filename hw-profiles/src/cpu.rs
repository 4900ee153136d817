//! Processors: what `/proc/cpuinfo` and sysfs say, grouped into clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cpulist::CpuList;
use crate::sysroot::Sysroot;

/// Instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86-64")]
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// Anything else, or not to be told.
    Unknown,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::X86_64 => "x86-64",
            Arch::Aarch64 => "aarch64",
            Arch::Unknown => "unknown architecture",
        })
    }
}

/// What identifies an x86 processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct X86Id {
    /// `GenuineIntel`, `AuthenticAMD`.
    pub vendor: String,
    /// Processor family, decimal as in `/proc/cpuinfo`.
    pub family: u32,
    /// Processor model.
    pub model: u32,
}

/// One processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Its number.
    pub cpu: usize,
    /// `Cortex-A76`, or the model name of an x86 processor.
    pub name: String,
    /// Computing capacity relative to the biggest core's 1024, where the kernel knows it.
    pub capacity: Option<u32>,
    /// Highest frequency, kHz.
    pub max_khz: Option<u32>,
}

/// Cores that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// What its cores are called.
    pub name: String,
    /// Their numbers.
    pub cpus: CpuList,
    /// Capacity of each, 1024 for the biggest.
    pub capacity: Option<u32>,
    /// Highest frequency of each, kHz.
    pub max_khz: Option<u32>,
}

/// What `/proc/cpuinfo` says as a whole.
#[derive(Debug, Default)]
pub(crate) struct CpuInfo {
    blocks: Vec<BTreeMap<String, String>>,
}

impl CpuInfo {
    pub(crate) fn parse(text: &str) -> CpuInfo {
        let blocks = text
            .split("\n\n")
            .map(parse_block)
            .filter(|block| block.contains_key("processor"))
            .collect();
        CpuInfo { blocks }
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.blocks
            .iter()
            .find_map(|block| block.get(key))
            .map(String::as_str)
    }

    /// 32-bit Arm kernels write the same keys but an architecture below 8.
    pub(crate) fn arch(&self) -> Arch {
        let long_mode = || {
            self.first("flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "lm"))
        };
        match (self.first("CPU architecture"), self.first("vendor_id")) {
            (Some(version), _) if version.starts_with('8') || version.starts_with('9') => {
                Arch::Aarch64
            }
            (None, Some(_)) if long_mode() => Arch::X86_64,
            _ => Arch::Unknown,
        }
    }

    pub(crate) fn x86_id(&self) -> Option<X86Id> {
        Some(X86Id {
            vendor: self.first("vendor_id")?.to_owned(),
            family: self.first("cpu family")?.parse().ok()?,
            model: self.first("model")?.parse().ok()?,
        })
    }

    /// Features that every core has: a thread may run on any of them.
    pub(crate) fn features(&self) -> BTreeSet<String> {
        let of_block = |block: &BTreeMap<String, String>| -> BTreeSet<String> {
            let words = block.get("flags").or_else(|| block.get("Features"));
            words
                .map(String::as_str)
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        };
        let mut blocks = self.blocks.iter();
        let first = blocks.next().map(of_block).unwrap_or_default();
        blocks.fold(first, |common, block| {
            common.intersection(&of_block(block)).cloned().collect()
        })
    }

    pub(crate) fn cores(&self, root: &Sysroot) -> Vec<Core> {
        self.blocks
            .iter()
            .filter_map(|block| core(block, root))
            .collect()
    }
}

fn parse_block(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(':')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn core(block: &BTreeMap<String, String>, root: &Sysroot) -> Option<Core> {
    let cpu: usize = block.get("processor")?.parse().ok()?;
    let sys = format!("/sys/devices/system/cpu/cpu{cpu}");
    let name = match (block.get("CPU implementer"), block.get("CPU part")) {
        (Some(implementer), Some(part)) => arm_core_name(implementer, part),
        _ => block
            .get("model name")
            .cloned()
            .unwrap_or_else(|| "processor".into()),
    };
    Some(Core {
        cpu,
        name,
        capacity: root.number(&format!("{sys}/cpu_capacity")),
        max_khz: root.number(&format!("{sys}/cpufreq/cpuinfo_max_freq")),
    })
}

fn arm_core_name(implementer: &str, part: &str) -> String {
    let name = match (hex(implementer), hex(part)) {
        (Some(0x41), Some(0xd03)) => "Cortex-A53",
        (Some(0x41), Some(0xd04)) => "Cortex-A35",
        (Some(0x41), Some(0xd05)) => "Cortex-A55",
        (Some(0x41), Some(0xd07)) => "Cortex-A57",
        (Some(0x41), Some(0xd08)) => "Cortex-A72",
        (Some(0x41), Some(0xd09)) => "Cortex-A73",
        (Some(0x41), Some(0xd0a)) => "Cortex-A75",
        (Some(0x41), Some(0xd0b)) => "Cortex-A76",
        (Some(0x41), Some(0xd0c)) => "Neoverse-N1",
        (Some(0x41), Some(0xd0d)) => "Cortex-A77",
        (Some(0x41), Some(0xd41)) => "Cortex-A78",
        (Some(0x41), Some(0xd42)) => "Cortex-A78AE",
        (Some(0x41), Some(0xd44)) => "Cortex-X1",
        (Some(0x51), Some(0x804)) => "Kryo 4xx Gold",
        (Some(0x51), Some(0x805)) => "Kryo 4xx Silver",
        _ => return format!("Arm core {implementer}/{part}"),
    };
    name.to_owned()
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Cores grouped by kind, capacity and frequency, the strongest cluster first. The turbo frequencies of
/// x86 cores differ from core to core without making them another kind, so there they do not count.
pub(crate) fn clusters(arch: Arch, cores: &[Core]) -> Vec<Cluster> {
    type Kind = (String, Option<u32>, Option<u32>);
    let mut groups: BTreeMap<Kind, Vec<&Core>> = BTreeMap::new();
    for core in cores {
        let frequency = core.max_khz.filter(|_| arch == Arch::Aarch64);
        groups
            .entry((core.name.clone(), core.capacity, frequency))
            .or_default()
            .push(core);
    }
    let mut clusters: Vec<Cluster> = groups
        .into_iter()
        .map(|((name, capacity, _), cores)| Cluster {
            name,
            capacity,
            max_khz: cores.iter().filter_map(|core| core.max_khz).max(),
            cpus: cores.iter().map(|core| core.cpu).collect(),
        })
        .collect();
    clusters.sort_by_key(|cluster| {
        std::cmp::Reverse((
            cluster.capacity,
            cluster.max_khz,
            cluster.cpus.iter().next(),
        ))
    });
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn features_are_those_of_every_core() {
        let text = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU architecture: 8\n\nprocessor\t: 1\nFeatures\t: fp asimd\n";
        let info = CpuInfo::parse(text);
        assert_eq!(
            info.features().into_iter().collect::<Vec<_>>(),
            ["asimd", "fp"]
        );
        assert_eq!(info.arch(), Arch::Aarch64);
    }

    #[test]
    fn thirty_two_bit_machines_are_not_taken_for_sixty_four() {
        assert_eq!(
            CpuInfo::parse("processor\t: 0\nCPU architecture: 7\n").arch(),
            Arch::Unknown
        );
        assert_eq!(
            CpuInfo::parse("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu sse2\n")
                .arch(),
            Arch::Unknown
        );
        assert_eq!(CpuInfo::parse("").arch(), Arch::Unknown);
    }

    #[test]
    fn an_unknown_arm_core_keeps_its_numbers() {
        assert_eq!(arm_core_name("0x61", "0x022"), "Arm core 0x61/0x022");
        assert_eq!(arm_core_name("0x41", "0xd0b"), "Cortex-A76");
    }

    proptest! {
        #[test]
        fn any_cpuinfo_is_survived(text in "(processor|flags|CPU part|[a-z:\t\n 0-9x]){0,60}") {
            let info = CpuInfo::parse(&text);
            let cores = info.cores(&Sysroot::new(std::path::Path::new("/nonexistent")));
            let grouped: usize = clusters(info.arch(), &cores).iter().map(|c| c.cpus.len()).sum();
            prop_assert!(grouped <= cores.len());
        }
    }
}
