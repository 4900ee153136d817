//! Where the power comes from.

use serde::{Deserialize, Serialize};

use crate::sysroot::Sysroot;

const SUPPLIES: &str = "/sys/class/power_supply";

/// Where the power comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Supply {
    /// Generator or mains.
    #[default]
    External,
    /// A battery being emptied, and what is left of it where known (0 to 100).
    Battery {
        /// Charge left.
        percent: Option<u8>,
    },
}

impl Supply {
    /// From sysfs (Linux `Documentation/ABI/testing/sysfs-class-power`). A battery counts only while it is being
    /// emptied, of several the emptiest; a machine without any is on external power. Batteries of peripherals
    /// (`scope` `Device`) do not count.
    pub(super) fn read(root: &Sysroot) -> Supply {
        let names = root.names(SUPPLIES);
        let batteries = names.iter().map(|name| battery(root, name));
        batteries.fold(Supply::External, Supply::scarcer)
    }

    /// The one of two sources, told of the same machine, that calls for more restraint.
    pub fn scarcer(self, other: Supply) -> Supply {
        let rank = |supply: &Supply| match supply {
            Supply::External => (0, 0),
            Supply::Battery { percent: None } => (1, 0),
            Supply::Battery {
                percent: Some(percent),
            } => (2, 100 - (*percent).min(100)),
        };
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }
}

fn battery(root: &Sysroot, name: &str) -> Supply {
    let field = |field: &str| root.text(&format!("{SUPPLIES}/{name}/{field}"));
    let emptied = field("type").as_deref() == Some("Battery")
        && field("scope").as_deref() != Some("Device")
        && field("status").as_deref() == Some("Discharging");
    if !emptied {
        return Supply::External;
    }
    let percent = field("capacity").and_then(|text| text.parse().ok());
    Supply::Battery {
        percent: percent.filter(|percent| *percent <= 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_batteries_the_emptiest_counts() {
        let dir = tempfile::tempdir().expect("a folder");
        let supply = |name: &str, fields: &[(&str, &str)]| {
            let dir = dir.path().join("sys/class/power_supply").join(name);
            std::fs::create_dir_all(&dir).expect("a folder");
            for (field, text) in fields {
                std::fs::write(dir.join(field), format!("{text}\n")).expect("a file");
            }
        };
        let read = || Supply::read(&Sysroot::new(dir.path()));
        assert_eq!(read(), Supply::External);
        supply("AC", &[("type", "Mains"), ("online", "0")]);
        supply(
            "BAT0",
            &[("type", "Battery"), ("status", "Full"), ("capacity", "100")],
        );
        assert_eq!(read(), Supply::External);
        let emptied = [("type", "Battery"), ("status", "Discharging")];
        supply("BAT0", &[&emptied[..], &[("capacity", "80")]].concat());
        supply("BAT1", &[&emptied[..], &[("capacity", "20")]].concat());
        supply(
            "mouse",
            &[&emptied[..], &[("capacity", "3"), ("scope", "Device")]].concat(),
        );
        assert_eq!(read(), Supply::Battery { percent: Some(20) });
        supply("BAT1", &[("capacity", "250")]);
        assert_eq!(read(), Supply::Battery { percent: Some(80) });
    }
}
