//! How much each caller may ask for: a token bucket for each kind of cost. A member of the group that floods the service costs
//! the vehicle a bounded share of its processor, and nobody else any service.

use super::errors::Error;
use crate::config::{CallLimits, Rate};
use crate::status::{Board, Counters};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zbus::message::Header;
use zbus::names::OwnedUniqueName;

/// Callers that have a bucket of their own; those who come while so many are busy share one. More than a bus of a vehicle has
/// programs; a bound, so that nobody can fill the memory.
const MOST: usize = 256;

/// A refusal is held back for as long as the caller would have to wait, but no longer than this: whoever waits for his answers
/// before he asks again cannot ask often.
const HELD: Duration = Duration::from_millis(200);

/// Refusals that are held back at a time; more are answered at once. A bus allows a caller 128 open calls unless its
/// configuration says otherwise.
const MOST_HELD: usize = 1024;

/// Calls with longer bodies, in bytes, are answered at once: they would have to be kept while they are held back.
const LONGEST_HELD: u32 = 4096;

/// Calls of one caller that are worked at; the next ones wait for their turn. Much less than the worker's queue holds, so that
/// a burst leaves room for others.
const TURNS: usize = crate::handle::QUEUE / 4;

/// Values of an entity list that cost as much as another call.
pub const VALUES_A_CALL: usize = 1000;

/// What a call costs the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// A word changes: a session ends, a question is answered.
    Light,
    /// A sentence is heard or read.
    Ordinary,
    /// Files are read, or what can be said is compiled.
    Heavy,
}

impl Cost {
    const ALL: [Cost; 3] = [Cost::Light, Cost::Ordinary, Cost::Heavy];

    const fn rate(self, limits: &CallLimits) -> Rate {
        match self {
            Self::Light => limits.light,
            Self::Ordinary => limits.ordinary,
            Self::Heavy => limits.heavy,
        }
    }

    /// Name of its settings.
    const fn section(self) -> &'static str {
        match self {
            Self::Light => "bus.limits.light",
            Self::Ordinary => "bus.limits.ordinary",
            Self::Heavy => "bus.limits.heavy",
        }
    }
}

/// A token bucket, kept as what is missing in it: one that nobody took from is nought at any time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Tokens missing at that time.
    missing: f64,
    at: Instant,
}

impl Bucket {
    const fn full(now: Instant) -> Self {
        Self {
            missing: 0.0,
            at: now,
        }
    }

    fn missing(&self, rate: Rate, now: Instant) -> f64 {
        let regained = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        (self.missing - regained).max(0.0)
    }

    /// Takes `tokens`, of which no call needs more than a full bucket has.
    ///
    /// # Errors
    /// How long to wait until there are so many; none are taken.
    fn take(&mut self, tokens: f64, rate: Rate, now: Instant) -> Result<(), Duration> {
        let wanted = self.missing(rate, now) + tokens.min(rate.burst);
        let over = wanted - rate.burst;
        // What is missing was rounded on its way: a caller who waited as he was told shall not be told so again.
        if over > rate.burst * 1e-9 {
            return Err(Duration::from_secs_f64(over / rate.per_second));
        }
        *self = Self {
            missing: wanted,
            at: now,
        };
        Ok(())
    }
}

/// The right of a call to be worked at, given back when it is dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// What a caller may still ask for.
#[derive(Debug)]
struct Account {
    buckets: [Bucket; Cost::ALL.len()],
    turns: Arc<Semaphore>,
}

impl Account {
    fn full(now: Instant) -> Self {
        Self {
            buckets: [Bucket::full(now); Cost::ALL.len()],
            turns: Arc::new(Semaphore::new(TURNS)),
        }
    }

    /// Whether it is as if the caller had never called.
    fn is_full(&self, limits: &CallLimits, now: Instant) -> bool {
        let mut pairs = Cost::ALL.into_iter().zip(&self.buckets);
        let full = pairs.all(|(cost, bucket)| bucket.missing(cost.rate(limits), now) == 0.0);
        full && Arc::strong_count(&self.turns) == 1
    }
}

/// The accounts of all callers. One whose buckets are full again is as if it had never called, and is forgotten: so are those
/// that have left, without anybody having to watch for it.
#[derive(Debug, Default)]
struct Callers {
    known: HashMap<OwnedUniqueName, Account>,
    /// Of those for whom there is no room, and of calls without a sender.
    crowd: Option<Account>,
}

impl Callers {
    fn of(
        &mut self,
        caller: Option<&OwnedUniqueName>,
        limits: &CallLimits,
        now: Instant,
    ) -> &mut Account {
        let own = caller.filter(|name| self.has_room_for(name, limits, now));
        match own {
            Some(name) => self
                .known
                .entry(name.clone())
                .or_insert_with(|| Account::full(now)),
            None => self.crowd.get_or_insert_with(|| Account::full(now)),
        }
    }

    fn has_room_for(&mut self, name: &OwnedUniqueName, limits: &CallLimits, now: Instant) -> bool {
        if self.known.contains_key(name) {
            return true;
        }
        self.known
            .retain(|_, account| !account.is_full(limits, now));
        self.known.len() < MOST
    }
}

/// Admits calls, and refuses those of whoever asks for too much.
#[derive(Debug)]
pub struct Throttle {
    callers: Mutex<Callers>,
    held: Semaphore,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            callers: Mutex::default(),
            held: Semaphore::new(MOST_HELD),
        }
    }
}

impl Throttle {
    /// Admits a call that costs `calls` calls of its kind, when it is its turn, or refuses it, after a while.
    ///
    /// # Errors
    /// [`Error::TooManyCalls`] says how long to wait.
    pub async fn admit(
        &self,
        header: &Header<'_>,
        cost: Cost,
        calls: usize,
        limits: &CallLimits,
        board: &Board,
    ) -> Result<Turn, Error> {
        let caller = header.sender().map(|name| name.to_owned().into());
        let taken = self.take(caller.as_ref(), cost, calls, limits, Instant::now());
        let wait = match taken {
            Ok(turns) => {
                let _permit = turns.acquire_owned().await.ok();
                return Ok(Turn { _permit });
            }
            Err(wait) => wait,
        };
        Counters::add(&board.counters.refused_calls, 1);
        if header.primary().body_len() <= LONGEST_HELD
            && let Ok(_place) = self.held.try_acquire()
        {
            tokio::time::sleep(wait.min(HELD)).await;
        }
        Err(too_many(cost, cost.rate(limits), wait))
    }

    /// Forgets all callers: after a restart of the bus their names mean nothing.
    pub fn clear(&self) {
        *self.callers() = Callers::default();
    }

    fn take(
        &self,
        caller: Option<&OwnedUniqueName>,
        cost: Cost,
        calls: usize,
        limits: &CallLimits,
        now: Instant,
    ) -> Result<Arc<Semaphore>, Duration> {
        let mut callers = self.callers();
        let account = callers.of(caller, limits, now);
        account.buckets[cost as usize].take(calls as f64, cost.rate(limits), now)?;
        Ok(Arc::clone(&account.turns))
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(cost: Cost, rate: Rate, wait: Duration) -> Error {
    let Rate { burst, per_second } = rate;
    let seconds = wait.as_secs_f64();
    let text = format!(
        "too many calls: this program may make {burst} such calls at once and then {per_second} a second; wait {seconds:.2} s \
         and call again, call less often, or raise {}",
        cost.section()
    );
    Error::TooManyCalls(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(burst: f64, per_second: f64) -> CallLimits {
        let rate = Rate { burst, per_second };
        CallLimits {
            light: rate,
            ordinary: rate,
            heavy: rate,
        }
    }

    fn name(number: usize) -> OwnedUniqueName {
        OwnedUniqueName::try_from(format!(":1.{number}")).unwrap()
    }

    fn seconds(time: f64) -> Duration {
        Duration::from_secs_f64(time)
    }

    #[test]
    fn a_burst_is_admitted_and_then_the_rate() {
        let (throttle, limits, start) = (Throttle::default(), limits(3.0, 2.0), Instant::now());
        let caller = name(1);
        let take = |at: f64| {
            throttle
                .take(Some(&caller), Cost::Heavy, 1, &limits, start + seconds(at))
                .map(drop)
        };
        for _ in 0..3 {
            take(0.0).unwrap();
        }
        assert_eq!(take(0.0), Err(seconds(0.5)));
        assert_eq!(take(0.25), Err(seconds(0.25)));
        take(0.5).unwrap();
        assert!(take(0.5).is_err());
        // Silence fills the bucket and no more.
        for _ in 0..3 {
            take(1000.0).unwrap();
        }
        assert!(take(1000.0).is_err());
    }

    #[test]
    fn one_caller_and_one_kind_of_call_cost_no_other() {
        let (throttle, limits, now) = (Throttle::default(), limits(1.0, 0.1), Instant::now());
        let take = |caller: usize, cost| throttle.take(Some(&name(caller)), cost, 1, &limits, now);
        take(1, Cost::Heavy).unwrap();
        assert!(take(1, Cost::Heavy).is_err());
        take(1, Cost::Light).unwrap();
        take(1, Cost::Ordinary).unwrap();
        take(2, Cost::Heavy).unwrap();
        throttle.clear();
        take(1, Cost::Heavy).unwrap();
    }

    #[test]
    fn a_burst_leaves_room_for_others() {
        let (throttle, limits, now) = (Throttle::default(), limits(100.0, 1.0), Instant::now());
        let take = |caller: usize| {
            let turns = throttle.take(Some(&name(caller)), Cost::Light, 1, &limits, now);
            turns.unwrap().try_acquire_owned().ok()
        };
        let mut held: Vec<_> = (0..TURNS).map(|_| take(1).unwrap()).collect();
        assert!(take(1).is_none() && take(2).is_some());
        const { assert!(TURNS * 2 < crate::handle::QUEUE) };
        held.pop();
        assert!(take(1).is_some());
    }

    #[test]
    fn a_call_that_costs_more_than_a_bucket_takes_all_of_it() {
        let (throttle, limits, now) = (Throttle::default(), limits(5.0, 1.0), Instant::now());
        let take = |calls, at| {
            let later = now + seconds(at);
            throttle
                .take(Some(&name(1)), Cost::Heavy, calls, &limits, later)
                .map(drop)
        };
        take(500, 0.0).unwrap();
        assert_eq!(take(1, 0.0), Err(seconds(1.0)));
        assert_eq!(take(500, 2.0), Err(seconds(3.0)));
    }

    #[test]
    fn callers_are_forgotten_when_their_buckets_are_full_again() {
        let (throttle, limits, start) = (Throttle::default(), limits(2.0, 1.0), Instant::now());
        let take = |caller: usize, at: f64| {
            let later = start + seconds(at);
            throttle.take(Some(&name(caller)), Cost::Light, 1, &limits, later)
        };
        for caller in 0..MOST {
            take(caller, 0.0).unwrap();
        }
        // There is no more room: newcomers share a bucket, and whoever is known keeps his own.
        take(MOST, 0.5).unwrap();
        take(MOST + 1, 0.5).unwrap();
        assert!(take(MOST + 2, 0.5).is_err());
        take(7, 0.5).unwrap();
        assert_eq!(throttle.callers().known.len(), MOST);
        take(MOST + 2, 3.0).unwrap();
        assert_eq!(throttle.callers().known.len(), 1);
    }

    proptest! {
        /// In any time, no more is admitted than the burst and what the rate gives in that time.
        #[test]
        fn no_pattern_of_calls_gets_more_than_its_share(
            burst in 1_u32..20,
            per_second in 0.1_f64..50.0,
            calls in proptest::collection::vec((0.0_f64..2.0, 1_usize..4), 1..200),
        ) {
            let (throttle, limits, start) = (Throttle::default(), limits(burst.into(), per_second), Instant::now());
            let caller = name(1);
            let (mut at, mut admitted) = (0.0, Vec::new());
            for (gap, cost) in calls {
                at += gap * gap * gap * gap;
                if throttle.take(Some(&caller), Cost::Ordinary, cost, &limits, start + seconds(at)).is_ok() {
                    admitted.push((at, (cost as f64).min(burst.into())));
                }
            }
            for first in 0..admitted.len() {
                let mut sum = 0.0;
                for (at, cost) in &admitted[first..] {
                    sum += cost;
                    let share = f64::from(burst) + (at - admitted[first].0) * per_second;
                    prop_assert!(sum <= share + 1e-3, "{sum} of {share}");
                }
            }
        }

        /// Whoever waits as long as he is told is admitted then, and not much sooner.
        #[test]
        fn the_wait_is_the_one_that_is_needed(
            burst in 1_u32..20,
            per_second in 0.1_f64..50.0,
            taken in 0_usize..20,
            cost in 1_usize..20,
            pause in 0.0_f64..3.0,
        ) {
            let rate = Rate { burst: burst.into(), per_second };
            let start = Instant::now();
            let mut bucket = Bucket::full(start);
            for _ in 0..taken {
                let _ = bucket.take(1.0, rate, start);
            }
            let now = start + seconds(pause);
            let mut early = bucket;
            if let Err(wait) = bucket.take(cost as f64, rate, now) {
                prop_assert!(early.take(cost as f64, rate, now + wait.mul_f64(0.9)).is_err());
                prop_assert!(bucket.take(cost as f64, rate, now + wait + Duration::from_nanos(2)).is_ok());
            }
        }

        /// Whoever keeps to the rate is never refused.
        #[test]
        fn a_steady_caller_is_never_refused(per_second in 0.1_f64..50.0, calls in 1_u32..300) {
            let rate = Rate { burst: 1.0, per_second };
            let start = Instant::now();
            let mut bucket = Bucket::full(start);
            for call in 0..calls {
                let now = start + seconds(f64::from(call) / per_second + f64::from(call) * 1e-8);
                prop_assert!(bucket.take(1.0, rate, now).is_ok());
            }
        }
    }
}
