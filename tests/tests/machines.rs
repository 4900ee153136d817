//! Each profile on the files of a machine it is for (`tests/machines/NAME` impersonates one as a root).

use std::fs;
use std::path::{Path, PathBuf};

use vocar_hw::{
    Arch, Choice, Machine, Precision, Profile, Sampler, Supply, choose, choose_among, explain,
};

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("machines")
        .join(name)
}

fn chosen(name: &str) -> Choice {
    let root = root(name);
    assert!(
        root.join("proc/cpuinfo").is_file(),
        "the fixture {} is incomplete",
        root.display()
    );
    choose(&Machine::detect(&root))
}

/// What is expected of a machine.
struct Expected {
    machine: &'static str,
    profile: &'static str,
    precision: Precision,
    performance: &'static str,
    balanced: &'static str,
    saver: &'static str,
    passive_c: f32,
    critical_c: f32,
    /// Words that the explanation must hold.
    says: &'static [&'static str],
}

const MACHINES: [Expected; 9] = [
    Expected {
        machine: "sa8155p",
        profile: "sa8155p",
        precision: Precision::Mixed,
        performance: "4-7",
        balanced: "4-6",
        saver: "0-3",
        passive_c: 90.0,
        critical_c: 110.0,
        says: &[
            "\"qcom,sa8155p-adp\"",
            "1× Kryo 4xx Gold (cpu 7, 2841 MHz, capacity 1024)",
            "4× Kryo 4xx Silver",
            "nothing has run on a board yet",
        ],
    },
    Expected {
        machine: "raspberry-pi-5",
        profile: "raspberry-pi-5",
        precision: Precision::Mixed,
        performance: "0-3",
        balanced: "2-3",
        saver: "3",
        passive_c: 80.0,
        critical_c: 110.0,
        says: &[
            "Raspberry Pi 5 Model B Rev 1.0",
            "neither has been measured",
            "knows none that could run the models",
        ],
    },
    Expected {
        machine: "raspberry-pi-4",
        profile: "raspberry-pi-4",
        precision: Precision::F32,
        performance: "0-3",
        balanced: "2-3",
        saver: "3",
        passive_c: 80.0,
        critical_c: 110.0,
        says: &["4× Cortex-A72", "precision f32", "no dot-product"],
    },
    Expected {
        machine: "imx8qm",
        profile: "imx8qm",
        precision: Precision::F32,
        performance: "4-5",
        balanced: "4-5",
        saver: "0-3",
        passive_c: 107.0,
        critical_c: 127.0,
        says: &[
            "2× Cortex-A72 (cpu 4-5",
            "4× Cortex-A53 (cpu 0-3",
            "2 thermal zones are watched",
        ],
    },
    Expected {
        machine: "rcar-v4h",
        profile: "rcar-v4h",
        precision: Precision::Mixed,
        performance: "0-3",
        balanced: "2-3",
        saver: "3",
        passive_c: 100.0,
        critical_c: 120.0,
        says: &[
            "renesas,r8a779g0",
            "R-Car deep-learning subsystem: not used: its run-time and compiler are closed",
        ],
    },
    Expected {
        machine: "apollo-lake",
        profile: "apollo-lake",
        precision: Precision::F32,
        performance: "0-3",
        balanced: "2-3",
        saver: "3",
        passive_c: 95.0,
        critical_c: 119.0,
        says: &["Gordon Ridge", "GenuineIntel family 6 model 0x5c", "no AVX"],
    },
    Expected {
        machine: "generic-x86-64",
        profile: "generic-x86-64",
        precision: Precision::Mixed,
        performance: "0-7",
        balanced: "0-7",
        saver: "0-7",
        passive_c: 90.0,
        critical_c: 110.0,
        says: &["no profile knows this SoC", "(the processor has avx2)"],
    },
    Expected {
        machine: "generic-x86-64-vnni",
        profile: "generic-x86-64",
        precision: Precision::Mixed,
        performance: "0-7",
        balanced: "0-7",
        saver: "0-7",
        passive_c: 100.0,
        critical_c: 105.0,
        says: &["three fifths of the time of a step"],
    },
    Expected {
        machine: "generic-aarch64",
        profile: "generic-aarch64",
        precision: Precision::F32,
        performance: "0-1",
        balanced: "0-1",
        saver: "0-1",
        passive_c: 85.0,
        critical_c: 105.0,
        says: &[
            "ti,j721e",
            "no profile knows this SoC",
            "no thermal zone named",
        ],
    },
];

#[test]
fn every_machine_gets_its_profile_and_an_explanation() {
    for expected in MACHINES {
        let choice = chosen(expected.machine);
        let text = explain(&choice);
        let found = format!("{}:\n{text}", expected.machine);
        assert_eq!(choice.profile.name, expected.profile, "{found}");
        assert_eq!(choice.precision, expected.precision, "{found}");
        let s = &choice.scheduling;
        let lists = [&s.performance, &s.balanced, &s.saver].map(ToString::to_string);
        assert_eq!(
            lists,
            [expected.performance, expected.balanced, expected.saver],
            "{found}"
        );
        let limits = (choice.thermal.passive_c, choice.thermal.critical_c);
        assert_eq!(limits, (expected.passive_c, expected.critical_c), "{found}");
        for words in expected.says {
            assert!(text.contains(words), "\"{words}\" is not said of {found}");
        }
    }
}

#[test]
fn a_precision_rule_is_taken_only_where_the_processor_has_what_it_needs() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../hw-profiles/profiles/generic-x86-64.toml"),
    )
    .expect("the profile");
    let rule = "[[precision]]\ntake = \"int8\"\nneeds_any = [\"avx_vnni\", \"avx512_vnni\"]\nwhy = \"a test\"\n";
    let profile = Profile::parse(
        "test",
        &text.replacen("[[precision]]", &format!("{rule}[[precision]]"), 1),
    )
    .expect("a profile");
    for (machine, precision) in [
        ("generic-x86-64", Precision::Mixed),
        ("generic-x86-64-vnni", Precision::Int8),
    ] {
        let machine = Machine::detect(&root(machine));
        let choice = choose_among(&machine, std::slice::from_ref(&profile), &profile);
        assert_eq!(choice.precision, precision, "{}", explain(&choice));
        let said = explain(&choice).contains("(the processor has avx512_vnni): a test");
        assert_eq!(said, precision == Precision::Int8, "{}", explain(&choice));
    }
}

#[test]
fn every_profile_has_a_machine_that_gets_it() {
    let bare = tempfile::tempdir().expect("temporary folder");
    let mut got: Vec<String> = MACHINES
        .iter()
        .map(|expected| chosen(expected.machine).profile.name)
        .collect();
    got.push(choose(&Machine::detect(bare.path())).profile.name);
    for profile in Profile::builtin() {
        assert!(
            got.contains(&profile.name),
            "no machine in tests/machines gets {}",
            profile.name
        );
    }
}

#[test]
fn clusters_of_a_profile_are_those_the_machine_shows() {
    for expected in &MACHINES {
        let machine = Machine::detect(&root(expected.machine));
        let profile = choose(&machine).profile;
        for spec in profile
            .clusters
            .iter()
            .filter(|_| machine.arch == Arch::Aarch64)
        {
            let found = machine
                .clusters
                .iter()
                .find(|cluster| cluster.cpus == spec.cpus);
            assert_eq!(
                found.map(|cluster| &cluster.name),
                Some(&spec.core),
                "{}",
                expected.machine
            );
        }
    }
}

#[test]
fn the_sa8155p_lacks_first_libraries_then_device_then_only_a_trial() {
    let fixture = chosen("sa8155p");
    let [verdict] = &fixture.accelerators[..] else {
        panic!("one accelerator expected: {:?}", fixture.accelerators)
    };
    assert!(!verdict.usable);
    assert_eq!(
        verdict.devices_found,
        ["/dev/adsprpc-smd", "/dev/adsprpc-smd-secure"]
    );
    assert!(
        verdict
            .reason
            .contains("libraries are not installed (libQnnDsp.so,"),
        "{}",
        verdict.reason
    );
    assert!(
        !verdict.reason.contains("device nodes"),
        "{}",
        verdict.reason
    );

    let board = tempfile::tempdir().expect("temporary folder");
    copy(&root("sa8155p").join("proc"), &board.path().join("proc"));
    let reason = || {
        choose(&Machine::detect(board.path())).accelerators[0]
            .reason
            .clone()
    };
    assert!(
        reason().contains("none of its device nodes exists")
            && reason().contains("libraries are not"),
        "{}",
        reason()
    );
    for file in [
        "usr/lib/libQnnDsp.so",
        "usr/lib/libQnnDspV66Stub.so",
        "usr/lib/rfsa/adsp/libQnnDspV66Skel.so",
    ] {
        put(&board.path().join(file));
    }
    assert!(
        reason().contains("none of its device nodes") && !reason().contains("libraries"),
        "{}",
        reason()
    );
    put(&board.path().join("dev/fastrpc-cdsp"));
    assert_eq!(reason(), "device and libraries are there; it was not tried");
}

#[test]
fn a_soc_number_counts_only_in_its_makers_family() {
    let board = tempfile::tempdir().expect("temporary folder");
    copy(
        &root("sa8155p").join("proc/cpuinfo"),
        &board.path().join("proc/cpuinfo"),
    );
    copy(
        &root("sa8155p").join("sys/devices/soc0"),
        &board.path().join("sys/devices/soc0"),
    );
    let choice = choose(&Machine::detect(board.path()));
    assert_eq!(choice.profile.name, "sa8155p");
    assert!(choice.why[0].contains("SoC id 367"), "{}", choice.why[0]);
    fs::write(board.path().join("sys/devices/soc0/family"), "Other\n").expect("write");
    assert_eq!(
        choose(&Machine::detect(board.path())).profile.name,
        "generic-aarch64"
    );
}

#[test]
fn a_machine_with_fewer_processors_gets_what_there_is() {
    let guest = tempfile::tempdir().expect("temporary folder");
    copy(
        &root("sa8155p").join("proc/device-tree"),
        &guest.path().join("proc/device-tree"),
    );
    let cpuinfo = fs::read_to_string(root("sa8155p").join("proc/cpuinfo")).expect("cpuinfo");
    let first_five: Vec<&str> = cpuinfo.split("\n\n").take(5).collect();
    fs::write(guest.path().join("proc/cpuinfo"), first_five.join("\n\n")).expect("write");
    let choice = choose(&Machine::detect(guest.path()));
    assert_eq!(choice.scheduling.balanced.to_string(), "4");
    assert!(
        choice
            .why
            .iter()
            .any(|why| why.contains("cpu 4-6 is wanted")),
        "{:?}",
        choice.why
    );
}

#[test]
fn nothing_and_rubbish_give_the_fallback_and_no_panic() {
    let root = tempfile::tempdir().expect("temporary folder");
    let choice = choose(&Machine::detect(root.path()));
    assert_eq!(
        (choice.profile.name.as_str(), choice.precision),
        ("generic", Precision::F32)
    );
    for file in [
        "proc/cpuinfo",
        "proc/device-tree/compatible",
        "proc/meminfo",
        "sys/devices/soc0/soc_id",
        "sys/class/thermal/thermal_zone0/type",
        "sys/class/thermal/thermal_zone0/temp",
    ] {
        put(&root.path().join(file));
        fs::write(
            root.path().join(file),
            b"\xff\xfe\0:\0\n\nprocessor : x\n\n:::\n-9e9",
        )
        .expect("write");
    }
    let choice = choose(&Machine::detect(root.path()));
    assert_eq!(choice.profile.name, "generic");
    assert!(explain(&choice).contains("neither the SoC nor a known architecture"));
}

#[test]
fn machine_and_choice_are_json_and_back() {
    for expected in &MACHINES {
        let machine = Machine::detect(&root(expected.machine));
        let json = serde_json::to_string(&machine).expect("serialisable");
        assert_eq!(
            serde_json::from_str::<Machine>(&json).expect("readable"),
            machine
        );
        let choice = choose(&machine);
        let json = serde_json::to_value(&choice).expect("serialisable");
        assert_eq!(json["profile"]["name"], expected.profile);
        assert_eq!(json["scheduling"]["balanced"], expected.balanced);
        assert_eq!(
            serde_json::from_value::<Choice>(json).expect("readable"),
            choice
        );
    }
}

#[test]
fn readings_come_from_the_watched_zones_the_pressure_file_and_the_battery() {
    let sa8155p = Sampler::new(&root("sa8155p"), &chosen("sa8155p")).read();
    assert_eq!(sa8155p.temperature_c, Some(52.7));
    assert_eq!(sa8155p.supply, Supply::External);
    assert_eq!((sa8155p.missed_deadlines, sa8155p.cores.len()), (0, 0));
    assert_eq!(sa8155p.available_mib, Some(8123340 / 1024));
    assert_eq!(sa8155p.pressure.memory, None);
    let pressure = sa8155p.pressure.cpu.expect("a pressure file");
    assert!((pressure - 0.0042).abs() < 1e-6);
    let battery = Sampler::new(&root("generic-x86-64-vnni"), &chosen("generic-x86-64-vnni")).read();
    assert_eq!(battery.supply, Supply::Battery { percent: Some(24) });
    let silent = Sampler::new(&root("generic-aarch64"), &chosen("generic-aarch64")).read();
    assert_eq!((silent.temperature_c, silent.pressure.cpu), (None, None));
}

#[test]
fn the_machine_this_runs_on_is_read_alive() {
    let choice = choose(&Machine::detect(Path::new("/")));
    let arch = if cfg!(target_arch = "x86_64") {
        Arch::X86_64
    } else {
        Arch::Aarch64
    };
    assert_eq!(choice.profile.arch, arch, "{}", explain(&choice));
    let mut sampler = Sampler::new(Path::new("/"), &choice);
    sampler.read();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let readings = sampler.read();
    assert!(
        readings.available_mib.is_some_and(|mib| mib > 0),
        "{readings:?}"
    );
    assert!(
        readings
            .cores
            .iter()
            .any(|core| core.load.is_some_and(|load| (0.0..=1.0).contains(&load))),
        "{readings:?}"
    );
}

fn put(path: &Path) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("create folders");
    fs::write(path, b"").expect("write");
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        return;
    }
    put(to);
    fs::copy(from, to).expect("copy");
}
