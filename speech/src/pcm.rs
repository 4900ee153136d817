//! From interleaved samples, as devices and files hold them, to clean mono.

/// Which channels of a stream are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelPick {
    /// The mean of all channels.
    #[default]
    Mix,
    /// One channel, counted from 0 (a seat's microphone of an array).
    One(u16),
}

impl ChannelPick {
    /// Whether a stream of `channels` channels has what is asked for.
    pub fn fits(self, channels: u16) -> bool {
        match self {
            Self::Mix => channels > 0,
            Self::One(channel) => channel < channels,
        }
    }
}

/// Appends one mono sample to `mono` for every whole frame of `interleaved`.
///
/// `channels` is the number of samples in a frame; `pick` must [fit](ChannelPick::fits) it.
pub fn mix_down(interleaved: &[f32], channels: u16, pick: ChannelPick, mono: &mut Vec<f32>) {
    debug_assert!(pick.fits(channels));
    let frames = interleaved.chunks_exact(usize::from(channels));
    match pick {
        ChannelPick::Mix if channels == 1 => mono.extend_from_slice(interleaved),
        ChannelPick::Mix => {
            let scale = 1.0 / f32::from(channels);
            mono.extend(frames.map(|frame| frame.iter().sum::<f32>() * scale));
        }
        ChannelPick::One(channel) => {
            mono.extend(frames.map(|frame| frame[usize::from(channel)]));
        }
    }
}

/// Appends one sample to each of `tracks` for every whole frame of `interleaved`: what the pick of the same number
/// listens to.
///
/// `channels` is the number of samples in a frame; all `picks` must [fit](ChannelPick::fits) it.
pub fn split(interleaved: &[f32], channels: u16, picks: &[ChannelPick], tracks: &mut [Vec<f32>]) {
    debug_assert_eq!(picks.len(), tracks.len());
    for (&pick, track) in picks.iter().zip(tracks) {
        mix_down(interleaved, channels, pick, track);
    }
}

/// Makes every sample a finite number in [-1, 1] and returns how many were not numbers.
///
/// NaN and infinities become silence and are counted: they come from a broken driver or file and would otherwise
/// poison every state downstream. Finite samples beyond full scale are clipped without being counted: lossy codecs
/// overshoot by a little as a matter of course.
pub fn sanitise(samples: &mut [f32]) -> u64 {
    let mut replaced = 0;
    for sample in samples {
        if sample.is_finite() {
            *sample = sample.clamp(-1.0, 1.0);
        } else {
            *sample = 0.0;
            replaced += 1;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_takes_the_mean_of_each_frame() {
        let mut mono = vec![9.0];
        mix_down(&[0.2, 0.4, -1.0, 1.0], 2, ChannelPick::Mix, &mut mono);
        assert_eq!(mono, [9.0, 0.3, 0.0]);
    }

    #[test]
    fn one_channel_is_taken_as_it_is_and_a_torn_frame_is_left_out() {
        let mut mono = Vec::new();
        mix_down(
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
            3,
            ChannelPick::One(1),
            &mut mono,
        );
        assert_eq!(mono, [2.0, 5.0]);
        assert!(!ChannelPick::One(3).fits(3));
        assert!(!ChannelPick::Mix.fits(0));
    }

    #[test]
    fn what_is_no_number_becomes_silence_and_is_counted() {
        let mut samples = [0.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.5, -7.0];
        assert_eq!(sanitise(&mut samples), 3);
        assert_eq!(samples, [0.5, 0.0, 0.0, 0.0, 1.0, -1.0]);
    }
}
