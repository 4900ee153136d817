//! The power policy on traces of whole drives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use vocar_hw::power::{Policy, PowerState};
use vocar_hw::{Level, Machine, Readings, choose, trace};

use Level::{Balanced, Critical, Performance, Saver};

/// Over so long a level may not change more often than once a minute, be it that it follows a change of the conditions.
const WINDOW: Duration = Duration::from_secs(600);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The policy of the board that the traces are about.
fn policy() -> Policy {
    let choice = choose(&Machine::detect(&folder("../tests/machines/sa8155p")));
    assert_eq!(choice.profile.name, "sa8155p");
    Policy::new(&choice)
}

fn load(name: &str) -> Vec<(Duration, Readings)> {
    trace::load(&folder("tests/traces").join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn run(policy: &Policy, trace: &[(Duration, Readings)]) -> Vec<(Duration, PowerState)> {
    let mut state = PowerState::start();
    let step = |(at, readings): &(Duration, Readings)| {
        state = policy.step(&state, *at, readings);
        (*at, state.clone())
    };
    trace.iter().map(step).collect()
}

/// When which level began, and why.
fn changes(states: &[(Duration, PowerState)]) -> Vec<(u64, Level, String)> {
    let mut changes: Vec<(u64, Level, String)> = Vec::new();
    for (at, state) in states {
        if changes.last().is_none_or(|last| last.1 != state.level) {
            changes.push((at.as_secs(), state.level, state.why.clone()));
        }
    }
    changes
}

/// Goes through a trace; checks that it does not flap and that every change has a reason.
fn drive(name: &str) -> Vec<(u64, Level, String)> {
    let trace = load(name);
    let changes = changes(&run(&policy(), &trace));
    for change in &changes {
        println!("{name}: {:5} s {}: {}", change.0, change.1, change.2);
        assert!(!change.2.is_empty());
    }
    for (n, first) in changes.iter().enumerate().skip(1) {
        let soon = |other: &&(u64, Level, String)| other.0 < first.0 + WINDOW.as_secs();
        let many = changes[n..].iter().take_while(soon).count() as u64;
        assert!(
            many <= WINDOW.as_secs() / 60,
            "{name}: {many} changes within {WINDOW:?} from {} s on",
            first.0
        );
    }
    changes
}

fn levels(changes: &[(u64, Level, String)]) -> Vec<Level> {
    changes.iter().map(|change| change.1).collect()
}

/// Changes of level in the last `seconds` before `end`.
fn within(changes: &[(u64, Level, String)], begin: u64, end: u64) -> usize {
    let inside = |change: &&(u64, Level, String)| (begin..end).contains(&change.0);
    changes.iter().filter(inside).count()
}

#[test]
fn a_hot_day_is_got_through_and_forgotten_in_the_shade() {
    let changes = drive("hot-day.tsv");
    let levels = levels(&changes);
    assert!(levels.contains(&Saver), "{levels:?}");
    assert!(!levels.contains(&Critical), "{levels:?}");
    assert_eq!(levels.last(), Some(&Performance), "{levels:?}");
    assert!(within(&changes, 3600, 7200) <= 60, "{changes:?}");
    assert!(changes.iter().any(|change| change.2.contains("°C")));
}

#[test]
fn a_weak_battery_is_spared_step_by_step() {
    let changes = drive("weak-battery.tsv");
    assert_eq!(levels(&changes), [Balanced, Saver, Critical], "{changes:?}");
    assert!(changes[2].2.contains("% left"), "{changes:?}");
}

#[test]
fn a_busy_infotainment_system_is_made_room_for() {
    let changes = drive("busy-infotainment.tsv");
    let levels = levels(&changes);
    assert_eq!(levels[..2], [Balanced, Performance], "{levels:?}");
    assert_eq!(levels.last(), Some(&Performance), "{levels:?}");
    let busy: Vec<_> = changes
        .iter()
        .filter(|change| (900..4500).contains(&change.0))
        .collect();
    assert!(
        busy.iter().all(|change| change.1 == Balanced),
        "it stays balanced while it is busy: {busy:?}"
    );
    assert_eq!(busy.len(), 1, "{busy:?}");
}

#[test]
fn a_thermal_runaway_ends_at_the_strictest_measured_level_and_is_left_slowly() {
    let changes = drive("thermal-runaway.tsv");
    let levels = levels(&changes);
    assert!(
        levels
            .windows(3)
            .any(|three| three == [Balanced, Saver, Critical]),
        "{levels:?}"
    );
    assert!(levels.ends_with(&[Critical, Saver, Balanced, Performance]));
    let critical = changes.iter().find(|change| change.1 == Critical);
    assert!(critical.is_some_and(|change| change.2.contains("powers off at 110")));
}

/// Recorded, not made: two cores that compile.
#[test]
fn a_machine_that_compiles_does_not_make_the_level_flap() {
    let changes = drive("busy-machine.tsv");
    assert!(
        changes.len() > 1,
        "the recording shows a busy machine: {changes:?}"
    );
}
