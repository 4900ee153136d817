//! The sound of a cabin with several microphones and loudspeakers, made one clean stream: echoes cancelled, the
//! microphone of the speaker's seat chosen.

use crate::echo::{EchoCanceller, EchoConfig, EchoError};
use crate::zones::ZoneChooser;

/// How much of each microphone is remembered for a speaker who is noticed late: a second and a half at 16 kHz, for what the
/// recogniser hears from before the onset and what passes until the choice is settled.
const REMEMBERED: usize = 24_000;
/// After the onset the choice may still change for so many samples: 300 ms, when it is most certain.
const SETTLING: usize = 4800;

/// What a cabin is made of. Its tracks are the microphones' in the order of `zones`, then the reference's.
#[derive(Debug, Clone, PartialEq)]
pub struct CabinConfig {
    /// The seat zone of each microphone, at least one.
    pub zones: Vec<String>,
    /// All microphones belong to one device, so that it can be told whom a voice reaches first.
    pub one_clock: bool,
    /// Tracks of the reference (what is played); 0: none, and no echo is cancelled.
    pub references: usize,
    /// How the echo comes about.
    pub echo: EchoConfig,
}

/// Many tracks in, one out.
pub struct Cabin {
    zones: Vec<String>,
    canceller: Option<EchoCanceller>,
    /// Nothing where there is nothing to choose.
    chooser: Option<ZoneChooser>,
    /// Cleaned sound: what the newest piece begins behind, and the piece.
    tracks: Vec<Vec<f32>>,
    before: usize,
    chosen: usize,
    named: bool,
    attention: Attention,
    turned: bool,
}

impl std::fmt::Debug for Cabin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cabin")
            .field("zones", &self.zones)
            .field("cancels", &self.canceller.is_some())
            .field("chosen", &self.chosen)
            .finish_non_exhaustive()
    }
}

/// What the choice may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attention {
    /// Nobody is being heard: whoever speaks gets it.
    Free,
    /// Somebody began to speak so many samples ago.
    Settling(usize),
    /// Somebody is being heard.
    Held,
}

impl Cabin {
    /// A cabin in which nothing was heard yet.
    ///
    /// # Errors
    /// A reference is given and echoes cannot be cancelled.
    pub fn new(config: &CabinConfig) -> Result<Self, EchoError> {
        let microphones = config.zones.len();
        let canceller = (config.references > 0)
            .then(|| EchoCanceller::new(microphones, &config.echo))
            .transpose()?;
        Ok(Self {
            zones: config.zones.clone(),
            canceller,
            chooser: (microphones > 1).then(|| ZoneChooser::new(microphones, config.one_clock)),
            tracks: vec![Vec::new(); microphones],
            before: 0,
            chosen: 0,
            named: false,
            attention: Attention::Free,
            turned: false,
        })
    }

    /// Listens to this zone alone, or (nothing given) to whoever speaks. A zone without a microphone of its own is
    /// heard by whichever hears it best; whether it has one.
    pub fn keep_to(&mut self, zone: Option<&str>) -> bool {
        let seat = zone.and_then(|zone| self.zones.iter().position(|known| known == zone));
        self.named = seat.is_some();
        if let Some(seat) = seat {
            self.turn_to(seat);
        }
        self.attention = Attention::Free;
        self.named || zone.is_none()
    }

    /// Says whether somebody is being heard out: the choice then settles and stays.
    pub fn attend(&mut self, hearing: bool) {
        self.attention = match (hearing, self.attention) {
            (false, _) => Attention::Free,
            (true, Attention::Free) => Attention::Settling(0),
            (true, attention) => attention,
        };
    }

    /// Takes a piece of sound: all tracks, 16 kHz in [-1, 1], of one length.
    pub fn push(&mut self, tracks: &[Vec<f32>]) {
        self.forget();
        let (heard, played) = tracks.split_at(self.zones.len());
        match &mut self.canceller {
            Some(canceller) => canceller.push(heard, played, &mut self.tracks),
            None => self.take(heard),
        }
        self.listen();
    }

    /// The sound has ended: brings out what a canceller held back.
    pub fn flush(&mut self) {
        self.forget();
        if let Some(canceller) = &mut self.canceller {
            canceller.flush(&mut self.tracks);
        }
        self.listen();
    }

    /// The newest piece as the chosen microphone heard it.
    pub fn piece(&self) -> &[f32] {
        &self.tracks[self.chosen][self.before..]
    }

    /// When another microphone was chosen for the newest piece: what it heard before that, up to a second and a half.
    pub fn earlier(&self) -> Option<&[f32]> {
        self.turned
            .then(|| &self.tracks[self.chosen][..self.before])
    }

    /// The seat of whoever speaks, or spoke last; nothing where there was no choice.
    pub fn speaker(&self) -> Option<&str> {
        (self.chooser.is_some() && !self.named).then(|| self.zones[self.chosen].as_str())
    }

    fn forget(&mut self) {
        for track in &mut self.tracks {
            track.drain(..track.len().saturating_sub(REMEMBERED));
        }
        self.before = self.tracks[0].len();
        self.turned = false;
    }

    fn take(&mut self, heard: &[Vec<f32>]) {
        for (track, heard) in self.tracks.iter_mut().zip(heard) {
            track.extend_from_slice(heard);
        }
    }

    fn listen(&mut self) {
        let Some(chooser) = &mut self.chooser else {
            return;
        };
        let piece: Vec<Vec<f32>> = self
            .tracks
            .iter()
            .map(|track| track[self.before..].to_vec())
            .collect();
        chooser.push(&piece);
        if let Attention::Settling(since) = self.attention {
            let since = since + piece[0].len();
            self.attention = if since < SETTLING {
                Attention::Settling(since)
            } else {
                Attention::Held
            };
        }
        if !self.named
            && self.attention != Attention::Held
            && let Some(seat) = chooser.choose()
        {
            self.turn_to(seat);
        }
    }

    fn turn_to(&mut self, seat: usize) {
        self.turned |= seat != self.chosen;
        self.chosen = seat;
    }
}
