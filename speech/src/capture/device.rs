//! Sound systems and the microphones on them, by name.

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{Device, DeviceDirection, Host, HostId};

use super::CaptureError;

/// A microphone, or something that might be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What to call it in a configuration.
    pub id: String,
    /// What the sound system says it is.
    pub description: String,
}

/// The microphones of a sound system (the platform's usual one when left out), the default first.
///
/// # Errors
/// No such sound system, or it cannot list its devices.
pub fn devices(host_name: Option<&str>) -> Result<Vec<DeviceInfo>, CaptureError> {
    let host = host(host_name)?;
    let mut infos: Vec<DeviceInfo> = host.default_input_device().iter().map(describe).collect();
    for device in inputs(&host)? {
        let info = describe(&device);
        if infos.iter().all(|known| known.id != info.id) {
            infos.push(info);
        }
    }
    Ok(infos)
}

/// The sound system of that name, the platform's usual one when left out.
pub(super) fn host(name: Option<&str>) -> Result<Host, CaptureError> {
    let Some(name) = name else {
        return Ok(cpal::default_host());
    };
    name.parse::<HostId>()
        .and_then(cpal::host_from_id)
        .map_err(|_| {
            let known: Vec<String> = cpal::available_hosts()
                .iter()
                .map(HostId::to_string)
                .collect();
            CaptureError::Host {
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
}

/// The device with that id or, failing that, the first whose description holds the name; the default when left out.
pub(super) fn find(host: &Host, name: Option<&str>) -> Result<Device, CaptureError> {
    let default = || host.default_input_device();
    let missing = || CaptureError::Device {
        name: name.unwrap_or("default").to_owned(),
        known: known(host),
    };
    let Some(name) = name else {
        return default().ok_or_else(missing);
    };
    if let Some(device) = default().filter(|device| describe(device).id == name) {
        return Ok(device);
    }
    if let Some(device) = host.device_by_id(&cpal::DeviceId::new(host.id(), name)) {
        return Ok(device);
    }
    let wanted = name.to_lowercase();
    let described = |device: &Device| {
        describe(device)
            .description
            .to_lowercase()
            .contains(&wanted)
    };
    inputs(host)?
        .into_iter()
        .find(described)
        .ok_or_else(missing)
}

/// The id by which a device is found again.
pub(super) fn describe(device: &Device) -> DeviceInfo {
    let id = device
        .id()
        .map_or_else(|_| device.to_string(), |id| id.id().to_owned());
    let description = device
        .description()
        .map_or_else(|_| id.clone(), |found| found.name().to_owned());
    DeviceInfo { id, description }
}

fn inputs(host: &Host) -> Result<Vec<Device>, CaptureError> {
    let failed = |error: cpal::Error| CaptureError::Backend {
        device: host.id().to_string(),
        reason: error.to_string(),
    };
    let may_be_input = |device: &Device| {
        device
            .description()
            .is_ok_and(|found| found.direction() != DeviceDirection::Output)
    };
    Ok(host
        .devices()
        .map_err(failed)?
        .filter(may_be_input)
        .collect())
}

fn known(host: &Host) -> String {
    let ids: Vec<String> = inputs(host)
        .unwrap_or_default()
        .iter()
        .map(|device| describe(device).id)
        .collect();
    if ids.is_empty() {
        "none, for there are no microphones now".to_owned()
    } else {
        ids.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_device_comes_first_and_no_id_twice() {
        let infos = devices(Some("alsa")).unwrap();
        assert_eq!(infos[0].id, "default");
        let mut ids: Vec<&str> = infos.iter().map(|info| info.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), infos.len());
    }

    #[test]
    fn a_device_is_found_by_id_or_description_and_a_missing_one_is_named() {
        let host = host(None).unwrap();
        assert_eq!(describe(&find(&host, None).unwrap()).id, "default");
        assert_eq!(
            describe(&find(&host, Some("default")).unwrap()).id,
            "default"
        );
        let error = find(&host, Some("moon")).expect_err("no such device");
        assert!(
            error
                .to_string()
                .starts_with("microphone \"moon\" is not there"),
            "{error}"
        );
    }
}
