//! The few calls of ONNX Runtime's C interface that a network of floats takes, made safe: everything that it hands out is
//! owned here and released once, and every failure becomes its message.

use std::error::Error;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::{NonNull, null_mut};

use libloading::Library;
use ort_sys::{OrtApi, OrtApiBase, OrtStatusPtr};

/// Something that the library made, and how it wants it back.
pub(super) struct Owned<T> {
    pub(super) pointer: NonNull<T>,
    pub(super) release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    pub(super) fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library, nobody else owns it, and `release` is the function for its kind.
        unsafe { (self.release)(self.pointer.as_ptr()) }
    }
}

/// The library with its table of functions. It stays loaded as long as the program runs.
#[derive(Clone, Copy)]
pub struct Api(pub(super) &'static OrtApi, &'static OrtApiBase);

impl Api {
    /// Loads the library.
    ///
    /// # Errors
    /// A sentence: it is not there, it is another library, or it is too old.
    pub fn load(path: &Path) -> Result<Api, String> {
        // SAFETY: loading runs the library's initialisers; it is the file that the user names, or the system's own.
        let library = unsafe { Library::new(path) }.map_err(|e| {
            let why = e
                .source()
                .map_or_else(|| e.to_string(), ToString::to_string);
            format!("{}: {why}", path.display())
        })?;
        // It is never unloaded: its threads and its memory may outlive every session.
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: this is the signature of the library's one exported function.
        let base = unsafe {
            library.get::<unsafe extern "system" fn() -> *const OrtApiBase>(b"OrtGetApiBase")
        };
        let base = base.map_err(|_| format!("{} is no ONNX Runtime", path.display()))?;
        // SAFETY: the function takes nothing and returns a table that lives as long as the library, which is for ever.
        let base = unsafe { base().as_ref() }
            .ok_or_else(|| format!("{} is no ONNX Runtime", path.display()))?;
        // SAFETY: as above.
        let api = unsafe { (base.GetApi)(ort_sys::ORT_API_VERSION).as_ref() };
        let old = || {
            let wanted = ort_sys::ORT_API_VERSION;
            format!("{} is older than 1.{wanted}", path.display())
        };
        Ok(Api(api.ok_or_else(old)?, base))
    }

    /// The library's version, such as `1.22.0`.
    #[must_use]
    pub fn version(self) -> String {
        // SAFETY: the function takes nothing and returns a text that lives as long as the library and ends with a nought.
        let text = unsafe { CStr::from_ptr((self.1.GetVersionString)()) };
        text.to_string_lossy().into_owned()
    }

    /// The message of a status, which is released.
    pub(super) fn ok(self, status: OrtStatusPtr) -> Result<(), String> {
        let Some(status) = NonNull::new(status.0) else {
            return Ok(());
        };
        let status = Owned {
            pointer: status,
            release: self.0.ReleaseStatus,
        };
        // SAFETY: the status is alive; its message lives as long as it does and ends with a nought.
        let message = unsafe { CStr::from_ptr((self.0.GetErrorMessage)(status.as_ptr())) };
        Err(message.to_string_lossy().into_owned())
    }

    /// What a call made by way of its last argument.
    pub(super) fn made<T>(
        self,
        release: unsafe extern "system" fn(*mut T),
        call: impl FnOnce(*mut *mut T) -> OrtStatusPtr,
    ) -> Result<Owned<T>, String> {
        let mut made = null_mut();
        self.ok(call(&raw mut made))?;
        let pointer = NonNull::new(made).ok_or("ONNX Runtime made nothing")?;
        Ok(Owned { pointer, release })
    }
}

/// Text as C wants it.
pub(super) fn name(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("the name {text:?} has a nought in it"))
}

/// Pointers to texts.
pub(super) fn pointers(names: &[CString]) -> Vec<*const c_char> {
    names.iter().map(|one| one.as_ptr()).collect()
}
