//! What the conversation makes of words: texts, confirmations, time that goes by, and the events of it all.

use super::{Pipeline, Sink};
use crate::config::ListenMode;
use crate::conversation::{Outcome, samples};
use crate::ears::Ears;
use crate::event::{Event, EventKind, Latency, Reason, Source, Stage};
use crate::mind::{Reading, Unanswered};
use crate::witness;
use std::time::{Duration, Instant};
use vocar_nlu::Intent;
use vocar_speech::event::Recognition;
use vocar_speech::grammar::GrammarError;

/// How something was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Sample time within the session.
    pub at: u64,
    /// By voice or as text.
    pub source: Source,
    /// How long it took.
    pub latency: Latency,
    /// Who refuses it if it is no command.
    pub stage: Stage,
}

impl Told {
    const fn as_text(latency: Latency, stage: Stage) -> Self {
        Self {
            at: 0,
            source: Source::Text,
            latency,
            stage,
        }
    }
}

impl Pipeline {
    /// The commands of a text in their order, each with its readings, best first: what it means in the conversation with a
    /// seat (`None`: the session's). With `announce` the commands are carried out like spoken ones.
    pub fn interpret(
        &mut self,
        text: &str,
        seat: Option<&str>,
        announce: bool,
        sink: &mut Sink<'_>,
    ) -> Vec<Vec<Intent>> {
        let begin = Instant::now();
        let seat = seat.unwrap_or(&self.session.zone).to_owned();
        let commands = self.mind.at(&seat, |mind| mind.interpret(text));
        if announce {
            let stage = match self.mind.at(&seat, |mind| mind.is_asking()) {
                true => Stage::Dialogue,
                false => Stage::Understanding,
            };
            let outcomes = self
                .mind
                .at(&seat, |mind| mind.hear(&[Reading::typed(text)]));
            let latency = Latency {
                understand_ms: witness::milliseconds(begin.elapsed()),
                ..Latency::default()
            };
            self.tell(&seat, outcomes, Told::as_text(latency, stage), sink);
        }
        commands
    }

    /// Answers yes or no to what was asked in a session; false when nothing waits for that.
    pub fn confirm(&mut self, session: u64, yes: bool, sink: &mut Sink<'_>) -> bool {
        let Some((seat, outcomes)) = self.mind.confirm(session, yes) else {
            return false;
        };
        let told = Told::as_text(Latency::default(), Stage::Dialogue);
        self.tell(&seat, outcomes, told, sink);
        true
    }

    /// Carries out what was told without a voice, and listens for the answer if it led to a question.
    fn tell(&mut self, seat: &str, outcomes: Vec<Outcome>, told: Told, sink: &mut Sink<'_>) {
        let here = std::mem::replace(&mut self.session.zone, seat.to_owned());
        self.carry_out(outcomes, &told, None, sink);
        self.session.zone = here;
        if self.session.id != 0
            && self.session.zone == seat
            && let Err(error) = self.resume()
        {
            tracing::error!("after a text: {error}");
        }
    }

    /// Time goes by without any sound.
    pub fn rest(&mut self, time: Duration, sink: &mut Sink<'_>) {
        if let Err(error) = self.pass(samples(time), sink) {
            tracing::error!("after a question: {error}");
        }
    }

    /// The session is over: what it asked is withdrawn.
    pub fn leave(&mut self, sink: &mut Sink<'_>) {
        for unanswered in self.mind.leave() {
            self.give_up(unanswered, sink);
        }
        self.session.answering = false;
        self.session.id = 0;
    }

    /// Time goes by: questions that nobody has answered are withdrawn. Whoever is just speaking may be answering.
    pub(super) fn pass(&mut self, samples: u64, sink: &mut Sink<'_>) -> Result<(), GrammarError> {
        let speaking = self.ears.as_ref().is_some_and(|ears| !Ears::awaiting(ears));
        for unanswered in std::mem::take(&mut self.withdrawn) {
            self.give_up(unanswered, sink);
        }
        let unanswered = self.mind.pass(samples, self.session.answering && speaking);
        let mine = |unanswered: &Unanswered| unanswered.seat == self.session.zone;
        let resumes = unanswered.iter().any(mine);
        for unanswered in unanswered {
            self.give_up(unanswered, sink);
        }
        if resumes { self.resume() } else { Ok(()) }
    }

    fn give_up(&self, unanswered: Unanswered, sink: &mut Sink<'_>) {
        let Unanswered { seat, session } = unanswered;
        let kind = EventKind::Rejected {
            stage: Stage::Dialogue,
            reason: Reason::Unanswered,
            text: None,
            confidence: None,
            heard: None,
        };
        sink(Event {
            session,
            zone: seat,
            at: self.time(self.pushed),
            kind,
        });
    }

    /// Nothing certain was heard. A question stays open for as long as it waits; at an open microphone, where most of what
    /// is heard is no answer, it is given up.
    pub(super) fn mishear(
        &mut self,
        at: u64,
        reason: Reason,
        best: Option<&Recognition>,
        sink: &mut Sink<'_>,
    ) -> Result<(), GrammarError> {
        let asking = self.mind.is_asking();
        if asking && reason == Reason::NoSpeech {
            // The recogniser's patience is over; the question's may not be.
            if !self.mind.waits() {
                self.mind.give_up();
                self.refuse(at, Stage::Dialogue, Reason::Unanswered, None, sink);
            }
            return self.resume();
        }
        self.refuse(at, Stage::Recogniser, reason, best, sink);
        if asking && self.session.mode == ListenMode::OpenMic {
            self.mind.give_up();
        }
        self.resume()
    }

    /// After an utterance: listens for the answer if something was asked, else for what the session is for. One button
    /// is one command: after it nobody listens.
    pub(super) fn resume(&mut self) -> Result<(), GrammarError> {
        let asking = self.mind.is_asking();
        if asking {
            self.tune()?;
            self.listen(ListenMode::PushToTalk);
        } else if self.session.answering {
            match (self.session.mode, &mut self.ears) {
                (ListenMode::PushToTalk, Some(ears)) => ears.cancel(),
                (mode, _) => {
                    self.tune()?;
                    self.listen(mode);
                }
            }
        }
        self.session.answering = asking;
        Ok(())
    }

    /// Tells what came of words.
    pub(super) fn carry_out(
        &self,
        outcomes: Vec<Outcome>,
        told: &Told,
        heard: Option<&Recognition>,
        sink: &mut Sink<'_>,
    ) {
        let &Told {
            at,
            source,
            latency,
            stage,
        } = told;
        for outcome in outcomes {
            match outcome {
                Outcome::Command {
                    intent,
                    turn,
                    corrects,
                } => {
                    let kind = EventKind::IntentRecognized {
                        intent,
                        turn,
                        corrects,
                        source,
                        latency,
                    };
                    self.emit(at, kind, sink);
                }
                Outcome::Question {
                    turn,
                    prompt,
                    intent,
                    among,
                } => {
                    let kind = EventKind::DialogueTurn {
                        turn,
                        prompt,
                        intent,
                        among,
                    };
                    self.emit(at, kind, sink);
                }
                Outcome::Withdrawn => {
                    self.refuse(at, Stage::Dialogue, Reason::Withdrawn, None, sink);
                }
                Outcome::Replaced => {
                    self.refuse(at, Stage::Dialogue, Reason::Replaced, None, sink);
                }
                Outcome::Nothing => self.refuse(at, stage, Reason::NoCommand, heard, sink),
            }
        }
    }
}
