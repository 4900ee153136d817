//! Words to commands, with the conversations around them: one for each seat, so that what one passenger is asked, no other
//! answers.

mod freely;

pub use freely::FreeReading;

use crate::calendar;
use crate::conversation::{Conversation, Manners, Moment, Outcome, Said};
use std::collections::BTreeMap;
use std::sync::Arc;
use vocar_nlu::{
    AdapterStore, Choice, Context, Domain, Encoder, EntityValue, Intent, Reader, SentenceGraph,
    Understander, UnknownName,
};

/// One reading of what was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The words.
    pub text: String,
    /// How sure the recogniser is, 0 to 1; 1 for typed text.
    pub confidence: f32,
    /// How far it fits worse than the best reading, nats a frame of speech, nought or more.
    pub behind: f32,
}

impl Reading {
    /// A text of which every word is certain.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            confidence: 1.0,
            behind: 0.0,
        }
    }
}

/// A reading that fits worse than the best by more than this is another sentence, not another hearing of the same one.
const CLOSE: f32 = 0.1;

/// Least confidence, 0 to 1, of a sentence that is several commands: so many can be put together that some of them fit any
/// talk a little.
const SEVERAL: f32 = 0.9;

/// Whether a sentence of the graph was put together: from several commands, or so that no template takes it whole.
fn is_joined(commands: &[Vec<Intent>]) -> bool {
    let by_encoder = |readings: &Vec<Intent>| {
        readings
            .first()
            .is_some_and(|intent| intent.reader == Reader::Encoder)
    };
    commands.len() > 1 || commands.iter().any(by_encoder)
}

/// A question that nobody answered in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The seat that was asked.
    pub seat: String,
    /// The session in which it was.
    pub session: u64,
}

/// Understanding and conversation.
#[derive(Debug)]
pub struct Mind {
    understander: Understander,
    /// Names of the adapters to read with.
    adapters: Vec<String>,
    manners: Manners,
    seats: BTreeMap<String, Conversation>,
    /// Whose words come next.
    seat: String,
    session: u64,
    /// The speaker is known to speak to the assistant.
    addressed: bool,
    /// Samples at 16 kHz since the beginning.
    now: u64,
    /// Commands so far.
    turns: u64,
}

impl Mind {
    /// A mind with these domains and no conversation going on, which asks about commands below a confidence (0: never).
    #[must_use]
    pub fn new(domains: Vec<Arc<Domain>>, confirm_below: f32) -> Self {
        let mut understander = Understander::new(domains);
        understander.set_calendar(calendar::today);
        Self {
            understander,
            adapters: Vec::new(),
            manners: Manners {
                confirm_below,
                ..Manners::default()
            },
            seats: BTreeMap::new(),
            seat: String::new(),
            session: 0,
            addressed: true,
            now: 0,
            turns: 0,
        }
    }

    /// Converses differently from now on.
    pub const fn set_manners(&mut self, manners: Manners) {
        self.manners = manners;
    }

    /// Has an encoder read what no template says, or (`None`) nobody.
    pub fn set_encoder(&mut self, encoder: Option<Arc<Encoder>>) {
        self.understander.set_encoder(encoder);
    }

    /// Has the encoder of a store read what no template says, with the adapters that are named or active.
    pub fn set_adapters(&mut self, store: Arc<AdapterStore>) {
        self.understander.set_adapters(store);
    }

    /// Has these adapters read from now on; for a domain that none of them is for, its active one.
    pub fn read_with(&mut self, adapters: &[String]) {
        if self.adapters != adapters {
            self.adapters = adapters.to_vec();
        }
    }

    /// Names of the enabled domains.
    #[must_use]
    pub fn enabled(&self) -> Vec<String> {
        self.understander
            .domains()
            .filter(|(_, on)| *on)
            .map(|(domain, _)| domain.name().to_owned())
            .collect()
    }

    /// Whether there is such a domain, enabled or not.
    #[must_use]
    pub fn knows(&self, domain: &str) -> bool {
        self.understander
            .domains()
            .any(|(known, _)| known.name() == domain)
    }

    /// Switches a domain.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn switch(&mut self, domain: &str, on: bool) -> Result<(), UnknownName> {
        self.understander.set_enabled(domain, on)
    }

    /// Takes a domain in, enabled, in the place of one of the same name if there is one.
    pub fn put(&mut self, domain: Arc<Domain>) {
        self.understander.put(domain);
    }

    /// Replaces the values of an entity list.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn set_entities(&mut self, list: &str, values: &[EntityValue]) -> Result<(), UnknownName> {
        self.understander.set_entities(list, values)
    }

    /// A session begins at a seat; `addressed` when the speaker has pressed a button or said the wake phrase. A question
    /// to this seat from before is withdrawn.
    pub fn begin(&mut self, session: u64, seat: &str, addressed: bool) -> Option<Unanswered> {
        self.session = session;
        self.addressed = addressed;
        seat.clone_into(&mut self.seat);
        let (now, manners) = (self.now, self.manners);
        let session = self.conversation().enter(now, &manners)?;
        let seat = seat.to_owned();
        Some(Unanswered { seat, session })
    }

    /// The session is over. Gives the seats whose questions are withdrawn by that.
    pub fn leave(&mut self) -> Vec<Unanswered> {
        let (now, manners, session) = (self.now, self.manners, self.session);
        self.session = 0;
        let mut withdrawn = Vec::new();
        for (seat, conversation) in &mut self.seats {
            let here = *seat == self.seat || conversation.asked_in() == Some(session);
            if here && conversation.leave(now, &manners) {
                let seat = seat.clone();
                withdrawn.push(Unanswered { seat, session });
            }
        }
        withdrawn
    }

    /// Forgets what this seat has said and was asked.
    pub fn forget(&mut self) {
        self.seats.remove(&self.seat);
    }

    /// Gives up what this seat was asked; true when it was asked something.
    pub fn give_up(&mut self) -> bool {
        self.conversation().drop_question()
    }

    /// The next words come from this seat.
    pub fn turn_to(&mut self, seat: &str) {
        if self.seat != seat {
            seat.clone_into(&mut self.seat);
        }
    }

    /// The next words come from whoever speaks: most likely from the seat that spoke last, if it may go on.
    pub fn turn_to_anybody(&mut self) {
        let fresh = |(_, there): &(&String, &Conversation)| there.is_fresh(self.now, &self.manners);
        let spoken = self.seats.iter().filter(fresh);
        if let Some((seat, _)) = spoken.max_by_key(|(_, there)| there.last_turn()) {
            self.seat = seat.clone();
        }
    }

    /// Does something in the conversation of a seat that speaks to the assistant for certain.
    pub fn at<T>(&mut self, seat: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let there = std::mem::replace(&mut self.seat, seat.to_owned());
        let addressed = std::mem::replace(&mut self.addressed, true);
        let result = act(self);
        self.seat = there;
        self.addressed = addressed;
        result
    }

    /// Samples (16 kHz) go by; while somebody is `speaking` this seat's question stays open. Gives the questions whose time
    /// is over.
    pub fn pass(&mut self, samples: u64, speaking: bool) -> Vec<Unanswered> {
        self.now += samples;
        let (now, manners) = (self.now, self.manners);
        let mut unanswered = Vec::new();
        for (seat, conversation) in &mut self.seats {
            let speaking = speaking && *seat == self.seat;
            if let Some(session) = conversation.expire(now, speaking, &manners) {
                let seat = seat.clone();
                unanswered.push(Unanswered { seat, session });
            }
        }
        self.seats
            .retain(|seat, conversation| *seat == self.seat || !conversation.is_idle());
        unanswered
    }

    /// Whether this seat has been asked something.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        self.here().is_some_and(Conversation::is_asking)
    }

    /// Whether any seat has been asked something.
    #[must_use]
    pub fn is_asking_anybody(&self) -> bool {
        self.seats.values().any(Conversation::is_asking)
    }

    /// Whether the time for this seat's answer goes on.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.here().is_some_and(|here| here.waits(self.now))
    }

    /// The command that this seat may correct or refer to, by its number.
    #[must_use]
    pub fn follows(&self) -> Option<u64> {
        let fresh = |here: &&Conversation| here.is_fresh(self.now, &self.manners);
        let here = self.here().filter(|_| self.addressed).filter(fresh)?;
        here.last_turn()
    }

    fn here(&self) -> Option<&Conversation> {
        self.seats.get(&self.seat)
    }

    fn conversation(&mut self) -> &mut Conversation {
        self.seats.entry(self.seat.clone()).or_default()
    }

    fn context(&self) -> Context {
        let nothing = Conversation::default();
        let here = self.here().unwrap_or(&nothing);
        here.context(self.addressed, self.now, &self.manners)
            .with_adapters(&self.adapters)
    }

    /// Everything that may be said now.
    #[must_use]
    pub fn graph(&self) -> SentenceGraph {
        self.understander.graph(&self.context())
    }

    /// The names that can be said: name of their list, words.
    pub fn names(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.understander.names()
    }

    /// The commands that a text means at this point of the conversation, in their order, each with its readings, best first.
    #[must_use]
    pub fn interpret(&self, text: &str) -> Vec<Vec<Intent>> {
        self.understander.commands(text, &self.context())
    }

    /// Names of the intents that a text may mean at this point of the conversation, most likely first.
    #[must_use]
    pub fn meanings(&self, text: &str) -> Vec<String> {
        let readings = self.interpret(text).into_iter().flatten();
        readings.map(|intent| intent.name).collect()
    }

    /// Whether a reading that fits worse than the best by so much, nats a frame, still is a hearing of the same sentence.
    #[must_use]
    pub const fn is_close(behind: f32) -> bool {
        behind <= CLOSE
    }

    /// The commands of an utterance, given as its readings, best first: the first that is a command counts, if it fits
    /// about as well as the best.
    #[must_use]
    pub fn meaning(&self, readings: &[Reading]) -> Vec<Said> {
        let context = self.context();
        let close = readings
            .iter()
            .take_while(|reading| Self::is_close(reading.behind));
        let mut understood = close.map(|reading| {
            let mut commands = self.understander.commands(&reading.text, &context);
            if reading.confidence < SEVERAL && is_joined(&commands) {
                commands.clear();
            }
            let said = commands.into_iter();
            said.filter_map(|readings| self.said(readings, reading.confidence))
                .collect()
        });
        understood
            .find(|said: &Vec<Said>| !said.is_empty())
            .unwrap_or_default()
    }

    fn said(&self, readings: Vec<Intent>, confidence: f32) -> Option<Said> {
        let choice = self.understander.choice(&readings);
        let mut intent = readings.into_iter().next()?;
        if choice.is_some() {
            intent.confidence = 1.0;
        }
        intent.confidence *= confidence;
        Some(self.weighed(intent, choice))
    }

    /// A command whose confidence is final, with what the speaker may have to be asked about it.
    fn weighed(&self, intent: Intent, choice: Option<Choice>) -> Said {
        let doubtful = intent.confidence < self.manners.confirm_below;
        let description = doubtful.then(|| self.understander.describe(&intent));
        Said {
            description: description.unwrap_or_default(),
            choice,
            intent,
        }
    }

    /// Takes what an utterance means.
    pub fn take(&mut self, meaning: Vec<Said>) -> Vec<Outcome> {
        self.converse(|conversation, moment| conversation.take(meaning, moment))
    }

    /// Takes an utterance, given as its readings, best first.
    pub fn hear(&mut self, readings: &[Reading]) -> Vec<Outcome> {
        let meaning = self.meaning(readings);
        self.take(meaning)
    }

    /// Answers yes or no to what was asked in a session: the seat, and what came of it. `None` when nothing was.
    pub fn confirm(&mut self, session: u64, yes: bool) -> Option<(String, Vec<Outcome>)> {
        let asked = |(_, there): &(&String, &Conversation)| there.asked_in() == Some(session);
        let seat = self.seats.iter().find(asked)?.0.clone();
        let outcomes = self.at(&seat, |mind| {
            mind.converse(|conversation, moment| conversation.confirm(yes, moment))
        })?;
        Some((seat, outcomes))
    }

    fn converse<T>(&mut self, act: impl FnOnce(&mut Conversation, &mut Moment<'_>) -> T) -> T {
        let conversation = self.seats.entry(self.seat.clone()).or_default();
        let mut moment = Moment {
            session: self.session,
            now: self.now,
            addressed: self.addressed,
            manners: self.manners,
            turns: &mut self.turns,
        };
        act(conversation, &mut moment)
    }
}

#[cfg(test)]
mod tests;
