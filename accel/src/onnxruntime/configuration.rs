//! How a session is made: threads, execution provider, whether the processor may help.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::null;

use ort_sys::{OrtEnv, OrtEpDevice, OrtSessionOptions};

use super::api::{Api, Owned, name, pointers};
use crate::plan::{Placement, Provider};

/// How a session is made. One thread, whatever else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Configuration<'a> {
    /// Another execution provider than ONNX Runtime's own.
    pub provider: Option<&'a Provider>,
    /// Whether nodes may be left to the processor.
    pub placement: Placement,
    /// Begin of the name of a profile's file; without one nothing is profiled.
    pub profile: Option<&'a Path>,
}

impl Configuration<'_> {
    pub(super) fn options(
        &self,
        api: Api,
        environment: &Owned<OrtEnv>,
    ) -> Result<Owned<OrtSessionOptions>, String> {
        let table = api.0;
        let options: Owned<OrtSessionOptions> = api.made(table.ReleaseSessionOptions, |made| {
            // SAFETY: `made` is a place for the result.
            unsafe { (table.CreateSessionOptions)(made) }
        })?;
        // SAFETY: the options are alive and ours alone.
        api.ok(unsafe { (table.SetIntraOpNumThreads)(options.as_ptr(), 1) })?;
        // SAFETY: as above.
        api.ok(unsafe { (table.SetInterOpNumThreads)(options.as_ptr(), 1) })?;
        if let Some(profile) = self.profile {
            let file = name(&profile.display().to_string())?;
            // SAFETY: the options are alive; the name ends with a nought and is copied.
            api.ok(unsafe { (table.EnableProfiling)(options.as_ptr(), file.as_ptr()) })?;
        }
        let Some(provider) = self.provider.filter(|provider| !provider.is_processor()) else {
            return Ok(options);
        };
        if self.placement == Placement::Whole {
            let (key, value) = (c"session.disable_cpu_ep_fallback", c"1");
            // SAFETY: the options are alive; the texts end with a nought and are copied.
            api.ok(unsafe {
                (table.AddSessionConfigEntry)(options.as_ptr(), key.as_ptr(), value.as_ptr())
            })?;
        }
        match &provider.library {
            Some(library) => plug_in(api, environment, &options, provider, library)?,
            None => built_in(api, &options, provider)?,
        }
        Ok(options)
    }
}

/// Keys and values of a provider's options.
fn texts(provider: &Provider) -> Result<(Vec<CString>, Vec<CString>), String> {
    let keys = provider.options.keys().map(|key| name(key));
    let values = provider.options.values().map(|value| name(value));
    Ok((
        keys.collect::<Result<_, _>>()?,
        values.collect::<Result<_, _>>()?,
    ))
}

/// A provider that ONNX Runtime was built with.
fn built_in(
    api: Api,
    options: &Owned<OrtSessionOptions>,
    provider: &Provider,
) -> Result<(), String> {
    let called = name(&provider.name)?;
    let (keys, values) = texts(provider)?;
    let (keys, values) = (pointers(&keys), pointers(&values));
    // SAFETY: the options are alive; the texts end with a nought, are as many as their count, and are copied.
    api.ok(unsafe {
        (api.0.SessionOptionsAppendExecutionProvider)(
            options.as_ptr(),
            called.as_ptr(),
            keys.as_ptr(),
            values.as_ptr(),
            keys.len(),
        )
    })
}

/// A provider in a library of its own.
fn plug_in(
    api: Api,
    environment: &Owned<OrtEnv>,
    options: &Owned<OrtSessionOptions>,
    provider: &Provider,
    library: &Path,
) -> Result<(), String> {
    let (called, file) = (name(&provider.name)?, name(&library.display().to_string())?);
    // SAFETY: the environment is alive; the texts end with a nought and are copied. The library that it loads is the one that
    // the configuration names.
    api.ok(unsafe {
        (api.0.RegisterExecutionProviderLibrary)(
            environment.as_ptr(),
            called.as_ptr(),
            file.as_ptr(),
        )
    })?;
    let (mut devices, mut count) = (null(), 0);
    // SAFETY: the environment is alive; the places are for the results, which it keeps.
    api.ok(unsafe {
        (api.0.GetEpDevices)(environment.as_ptr(), &raw mut devices, &raw mut count)
    })?;
    let all: &[*const OrtEpDevice] = match count {
        0 => &[],
        // SAFETY: the library says that so many pointers lie there, for as long as the environment is alive.
        _ => unsafe { std::slice::from_raw_parts(devices, count) },
    };
    let of = |device: *const OrtEpDevice| {
        // SAFETY: the device is alive; its provider's name lives as long and ends with a nought.
        let text = unsafe { CStr::from_ptr((api.0.EpDevice_EpName)(device)) };
        text.to_string_lossy().into_owned()
    };
    // The first is the one that its vendor prefers; which hardware it takes is the provider's own option.
    let Some(device) = all.iter().find(|device| of(**device) == provider.name) else {
        let mut names: Vec<String> = all.iter().map(|device| of(*device)).collect();
        names.dedup();
        return Err(format!(
            "{} offers no device of {}, there are those of {}",
            library.display(),
            provider.name,
            names.join(", ")
        ));
    };
    let (keys, values) = texts(provider)?;
    let (keys, values) = (pointers(&keys), pointers(&values));
    // SAFETY: options, environment and device are alive; the texts end with a nought, are as many as their count, and are
    // copied.
    api.ok(unsafe {
        (api.0.SessionOptionsAppendExecutionProvider_V2)(
            options.as_ptr(),
            environment.as_ptr(),
            device,
            1,
            keys.as_ptr(),
            values.as_ptr(),
            keys.len(),
        )
    })
}
