//! `org.vocar.VoiceAssistant1`: methods that send one command and properties that read one snapshot. No logic.

use super::errors::Error;
use super::options;
use super::peers::Peers;
use super::throttle::{Cost, Throttle, Turn, VALUES_A_CALL};
use super::wire::{self, Dict};
use crate::config::Settings;
use crate::handle::Handle;
use crate::power::Vehicle;
use crate::status::Board;
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use vocar_nlu::EntityValue;
use zbus::message::Header;
use zbus::names::OwnedUniqueName;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedVariant, interface};

/// Asks the service to read its configuration again; the answer says what was wrong.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// The object at `/org/vocar/VoiceAssistant1`.
#[derive(Debug, Clone)]
pub struct VoiceAssistant {
    /// Way to the worker.
    pub worker: Handle,
    /// Way to the service.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// The snapshot.
    pub board: Arc<Board>,
    /// The settings in force.
    pub settings: Arc<ArcSwap<Settings>>,
    /// Who gets transcripts.
    pub peers: Arc<Peers>,
    /// Who may ask for how much.
    pub throttle: Arc<Throttle>,
    /// What the vehicle says of its power.
    pub vehicle: Arc<Vehicle>,
}

impl VoiceAssistant {
    /// Admits a call, unless its sender has asked for too much; the turn is the call's until it is answered.
    async fn admit(&self, header: &Header<'_>, cost: Cost) -> Result<Turn, Error> {
        self.admit_many(header, cost, 1).await
    }

    /// Admits a call that costs as much as several.
    async fn admit_many(
        &self,
        header: &Header<'_>,
        cost: Cost,
        calls: usize,
    ) -> Result<Turn, Error> {
        let limits = self.settings.load().bus.limits;
        let (throttle, board) = (&self.throttle, &self.board);
        throttle.admit(header, cost, calls, &limits, board).await
    }
}

#[interface(name = "org.vocar.VoiceAssistant1", introspection_docs = false)]
impl VoiceAssistant {
    #[zbus(out_args("session"))]
    async fn start_listening(
        &self,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<u64, Error> {
        let _turn = self.admit(&header, Cost::Ordinary).await?;
        let options = options::listen(&options, &self.settings.load().listen)?;
        Ok(self.worker.start(options).await?)
    }

    async fn stop(&self, session: u64, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        Ok(self.worker.stop(session).await?)
    }

    async fn cancel(&self, session: u64, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        Ok(self.worker.cancel(session).await?)
    }

    #[zbus(out_args("intents"))]
    async fn interpret_text(
        &self,
        text: String,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Dict>, Error> {
        let _turn = self.admit(&header, Cost::Ordinary).await?;
        let options = options::interpret(&options)?;
        let commands = self.worker.interpret(text, options).await?;
        Ok(wire::commands(&commands))
    }

    async fn confirm(
        &self,
        session: u64,
        yes: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        Ok(self.worker.confirm(session, yes).await?)
    }

    async fn set_entities(
        &self,
        list: String,
        values: Vec<(String, Vec<String>)>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let calls = 1 + values.len() / VALUES_A_CALL;
        let _turn = self.admit_many(&header, Cost::Heavy, calls).await?;
        let values = values
            .into_iter()
            .map(|(id, says)| EntityValue { id, says })
            .collect();
        Ok(self.worker.set_entities(list, values).await?)
    }

    async fn load_adapter(
        &self,
        name: String,
        options: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Heavy).await?;
        let options = options::load(&options, &self.settings.load().adapters)?;
        Ok(self.worker.load_adapter(name, options).await?)
    }

    async fn unload_adapter(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        Ok(self.worker.unload_adapter(name).await?)
    }

    async fn pin_adapter(
        &self,
        name: String,
        pinned: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        Ok(self.worker.pin_adapter(name, pinned).await?)
    }

    #[zbus(out_args("adapters"))]
    async fn list_adapters(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<Dict>, Error> {
        let _turn = self.admit(&header, Cost::Heavy).await?;
        let adapters = self.worker.list_adapters().await?;
        Ok(adapters.iter().map(wire::dict).collect())
    }

    async fn enable_domain(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Heavy).await?;
        Ok(self.worker.switch_domain(name, true).await?)
    }

    async fn disable_domain(
        &self,
        name: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Heavy).await?;
        Ok(self.worker.switch_domain(name, false).await?)
    }

    async fn reload(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Heavy).await?;
        let (reply, answer) = oneshot::channel();
        let ended = |_| Error::Failed("the service is shutting down".into());
        self.reload
            .send(reply)
            .await
            .map_err(|error| ended(error.to_string()))?;
        answer
            .await
            .map_err(|error| ended(error.to_string()))?
            .map_err(Error::InvalidConfiguration)
    }

    async fn subscribe(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Ordinary).await?;
        let peer = header
            .sender()
            .ok_or_else(|| Error::AccessDenied("the call names no sender".into()))?;
        self.peers
            .admit(
                connection,
                peer,
                &self.settings.load().bus.transcripts_group,
            )
            .await
    }

    async fn unsubscribe(&self, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        if let Some(peer) = header.sender() {
            self.peers.dismiss(peer.as_str());
        }
        Ok(())
    }

    async fn set_vehicle_state(
        &self,
        state: HashMap<String, OwnedVariant>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let _turn = self.admit(&header, Cost::Light).await?;
        let state = options::vehicle(&state, self.vehicle.state())?;
        let sender = header.sender();
        let peer = sender.ok_or_else(|| Error::AccessDenied("the call names no sender".into()))?;
        let peer = OwnedUniqueName::from(peer.to_owned());
        if self.vehicle.set(state, &peer) {
            let (vehicle, connection) = (Arc::clone(&self.vehicle), connection.clone());
            tokio::spawn(async move {
                if let Err(error) = vehicle.outlast(&connection, peer).await {
                    tracing::debug!("watching who told of the vehicle: {error}");
                }
            });
        }
        Ok(())
    }

    #[zbus(property)]
    async fn state(&self) -> String {
        self.board.read().state.name().to_owned()
    }

    #[zbus(property)]
    async fn profile(&self) -> String {
        self.board.read().profile
    }

    #[zbus(property)]
    async fn power_level(&self) -> String {
        self.board.read().power_level
    }

    #[zbus(property)]
    async fn power_plan(&self) -> Dict {
        wire::dict(&self.board.read().power_plan)
    }

    #[zbus(property)]
    async fn backend(&self) -> String {
        self.board.read().backend
    }

    #[zbus(property)]
    async fn domains(&self) -> Vec<String> {
        self.board.read().domains
    }

    #[zbus(property)]
    async fn adapters(&self) -> Vec<String> {
        self.board.read().adapters
    }

    #[zbus(property)]
    async fn health(&self) -> Dict {
        wire::dict(&self.board.read().health)
    }

    #[zbus(property(emits_changed_signal = "false"))]
    async fn metrics(&self) -> Dict {
        wire::dict(&self.board.counters.values())
    }

    #[zbus(property)]
    async fn privacy_mode(&self) -> bool {
        self.board.is_private()
    }

    #[zbus(property)]
    async fn set_privacy_mode(
        &self,
        on: bool,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<(), zbus::fdo::Error> {
        let _turn = match &header {
            Some(header) => Some(self.admit(header, Cost::Light).await?),
            None => None,
        };
        self.board.set_private(on);
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "const"))]
    async fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(signal)]
    #[allow(
        clippy::too_many_arguments,
        reason = "one argument for each of the signal's"
    )]
    pub(super) async fn intent_recognized(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        domain: &str,
        name: &str,
        slots: Dict,
        details: Dict,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn partial_transcript(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        text: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn final_transcript(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        text: &str,
        confidence: f64,
        details: Dict,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn wake_detected(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        phrase: &str,
        score: f64,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn rejected(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        stage: &str,
        reason: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal, name = "StateChanged")]
    pub(super) async fn entered_state(
        emitter: &SignalEmitter<'_>,
        session: u64,
        state: &str,
        previous: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn dialogue_turn(
        emitter: &SignalEmitter<'_>,
        session: u64,
        zone: &str,
        kind: &str,
        prompt: &str,
        details: Dict,
    ) -> zbus::Result<()>;
}
