//! Which of the formats a device offers is asked for.

use std::time::Duration;

use cpal::{
    BufferSize, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange,
};

use super::{CaptureConfig, samples};
use crate::resample::{HIGHEST_RATE, LOWEST_RATE};

/// The best of what is offered that satisfies the settings; nothing if none does.
pub(super) fn choose(
    offered: &[SupportedStreamConfigRange],
    config: &CaptureConfig,
) -> Option<(StreamConfig, SampleFormat)> {
    let best = offered
        .iter()
        .filter(|range| {
            config
                .channels
                .is_none_or(|channels| channels == range.channels())
        })
        .filter(|range| config.fits(range.channels()))
        .filter(|range| samples::decoder(range.sample_format()).is_some())
        .filter_map(|range| Some((range, rate_of(range, config.rate)?)))
        .min_by_key(|(range, rate)| {
            (
                range.channels(),
                rate_rank(*rate),
                format_rank(range.sample_format()),
            )
        });
    best.map(|(range, rate)| {
        let buffer_size = buffer_of(range.buffer_size(), rate, config.period);
        (
            StreamConfig {
                channels: range.channels(),
                sample_rate: rate,
                buffer_size,
            },
            range.sample_format(),
        )
    })
}

/// Rates that need the least work or are most likely to be the hardware's own, best first.
const USUAL_RATES: [u32; 7] = [48_000, 16_000, 32_000, 44_100, 96_000, 24_000, 22_050];

fn rate_rank(rate: u32) -> usize {
    USUAL_RATES
        .iter()
        .position(|&usual| usual == rate)
        .unwrap_or(USUAL_RATES.len())
}

fn rate_of(range: &SupportedStreamConfigRange, wish: Option<u32>) -> Option<u32> {
    let offered = range.min_sample_rate()..=range.max_sample_rate();
    if let Some(wish) = wish {
        return offered.contains(&wish).then_some(wish);
    }
    let usual = USUAL_RATES.into_iter().find(|rate| offered.contains(rate));
    let nearest = (*offered.start()).max(LOWEST_RATE);
    usual.or((nearest <= *offered.end() && nearest <= HIGHEST_RATE).then_some(nearest))
}

/// Far-away speech is quiet, so depth comes before size.
fn format_rank(format: SampleFormat) -> usize {
    use SampleFormat::{F32, F64, I16, I24, I32, U16, U24, U32};
    const BEST_FIRST: [SampleFormat; 8] = [F32, I32, I24, I16, F64, U32, U24, U16];
    BEST_FIRST
        .iter()
        .position(|&better| better == format)
        .unwrap_or(BEST_FIRST.len())
}

fn buffer_of(supported: &SupportedBufferSize, rate: u32, period: Duration) -> BufferSize {
    let wanted = (period.as_secs_f64() * f64::from(rate)).round() as u32;
    match *supported {
        SupportedBufferSize::Range { min, max } if min <= max => {
            BufferSize::Fixed(wanted.clamp(min, max))
        }
        _ => BufferSize::Fixed(wanted),
    }
}

/// What is offered, for an error message: one entry per format.
pub(super) fn describe(offered: &[SupportedStreamConfigRange]) -> String {
    const SHOWN: usize = 8;
    let mut lines: Vec<String> = offered
        .iter()
        .take(SHOWN)
        .map(|range| {
            let (low, high) = (range.min_sample_rate(), range.max_sample_rate());
            let rates = if low == high {
                low.to_string()
            } else {
                format!("{low} to {high}")
            };
            format!(
                "{rates} Hz, {} channel(s), {}",
                range.channels(),
                range.sample_format()
            )
        })
        .collect();
    match offered.len() {
        0 => lines.push("nothing".into()),
        more if more > SHOWN => lines.push(format!("{} more", more - SHOWN)),
        _ => {}
    }
    lines.join("; ")
}

/// What the settings ask for, for an error message.
pub(super) fn describe_wish(config: &CaptureConfig) -> String {
    let rate = config
        .rate
        .map_or("any rate".to_owned(), |rate| format!("{rate} Hz"));
    let channels = config.channels.map_or("any channels".to_owned(), |count| {
        format!("{count} channel(s)")
    });
    format!("{rate}, {channels}, listening to {:?}", config.picks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::ChannelPick;

    fn range(
        channels: u16,
        low: u32,
        high: u32,
        format: SampleFormat,
    ) -> SupportedStreamConfigRange {
        let buffer = SupportedBufferSize::Range { min: 64, max: 1024 };
        SupportedStreamConfigRange::new(channels, low, high, buffer, format)
    }

    fn chosen(
        offered: &[SupportedStreamConfigRange],
        config: &CaptureConfig,
    ) -> Option<(u16, u32, SampleFormat)> {
        choose(offered, config)
            .map(|(stream, format)| (stream.channels, stream.sample_rate, format))
    }

    #[test]
    fn few_channels_usual_rates_and_deep_samples_are_preferred() {
        use SampleFormat::{F32, I16, I32, U8};
        let config = CaptureConfig::default();
        let wide = [
            range(2, 1, 384_000, F32),
            range(1, 1, 384_000, I16),
            range(1, 1, 384_000, F32),
        ];
        assert_eq!(chosen(&wide, &config), Some((1, 48_000, F32)));
        let codec = [
            range(2, 44_100, 44_100, I32),
            range(2, 44_100, 44_100, I16),
            range(2, 48_000, 48_000, I16),
        ];
        assert_eq!(chosen(&codec, &config), Some((2, 48_000, I16)));
        let telephone = [range(1, 8_000, 8_000, U8)];
        assert_eq!(chosen(&telephone, &config), Some((1, 8_000, U8)));
        let strange = [range(1, 49_000, 50_000, I16)];
        assert_eq!(chosen(&strange, &config), Some((1, 49_000, I16)));
    }

    #[test]
    fn what_is_asked_for_is_kept_to() {
        use SampleFormat::{DsdU8, F32};
        let offered = [range(1, 16_000, 48_000, F32), range(4, 16_000, 48_000, F32)];
        let ask = |rate, channels, pick| {
            chosen(
                &offered,
                &CaptureConfig {
                    rate,
                    channels,
                    picks: vec![pick],
                    ..CaptureConfig::default()
                },
            )
        };
        assert_eq!(
            ask(Some(44_100), None, ChannelPick::Mix),
            Some((1, 44_100, F32))
        );
        assert_eq!(ask(None, Some(4), ChannelPick::Mix), Some((4, 48_000, F32)));
        assert_eq!(ask(None, None, ChannelPick::One(3)), Some((4, 48_000, F32)));
        assert_eq!(ask(Some(96_000), None, ChannelPick::Mix), None);
        assert_eq!(ask(None, Some(2), ChannelPick::Mix), None);
        assert_eq!(ask(None, None, ChannelPick::One(4)), None);
        assert_eq!(
            chosen(
                &[range(1, 48_000, 48_000, DsdU8)],
                &CaptureConfig::default()
            ),
            None
        );
        assert_eq!(
            chosen(&[range(1, 1_000, 4_000, F32)], &CaptureConfig::default()),
            None
        );
    }

    #[test]
    fn the_period_is_kept_within_what_the_device_can_do() {
        let buffer = |period_ms| {
            let config = CaptureConfig {
                period: Duration::from_millis(period_ms),
                ..CaptureConfig::default()
            };
            choose(&[range(1, 16_000, 16_000, SampleFormat::F32)], &config)
                .unwrap()
                .0
                .buffer_size
        };
        assert_eq!(buffer(30), BufferSize::Fixed(480));
        assert_eq!(buffer(500), BufferSize::Fixed(1024));
    }

    #[test]
    fn a_long_offer_is_cut_short() {
        let offered = vec![range(2, 8_000, 48_000, SampleFormat::I16); 10];
        assert!(describe(&offered).ends_with("; 2 more"));
        assert_eq!(describe(&[]), "nothing");
    }
}
