//! Battery and supply as `UPower` tells them, where it runs: batteries that have no place in sysfs among them.

use futures_util::StreamExt;
use tokio::sync::watch;
use vocar_hw::Supply;
use zbus::fdo::{DBusProxy, PropertiesProxy};
use zbus::names::BusName;
use zbus::{Connection, OwnedVariant, Variant};

const NAME: &str = "org.freedesktop.UPower";
/// `UPower`'s own object, and the one that stands for all batteries together.
const PLACES: [(&str, &str); 2] = [
    ("/org/freedesktop/UPower", "org.freedesktop.UPower"),
    (
        "/org/freedesktop/UPower/devices/DisplayDevice",
        "org.freedesktop.UPower.Device",
    ),
];

/// Follows `UPower` until the connection ends; it is not started for our sake.
///
/// # Errors
/// If the bus fails.
pub(super) async fn attend(
    connection: &Connection,
    supply: &watch::Sender<Supply>,
) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection).await?;
    let mut owners = bus
        .receive_name_owner_changed_with_args(&[(0, NAME)])
        .await?;
    let [own, display] = PLACES.map(|(path, _)| {
        PropertiesProxy::builder(connection)
            .destination(NAME)
            .path(path)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
    });
    let (own, display) = (own.await?, display.await?);
    let mut own_changes = own.receive_properties_changed().await?;
    let mut display_changes = display.receive_properties_changed().await?;
    let name = BusName::try_from(NAME)?;
    let mut there = bus.name_has_owner(name).await.map_err(zbus::Error::from)?;
    loop {
        let now = if there {
            read(&own, &display).await
        } else {
            Supply::External
        };
        supply.send_if_modified(|old| std::mem::replace(old, now) != now);
        tokio::select! {
            Some(_) = own_changes.next() => {}
            Some(_) = display_changes.next() => {}
            Some(change) = owners.next() => there = change.args()?.new_owner().is_some(),
            else => return Ok(()),
        }
    }
}

async fn read(own: &PropertiesProxy<'_>, display: &PropertiesProxy<'_>) -> Supply {
    if get(own, PLACES[0].1, "OnBattery").await.as_deref() != Some(&Variant::Bool(true)) {
        return Supply::External;
    }
    let percent = match get(display, PLACES[1].1, "Percentage").await.as_deref() {
        Some(Variant::F64(percent)) if (0.0..=100.0).contains(percent) => Some(*percent as u8),
        _ => None,
    };
    Supply::Battery { percent }
}

async fn get(of: &PropertiesProxy<'_>, interface: &str, property: &str) -> Option<OwnedVariant> {
    let interface = interface.try_into().ok()?;
    of.get(interface, property).await.ok()
}
