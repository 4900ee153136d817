//! The trial of an accelerator before it is used: does it load, agree and win?

use std::time::{Duration, Instant};

use vocar_accel::{Part, Placement};

use super::link::Link;
use super::{Offer, Refusal, agree, distance, placed, sound};
use crate::engine::{Engine, EngineError, State};

/// Steps of the trial: three seconds of sound, longer than any state remembers.
const STEPS: usize = 12;

/// Loads the network, compares scores and the time of a step with those of `processor`. Returns the running program and what
/// was found, a sentence.
///
/// # Errors
/// [`Refusal`].
pub(super) fn pass(offer: &Offer, processor: &dyn Engine) -> Result<(Link, String), Refusal> {
    let left = match offer.placement {
        Placement::Mixed => left(offer, processor)?,
        Placement::Whole => String::new(),
    };
    let mut link = load(offer, processor, false)?;
    let Compared {
        distance,
        accelerated,
        alone,
    } = compare(offer, &mut link, processor)?;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    if offer.require_win && accelerated >= alone {
        return Err(Refusal(format!(
            "it is slower than the processor: {:.1} ms a step with {}, {:.1} ms with {}",
            ms(accelerated),
            link.by,
            ms(alone),
            processor.name()
        )));
    }
    let found = format!(
        "{}: {:.1} ms a step, {} takes {:.1} ms; {:.2} % of the probability lies elsewhere{left}",
        link.by,
        ms(accelerated),
        processor.name(),
        ms(alone),
        100.0 * distance
    );
    Ok((link, found))
}

/// What is left to the processor, the end of a sentence. ONNX Runtime does not fail where a provider takes nothing at all.
fn left(offer: &Offer, processor: &dyn Engine) -> Result<String, Refusal> {
    let mut link = load(offer, processor, true)?;
    compare(offer, &mut link, processor)?;
    let parts = link.parts().map_err(refused)?;
    let taken = |part: &&Part| part.provider == offer.provider.name;
    if !parts.iter().any(|part| taken(&part)) {
        let text = format!("no node of the network runs on {}", offer.provider.name);
        return Err(Refusal(text));
    }
    let left: Vec<&Part> = parts.iter().filter(|part| !taken(part)).collect();
    if left.is_empty() {
        return Ok(", and no node is left to the processor".into());
    }
    let kinds = left
        .iter()
        .map(|part| format!("{} × {}", part.nodes.len(), part.operator));
    let ms = left.iter().map(|part| part.us).sum::<f64>() / 1e3;
    Ok(format!(
        ", and {} are left to the processor, {ms:.1} ms a step",
        kinds.collect::<Vec<_>>().join(", ")
    ))
}

/// What runs where on an offered accelerator and how long it takes, one line for each place and operator.
///
/// # Errors
/// [`Refusal`] when it does not load or fails.
pub fn placement(offer: &Offer, processor: &dyn Engine) -> Result<Vec<String>, Refusal> {
    let mut link = load(offer, processor, true)?;
    compare(offer, &mut link, processor)?;
    Ok(placed(&link.parts().map_err(refused)?))
}

fn load(offer: &Offer, processor: &dyn Engine, profiled: bool) -> Result<Link, Refusal> {
    let (signature, states) = (processor.signature(), processor.states());
    Link::start(offer, signature, states, profiled).map_err(refused)
}

/// The accelerator beside the processor.
struct Compared {
    /// Of the scores, on average.
    distance: f32,
    /// The time of a step.
    accelerated: Duration,
    /// The time of the processor's step.
    alone: Duration,
}

/// Runs both from the same beginning, each on its own states.
fn compare(offer: &Offer, link: &mut Link, processor: &dyn Engine) -> Result<Compared, Refusal> {
    let signature = processor.signature();
    let remembered = processor.states().iter().map(State::len).sum();
    let mut states = vec![0.0; remembered];
    let mut next = vec![0.0; remembered];
    let mut scores = vec![0.0; signature.chunk * signature.columns];
    let mut session = processor.start().map_err(failed)?;
    let (mut total, mut accelerated, mut alone) = (0.0, Vec::new(), Vec::new());
    for step in 0..STEPS {
        let features = sound_like(step, signature.frames, signature.mels);
        let begin = Instant::now();
        link.step(&features, &states, &mut scores, &mut next)
            .map_err(refused)?;
        accelerated.push(begin.elapsed());
        sound(&scores, &next, signature.columns).map_err(Refusal)?;
        let begin = Instant::now();
        let right = session.step(&features).map_err(failed)?;
        alone.push(begin.elapsed());
        total += distance(right, &scores, signature.columns);
        std::mem::swap(&mut states, &mut next);
    }
    let distance = total / STEPS as f32;
    agree(distance, offer.tolerance).map_err(Refusal)?;
    Ok(Compared {
        distance,
        accelerated: median(accelerated),
        alone: median(alone),
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Features (natural logarithms of energies) that move like those of a voice: a hum with a few broad peaks that wander, and a
/// little of chance.
fn sound_like(step: usize, frames: usize, mels: usize) -> Vec<f32> {
    let mut chance = 0x9E37_79B9_u32.wrapping_mul(step as u32 + 1);
    let mut features = Vec::with_capacity(frames * mels);
    for frame in 0..frames {
        let at = (step * frames + frame) as f32;
        let loud = 2.0 * (at * 0.11).sin();
        for mel in 0..mels {
            let mel = mel as f32 / mels as f32;
            let peaks = (9.0 * mel + at * 0.05).sin() + (23.0 * mel - at * 0.13).cos();
            // Marsaglia, Xorshift RNGs, Journal of Statistical Software 8 (2003).
            chance ^= chance << 13;
            chance ^= chance >> 17;
            chance ^= chance << 5;
            let noise = chance as f32 / u32::MAX as f32 - 0.5;
            features.push(-6.0 - 3.0 * mel + loud + 1.5 * peaks + noise);
        }
    }
    features
}

fn refused(error: vocar_accel::ChildError) -> Refusal {
    Refusal(error.to_string())
}

fn failed(error: EngineError) -> Refusal {
    Refusal(error.to_string())
}
