//! A network in ONNX Runtime: on values that are handed over, or tied to shared memory.

use std::ffi::{CStr, CString, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{NonNull, null, null_mut};

use ort_sys::{
    ONNXTensorElementDataType, OrtAllocatorType, OrtEnv, OrtLoggingLevel, OrtMemType,
    OrtMemoryInfo, OrtSession, OrtTensorTypeAndShapeInfo, OrtValue,
};

use super::api::{Api, Owned, name, pointers};
use super::configuration::Configuration;
use crate::memory::SharedMemory;
use crate::plan::Tensor;

/// A network, ready to run on one thread of the processor. The fields are dropped in their order: the session before what
/// it was made in.
pub struct Session {
    session: Owned<OrtSession>,
    memory: Owned<OrtMemoryInfo>,
    _environment: Owned<OrtEnv>,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    api: Api,
}

impl Session {
    /// Loads a file, whose inputs and outputs have these names, for the processor.
    ///
    /// # Errors
    /// A sentence: the library's.
    pub fn load(
        api: Api,
        path: &Path,
        inputs: &[String],
        outputs: &[String],
    ) -> Result<Session, String> {
        Session::on(api, path, inputs, outputs, &Configuration::default())
    }

    /// The same as configured.
    ///
    /// # Errors
    /// A sentence: the library's.
    pub fn on(
        api: Api,
        path: &Path,
        inputs: &[String],
        outputs: &[String],
        configuration: &Configuration<'_>,
    ) -> Result<Session, String> {
        let table = api.0;
        let environment = api.made(table.ReleaseEnv, |made| {
            // What fails is told by what the calls return, once.
            let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL;
            // SAFETY: the name ends with a nought and is copied; `made` is a place for the result.
            unsafe { (table.CreateEnv)(level, c"vocar".as_ptr(), made) }
        })?;
        let options = configuration.options(api, &environment)?;
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
    ///
    /// # Errors
    /// A sentence: the library's.
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
        let mut found = vec![null_mut(); self.outputs.len()];
        // SAFETY: the values behind the tensors are borrowed until this function ends and only read. Places for the outputs are
        // noughts, which the library fills with its own.
        let status = unsafe { self.call(&tensors, &mut found) };
        let own = |pointer: *mut OrtValue| {
            NonNull::new(pointer).map(|pointer| Owned {
                pointer,
                release: self.api.0.ReleaseValue,
            })
        };
        let found: Vec<Owned<OrtValue>> = found.into_iter().filter_map(own).collect();
        status?;
        Ok(Outputs {
            values: found,
            session: self,
        })
    }

    /// Runs it once. Places for outputs that are noughts get values of the library's own.
    ///
    /// # Safety
    /// The memory behind every tensor must be alive; that of the inputs must not change and that of the outputs must not be
    /// looked at until this returns. `tensors` must be as many as the inputs and `found` as many as the outputs.
    unsafe fn call(
        &self,
        tensors: &[Owned<OrtValue>],
        found: &mut [*mut OrtValue],
    ) -> Result<(), String> {
        let values: Vec<*const OrtValue> = tensors
            .iter()
            .map(|one| one.as_ptr().cast_const())
            .collect();
        let (inputs, outputs) = (pointers(&self.inputs), pointers(&self.outputs));
        // SAFETY: names and tensors are alive, as many as their counts say; the caller sees to the memory behind them.
        let status = unsafe {
            (self.api.0.Run)(
                self.session.as_ptr(),
                null(),
                inputs.as_ptr(),
                values.as_ptr(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                found.as_mut_ptr(),
            )
        };
        self.api.ok(status)
    }

    /// A tensor over values that must outlive it.
    fn tensor(&self, values: &[f32], shape: &[usize]) -> Result<Owned<OrtValue>, String> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(format!("{} values for the shape {shape:?}", values.len()));
        }
        // SAFETY: as many values as the shape asks for lie there.
        unsafe { self.tensor_at(values.as_ptr().cast_mut(), shape) }
    }

    /// A tensor over floats.
    ///
    /// # Safety
    /// As many as the shape asks for must lie there as long as the tensor is used.
    unsafe fn tensor_at(&self, data: *mut f32, shape: &[usize]) -> Result<Owned<OrtValue>, String> {
        let bytes = size_of::<f32>() * shape.iter().product::<usize>();
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        let table = self.api.0;
        self.api.made(table.ReleaseValue, |made| {
            // SAFETY: the caller promises the floats behind `data`; the shape is copied; `made` is a place for the result.
            unsafe {
                (table.CreateTensorWithDataAsOrtValue)(
                    self.memory.as_ptr(),
                    data.cast::<c_void>(),
                    bytes,
                    shape.as_ptr(),
                    shape.len(),
                    ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                    made,
                )
            }
        })
    }

    /// Ties it to tensors in shared memory, in the order of inputs and outputs.
    ///
    /// # Errors
    /// A sentence: a tensor lies outside the memory.
    pub fn bind(
        self,
        memory: SharedMemory,
        inputs: &[Tensor],
        outputs: &[Tensor],
    ) -> Result<Bound, String> {
        if inputs.len() != self.inputs.len() || outputs.len() != self.outputs.len() {
            return Err("the tensors are not as many as the inputs and outputs".into());
        }
        let place = |tensor: &Tensor| {
            let outside = || format!("`{}` lies outside the shared memory", tensor.name);
            let data = memory.at(tensor.offset, tensor.len()).ok_or_else(outside)?;
            // SAFETY: the memory holds that many floats there and lives in the result as long as the tensors.
            unsafe { self.tensor_at(data, &tensor.shape) }
        };
        let list = |tensors: &[Tensor]| tensors.iter().map(place).collect::<Result<Vec<_>, _>>();
        Ok(Bound {
            inputs: list(inputs)?,
            outputs: list(outputs)?,
            session: self,
            _memory: memory,
        })
    }

    /// Ends the profile that was configured; returns the file it is in.
    ///
    /// # Errors
    /// A sentence: the library's.
    pub fn end_profile(&mut self) -> Result<PathBuf, String> {
        let (api, table) = (self.api, self.api.0);
        let mut allocator = null_mut();
        // SAFETY: `allocator` is a place for the result, which the library keeps.
        api.ok(unsafe { (table.GetAllocatorWithDefaultOptions)(&raw mut allocator) })?;
        let mut text = null_mut();
        // SAFETY: session and allocator are alive, `text` is a place for the result.
        api.ok(unsafe {
            (table.SessionEndProfiling)(self.session.as_ptr(), allocator, &raw mut text)
        })?;
        if text.is_null() {
            return Err("ONNX Runtime wrote no profile".into());
        }
        // SAFETY: the text ends with a nought and is ours until it is given back.
        let path = PathBuf::from(
            unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned(),
        );
        // SAFETY: the allocator made it, and nobody has it any more.
        api.ok(unsafe { (table.AllocatorFree)(allocator, text.cast()) })?;
        Ok(path)
    }
}

/// A network whose inputs and outputs lie in shared memory. The fields are dropped in their order.
pub struct Bound {
    inputs: Vec<Owned<OrtValue>>,
    outputs: Vec<Owned<OrtValue>>,
    session: Session,
    _memory: SharedMemory,
}

impl Bound {
    /// Runs it once, from what lies there to what will lie there.
    ///
    /// # Errors
    /// A sentence: the library's.
    pub fn step(&mut self) -> Result<(), String> {
        let mut places: Vec<*mut OrtValue> = self.outputs.iter().map(Owned::as_ptr).collect();
        // SAFETY: the memory is mapped as long as this lives; by the protocol the other process leaves it alone during a step,
        // and if it does not, floats are any bits. Tensors are as many as inputs and outputs since they were bound.
        unsafe { self.session.call(&self.inputs, &mut places) }
    }

    /// As [`Session::end_profile`].
    ///
    /// # Errors
    /// A sentence: the library's.
    pub fn end_profile(&mut self) -> Result<PathBuf, String> {
        self.session.end_profile()
    }
}

/// What a run gave.
pub struct Outputs<'a> {
    values: Vec<Owned<OrtValue>>,
    session: &'a Session,
}

impl Outputs<'_> {
    /// Row-major values of each output.
    ///
    /// # Errors
    /// A sentence: an output holds no floats.
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
