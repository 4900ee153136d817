//! The conversation with one seat: the question that is open, what waits behind it, and the last command while it may be
//! corrected or referred to. A state machine: what was understood and the time go in, outcomes come out.

use crate::event::{Mended, SAMPLE_RATE, Turn};
use std::collections::VecDeque;
use std::time::Duration;
use vocar_nlu::{Choice, Context, Follows, Intent, Last, Pending};

/// What an utterance led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A command to carry out.
    Command {
        /// The command.
        intent: Intent,
        /// Its number: each command has another.
        turn: u64,
        /// The command that it puts right.
        corrects: Option<Mended>,
    },
    /// A question to the speaker.
    Question {
        /// What is asked for.
        turn: Turn,
        /// The question.
        prompt: String,
        /// The command that waits.
        intent: Intent,
        /// What there is to choose from.
        among: Vec<Intent>,
    },
    /// The waiting command was refused by the speaker.
    Withdrawn,
    /// The speaker said another command instead of an answer.
    Replaced,
    /// No reading is a command, or an answer.
    Nothing,
}

/// How the assistant converses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manners {
    /// Commands below this confidence are confirmed first; 0: never.
    pub confirm_below: f32,
    /// Commands that the domain calls dangerous or dear are confirmed first.
    pub confirm_dear: bool,
    /// How long a question waits for its answer, samples at 16 kHz.
    pub answer: u64,
    /// How long the last command may be corrected or referred to, samples at 16 kHz.
    pub follow: u64,
    /// How much of that may lie after the end of its session, samples at 16 kHz; 0: nothing is kept.
    pub keep: u64,
}

impl Default for Manners {
    /// Nothing is confirmed, and nothing outlasts its session.
    fn default() -> Self {
        Self {
            confirm_below: 0.0,
            confirm_dear: false,
            answer: 8 * SAMPLE_RATE,
            follow: 20 * SAMPLE_RATE,
            keep: 0,
        }
    }
}

/// Samples at 16 kHz.
#[must_use]
pub fn samples(time: Duration) -> u64 {
    (time.as_secs_f64() * SAMPLE_RATE as f64) as u64
}

/// A command as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The command.
    pub intent: Intent,
    /// What the speaker has to choose from before it is one.
    pub choice: Option<Choice>,
    /// The command in the domain's own words, for a question whether it was meant.
    pub description: String,
}

impl From<Intent> for Said {
    fn from(intent: Intent) -> Self {
        Self {
            description: intent.name.clone(),
            choice: None,
            intent,
        }
    }
}

/// When and to whom something is said.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The session.
    pub session: u64,
    /// Samples since the assistant started.
    pub now: u64,
    /// The speaker is known to speak to the assistant.
    pub addressed: bool,
    /// How to converse.
    pub manners: Manners,
    /// Commands so far.
    pub turns: &'a mut u64,
}

/// The conversation with one seat.
#[derive(Default)]
pub struct Conversation {
    question: Option<Question>,
    /// Commands that have to wait until the question is answered.
    waiting: VecDeque<Said>,
    last: Option<Done>,
    /// When the last session ended, if none goes on.
    left: Option<u64>,
}

impl std::fmt::Debug for Conversation {
    /// Without anything that was said.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conversation")
            .field("asking", &self.question.is_some())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// A question that is open.
struct Question {
    kind: Kind,
    intent: Intent,
    session: u64,
    until: u64,
}

enum Kind {
    /// A value is missing.
    Slot,
    /// Was it said?
    Doubt,
    /// Shall it really be done?
    Dear,
    /// Which of these?
    Choice(Choice),
}

/// A command that was carried out. Its slots are kept, its words are not.
struct Done {
    command: Last,
    place: Mended,
    at: u64,
}

/// What words are to an open question.
enum Reply {
    Yes,
    No,
    /// The command that was asked about, with what was missing.
    Answer,
    /// A command of its own.
    Other,
    /// Neither.
    None,
}

impl Question {
    fn reply(&self, said: &Intent) -> Reply {
        let about = |intent: &Intent| (&said.domain, &said.name) == (&intent.domain, &intent.name);
        match (&self.kind, said.name.as_str()) {
            (_, "dialogue.no" | "dialogue.cancel" | "dialogue.stop") => Reply::No,
            (Kind::Doubt | Kind::Dear, "dialogue.yes") => Reply::Yes,
            (_, "dialogue.yes") => Reply::None,
            (Kind::Doubt | Kind::Dear, _) if said.follows.is_some() => Reply::Answer,
            (Kind::Slot, _) if about(&self.intent) => Reply::Answer,
            (Kind::Choice(choice), _) if choice.among.iter().any(about) => Reply::Answer,
            _ => Reply::Other,
        }
    }
}

impl Conversation {
    /// Whether a question is open.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    /// The session in which the open question was asked.
    #[must_use]
    pub fn asked_in(&self) -> Option<u64> {
        self.question.as_ref().map(|question| question.session)
    }

    /// Whether nothing would be lost with it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.question.is_none() && self.last.is_none()
    }

    /// Whether the last command may be corrected or referred to.
    #[must_use]
    pub fn is_fresh(&self, now: u64, manners: &Manners) -> bool {
        let kept = self.left.is_none_or(|left| now - left < manners.keep);
        let recent = |done: &Done| now - done.at <= manners.follow;
        kept && self.last.as_ref().is_some_and(recent)
    }

    /// Number of the last command.
    #[must_use]
    pub fn last_turn(&self) -> Option<u64> {
        self.last.as_ref().map(|done| done.place.turn)
    }

    /// What has been said so far, as far as it changes what may be said now.
    #[must_use]
    pub fn context(&self, addressed: bool, now: u64, manners: &Manners) -> Context {
        let mut context = if addressed {
            Context::addressed()
        } else {
            Context::open_microphone()
        };
        let Some(question) = &self.question else {
            let fresh = addressed && self.is_fresh(now, manners);
            let done = self.last.as_ref().filter(|_| fresh);
            context.last = done.map(|done| done.command.clone());
            return context;
        };
        match &question.kind {
            Kind::Slot => context.pending = Pending::of(&question.intent),
            Kind::Doubt | Kind::Dear => {
                context.asking = true;
                context.last = Last::of(&question.intent);
            }
            Kind::Choice(choice) => {
                context.choices.clone_from(&choice.among);
                context.pending = choice.slot.as_ref().map(|slot| {
                    let mut slots = question.intent.slots.clone();
                    slots.remove(slot);
                    Pending {
                        domain: question.intent.domain.clone(),
                        intent: question.intent.name.clone(),
                        slots,
                        ask: slot.clone(),
                    }
                });
            }
        }
        context
    }

    /// A session begins: what was asked before it is asked no more. What is left of the last one may still be referred to.
    /// Gives the session of a question that is withdrawn by that.
    pub fn enter(&mut self, now: u64, manners: &Manners) -> Option<u64> {
        let asked = self.asked_in();
        self.drop_question();
        self.left.get_or_insert(now);
        self.forget_stale(now, manners);
        self.left = None;
        asked
    }

    /// The session is over. True when a question is withdrawn by that.
    pub fn leave(&mut self, now: u64, manners: &Manners) -> bool {
        let asked = self.drop_question();
        self.left = Some(now);
        self.forget_stale(now, manners);
        asked
    }

    /// Gives up the open question; true when there was one.
    pub fn drop_question(&mut self) -> bool {
        self.waiting.clear();
        self.question.take().is_some()
    }

    /// Lets go of what is too old. Gives the session of a question that nobody answered in time, unless somebody is just
    /// `speaking`.
    pub fn expire(&mut self, now: u64, speaking: bool, manners: &Manners) -> Option<u64> {
        self.forget_stale(now, manners);
        let question = self.question.as_ref()?;
        if speaking || now < question.until {
            return None;
        }
        let session = question.session;
        self.drop_question();
        Some(session)
    }

    fn forget_stale(&mut self, now: u64, manners: &Manners) {
        if !self.is_fresh(now, manners) {
            self.last = None;
        }
    }

    /// Whether a question waits longer than until now.
    #[must_use]
    pub fn waits(&self, now: u64) -> bool {
        self.question
            .as_ref()
            .is_some_and(|question| now < question.until)
    }

    /// Takes what was understood, in its order.
    pub fn take(&mut self, said: Vec<Said>, moment: &mut Moment<'_>) -> Vec<Outcome> {
        let mut said = VecDeque::from(said);
        let Some(first) = said.front_mut() else {
            return vec![Outcome::Nothing];
        };
        let mut outcomes = Vec::new();
        if let Some(question) = self.question.take() {
            match question.reply(&first.intent) {
                Reply::Yes => {
                    said.pop_front();
                    outcomes.extend(self.agree(question, moment));
                }
                Reply::No => {
                    said.pop_front();
                    outcomes.push(Outcome::Withdrawn);
                }
                Reply::Answer => first.intent.follows = question.intent.follows,
                Reply::Other => {
                    self.waiting.clear();
                    outcomes.push(Outcome::Replaced);
                }
                Reply::None => {
                    self.question = Some(question);
                    return vec![Outcome::Nothing];
                }
            }
        }
        for each in said {
            outcomes.extend(self.consider(each, moment));
        }
        outcomes.extend(self.go_on(moment));
        outcomes
    }

    /// Answers a question for yes or no; nothing when none is open.
    pub fn confirm(&mut self, yes: bool, moment: &mut Moment<'_>) -> Option<Vec<Outcome>> {
        let question = self
            .question
            .take_if(|question| matches!(question.kind, Kind::Doubt | Kind::Dear))?;
        let mut outcomes = match yes {
            true => self.agree(question, moment),
            false => vec![Outcome::Withdrawn],
        };
        outcomes.extend(self.go_on(moment));
        Some(outcomes)
    }

    /// After a question: what waits behind it, up to the next one.
    fn go_on(&mut self, moment: &mut Moment<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while self.question.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            outcomes.extend(self.consider(next, moment));
        }
        outcomes
    }

    fn agree(&mut self, question: Question, moment: &mut Moment<'_>) -> Vec<Outcome> {
        let mut intent = question.intent;
        match question.kind {
            Kind::Dear => {
                intent.confirm = None;
                vec![self.done(intent, moment)]
            }
            _ => self.carry_on(intent, moment),
        }
    }

    fn consider(&mut self, said: Said, moment: &mut Moment<'_>) -> Vec<Outcome> {
        if self.question.is_some() && self.has_to_ask(&said, moment) {
            self.waiting.push_back(said);
            return Vec::new();
        }
        if let Some(choice) = said.choice {
            return vec![self.ask(Kind::Choice(choice), said.intent, String::new(), moment)];
        }
        if said.intent.confidence < moment.manners.confirm_below {
            let prompt = format!("Did you mean: {}?", said.description);
            return vec![self.ask(Kind::Doubt, said.intent, prompt, moment)];
        }
        self.carry_on(said.intent, moment)
    }

    fn has_to_ask(&self, said: &Said, moment: &Moment<'_>) -> bool {
        let Manners {
            confirm_below,
            confirm_dear,
            ..
        } = moment.manners;
        let intent = &said.intent;
        said.choice.is_some()
            || intent.confidence < confirm_below
            || !intent.missing.is_empty()
            || (confirm_dear && intent.confirm.is_some())
    }

    fn carry_on(&mut self, intent: Intent, moment: &mut Moment<'_>) -> Vec<Outcome> {
        let missing = intent.prompt.clone().filter(|_| !intent.missing.is_empty());
        let dear = intent.confirm.clone();
        let outcome = match (missing, dear.filter(|_| moment.manners.confirm_dear)) {
            (Some(prompt), _) => self.ask(Kind::Slot, intent, prompt, moment),
            (None, Some(prompt)) => self.ask(Kind::Dear, intent, prompt, moment),
            (None, None) => self.done(intent, moment),
        };
        vec![outcome]
    }

    fn ask(&mut self, kind: Kind, intent: Intent, prompt: String, moment: &Moment<'_>) -> Outcome {
        let (turn, prompt, among) = match &kind {
            Kind::Slot => (Turn::Slot, prompt, Vec::new()),
            Kind::Doubt | Kind::Dear => (Turn::Confirm, prompt, Vec::new()),
            Kind::Choice(choice) => (Turn::Choose, choice.prompt.clone(), choice.among.clone()),
        };
        self.question = Some(Question {
            kind,
            intent: intent.clone(),
            session: moment.session,
            until: moment.now + moment.manners.answer,
        });
        Outcome::Question {
            turn,
            prompt,
            intent,
            among,
        }
    }

    fn done(&mut self, intent: Intent, moment: &mut Moment<'_>) -> Outcome {
        *moment.turns += 1;
        let place = Mended {
            session: moment.session,
            turn: *moment.turns,
        };
        let undone = intent.name == "dialogue.undo";
        let mends = undone || intent.follows == Some(Follows::Corrects);
        let corrects = self.last.as_ref().filter(|_| mends).map(|last| last.place);
        if undone {
            self.last = None;
        } else if let Some(command) = Last::of(&intent).filter(|_| moment.addressed) {
            self.last = Some(Done {
                command,
                place,
                at: moment.now,
            });
            self.left = None;
        }
        Outcome::Command {
            intent,
            turn: place.turn,
            corrects,
        }
    }
}
