//! Suspend, resume and shutdown, as logind announces them. A delay lock makes it wait until what is being said has been
//! understood (`org.freedesktop.login1`(5), *Inhibitor Locks*).

use crate::event::State;
use crate::status::{Board, Status};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::watch;
use vocar_hw::{Level, SystemState};
use zbus::{Connection, OwnedFd, proxy};

/// How long logind is kept waiting at most: less than its own limit, `InhibitDelayMaxSec`, ordinarily 5 s.
const LONGEST: Duration = Duration::from_millis(4500);

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool);
    #[zbus(signal)]
    fn prepare_for_shutdown(&self, start: bool);
}

/// Follows logind until the connection ends; without logind it waits for one to come.
///
/// # Errors
/// If the bus fails.
pub(super) async fn attend(
    connection: &Connection,
    board: &Board,
    system: &watch::Sender<SystemState>,
) -> zbus::Result<()> {
    let manager = ManagerProxy::builder(connection)
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await?;
    let mut sleep = manager.receive_prepare_for_sleep().await?;
    let mut shutdown = manager.receive_prepare_for_shutdown().await?;
    let mut owners = manager.inner().receive_owner_changed().await?;
    let mut lock = take_lock(&manager).await;
    loop {
        let going = tokio::select! {
            Some(signal) = sleep.next() => going(*signal.args()?.start(), SystemState::Suspending),
            Some(signal) = shutdown.next() => going(*signal.args()?.start(), SystemState::ShuttingDown),
            Some(owner) = owners.next() => {
                if owner.is_some() {
                    lock = take_lock(&manager).await;
                }
                continue;
            }
            else => return Ok(()),
        };
        system.send_replace(going);
        if going == SystemState::Running {
            tracing::info!("the machine goes on");
            lock = take_lock(&manager).await;
        } else {
            tracing::info!("the machine goes ({going:?}): listening ends");
            settle(board).await;
            drop(lock.take());
        }
    }
}

const fn going(start: bool, state: SystemState) -> SystemState {
    if start { state } else { SystemState::Running }
}

async fn take_lock(manager: &ManagerProxy<'_>) -> Option<OwnedFd> {
    let why = "what is being said is understood first";
    let lock = manager
        .inhibit("sleep:shutdown", "vocard", why, "delay")
        .await;
    lock.inspect_err(|error| tracing::debug!("no lock from logind: {error}"))
        .ok()
}

/// Waits until nobody is listened to any more.
async fn settle(board: &Board) {
    let still = |status: &Status| {
        status.power_level == Level::Paused.to_string()
            && matches!(status.state, State::Idle | State::Unavailable)
    };
    let mut status = board.watch();
    let settled = tokio::time::timeout(LONGEST, status.wait_for(still)).await;
    if settled.is_err() {
        tracing::warn!("somebody is still being listened to while the machine goes");
    }
}
