//! From a machine to its profile and to what follows from it.

use serde::{Deserialize, Serialize};

use crate::accelerator::AcceleratorVerdict;
use crate::cpu::Arch;
use crate::cpulist::CpuList;
use crate::machine::Machine;
use crate::power::Level;
use crate::precision::Precision;
use crate::profile::{Profile, Scheduling};
use crate::thermal::ThermalLimits;

/// What was chosen for a machine, and why, in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The profile.
    pub profile: Profile,
    /// What the machine showed of itself.
    pub seen: Vec<String>,
    /// Why this profile, precision, processors and limits, a sentence each.
    pub why: Vec<String>,
    /// Precision of the acoustic model.
    pub precision: Precision,
    /// Processors to run on, each list within those that exist.
    pub scheduling: Scheduling,
    /// Temperatures at which the power policy steps in.
    pub thermal: ThermalLimits,
    /// Zones (folder names) that tell the processor's temperature.
    pub thermal_zones: Vec<String>,
    /// Every accelerator of the profile, in order of preference.
    pub accelerators: Vec<AcceleratorVerdict>,
}

impl Choice {
    /// The variant of the acoustic model for a level.
    pub fn variant(&self, level: Level) -> Precision {
        let other = self.profile.variants.get(&level);
        other.copied().unwrap_or(self.precision)
    }
}

/// Chooses among the built-in profiles.
pub fn choose(machine: &Machine) -> Choice {
    let generic = Profile::builtin()
        .last()
        .expect("there are built-in profiles, the last fits everything");
    choose_among(machine, Profile::builtin(), generic)
}

/// Chooses among `profiles`, those that recognise the machine first, then the generic one of its
/// architecture, then `fallback`.
pub fn choose_among(machine: &Machine, profiles: &[Profile], fallback: &Profile) -> Choice {
    let recognised = profiles
        .iter()
        .find_map(|profile| Some((profile, evidence(profile, machine)?)));
    let (profile, reason) = recognised.unwrap_or_else(|| unrecognised(machine, profiles, fallback));
    let mut why = vec![reason];
    let precision = precision(profile, machine, &mut why);
    let scheduling = scheduling(profile, machine, &mut why);
    let (thermal, thermal_zones) = thermal(profile, machine, &mut why);
    let accelerators = profile
        .accelerators
        .iter()
        .map(|spec| AcceleratorVerdict::of(spec, machine))
        .collect();
    let profile = profile.clone();
    let seen = machine.seen();
    Choice {
        profile,
        seen,
        why,
        precision,
        scheduling,
        thermal,
        thermal_zones,
        accelerators,
    }
}

/// What makes the profile fit, as a sentence; `None` when it does not.
fn evidence(profile: &Profile, machine: &Machine) -> Option<String> {
    if profile.arch != machine.arch {
        return None;
    }
    let rules = &profile.rules;
    let title = &profile.title;
    if let Some(found) = machine
        .compatible
        .iter()
        .find(|c| rules.compatible.contains(c))
    {
        return Some(format!(
            "profile {}: the device tree is compatible with \"{found}\", {title}",
            profile.name
        ));
    }
    if let Some(soc) = machine
        .soc
        .as_ref()
        .filter(|soc| rules.soc_id.contains(&soc.id))
    {
        let family = rules
            .soc_family
            .as_ref()
            .is_none_or(|family| soc.family.as_ref() == Some(family));
        if family {
            return Some(format!(
                "profile {}: SoC id {} is {title}",
                profile.name, soc.id
            ));
        }
    }
    let x86 = machine.x86.as_ref().filter(|id| rules.x86.contains(id))?;
    Some(format!(
        "profile {}: {} family {} model {:#04x} is {title}",
        profile.name, x86.vendor, x86.family, x86.model
    ))
}

fn unrecognised<'a>(
    machine: &Machine,
    profiles: &'a [Profile],
    fallback: &'a Profile,
) -> (&'a Profile, String) {
    let generic = profiles
        .iter()
        .find(|p| p.is_generic() && p.arch == machine.arch && p.arch != Arch::Unknown);
    match generic {
        Some(profile) => (
            profile,
            format!(
                "profile {}: no profile knows this SoC, so the generic one of {} applies",
                profile.name, machine.arch
            ),
        ),
        None => (
            fallback,
            format!(
                "profile {}: neither the SoC nor a known architecture was recognised ({} has no usable /proc/cpuinfo)",
                fallback.name,
                machine.root.display()
            ),
        ),
    }
}

/// The last rule needs nothing, so there always is one.
fn precision(profile: &Profile, machine: &Machine, why: &mut Vec<String>) -> Precision {
    for rule in &profile.precision {
        let met = rule
            .needs_any
            .iter()
            .find(|feature| machine.features.contains(*feature));
        if met.is_some() || rule.needs_any.is_empty() {
            let feature = met
                .map(|feature| format!(" (the processor has {feature})"))
                .unwrap_or_default();
            why.push(format!("precision {}{feature}: {}", rule.take, rule.why));
            return rule.take;
        }
    }
    Precision::F32
}

/// The profile's lists cut to the processors that exist: a hypervisor may give away fewer.
fn scheduling(profile: &Profile, machine: &Machine, why: &mut Vec<String>) -> Scheduling {
    let there = machine.cpus();
    let wanted = &profile.scheduling;
    let mut fit = |name: &str, list: &CpuList| {
        let cut = list.intersection(&there);
        if cut != *list {
            let instead = if cut.is_empty() { &there } else { &cut };
            why.push(format!("{name}: cpu {list} is wanted, of the existing cpu {there} that leaves cpu {instead}"));
        }
        if cut.is_empty() { there.clone() } else { cut }
    };
    let scheduling = Scheduling {
        performance: fit("performance", &wanted.performance),
        balanced: fit("balanced", &wanted.balanced),
        saver: fit("saver", &wanted.saver),
    };
    why.push(match wanted.balanced.is_empty() {
        true => "inference runs on any processor: the profile prefers none".into(),
        false => format!(
            "inference runs on cpu {} (cpu {} when speed matters most, cpu {} to save power)",
            scheduling.balanced, scheduling.performance, scheduling.saver
        ),
    });
    scheduling
}

/// The machine's own trip points where it has them: boards differ in their cooling.
fn thermal(
    profile: &Profile,
    machine: &Machine,
    why: &mut Vec<String>,
) -> (ThermalLimits, Vec<String>) {
    let spec = &profile.thermal;
    let zones: Vec<_> = machine
        .zones
        .iter()
        .filter(|zone| spec.zones.iter().any(|p| zone.matches(p)))
        .collect();
    let passive = zones
        .iter()
        .filter_map(|zone| zone.passive_c)
        .reduce(f32::min);
    let critical = zones
        .iter()
        .filter_map(|zone| zone.critical_c)
        .reduce(f32::min);
    let critical_c = critical.unwrap_or(spec.limits.critical_c);
    let passive_c = passive
        .unwrap_or(spec.limits.passive_c)
        .min(critical_c - 1.0);
    let origin = |own: Option<f32>| {
        if own.is_some() {
            "this machine's trip point"
        } else {
            "from the profile"
        }
    };
    why.push(match zones.is_empty() {
        true => format!("no thermal zone named {} was found: temperature does not steer the power level", spec.zones.join(" or ")),
        false => format!(
            "{} thermal zones are watched; the processor is slowed from {passive_c} °C ({}), the machine powers off at {critical_c} °C ({})",
            zones.len(), origin(passive), origin(critical)
        ),
    });
    (
        ThermalLimits {
            passive_c,
            critical_c,
        },
        zones.iter().map(|zone| zone.id.clone()).collect(),
    )
}
