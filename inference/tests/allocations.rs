//! A step allocates nothing after the first of its stream.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use vocar_inference::{AcousticModel, Bundle, Precision};

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/speech-en");
    let bundle = Bundle::open(&folder).expect("the shipped bundle");
    for precision in [Precision::F32, Precision::Mixed] {
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
