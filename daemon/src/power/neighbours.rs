//! The services of the system beside us that know about power: logind and `UPower`, where they run.

use super::{Told, Vehicle, logind, upower};
use crate::bus;
use crate::status::Board;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use vocar_hw::{Supply, SystemState};
use zbus::Connection;

/// Pause between two attempts to reach the bus.
const PAUSE: Duration = Duration::from_secs(20);

/// Listens to them over a connection of its own.
#[derive(Debug)]
pub struct Neighbours {
    address: String,
    board: Arc<Board>,
    system: watch::Sender<SystemState>,
    supply: watch::Sender<Supply>,
}

impl Neighbours {
    /// `address` is that of the service's own bus: they are on the same one, or on the system's bus when ours is a
    /// session's.
    #[must_use]
    pub fn new(address: &str, board: Arc<Board>) -> Self {
        let address = match address {
            "session" => "system",
            other => other,
        };
        Self {
            address: address.to_owned(),
            board,
            system: watch::Sender::new(SystemState::Running),
            supply: watch::Sender::new(Supply::External),
        }
    }

    /// What is told, with what the vehicle tells.
    #[must_use]
    pub fn told(&self, vehicle: &Vehicle) -> Told {
        Told {
            vehicle: vehicle.watch(),
            system: self.system.subscribe(),
            supply: self.supply.subscribe(),
        }
    }

    /// Listens until dropped, across restarts of the bus.
    pub async fn attend(self) {
        loop {
            match bus::connect(&self.address).await {
                Ok(connection) => {
                    let why = self.listen(&connection).await;
                    tracing::debug!("logind and UPower: {why}");
                }
                Err(error) => tracing::debug!("logind and UPower: no bus: {error}"),
            }
            // What was told is told no more.
            self.system.send_replace(SystemState::Running);
            self.supply.send_replace(Supply::External);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn listen(&self, connection: &Connection) -> String {
        let supply = async {
            if let Err(error) = upower::attend(connection, &self.supply).await {
                tracing::debug!("UPower: {error}");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = connection.closed() => "closed by the bus".into(),
            ended = logind::attend(connection, &self.board, &self.system) => match ended {
                Ok(()) => "closed by the bus".into(),
                Err(error) => error.to_string(),
            },
            () = supply => String::new(),
        }
    }
}
