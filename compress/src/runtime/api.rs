//! The few calls of ONNX Runtime's C interface that a network of floats takes, made safe: everything that it hands out is
//! owned here and released once, and every failure becomes its message.

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{NonNull, null, null_mut};

use libloading::Library;
use ort_sys::{
    ONNXTensorElementDataType, OrtAllocatorType, OrtApi, OrtApiBase, OrtEnv, OrtLoggingLevel,
    OrtMemType, OrtMemoryInfo, OrtSession, OrtSessionOptions, OrtStatusPtr,
    OrtTensorTypeAndShapeInfo, OrtValue,
};

/// Something that the library made, and how it wants it back.
struct Owned<T> {
    pointer: NonNull<T>,
    release: unsafe extern "system" fn(*mut T),
}

impl<T> Owned<T> {
    fn as_ptr(&self) -> *mut T {
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
pub(super) struct Api(&'static OrtApi);

impl Api {
    /// Loads the library.
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
        let api = unsafe {
            base()
                .as_ref()
                .and_then(|base| (base.GetApi)(ort_sys::ORT_API_VERSION).as_ref())
        };
        let old = || {
            let wanted = ort_sys::ORT_API_VERSION;
            format!("{} is older than 1.{wanted}", path.display())
        };
        Ok(Api(api.ok_or_else(old)?))
    }

    /// The message of a status, which is released.
    fn ok(self, status: OrtStatusPtr) -> Result<(), String> {
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
    fn made<T>(
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

/// A network, ready to run on one thread of the processor. The fields are dropped in their order: the session before what
/// it was made in.
pub(super) struct Session {
    session: Owned<OrtSession>,
    memory: Owned<OrtMemoryInfo>,
    _environment: Owned<OrtEnv>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    api: Api,
}

impl Session {
    /// Loads a file, whose inputs and outputs have these names.
    pub fn load(
        api: Api,
        path: &Path,
        inputs: &[String],
        outputs: &[String],
    ) -> Result<Session, String> {
        let table = api.0;
        let environment = api.made(table.ReleaseEnv, |made| {
            let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR;
            // SAFETY: the name ends with a nought and is copied; `made` is a place for the result.
            unsafe { (table.CreateEnv)(level, c"vocar".as_ptr(), made) }
        })?;
        let options: Owned<OrtSessionOptions> = api.made(table.ReleaseSessionOptions, |made| {
            // SAFETY: `made` is a place for the result.
            unsafe { (table.CreateSessionOptions)(made) }
        })?;
        // SAFETY: the options are alive and ours alone.
        api.ok(unsafe { (table.SetIntraOpNumThreads)(options.as_ptr(), 1) })?;
        // SAFETY: as above.
        api.ok(unsafe { (table.SetInterOpNumThreads)(options.as_ptr(), 1) })?;
        let file = name(&path.display().to_string())?;
        let session = api.made(table.ReleaseSession, |made| {
            // SAFETY: environment and options are alive, the path ends with a nought, all are only read.
            unsafe {
                (table.CreateSession)(environment.as_ptr(), file.as_ptr(), options.as_ptr(), made)
            }
        })?;
        let memory = api.made(table.ReleaseMemoryInfo, |made| {
            let (kind, place) = (
                OrtAllocatorType::OrtArenaAllocator,
                OrtMemType::OrtMemTypeDefault,
            );
            // SAFETY: `made` is a place for the result.
            unsafe { (table.CreateCpuMemoryInfo)(kind, place, made) }
        })?;
        let names = |names: &[String]| -> Result<Vec<CString>, String> {
            names.iter().map(|one| name(one)).collect()
        };
        Ok(Session {
            session,
            memory,
            _environment: environment,
            inputs: names(inputs)?,
            outputs: names(outputs)?,
            api,
        })
    }

    /// Runs it once on row-major values of these shapes, in the order of the inputs.
    pub fn run(
        &mut self,
        values: &[Vec<f32>],
        shapes: &[Vec<usize>],
    ) -> Result<Outputs<'_>, String> {
        let tensors = values.iter().zip(shapes);
        let tensors: Vec<Owned<OrtValue>> = tensors
            .map(|(values, shape)| self.tensor(values, shape))
            .collect::<Result<_, _>>()?;
        if tensors.len() != self.inputs.len() {
            let (wanted, given) = (self.inputs.len(), tensors.len());
            return Err(format!("{wanted} inputs are wanted, {given} are given"));
        }
        let pointers: Vec<*const OrtValue> = tensors
            .iter()
            .map(|one| one.as_ptr().cast_const())
            .collect();
        let names = |names: &[CString]| -> Vec<*const c_char> {
            names.iter().map(|one| one.as_ptr()).collect()
        };
        let (inputs, outputs) = (names(&self.inputs), names(&self.outputs));
        let mut found = vec![null_mut(); outputs.len()];
        // SAFETY: names and tensors are alive, as many as their counts say; the values behind the tensors are borrowed until
        // this function ends and only read. Places for the outputs are noughts, which the library fills with its own.
        let status = unsafe {
            (self.api.0.Run)(
                self.session.as_ptr(),
                null(),
                inputs.as_ptr(),
                pointers.as_ptr(),
                pointers.len(),
                outputs.as_ptr(),
                outputs.len(),
                found.as_mut_ptr(),
            )
        };
        let own = |pointer: *mut OrtValue| {
            NonNull::new(pointer).map(|pointer| Owned {
                pointer,
                release: self.api.0.ReleaseValue,
            })
        };
        let found: Vec<Owned<OrtValue>> = found.into_iter().filter_map(own).collect();
        self.api.ok(status)?;
        Ok(Outputs {
            values: found,
            session: self,
        })
    }

    /// A tensor over values that must outlive it.
    fn tensor(&self, values: &[f32], shape: &[usize]) -> Result<Owned<OrtValue>, String> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(format!("{} values for the shape {shape:?}", values.len()));
        }
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let table = self.api.0;
        self.api.made(table.ReleaseValue, |made| {
            let data = values.as_ptr().cast_mut().cast::<c_void>();
            // SAFETY: as many bytes as the shape asks for lie behind `data`, which inputs are only read from.
            unsafe {
                (table.CreateTensorWithDataAsOrtValue)(
                    self.memory.as_ptr(),
                    data,
                    size_of_val(values),
                    shape.as_ptr(),
                    shape.len(),
                    ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                    made,
                )
            }
        })
    }
}

/// What a run gave.
pub(super) struct Outputs<'a> {
    values: Vec<Owned<OrtValue>>,
    session: &'a Session,
}

impl Outputs<'_> {
    /// Row-major values of each output.
    pub fn floats(&self) -> Result<Vec<Vec<f32>>, String> {
        self.values
            .iter()
            .map(|value| self.floats_of(value))
            .collect()
    }

    fn floats_of(&self, value: &Owned<OrtValue>) -> Result<Vec<f32>, String> {
        let (api, table) = (self.session.api, self.session.api.0);
        let info: Owned<OrtTensorTypeAndShapeInfo> =
            api.made(table.ReleaseTensorTypeAndShapeInfo, |made| {
                // SAFETY: the value is alive, `made` is a place for the result.
                unsafe { (table.GetTensorTypeAndShape)(value.as_ptr(), made) }
            })?;
        let mut kind = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        // SAFETY: the info is alive, `kind` is a place for the result.
        api.ok(unsafe { (table.GetTensorElementType)(info.as_ptr(), &raw mut kind) })?;
        if kind != ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT {
            return Err(format!("an output holds {kind:?}, floats are wanted"));
        }
        let mut count = 0;
        // SAFETY: as above.
        api.ok(unsafe { (table.GetTensorShapeElementCount)(info.as_ptr(), &raw mut count) })?;
        let mut data = null_mut();
        // SAFETY: the value is alive, `data` is a place for the result.
        api.ok(unsafe { (table.GetTensorMutableData)(value.as_ptr(), &raw mut data) })?;
        if count == 0 || data.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the value holds `count` floats there and is alive while they are copied.
        Ok(unsafe { std::slice::from_raw_parts(data.cast::<f32>(), count) }.to_vec())
    }
}

fn name(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("the name {text:?} has a nought in it"))
}
