//! A step allocates nothing after the first of its stream, nor does a sentence after the longest.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use vocar_inference::{AcousticModel, Bundle, LowRank, Precision, WordNetwork};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread how often it is asked.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn steps_of_the_shipped_networks_allocate_once() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    for (name, precision) in [
        ("speech-en-f32", Precision::F32),
        ("speech-en", Precision::Mixed),
    ] {
        let bundle = Bundle::open(models.join(name)).expect("a shipped bundle");
        let model = AcousticModel::load(&bundle, precision).expect("a sound network");
        let signature = model.signature();
        let features: Vec<f32> = (0..signature.frames * signature.mels)
            .map(|n| (n as f32 * 0.37).sin() - 5.0)
            .collect();
        let mut session = model.session();
        let mut step = || {
            let before = COUNT.get();
            session.step(&features).expect("a step");
            COUNT.get() - before
        };
        assert!(step() > 0, "{precision}: the counter does not count");
        for number in 1..20 {
            assert_eq!(step(), 0, "{precision}, step {number}");
        }
    }
}

#[test]
fn sentences_allocate_once_with_and_without_overlay() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/nlu-en/encoder-mixed.onnx");
    let network = WordNetwork::load(&file, 33).expect("a sound network");
    let layers = network.layers().filter(|(name, ..)| name.contains("block"));
    let layers: BTreeMap<String, LowRank> = layers
        .map(|(name, inputs, outputs)| {
            let low = LowRank::new(&vec![0.01; 8 * inputs], &vec![0.01; 8 * outputs], 8, 2.0);
            (name.to_owned(), low.expect("finite"))
        })
        .collect();
    assert_eq!(layers.len(), 16);
    let overlay = network.overlay(layers).expect("an overlay that fits");
    let rows: Vec<f32> = (0..33 * network.row())
        .map(|n| (n as f32 * 0.37).sin())
        .collect();
    let mut session = network.session();
    for overlay in [None, Some(&overlay)] {
        let mut read = |words: usize| {
            let before = COUNT.get();
            let states = network.run(&mut session, &rows[..words * network.row()], overlay);
            assert_eq!(states.expect("a run").len(), words * network.dim());
            COUNT.get() - before
        };
        assert!(read(33) > 0, "the counter does not count");
        for words in [1, 7, 33, 12, 2] {
            assert_eq!(read(words), 0, "{words} words");
        }
    }
}
