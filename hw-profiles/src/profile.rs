//! Profiles: what is known of a SoC before it is measured, one TOML file each.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::cpu::Arch;
use crate::cpulist::CpuList;
use crate::power::{Level, PowerLimits};
use crate::precision::Precision;
use crate::thermal::ThermalLimits;

/// What is known of a SoC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Short name, `sa8155p`.
    pub name: String,
    /// Full name for people.
    pub title: String,
    /// Instruction set; a profile never fits another.
    pub arch: Arch,
    /// What is proven and what is only read or believed.
    pub standing: String,
    /// How to recognise it. Without any rule the profile is the generic one of its architecture.
    #[serde(default, rename = "match")]
    pub rules: MatchRules,
    /// Its clusters, the strongest first; empty in a generic profile.
    #[serde(default)]
    pub clusters: Vec<ClusterSpec>,
    /// Where the work should run.
    #[serde(default)]
    pub scheduling: Scheduling,
    /// Which precision to take: the first rule whose needs are met.
    pub precision: Vec<PrecisionRule>,
    /// Accelerators in order of preference.
    #[serde(default)]
    pub accelerators: Vec<AcceleratorSpec>,
    /// Temperatures.
    pub thermal: ThermalSpec,
    /// Other limits of the power policy.
    #[serde(default)]
    pub power: PowerLimits,
    /// Levels that take another variant of the model than the rules of [`Profile::precision`]. None of the built-in
    /// profiles has any: the variant that the rules name is the lightest and the fastest of the shipped bundle.
    #[serde(default)]
    pub variants: BTreeMap<Level, Precision>,
}

/// How to recognise a SoC; one rule that fits is enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchRules {
    /// Device tree `compatible` strings.
    #[serde(default)]
    pub compatible: Vec<String>,
    /// `soc_id` values of `/sys/devices/soc0`.
    #[serde(default)]
    pub soc_id: Vec<String>,
    /// The `family` beside `soc_id` has to be this one: numbers alone are not unique among makers.
    pub soc_family: Option<String>,
    /// x86 processors by vendor, family and model.
    #[serde(default)]
    pub x86: Vec<crate::cpu::X86Id>,
}

/// One cluster of a SoC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// What it is for, `prime`.
    pub name: String,
    /// Kind of core.
    pub core: String,
    /// Processor numbers.
    pub cpus: CpuList,
    /// Highest frequency.
    pub max_mhz: f32,
    /// Relative to 1024.
    pub capacity: u32,
    /// Power of one busy core at its highest frequency, milliwatts: an estimate, to compare plans by, not to
    /// quote.
    pub estimated_mw: u32,
}

/// Where the work should run. An empty list means anywhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    /// When answers matter most.
    #[serde(default)]
    pub performance: CpuList,
    /// Ordinarily.
    #[serde(default)]
    pub balanced: CpuList,
    /// When heat or the battery matter more.
    #[serde(default)]
    pub saver: CpuList,
}

/// A precision and the processor it is good on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionRule {
    /// The precision to take.
    pub take: Precision,
    /// Kernel names of features of which the processor must have one; empty: no need.
    #[serde(default)]
    pub needs_any: Vec<String>,
    /// Why.
    pub why: String,
}

/// An accelerator and what using it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceleratorSpec {
    /// What it is.
    pub name: String,
    /// Device nodes, one of which must be there.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Libraries, all of which must be there.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// Folders to look for them besides the usual ones.
    #[serde(default)]
    pub library_dirs: Vec<String>,
    /// Why it cannot be used whatever the machine holds.
    pub barred: Option<String>,
    /// What runs a network on it. Without one it cannot be used.
    pub provider: Option<ProviderSpec>,
    /// ONNX Runtime's library: a file, or a name that the loader looks for; none: `$ORT_DYLIB_PATH`, else
    /// `libonnxruntime.so`.
    pub runtime: Option<String>,
    /// Which network of the bundle it runs.
    #[serde(default = "int8")]
    pub network: Precision,
    /// Whether nodes that it refuses may run on the processor, within the same process.
    #[serde(default)]
    pub mixed: bool,
    /// Whether it must be faster than the processor.
    #[serde(default = "yes")]
    pub require_win: bool,
    /// Milliseconds after which a step is given up: less than the sound that it is about, so that the processor can make it in
    /// time.
    #[serde(default = "step_ms")]
    pub step_ms: u32,
    /// Every so many steps of an utterance, the first among them, the processor's scores are compared; besides, before anything
    /// is done because of them.
    #[serde(default = "check_every")]
    pub check_every: u32,
    /// Share of the probability (0 to 1) that may lie elsewhere in a comparison.
    #[serde(default = "tolerance")]
    pub tolerance: f32,
}

/// An execution provider of ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Its name, such as `QNNExecutionProvider`; `CPUExecutionProvider` is ONNX Runtime's own.
    pub name: String,
    /// The library that it is in; none: in ONNX Runtime itself. One of the accelerator's libraries is taken where it was
    /// found, here and in the options.
    pub library: Option<String>,
    /// Its options.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

const fn int8() -> Precision {
    Precision::Int8
}

const fn yes() -> bool {
    true
}

const fn step_ms() -> u32 {
    120
}

const fn check_every() -> u32 {
    16
}

const fn tolerance() -> f32 {
    0.1
}

/// Temperatures of a SoC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThermalSpec {
    /// Zones that tell the processor's temperature, `*` for any run of characters.
    pub zones: Vec<String>,
    /// Limits where the machine itself names none.
    #[serde(flatten)]
    pub limits: ThermalLimits,
}

/// Why a profile was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, or a field is missing, unknown or of the wrong type.
    #[error("profile {profile}: {problem}; correct the file")]
    Syntax {
        /// File or name of the profile.
        profile: String,
        /// The parser's words, with line and field.
        problem: String,
    },
    /// A value makes no sense.
    #[error("profile {profile}: `{field}` {problem}; correct the file")]
    Field {
        /// File or name of the profile.
        profile: String,
        /// Name of the field.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

impl Profile {
    /// Reads a profile; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ProfileError`] when the text is no profile or its values make no sense.
    pub fn parse(origin: &str, text: &str) -> Result<Profile, ProfileError> {
        let profile: Profile = toml::from_str(text).map_err(|e| ProfileError::Syntax {
            profile: origin.to_owned(),
            problem: e.to_string().trim().to_owned(),
        })?;
        match profile.nonsense() {
            None => Ok(profile),
            Some((field, problem)) => Err(ProfileError::Field {
                profile: origin.to_owned(),
                field,
                problem,
            }),
        }
    }

    /// The profiles that come with the product, generic ones last.
    pub fn builtin() -> &'static [Profile] {
        &BUILTIN
    }

    /// Whether this is the profile for everything unrecognised of its architecture.
    pub fn is_generic(&self) -> bool {
        self.rules.compatible.is_empty()
            && self.rules.soc_id.is_empty()
            && self.rules.x86.is_empty()
    }

    fn nonsense(&self) -> Option<(&'static str, String)> {
        let ThermalLimits {
            passive_c,
            critical_c,
        } = self.thermal.limits;
        let always = self
            .precision
            .last()
            .is_some_and(|rule| rule.needs_any.is_empty());
        let capacity = self
            .clusters
            .iter()
            .find(|c| c.capacity == 0 || c.capacity > 1024);
        if !always {
            return Some((
                "precision",
                "ends with a rule that needs something, so a machine may get none".into(),
            ));
        }
        if let Some(cluster) = capacity {
            return Some((
                "clusters.capacity",
                format!(
                    "of {} is {}, not within 1..=1024",
                    cluster.name, cluster.capacity
                ),
            ));
        }
        if let Some(problem) = self.power.nonsense() {
            return Some(problem);
        }
        let ordered = passive_c > 0.0 && passive_c < critical_c && critical_c <= 150.0;
        (!ordered).then(|| ("thermal", format!("has passive {passive_c} and critical {critical_c} °C, not 0 < passive < critical <= 150")))
    }
}

macro_rules! builtin {
    ($($name:literal),+ $(,)?) => {
        vec![$(Profile::parse($name, include_str!(concat!("../profiles/", $name, ".toml")))
            .expect(concat!("the profile ", $name, " built into the program is checked by its tests"))),+]
    };
}

static BUILTIN: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    builtin![
        "sa8155p",
        "raspberry-pi-5",
        "raspberry-pi-4",
        "imx8qm",
        "rcar-v4h",
        "apollo-lake",
        "generic-x86-64",
        "generic-aarch64",
        "generic",
    ]
});

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn builtin_profiles_are_sound_and_distinct() {
        let names: BTreeSet<&str> = Profile::builtin()
            .iter()
            .map(|profile| profile.name.as_str())
            .collect();
        assert_eq!(names.len(), Profile::builtin().len());
        let generic: Vec<Arch> = Profile::builtin()
            .iter()
            .filter(|p| p.is_generic())
            .map(|p| p.arch)
            .collect();
        assert_eq!(generic, [Arch::X86_64, Arch::Aarch64, Arch::Unknown]);
    }

    #[test]
    fn cpusets_stay_within_the_clusters() {
        for profile in Profile::builtin()
            .iter()
            .filter(|profile| !profile.clusters.is_empty())
        {
            let all = profile
                .clusters
                .iter()
                .flat_map(|cluster| cluster.cpus.iter())
                .collect::<CpuList>();
            let s = &profile.scheduling;
            for list in [&s.performance, &s.balanced, &s.saver] {
                assert!(
                    !list.is_empty() && list.intersection(&all) == *list,
                    "{}: {list}",
                    profile.name
                );
            }
        }
    }

    #[test]
    fn faults_name_profile_and_field() {
        let sound = include_str!("../profiles/generic.toml");
        let fault = |text: String| {
            Profile::parse("test.toml", &text)
                .expect_err("must be refused")
                .to_string()
        };
        let unknown = fault(format!("colour = 1\n{sound}"));
        assert!(
            unknown.contains("test.toml") && unknown.contains("colour"),
            "{unknown}"
        );
        let hot = fault(sound.replace("critical_c = ", "critical_c = 9"));
        assert!(hot.contains("`thermal`"), "{hot}");
        let busy = fault(format!("{sound}[power]\nbusy = 1.5\n"));
        assert!(busy.contains("`power.busy`"), "{busy}");
        let battery = fault(format!(
            "{sound}[power]\nbattery = {{ saver = 5, critical = 10 }}\n"
        ));
        assert!(battery.contains("`power.battery`"), "{battery}");
        let needy = fault(sound.replace("take =", "needs_any = [\"sve\"]\ntake ="));
        assert!(needy.contains("`precision`"), "{needy}");
    }
}
