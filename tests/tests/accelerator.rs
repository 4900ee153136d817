//! The acoustic network on an 'accelerator', ONNX Runtime on this processor in a process of its own: the recordings pass
//! through it, and whatever becomes of the process, nothing is lost.
//!
//! ONNX Runtime is not part of the product: `ORT_DYLIB_PATH` names its library (the Python package `onnxruntime` has one in
//! its folder `capi`). Without it these tests say what they skip.

#[path = "recordings/hearing.rs"]
#[expect(dead_code, reason = "shared with the recordings' own tests")]
mod hearing;
#[path = "recordings/listed.rs"]
mod listed;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hearing::{Hearing, Listener};
use vocar_daemon::config::{AcceleratorChoice, ListenMode, Settings};
use vocar_hw::AcceleratorSpec;
use vocar_inference::{Precision, Standing};
use vocar_speech::source::AudioSource;
use vocar_tests::{bundle_with, float_bundle, program, repository};

/// Samples (16 kHz) of a step of the network.
const STEP: u64 = 8 * 3 * 160;

/// Where ONNX Runtime is; when there is none, says so and what is skipped.
fn runtime(skipped: &str) -> Option<String> {
    let named = std::env::var("ORT_DYLIB_PATH").unwrap_or_default();
    if named.is_empty() {
        eprintln!("SKIPPED: {skipped}: ORT_DYLIB_PATH names no libonnxruntime.so");
        return None;
    }
    Some(named)
}

/// ONNX Runtime on this processor as an accelerator for the network in floats.
fn spec(runtime: &str, more: &str) -> AcceleratorSpec {
    let patience = if more.contains("step_ms") {
        ""
    } else {
        "step_ms = 2000\n"
    };
    let text = format!(
        "name = \"ONNX Runtime on the processor\"\nruntime = {runtime:?}\nnetwork = \"f32\"\nrequire_win = false\n\
         {patience}{more}\n[provider]\nname = \"CPUExecutionProvider\"\n"
    );
    toml::from_str(&text).expect("a specification")
}

fn settings(bundle: &Path, program: &Path, spec: AcceleratorSpec) -> Settings {
    let mut settings = Settings::default();
    settings.model.dir = bundle.to_path_buf();
    settings.hardware.accelerator_program = program.to_path_buf();
    settings.hardware.accelerators = vec![spec];
    settings
}

/// A listener for the car, with the network in floats.
fn listener(settings: &Settings) -> Listener {
    Listener::for_the_car_with(settings, Precision::F32, ListenMode::OpenMic)
}

/// The accelerator that is used.
fn standing(listener: &Listener) -> Option<Standing> {
    listener.pipeline.ears()?.accelerator().cloned()
}

/// Why the first accelerator is (not) used.
fn verdict(listener: &Listener) -> String {
    listener.pipeline.ears().unwrap().verdicts()[0]
        .reason
        .clone()
}

/// Bundle, program and library, or nothing.
fn equipment(skipped: &str) -> Option<(PathBuf, PathBuf, String)> {
    Some((
        float_bundle(skipped)?,
        program("vocar-accel"),
        runtime(skipped)?,
    ))
}

fn recording(name: &str) -> AudioSource {
    AudioSource::open(&repository().join("tests/recordings").join(name)).unwrap()
}

fn words(hearing: &Hearing) -> Vec<(String, u64, u64)> {
    let words = hearing.finals().into_iter().flat_map(|heard| heard.words);
    words
        .map(|word| (word.text, word.start, word.end))
        .collect()
}

#[test]
fn all_recordings_give_the_same_through_the_accelerator() {
    let Some((bundle, program, runtime)) = equipment("recordings through an accelerator") else {
        return;
    };
    let mut listener = listener(&settings(&bundle, &program, spec(&runtime, "")));
    assert_eq!(listener.backend(), "accelerator-cpu-f32");
    let standing = standing(&listener).unwrap();
    println!("{}", standing.found());
    for row in listed::rows() {
        let hearing = listener.hear(row.open(), listed::TAIL_S);
        assert_eq!(hearing.transcripts(), row.transcripts(), "{}", row.name);
        assert_eq!(hearing.intents(), row.intents(), "{}", row.name);
        assert!(
            !row.intent.is_empty() || hearing.rejections() > 0,
            "{}: was neither understood nor rejected",
            row.name
        );
    }
    assert_eq!(standing.failure(), None);
    assert!(standing.process().is_some());
}

/// Plays a recording, does something to the accelerator's process at a sample in the midst of the speech, and compares with
/// what the processor alone hears. Returns why the accelerator is not used any more.
fn disturbed(skipped: &str, more: &str, disturb: impl Fn(u32)) -> Option<(String, Duration)> {
    let (bundle, program, runtime) = equipment(skipped)?;
    let name = "set-temperature.wav";
    let mut alone = Settings::default();
    alone.model.dir.clone_from(&bundle);
    let expected = listener(&alone).hear(recording(name), listed::TAIL_S);
    assert_eq!(expected.intents().len(), 1);

    let mut listener = listener(&settings(&bundle, &program, spec(&runtime, more)));
    let standing = standing(&listener).unwrap();
    let process = standing.process().unwrap();
    let (mut at, mut longest) = (None, Duration::ZERO);
    let heard = listener.hear_with(recording(name), listed::TAIL_S, |samples, took| {
        longest = longest.max(took);
        if samples > 16_000 && at.is_none() {
            assert_eq!(standing.failure(), None, "before it was disturbed");
            disturb(process);
            at = Some(samples);
        } else if let Some(then) = at
            && samples > then + 2 * STEP
        {
            assert!(standing.failure().is_some(), "not noticed within a step");
        }
    });
    assert_eq!(words(&heard), words(&expected));
    assert_eq!(heard.intents(), expected.intents());
    assert_eq!(standing.process(), None);
    let told = listener.pipeline.fallen_back();
    assert_eq!(told.as_deref(), standing.failure());
    assert_eq!(listener.backend(), "fused-f32");
    assert_eq!(listener.pipeline.fallen_back(), None, "told twice");
    assert!(!alive(process), "its process is left behind");
    Some((standing.failure().unwrap().to_owned(), longest))
}

/// Sends a signal to a process that this test started.
fn signal(process: u32, number: libc::c_int) {
    // SAFETY: the call takes numbers alone; the process is a child of this one and not yet waited for.
    let sent = unsafe { libc::kill(process as libc::pid_t, number) };
    assert_eq!(sent, 0);
}

fn alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[test]
fn a_killed_process_costs_nothing() {
    let kill = |process| signal(process, libc::SIGKILL);
    if let Some((reason, _)) = disturbed("a killed accelerator", "", kill) {
        assert!(reason.contains("signal: 9"), "{reason}");
    }
}

#[test]
fn a_hung_process_costs_its_deadline_and_nothing_else() {
    let stop = |process| signal(process, libc::SIGSTOP);
    let begin = Instant::now();
    if let Some((reason, longest)) = disturbed("a hung accelerator", "step_ms = 300", stop) {
        assert!(reason.contains("within 300 ms"), "{reason}");
        assert!(longest < Duration::from_millis(1500), "{longest:?}");
        println!(
            "the longest piece took {longest:?} of {:?}",
            begin.elapsed()
        );
    }
}

/// A listener whose accelerator goes wrong after so many steps. The folder must outlive it.
fn through_a_liar(
    room: &Path,
    skipped: &str,
    (fault, steps, more): (&str, u32, &str),
    mode: ListenMode,
) -> Option<Listener> {
    let (bundle, _, runtime) = equipment(skipped)?;
    let liar = room.join("liar");
    let text = format!(
        "#!/bin/sh\nVOCAR_LIAR_FAULT={fault} VOCAR_LIAR_STEPS={steps} exec {}\n",
        env!("CARGO_BIN_EXE_liar")
    );
    std::fs::write(&liar, text).unwrap();
    std::fs::set_permissions(&liar, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let settings = settings(&bundle, &liar, spec(&runtime, more));
    Some(Listener::for_the_car_with(&settings, Precision::F32, mode))
}

/// Plays recordings through a program that goes wrong after so many steps; returns why it is not used any more.
fn lied_to(skipped: &str, fault: &str, steps: u32, more: &str) -> Option<Option<String>> {
    let room = tempfile::tempdir().unwrap();
    let how = (fault, steps, more);
    let mut listener = through_a_liar(room.path(), skipped, how, ListenMode::OpenMic)?;
    let Some(standing) = standing(&listener) else {
        return Some(Some(verdict(&listener)));
    };
    for row in &listed::rows()[..3] {
        let hearing = listener.hear(row.open(), listed::TAIL_S);
        assert_eq!(hearing.transcripts(), row.transcripts(), "{}", row.name);
        assert_eq!(hearing.intents(), row.intents(), "{}", row.name);
    }
    Some(standing.failure().map(ToOwned::to_owned))
}

/// Steps of the trial and of about half of the first recording.
const LATE: u32 = 12 + 6;

#[test]
fn what_is_no_probability_is_never_heard() {
    let skipped = "an accelerator that answers nonsense";
    for (fault, said) in [("noise", "no probabilities"), ("nan", "no number")] {
        if let Some(reason) = lied_to(skipped, fault, LATE, "") {
            assert!(reason.as_ref().unwrap().contains(said), "{reason:?}");
        }
    }
}

#[test]
fn wrong_probabilities_are_found_by_comparison() {
    let skipped = "an accelerator that answers wrongly";
    for (steps, more) in [(LATE, "check_every = 1"), (0, "")] {
        if let Some(reason) = lied_to(skipped, "swap", steps, more) {
            assert!(reason.as_ref().unwrap().contains("disagrees"), "{reason:?}");
        }
    }
}

#[test]
fn what_was_heard_through_wrong_probabilities_is_heard_again() {
    let skipped = "an accelerator that goes wrong between two comparisons";
    for fault in ["swap", "quiet"] {
        for steps in (LATE..LATE + 12).step_by(2) {
            if let Some(reason) = lied_to(skipped, fault, steps, "check_every = 1000") {
                assert!(reason.as_ref().unwrap().contains("disagrees"), "{reason:?}");
            }
        }
    }
}

#[test]
fn a_wake_phrase_heard_through_wrong_probabilities_is_heard_again() {
    let skipped = "an accelerator that goes wrong while a wake phrase is said";
    for fault in ["swap", "quiet"] {
        for steps in (LATE - 5..LATE + 4).step_by(2) {
            let room = tempfile::tempdir().unwrap();
            let how = (fault, steps, "check_every = 1000");
            let Some(mut listener) = through_a_liar(room.path(), skipped, how, ListenMode::Wake)
            else {
                return;
            };
            let standing = standing(&listener).unwrap();
            let heard = listener.hear(recording("sessions/wake-radio.opus"), listed::TAIL_S);
            assert_eq!(heard.intents().len(), 1, "{fault} after {steps} steps");
            let failure = standing.failure().unwrap_or_default();
            assert!(failure.contains("disagrees"), "{fault}, {steps}: {failure}");
        }
    }
}

#[test]
fn a_library_that_prints_does_no_harm() {
    if let Some(reason) = lied_to("an accelerator that prints", "talk", 0, "") {
        assert_eq!(reason, None);
    }
}

/// Why an accelerator is refused at the start; the recordings are heard by the processor all the same.
fn refusal(bundle: &Path, program: &Path, spec: AcceleratorSpec) -> String {
    let mut listener = listener(&settings(bundle, program, spec));
    assert!(standing(&listener).is_none());
    assert_eq!(listener.backend(), "fused-f32");
    let row = &listed::rows()[0];
    assert_eq!(
        listener.hear(row.open(), listed::TAIL_S).intents(),
        row.intents()
    );
    verdict(&listener)
}

#[test]
fn what_is_missing_or_broken_is_named_and_the_processor_hears() {
    let Some(bundle) = float_bundle("accelerators that cannot be used") else {
        return;
    };
    let program = program("vocar-accel");
    let room = tempfile::tempdir().unwrap();
    let missing = room.path().join("libonnxruntime.so");
    let named = |path: &Path| spec(&path.display().to_string(), "");
    let reason = refusal(&bundle, &program, named(&missing));
    assert!(reason.contains("libonnxruntime.so"), "{reason}");

    std::fs::write(&missing, "this is no library").unwrap();
    let reason = refusal(&bundle, &program, named(&missing));
    assert!(reason.contains("libonnxruntime.so"), "{reason}");

    let reason = refusal(
        &bundle,
        Path::new("/nonexistent/vocar-accel"),
        named(&missing),
    );
    assert!(reason.contains("does not start"), "{reason}");

    let silent = Path::new("/bin/true");
    let reason = refusal(&bundle, silent, named(&missing));
    assert!(
        reason.contains("ended by itself (exit status: 0)"),
        "{reason}"
    );

    let absent = spec("x", "libraries = [\"libOfTheVendor.so\"]");
    let reason = refusal(&bundle, &program, absent);
    assert!(reason.contains("libOfTheVendor.so"), "{reason}");

    let Some(runtime) = runtime("accelerators that are there and refused") else {
        return;
    };
    let mut other = spec(&runtime, "");
    other.provider.as_mut().unwrap().name = "NoSuchExecutionProvider".into();
    let reason = refusal(&bundle, &program, other);
    assert!(reason.contains("NoSuch"), "{reason}");

    let mut no_network = spec(&runtime, "");
    no_network.network = Precision::Int8;
    let reason = refusal(&bundle, &program, no_network);
    assert!(reason.contains("no int8 model"), "{reason}");
}

#[test]
fn none_is_tried_where_the_configuration_forbids_it_or_shows_another_machine() {
    let Some(bundle) = float_bundle("accelerators that are not tried") else {
        return;
    };
    let program = Path::new("/nonexistent/vocar-accel");
    let mut off = settings(&bundle, program, spec("x", ""));
    off.hardware.accelerator = AcceleratorChoice::Off;
    assert_eq!(verdict(&listener(&off)), "hardware.accelerator is \"off\"");
    let mut elsewhere = settings(&bundle, program, spec("x", ""));
    elsewhere.hardware.sysroot = repository().join("tests/machines/sa8155p");
    assert!(verdict(&listener(&elsewhere)).contains("hardware.sysroot"));
}

#[test]
fn a_damaged_network_is_refused_by_its_scores_or_not_even_loaded() {
    let skipped = "an accelerator with a damaged network";
    let Some((bundle, program, runtime)) = equipment(skipped) else {
        return;
    };
    let network = std::fs::read(bundle.join("am-f32.onnx")).unwrap();
    // Behind its name lie the weights of the last layer.
    let name = b"out.weightJ";
    let place = network.windows(name.len()).rposition(|bytes| bytes == name);
    let place = place.unwrap() + 16;
    let mut weights = network.clone();
    weights[place..place + 40_000].fill(0x3f);
    let half = network[..network.len() / 2].to_vec();
    for (damaged, said) in [
        (weights, "disagrees"),
        (half, "parsing of the network failed"),
    ] {
        let room = tempfile::tempdir().unwrap();
        let other = bundle_with(&bundle, room.path(), Precision::Int8, &damaged);
        let mut spec = spec(&runtime, "");
        spec.network = Precision::Int8;
        let reason = refusal(&other, &program, spec);
        println!("{reason}");
        assert!(reason.contains(said), "{reason}");
    }
}

/// Qualcomm's HTP emulator comes in the Python package `onnxruntime-qnn`, which is theirs and never ours to give: `VOCAR_QNN`
/// names the package's folder. A step takes it a second or so, so this takes minutes.
#[test]
fn recordings_give_the_same_through_the_htp_emulator() {
    let skipped = "recordings through Qualcomm's HTP emulator";
    let Some((bundle, program, runtime)) = equipment(skipped) else {
        return;
    };
    let Ok(qnn) = std::env::var("VOCAR_QNN") else {
        eprintln!("SKIPPED: {skipped}: VOCAR_QNN names no folder of onnxruntime_qnn");
        return;
    };
    let text = format!(
        "name = \"HTP emulator\"\nruntime = {runtime:?}\nnetwork = \"f32\"\nrequire_win = false\nstep_ms = 60000\n\
         libraries = [\"libonnxruntime_providers_qnn.so\", \"libQnnHtp.so\"]\nlibrary_dirs = [{qnn:?}]\n[provider]\n\
         name = \"QNNExecutionProvider\"\nlibrary = \"libonnxruntime_providers_qnn.so\"\n[provider.options]\n\
         backend_path = \"libQnnHtp.so\"\nhtp_arch = \"75\"\nsoc_model = \"57\"\n\
         enable_htp_fp16_precision = \"1\"\n"
    );
    let spec = toml::from_str(&text).expect("a specification");
    let mut listener = listener(&settings(&bundle, &program, spec));
    let said = verdict(&listener);
    assert_eq!(listener.backend(), "accelerator-qnn-f32", "{said}");
    println!("{said}");
    let standing = standing(&listener).unwrap();
    for row in listed::rows() {
        let hearing = listener.hear(row.open(), listed::TAIL_S);
        assert_eq!(hearing.transcripts(), row.transcripts(), "{}", row.name);
        assert_eq!(hearing.intents(), row.intents(), "{}", row.name);
    }
    assert_eq!(standing.failure(), None);
}

#[test]
fn hw_tells_what_the_trial_found_and_what_ran_where() {
    let Some((bundle, program, runtime)) = equipment("vocar hw with an accelerator") else {
        return;
    };
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("vocar.toml");
    let text = format!(
        "[model]\ndir = {bundle:?}\n[hardware]\naccelerator_program = {program:?}\n[[hardware.accelerators]]\nname = \"test\"\n\
         runtime = {runtime:?}\nnetwork = \"f32\"\nrequire_win = false\nstep_ms = 2000\n\
         provider = {{ name = \"CPUExecutionProvider\" }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let told = vocar_tests::vocar(&["--config", &file, "hw", "--parts"], &[]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("test: used: ONNX Runtime"), "{told}");
    assert!(told.contains("MatMul"), "{told}");
}
