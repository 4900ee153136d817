//! What the vehicle says of its power, told over the bus by a bridge.

use std::sync::Mutex;
use tokio::sync::watch;
use vocar_hw::VehicleState;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName};

/// The newest word of the vehicle and who brought it. It holds as long as whoever brought it stays on the bus: a bridge
/// that broke down while the vehicle was locked must not silence the assistant for ever.
#[derive(Debug)]
pub struct Vehicle {
    state: watch::Sender<VehicleState>,
    bridge: Mutex<Option<OwnedUniqueName>>,
}

impl Default for Vehicle {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(VehicleState::default()),
            bridge: Mutex::default(),
        }
    }
}

impl Vehicle {
    /// The newest word.
    #[must_use]
    pub fn state(&self) -> VehicleState {
        *self.state.borrow()
    }

    /// To learn of news.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<VehicleState> {
        self.state.subscribe()
    }

    /// Takes a word from a peer; true if another one spoke before.
    pub fn set(&self, state: VehicleState, peer: &OwnedUniqueName) -> bool {
        let before = self.bridge().replace(peer.clone());
        tracing::info!(?state, "the vehicle's power");
        self.state.send_replace(state);
        before.as_ref() != Some(peer)
    }

    /// Forgets what this peer said, if it was the last to speak; what anyone said without a peer.
    pub fn forget(&self, peer: Option<&OwnedUniqueName>) {
        let mut bridge = self.bridge();
        let concerned = peer.is_none() || bridge.as_ref() == peer;
        if concerned && bridge.take().is_some() {
            tracing::info!("whoever told of the vehicle's power is gone: it is not known any more");
            self.state.send_replace(VehicleState::default());
        }
    }

    /// Waits until the peer has left the bus, then forgets what it said.
    ///
    /// # Errors
    /// If the connection is gone; then it is for whoever keeps it to forget.
    pub async fn outlast(
        &self,
        connection: &Connection,
        peer: OwnedUniqueName,
    ) -> zbus::Result<()> {
        use futures_util::StreamExt;
        let bus = DBusProxy::new(connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, peer.as_str())])
            .await?;
        let name = BusName::from(peer.inner().to_owned());
        let mut there = bus.name_has_owner(name).await.map_err(zbus::Error::from)?;
        while there {
            match owners.next().await {
                Some(change) => there = change.args()?.new_owner().is_some(),
                None => return Ok(()),
            }
        }
        self.forget(Some(&peer));
        Ok(())
    }

    fn bridge(&self) -> std::sync::MutexGuard<'_, Option<OwnedUniqueName>> {
        self.bridge
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_who_spoke_last_is_forgotten() {
        let vehicle = Vehicle::default();
        let peer = |name: &str| OwnedUniqueName::try_from(name).unwrap();
        let mut state = VehicleState::default();
        state.set_optimise(7).unwrap();
        assert!(vehicle.set(state, &peer(":1.1")));
        assert!(!vehicle.set(state, &peer(":1.1")));
        assert!(vehicle.set(state, &peer(":1.2")));
        vehicle.forget(Some(&peer(":1.1")));
        assert_eq!(vehicle.state(), state);
        vehicle.forget(Some(&peer(":1.2")));
        assert_eq!(vehicle.state(), VehicleState::default());
    }
}
