//! What the kernel says about the machine.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cpu::{Arch, Cluster, Core, CpuInfo, X86Id, clusters};
use crate::cpulist::CpuList;
use crate::sysroot::Sysroot;
use crate::thermal::{ThermalZone, zones};

/// Everything detected about a machine. What a kernel does not tell is empty or `None`; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The root folder that was read.
    pub root: PathBuf,
    /// Instruction set, from `/proc/cpuinfo`.
    pub arch: Arch,
    /// Device tree `compatible`, most specific first.
    pub compatible: Vec<String>,
    /// Name of the board: device tree `model`, else DMI vendor and product.
    pub model: Option<String>,
    /// `/sys/devices/soc0`.
    pub soc: Option<Soc>,
    /// Firmware strings of a PC.
    pub dmi: Option<Dmi>,
    /// What identifies an x86 processor.
    pub x86: Option<X86Id>,
    /// Processors on line.
    pub cores: Vec<Core>,
    /// Processors grouped by kind, the strongest first.
    pub clusters: Vec<Cluster>,
    /// Instruction set extensions that every core has, by the kernel's names.
    pub features: BTreeSet<String>,
    /// Temperature sensors.
    pub zones: Vec<ThermalZone>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
}

/// System on chip as its driver names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soc {
    /// `367` on Qualcomm, `i.MX8QM`, `r8a779g0`.
    pub id: String,
    /// `Snapdragon`, `Freescale i.MX`.
    pub family: Option<String>,
    /// `SA8155P`.
    pub machine: Option<String>,
}

/// Firmware strings of a PC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dmi {
    /// `sys_vendor`.
    pub vendor: Option<String>,
    /// `product_name`.
    pub product: Option<String>,
    /// `board_name`.
    pub board: Option<String>,
}

impl Machine {
    /// Reads the machine below `root`, `/` for the one this runs on. Never fails: what cannot be read is
    /// simply not known, and the generic profile needs nothing.
    pub fn detect(root: &Path) -> Machine {
        let sys = Sysroot::new(root);
        let info = CpuInfo::parse(&sys.text("/proc/cpuinfo").unwrap_or_default());
        let arch = info.arch();
        let cores = info.cores(&sys);
        let dmi = dmi(&sys);
        let model = device_tree(&sys, "model")
            .into_iter()
            .next()
            .or_else(|| dmi.as_ref().and_then(Dmi::name));
        let machine = Machine {
            root: root.to_owned(),
            arch,
            compatible: device_tree(&sys, "compatible"),
            model,
            soc: soc(&sys),
            dmi,
            x86: (arch == Arch::X86_64).then(|| info.x86_id()).flatten(),
            clusters: clusters(arch, &cores),
            cores,
            features: info.features(),
            zones: zones(&sys),
            memory_mib: memory_mib(&sys),
        };
        tracing::debug!(?machine, "machine detected");
        machine
    }

    /// All processors on line.
    pub fn cpus(&self) -> CpuList {
        self.cores.iter().map(|core| core.cpu).collect()
    }

    /// What identifies this machine, one sentence a source.
    pub fn seen(&self) -> Vec<String> {
        let mut seen = Vec::new();
        seen.extend(self.model.iter().map(|model| format!("board \"{model}\"")));
        if !self.compatible.is_empty() {
            seen.push(format!(
                "device tree compatible {}",
                self.compatible.join(", ")
            ));
        }
        seen.extend(self.soc.iter().map(Soc::sentence));
        seen.extend(
            self.x86
                .iter()
                .map(|id| format!("{} family {} model {:#04x}", id.vendor, id.family, id.model)),
        );
        let kinds = self.clusters.iter().map(Cluster::sentence);
        seen.push(format!(
            "{}, {}",
            self.arch,
            kinds
                .reduce(|a, b| format!("{a}; {b}"))
                .unwrap_or("no processors listed".into())
        ));
        seen.extend(self.memory_mib.map(|mib| format!("{mib} MiB of memory")));
        seen
    }
}

impl Soc {
    fn sentence(&self) -> String {
        let family = self.family.as_deref().unwrap_or("unnamed family");
        let machine = self
            .machine
            .as_ref()
            .map(|machine| format!(", machine \"{machine}\""))
            .unwrap_or_default();
        format!("SoC id {} ({family}{machine})", self.id)
    }
}

impl Cluster {
    fn sentence(&self) -> String {
        let capacity = self
            .capacity
            .map(|c| format!(", capacity {c}"))
            .unwrap_or_default();
        let mhz = self
            .max_khz
            .map(|khz| format!(", {} MHz", khz / 1000))
            .unwrap_or_default();
        format!(
            "{}× {} (cpu {}{mhz}{capacity})",
            self.cpus.len(),
            self.name,
            self.cpus
        )
    }
}

impl Dmi {
    fn name(&self) -> Option<String> {
        let words: Vec<&str> = [&self.vendor, &self.product]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

/// Kernels without the `/proc` link have the tree below `/sys/firmware` only.
fn device_tree(sys: &Sysroot, property: &str) -> Vec<String> {
    let found = sys.strings(&format!("/proc/device-tree/{property}"));
    if found.is_empty() {
        sys.strings(&format!("/sys/firmware/devicetree/base/{property}"))
    } else {
        found
    }
}

fn soc(sys: &Sysroot) -> Option<Soc> {
    let field = |name: &str| sys.text(&format!("/sys/devices/soc0/{name}"));
    Some(Soc {
        id: field("soc_id")?,
        family: field("family"),
        machine: field("machine"),
    })
}

fn dmi(sys: &Sysroot) -> Option<Dmi> {
    let field = |name: &str| sys.text(&format!("/sys/class/dmi/id/{name}"));
    let dmi = Dmi {
        vendor: field("sys_vendor"),
        product: field("product_name"),
        board: field("board_name"),
    };
    (dmi.vendor.is_some() || dmi.product.is_some() || dmi.board.is_some()).then_some(dmi)
}

fn memory_mib(sys: &Sysroot) -> Option<u64> {
    let text = sys.text("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
