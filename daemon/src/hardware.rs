//! The machine as configured: recognised by what the kernel says, or named.

use crate::config::Hardware;
use vocar_hw::{AcceleratorVerdict, Choice, Machine, Profile, choose_among};

/// The profile in force and what follows from it. A named profile is taken whatever the machine looks like; the
/// processors that exist and the machine's own trip points count all the same. Accelerators of the configuration come before
/// the profile's.
#[must_use]
pub fn choose(settings: &Hardware) -> Choice {
    let machine = Machine::detect(&settings.sysroot);
    let mut choice = of(&machine, &settings.profile);
    let configured = settings.accelerators.iter();
    let verdicts = configured
        .map(|spec| AcceleratorVerdict::of(spec, &machine))
        .chain(std::mem::take(&mut choice.accelerators));
    choice.accelerators = verdicts.collect();
    let specs = &mut choice.profile.accelerators;
    specs.splice(0..0, settings.accelerators.iter().cloned());
    choice
}

fn of(machine: &Machine, wanted: &str) -> Choice {
    let named = Profile::builtin()
        .iter()
        .find(|profile| profile.name == wanted);
    let Some(profile) = named else {
        return vocar_hw::choose(machine);
    };
    let mut choice = choose_among(machine, &[], profile);
    if let Some(reason) = choice.why.first_mut() {
        *reason = format!("profile {}: hardware.profile names it", profile.name);
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn machine(name: &str, profile: &str) -> Choice {
        let sysroot = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/machines")
            .join(name);
        choose(&Hardware {
            profile: profile.into(),
            sysroot,
            ..Hardware::default()
        })
    }

    #[test]
    fn a_named_profile_overrides_what_was_recognised() {
        assert_eq!(machine("sa8155p", "auto").profile.name, "sa8155p");
        let choice = machine("sa8155p", "raspberry-pi-4");
        assert_eq!(choice.profile.name, "raspberry-pi-4");
        assert!(
            choice.why[0].contains("hardware.profile"),
            "{:?}",
            choice.why
        );
    }
}
