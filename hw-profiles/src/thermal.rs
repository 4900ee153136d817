//! Thermal zones of the kernel and the temperatures at which something has to happen.

use serde::{Deserialize, Serialize};

use crate::sysroot::Sysroot;

const ZONES: &str = "/sys/class/thermal";

/// A temperature sensor with its trip points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThermalZone {
    /// Folder name, `thermal_zone3`.
    pub id: String,
    /// What it measures, `cpu-thermal`.
    pub kind: String,
    /// Lowest passive trip, °C: from here on the kernel slows the processor.
    pub passive_c: Option<f32>,
    /// Critical trip, °C: here the kernel powers off.
    pub critical_c: Option<f32>,
}

/// Where the power policy steps in, °C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThermalLimits {
    /// The kernel begins to slow the processor.
    pub passive_c: f32,
    /// The machine powers off.
    pub critical_c: f32,
}

pub(crate) fn zones(root: &Sysroot) -> Vec<ThermalZone> {
    root.numbered(ZONES, "thermal_zone")
        .into_iter()
        .filter_map(|(_, id)| zone(root, id))
        .collect()
}

fn zone(root: &Sysroot, id: String) -> Option<ThermalZone> {
    let dir = format!("{ZONES}/{id}");
    let kind = root.text(&format!("{dir}/type"))?;
    let trips: Vec<(String, f32)> = (0..32)
        .map_while(|n| {
            root.text(&format!("{dir}/trip_point_{n}_type"))
                .map(|kind| (n, kind))
        })
        .filter_map(|(n, kind)| {
            Some((
                kind,
                degrees(root.number(&format!("{dir}/trip_point_{n}_temp"))?)?,
            ))
        })
        .collect();
    let lowest = |wanted: &str| {
        let of_kind = trips
            .iter()
            .filter(|(kind, _)| kind == wanted)
            .map(|(_, at)| *at);
        of_kind.reduce(f32::min)
    };
    Some(ThermalZone {
        passive_c: lowest("passive"),
        critical_c: lowest("critical"),
        id,
        kind,
    })
}

/// From the kernel's millidegrees; disabled trips and dead sensors read absurd values, which are dropped.
fn degrees(milli: i64) -> Option<f32> {
    (-60_000..=200_000)
        .contains(&milli)
        .then_some(milli as f32 / 1000.0)
}

impl ThermalZone {
    /// Temperature now, °C; `None` when the sensor does not answer.
    pub(crate) fn temperature(&self, root: &Sysroot) -> Option<f32> {
        degrees(root.number(&format!("{ZONES}/{}/temp", self.id))?)
    }

    /// Whether `pattern` names this kind of zone; `*` stands for any run of characters.
    pub fn matches(&self, pattern: &str) -> bool {
        wildcard(pattern, &self.kind)
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| wildcard(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text, fits) in [
            ("cpu*-thermal", "cpu3-thermal", true),
            ("cpu*-thermal", "cpu-thermal", true),
            ("cpu*-thermal", "cpu-1-0-thermal", true),
            ("cpu*-thermal", "gpu-thermal", false),
            ("cpu*", "cpu", true),
            ("cpu", "cpu0", false),
            ("*", "", true),
        ] {
            assert_eq!(wildcard(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn absurd_temperatures_are_dropped() {
        assert_eq!(degrees(95_000), Some(95.0));
        assert_eq!(degrees(-274_000), None);
        assert_eq!(degrees(2_147_483_647), None);
    }
}
