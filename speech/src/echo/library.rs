//! SpeexDSP's echo canceller, from the library that the system has installed.
//!
//! Loaded at run time rather than linked: whoever gives no reference needs no library, and no C is built. The functions
//! and request numbers are those of `speex/speex_echo.h`, unchanged since SpeexDSP 1.2.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use libloading::Library;

use super::EchoError;

/// Names the library goes by; the first is SpeexDSP's soname on Linux.
const NAMES: [&str; 2] = ["libspeexdsp.so.1", "libspeexdsp.so"];

const SET_SAMPLING_RATE: c_int = 24;

type Init = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Destroy = unsafe extern "C" fn(*mut c_void);
type Cancel = unsafe extern "C" fn(*mut c_void, *const i16, *const i16, *mut i16);
type Control = unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int;

/// The functions, and the library that they live in.
struct Functions {
    init: Init,
    destroy: Destroy,
    cancel: Cancel,
    control: Control,
    _library: Library,
}

impl Functions {
    /// The functions of the installed library, loaded once in a process's life.
    fn get() -> Result<Arc<Self>, EchoError> {
        static LOADED: OnceLock<Result<Arc<Functions>, EchoError>> = OnceLock::new();
        LOADED.get_or_init(|| Self::load().map(Arc::new)).clone()
    }

    fn load() -> Result<Self, EchoError> {
        let missing = |error: libloading::Error| EchoError::Library {
            name: NAMES[0],
            reason: error.to_string(),
        };
        // SAFETY: SpeexDSP runs no code when it is loaded or unloaded.
        let library = NAMES
            .iter()
            .map(|name| unsafe { Library::new(*name) })
            .reduce(|first, next| first.or(next))
            .expect("there are names")
            .map_err(missing)?;
        // SAFETY: the types are those of the declarations in speex_echo.h; the library outlives the pointers, for it is
        // kept beside them.
        unsafe {
            Ok(Self {
                init: *library.get(b"speex_echo_state_init\0").map_err(missing)?,
                destroy: *library
                    .get(b"speex_echo_state_destroy\0")
                    .map_err(missing)?,
                cancel: *library.get(b"speex_echo_cancellation\0").map_err(missing)?,
                control: *library.get(b"speex_echo_ctl\0").map_err(missing)?,
                _library: library,
            })
        }
    }
}

/// The adaptive filter of one microphone.
pub(super) struct Filter {
    state: NonNull<c_void>,
    frame: usize,
    functions: Arc<Functions>,
}

// SAFETY: a state is plain memory of its own; nothing in the library is bound to a thread. It is used by one at a time,
// for every function takes `&mut self`.
unsafe impl Send for Filter {}

impl Filter {
    /// A filter that takes `frame` samples at a time and models echoes of up to `tail` samples, at `rate` Hz.
    pub(super) fn new(frame: usize, tail: usize, rate: u32) -> Result<Self, EchoError> {
        let functions = Functions::get()?;
        let count = |samples: usize| c_int::try_from(samples).unwrap_or(c_int::MAX);
        // SAFETY: two positive numbers are all that the function asks for.
        let state = unsafe { (functions.init)(count(frame), count(tail)) };
        let state = NonNull::new(state).ok_or(EchoError::Memory)?;
        let mut rate = c_int::try_from(rate).unwrap_or(c_int::MAX);
        // SAFETY: the state is alive, and this request reads one int.
        unsafe { (functions.control)(state.as_ptr(), SET_SAMPLING_RATE, (&raw mut rate).cast()) };
        Ok(Self {
            state,
            frame,
            functions,
        })
    }

    /// Takes the echo of `played` out of `heard`; each slice holds one frame.
    pub(super) fn cancel(&mut self, heard: &[i16], played: &[i16], clean: &mut [i16]) {
        assert!([heard.len(), played.len(), clean.len()] == [self.frame; 3]);
        // SAFETY: the state is alive and each pointer leads to a frame's worth of samples.
        unsafe {
            (self.functions.cancel)(
                self.state.as_ptr(),
                heard.as_ptr(),
                played.as_ptr(),
                clean.as_mut_ptr(),
            );
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        // SAFETY: the state is alive and will not be used again.
        unsafe { (self.functions.destroy)(self.state.as_ptr()) }
    }
}
