//! The power policy on traces of readings.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use vocar_hw::power::{Listening, Policy, PowerState};
use vocar_hw::{Level, Machine, Plan, Readings, Supply, ThermalLimits, choose};

const POLICY: Policy = Policy {
    thermal: ThermalLimits {
        passive_c: 90.0,
        critical_c: 110.0,
    },
    calm: Duration::from_secs(30),
};

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
        state = POLICY.step(&state, Duration::from_secs(10 * n as u64), &readings);
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

use Level::{Balanced, Critical, Performance, Saver};

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
    let none = Readings::default();
    let battery = |percent| Readings {
        supply: Supply::Battery { percent },
        ..none
    };
    for (readings, level, said) in [
        (warm(81.0), Balanced, ""),
        (warm(90.0), Saver, "90 °C"),
        (warm(105.0), Critical, "powers off at 110"),
        (battery(None), Balanced, ""),
        (battery(Some(29)), Saver, "29 % left"),
        (battery(Some(9)), Critical, "9 % left"),
        (
            Readings {
                pressure: Some(0.3),
                ..none
            },
            Balanced,
            "",
        ),
        (
            Readings {
                pressure: Some(0.7),
                ..none
            },
            Saver,
            "70 % of the time",
        ),
        (
            Readings {
                load: Some(0.95),
                ..none
            },
            Balanced,
            "",
        ),
        (
            Readings {
                available_mib: Some(40),
                ..none
            },
            Saver,
            "40 MiB",
        ),
        (
            Readings {
                missed_deadlines: 5,
                ..none
            },
            Saver,
            "5 steps",
        ),
        (
            Readings {
                missed_deadlines: 4,
                ..none
            },
            Performance,
            "",
        ),
        (none, Performance, ""),
    ] {
        let states = run(std::iter::repeat_n(readings, 20));
        let last = states.last().expect("twenty states");
        assert_eq!(last.level, level, "{readings:?}: {}", last.why);
        assert!(last.why.contains(said), "{readings:?}: {}", last.why);
    }
}

#[test]
fn plans_take_less_as_levels_get_stricter() {
    let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/machines/sa8155p");
    let choice = choose(&Machine::detect(&board));
    let plans = [Performance, Balanced, Saver, Critical].map(|level| Plan::new(level, &choice));
    assert_eq!(
        plans.each_ref().map(|plan| plan.cpus.to_string()),
        ["4-7", "4-6", "0-3", "0-3"]
    );
    let listening = [
        Listening::All,
        Listening::All,
        Listening::Wake,
        Listening::PushToTalk,
    ];
    assert_eq!(plans.each_ref().map(|plan| plan.listening), listening);
    assert!(
        plans
            .windows(2)
            .all(|pair| pair[0].steps_at_once <= pair[1].steps_at_once)
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
            |(temperature_c, load, pressure, battery, available_mib, missed_deadlines)| Readings {
                temperature_c,
                load,
                pressure,
                supply: battery.map_or(Supply::External, |percent| Supply::Battery { percent }),
                available_mib,
                missed_deadlines,
            },
        )
}

proptest! {
    /// Whatever came before, a level is never gentler than the reading of the moment demands.
    #[test]
    fn the_reading_of_the_moment_is_always_obeyed(past in proptest::collection::vec(any_readings(), 0..20), now in any_readings()) {
        let demanded = run(std::iter::repeat_n(now, 40)).pop().expect("forty states").level;
        let level = run(past.into_iter().chain([now])).pop().expect("a state").level;
        let strict = POLICY.step(&PowerState::start(), Duration::ZERO, &now).level;
        prop_assert!(level >= strict || strict == Balanced, "{level} after a reading that demands {strict}");
        prop_assert!(demanded <= strict.max(Balanced));
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
