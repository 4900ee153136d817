//! The power policy on traces of readings.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use vocar_hw::power::{Listening, Policy, PowerState};
use vocar_hw::{
    CoreReading, CpuList, Level, LowVoltageState, Machine, Plan, PowerLimits, Pressure, Readings,
    SchedulingClass, Supply, SystemState, ThermalLimits, choose,
};

fn policy() -> Policy {
    Policy {
        thermal: ThermalLimits {
            passive_c: 90.0,
            critical_c: 110.0,
        },
        limits: PowerLimits::default(),
        cpus: CpuList::default(),
    }
}

fn warm(celsius: f32) -> Readings {
    Readings {
        temperature_c: Some(celsius),
        ..Readings::default()
    }
}

/// One reading every ten seconds; the states after each.
fn run(readings: impl IntoIterator<Item = Readings>) -> Vec<PowerState> {
    let mut state = PowerState::start();
    let mut states = Vec::new();
    for (n, readings) in readings.into_iter().enumerate() {
        state = policy().step(&state, Duration::from_secs(10 * n as u64), &readings);
        states.push(state.clone());
    }
    states
}

/// The levels a trace goes through, each stretch once.
fn path(readings: impl IntoIterator<Item = Readings>) -> Vec<Level> {
    let mut levels: Vec<Level> = run(readings).into_iter().map(|state| state.level).collect();
    levels.dedup();
    levels
}

use Level::{Balanced, Critical, Paused, Performance, Saver};

#[test]
fn a_car_in_the_sun_heats_up_and_cools_down_level_by_level() {
    let up = (0..30).map(|n| warm(60.0 + 1.6 * n as f32));
    let top = std::iter::repeat_n(warm(107.0), 6);
    let down = (0..60).map(|n| warm(106.0 - n as f32));
    let levels = path(up.chain(top).chain(down));
    assert_eq!(
        levels,
        [
            Balanced,
            Performance,
            Balanced,
            Saver,
            Critical,
            Saver,
            Balanced,
            Performance
        ]
    );
}

#[test]
fn danger_is_answered_at_once_and_calm_only_after_a_while() {
    let states = run([
        warm(50.0),
        warm(106.0),
        warm(50.0),
        warm(50.0),
        warm(50.0),
        warm(50.0),
    ]);
    let levels: Vec<Level> = states.iter().map(|state| state.level).collect();
    assert_eq!(
        levels,
        [Balanced, Critical, Critical, Critical, Critical, Saver]
    );
    assert!(states[1].why.contains("106 °C"), "{}", states[1].why);
    assert!(
        states[5]
            .why
            .contains("nothing has called for critical for 30 s"),
        "{}",
        states[5].why
    );
}

#[test]
fn a_temperature_that_plays_about_a_threshold_changes_the_level_once() {
    let readings = (0..200).map(|n| warm(if n % 2 == 0 { 91.0 } else { 87.0 }));
    assert_eq!(path(readings), [Saver]);
    let seldom = (0..200).map(|n| warm(if n % 3 == 0 { 91.0 } else { 80.0 }));
    assert_eq!(
        path(seldom),
        [Saver],
        "two calm readings of ten seconds are no 30 s of calm"
    );
}

#[test]
fn every_kind_of_reading_is_heard() {
    let none = Readings::default;
    let battery = |percent| Readings {
        supply: Supply::Battery { percent },
        ..none()
    };
    let pressure = |cpu, memory| Readings {
        pressure: Pressure { cpu, memory },
        ..none()
    };
    let cores = |load, allowed| Readings {
        cores: vec![CoreReading {
            cpu: 0,
            load,
            mhz: None,
            allowed,
        }],
        ..none()
    };
    for (readings, level, said) in [
        (warm(81.0), Balanced, ""),
        (warm(90.0), Saver, "90 °C"),
        (warm(105.0), Critical, "powers off at 110"),
        (battery(None), Balanced, ""),
        (battery(Some(29)), Saver, "29 % left"),
        (battery(Some(9)), Critical, "9 % left"),
        (pressure(Some(0.3), None), Balanced, ""),
        (pressure(Some(0.7), None), Saver, "70 % of the time"),
        (pressure(None, Some(0.12)), Balanced, ""),
        (pressure(None, Some(0.4)), Saver, "waited for memory 40 %"),
        (cores(Some(0.95), None), Balanced, ""),
        (cores(None, Some(0.4)), Balanced, ""),
        (cores(Some(0.5), Some(0.9)), Performance, ""),
        (
            Readings {
                available_mib: Some(40),
                ..none()
            },
            Saver,
            "40 MiB",
        ),
        (
            Readings {
                missed_deadlines: 5,
                ..none()
            },
            Saver,
            "5 steps",
        ),
        (
            Readings {
                missed_deadlines: 4,
                ..none()
            },
            Performance,
            "",
        ),
        (none(), Performance, ""),
    ] {
        let states = run(std::iter::repeat_n(readings.clone(), 20));
        let last = states.last().expect("twenty states");
        assert_eq!(last.level, level, "{readings:?}: {}", last.why);
        assert!(last.why.contains(said), "{readings:?}: {}", last.why);
    }
}

#[test]
fn only_the_processors_that_the_work_runs_on_count() {
    let mut readings = Readings::default();
    for (cpu, load) in [0.1, 0.1, 0.99, 0.99].into_iter().enumerate() {
        readings.cores.push(CoreReading {
            cpu,
            load: Some(load),
            mhz: None,
            allowed: None,
        });
    }
    for (cpus, level) in [("0-1", Performance), ("2-3", Balanced), ("", Performance)] {
        let policy = Policy {
            cpus: cpus.parse().expect("a list"),
            ..policy()
        };
        let state = (0..20).fold(PowerState::start(), |state, n| {
            policy.step(&state, Duration::from_secs(10 * n), &readings)
        });
        assert_eq!(state.level, level, "{cpus}: {}", state.why);
    }
}

#[test]
fn orders_are_obeyed_at_once_both_ways() {
    let ordered = |low_voltage, optimise, system| {
        let mut readings = warm(50.0);
        readings.vehicle.low_voltage = low_voltage;
        readings.vehicle.optimise = optimise;
        readings.system = system;
        readings
    };
    let running = SystemState::Running;
    let ignition = |state| ordered(Some(state), None, running);
    for (readings, level, said) in [
        (ignition(LowVoltageState::Lock), Paused, "LOCK"),
        (ignition(LowVoltageState::Off), Critical, "OFF"),
        (ignition(LowVoltageState::Start), Balanced, ""),
        (ignition(LowVoltageState::On), Balanced, ""),
        (ignition(LowVoltageState::Undefined), Balanced, ""),
        (ordered(None, Some(0), running), Balanced, ""),
        (
            ordered(None, Some(5), running),
            Saver,
            "PowerOptimizeLevel 5",
        ),
        (ordered(None, Some(9), running), Critical, "of 10"),
        (ordered(None, Some(10), running), Paused, "of 10"),
        (
            ordered(None, None, SystemState::Suspending),
            Paused,
            "suspended",
        ),
        (
            ordered(
                Some(LowVoltageState::On),
                Some(3),
                SystemState::ShuttingDown,
            ),
            Paused,
            "shut down",
        ),
    ] {
        let states = run([readings.clone(), warm(50.0)]);
        assert_eq!(states[0].level, level, "{readings:?}");
        assert!(states[0].why.contains(said), "{}", states[0].why);
        assert_eq!(states[1].level, Balanced, "{readings:?}");
    }
    let hot = run([ordered(None, Some(2), running), warm(92.0)]);
    assert_eq!(hot[1].level, Saver, "heat goes beyond the order");
}

#[test]
fn a_level_taken_again_soon_is_left_later() {
    let spike = |n: u64| if n.is_multiple_of(10) { 91.0 } else { 60.0 };
    let states = run((0..200).map(|n| warm(spike(n))));
    let calms: Vec<u64> = states
        .iter()
        .filter_map(|state| state.calm())
        .map(|calm| calm.as_secs())
        .collect();
    assert_eq!(calms[0], 30);
    assert_eq!(
        calms.last(),
        Some(&120),
        "a spike every 100 s is waited out in the end"
    );
    let late = &states[100..];
    assert!(late.iter().all(|state| state.level == Saver));
}

#[test]
fn plans_take_less_as_levels_get_stricter() {
    let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/machines/sa8155p");
    let choice = choose(&Machine::detect(&board));
    let plans = Level::ALL.map(|level| Plan::new(level, &choice));
    assert_eq!(
        plans.each_ref().map(|plan| plan.cpus.to_string()),
        ["4-7", "4-6", "0-3", "0-3", "0-3"]
    );
    let listening = [
        Listening::All,
        Listening::All,
        Listening::Wake,
        Listening::PushToTalk,
        Listening::Nothing,
    ];
    assert_eq!(plans.each_ref().map(|plan| plan.listening), listening);
    assert!(
        plans
            .windows(2)
            .all(|pair| pair[0].rest_ms <= pair[1].rest_ms)
    );
    assert!(
        plans
            .iter()
            .all(|plan| plan.quiet_cpus.to_string() == "0-3")
    );
    let batch = |plan: &Plan| plan.class == SchedulingClass::Batch;
    assert_eq!(
        plans.each_ref().map(batch),
        [false, false, true, true, true]
    );
}

fn any_readings() -> impl Strategy<Value = Readings> {
    let share = || proptest::option::of(0.0f32..1.0);
    let supply = proptest::option::of(proptest::option::of(0u8..=100));
    (
        proptest::option::of(-20.0f32..130.0),
        share(),
        share(),
        supply,
        proptest::option::of(0u64..2000),
        0u32..10,
    )
        .prop_map(
            |(temperature_c, load, cpu, battery, available_mib, missed_deadlines)| Readings {
                temperature_c,
                cores: vec![CoreReading {
                    cpu: 0,
                    load,
                    mhz: None,
                    allowed: load,
                }],
                pressure: Pressure { cpu, memory: cpu },
                supply: battery.map_or(Supply::External, |percent| Supply::Battery { percent }),
                available_mib,
                missed_deadlines,
                ..Readings::default()
            },
        )
}

proptest! {
    /// Whatever came before, a level is never gentler than the reading of the moment demands.
    #[test]
    fn the_reading_of_the_moment_is_always_obeyed(past in proptest::collection::vec(any_readings(), 0..20), now in any_readings()) {
        let demanded = run(std::iter::repeat_n(now.clone(), 40)).pop().expect("forty states").level;
        let level = run(past.into_iter().chain([now.clone()])).pop().expect("a state").level;
        let strict = policy().step(&PowerState::start(), Duration::ZERO, &now).level;
        prop_assert!(level >= strict || strict == Balanced, "{level} after a reading that demands {strict}");
        prop_assert!(demanded <= strict.max(Balanced));
    }

    /// Whatever one kind of weather is like, once it has lasted the level changes at most once a minute.
    #[test]
    fn steady_conditions_bring_a_steady_level(weather in proptest::collection::vec(any_readings(), 1..30)) {
        let hours = 3;
        let readings = weather.iter().cycle().take(hours * 360).cloned();
        let states = run(readings);
        let last_hour = &states[(hours - 1) * 360..];
        let changes = last_hour.windows(2).filter(|pair| pair[0].level != pair[1].level).count();
        prop_assert!(changes <= 60, "{changes} changes in an hour");
    }

    /// Levels get gentler one at a time, and never twice within the time of calm.
    #[test]
    fn relaxing_is_slow(trace in proptest::collection::vec(any_readings(), 1..80)) {
        let states = run(trace);
        let order = [Performance, Balanced, Saver, Critical];
        let rank = |level: Level| order.iter().position(|l| *l == level).expect("a level");
        let mut last_relaxed: Option<usize> = None;
        for (n, pair) in states.windows(2).enumerate() {
            let (before, after) = (rank(pair[0].level), rank(pair[1].level));
            if after < before {
                prop_assert_eq!(before - after, 1);
                prop_assert!(last_relaxed.is_none_or(|at| n - at >= 3), "relaxed twice within 30 s");
                last_relaxed = Some(n);
            }
        }
    }
}
