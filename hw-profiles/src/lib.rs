//! Which machine this is, what to make of it, and how hard to drive it.
//!
//! [`Machine::detect`] reads what the kernel says below a root folder, `/` or a fixture. [`choose`] finds
//! the [`Profile`] of its SoC and says in words what was seen, what was chosen and what each accelerator
//! lacks. [`power`] turns live [`Readings`] into a [`Level`] and a [`Plan`], a pure function of its input.

mod accelerator;
mod choice;
mod cpu;
mod cpulist;
mod energy;
mod explain;
mod machine;
pub mod power;
mod precision;
mod profile;
mod readings;
mod sysroot;
mod thermal;

pub use accelerator::AcceleratorVerdict;
pub use choice::{Choice, choose, choose_among};
pub use cpu::{Arch, Cluster, Core, X86Id};
pub use cpulist::CpuList;
pub use energy::{ClusterTimes, EnergySensors};
pub use explain::explain;
pub use machine::{Dmi, Machine, Soc};
pub use power::{Level, Plan, PowerLimits, SchedulingClass};
pub use precision::Precision;
pub use profile::{
    AcceleratorSpec, ClusterSpec, MatchRules, PrecisionRule, Profile, ProfileError, ProviderSpec,
    Scheduling, ThermalSpec,
};
pub use readings::{
    CoreReading, LowVoltageState, NoVehicleValue, Pressure, Readings, Sampler, Supply, SystemState,
    VehicleState, trace,
};
pub use thermal::{ThermalLimits, ThermalZone};
