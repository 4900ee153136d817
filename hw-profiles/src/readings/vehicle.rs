//! What the vehicle says of its power, by two signals of the COVESA Vehicle Signal Specification.

use serde::{Deserialize, Serialize};

/// Ignition state, `Vehicle.LowVoltageSystemState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LowVoltageState {
    /// Not known.
    Undefined,
    /// Locked: nothing is powered that need not be.
    Lock,
    /// Off.
    Off,
    /// Accessories are powered.
    Acc,
    /// On.
    On,
    /// The engine is being started.
    Start,
}

impl LowVoltageState {
    const ALL: [LowVoltageState; 6] = [
        LowVoltageState::Undefined,
        LowVoltageState::Lock,
        LowVoltageState::Off,
        LowVoltageState::Acc,
        LowVoltageState::On,
        LowVoltageState::Start,
    ];

    /// Its name in the specification.
    pub fn name(self) -> &'static str {
        match self {
            LowVoltageState::Undefined => "UNDEFINED",
            LowVoltageState::Lock => "LOCK",
            LowVoltageState::Off => "OFF",
            LowVoltageState::Acc => "ACC",
            LowVoltageState::On => "ON",
            LowVoltageState::Start => "START",
        }
    }
}

impl std::str::FromStr for LowVoltageState {
    type Err = NoVehicleValue;

    fn from_str(text: &str) -> Result<Self, NoVehicleValue> {
        LowVoltageState::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| NoVehicleValue::LowVoltage(text.to_owned()))
    }
}

/// A value that the specification does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoVehicleValue {
    /// Not a state of the ignition.
    #[error(
        "{LOW_VOLTAGE} is \"{0}\": give \"UNDEFINED\", \"LOCK\", \"OFF\", \"ACC\", \"ON\" or \"START\""
    )]
    LowVoltage(String),
    /// Out of range.
    #[error("{OPTIMISE} is {0}: give a number from 0 to 10")]
    Optimise(u64),
}

const LOW_VOLTAGE: &str = VehicleState::LOW_VOLTAGE;
const OPTIMISE: &str = VehicleState::OPTIMISE;

/// What the vehicle says; `None` where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VehicleState {
    /// Ignition state.
    pub low_voltage: Option<LowVoltageState>,
    /// How much power is to be saved: 0 nothing, 10 everything but what is essential.
    pub optimise: Option<u8>,
}

impl VehicleState {
    /// VSS path of [`Self::low_voltage`], a string.
    pub const LOW_VOLTAGE: &'static str = "Vehicle.LowVoltageSystemState";
    /// VSS path of [`Self::optimise`], uint8.
    pub const OPTIMISE: &'static str = "Vehicle.Cabin.Infotainment.PowerOptimizeLevel";

    /// Takes a value of [`Self::OPTIMISE`].
    ///
    /// # Errors
    /// [`NoVehicleValue::Optimise`] above 10.
    pub fn set_optimise(&mut self, level: u64) -> Result<(), NoVehicleValue> {
        let known = u8::try_from(level).ok().filter(|level| *level <= 10);
        self.optimise = Some(known.ok_or(NoVehicleValue::Optimise(level))?);
        Ok(())
    }
}
