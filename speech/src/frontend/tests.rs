use proptest::prelude::*;

use super::*;

/// The definition, word for word, in double precision and with a plain Fourier sum.
fn reference(spec: &FeatureSpec, samples: &[f32]) -> Vec<f64> {
    let low = hertz_to_mel(spec.low_hz);
    let high = hertz_to_mel(spec.high_hz);
    let point = |i: usize| low + (high - low) * i as f64 / (spec.mels + 1) as f64;
    let mut features = Vec::new();
    let mut start = 0;
    while start + spec.window <= samples.len() {
        let power: Vec<f64> = (0..=spec.fft / 2)
            .map(|bin| bin_power(spec, &samples[start..], bin))
            .collect();
        for band in 0..spec.mels {
            let (left, centre, right) = (point(band), point(band + 1), point(band + 2));
            let energy: f64 = power
                .iter()
                .enumerate()
                .map(|(bin, power)| {
                    let mel =
                        hertz_to_mel(bin as f64 * f64::from(spec.sample_rate) / spec.fft as f64);
                    power
                        * ((mel - left) / (centre - left))
                            .min((right - mel) / (right - centre))
                            .max(0.0)
                })
                .sum();
            features.push((energy + spec.floor).ln());
        }
        start += spec.hop;
    }
    features
}

fn bin_power(spec: &FeatureSpec, samples: &[f32], bin: usize) -> f64 {
    let tau = std::f64::consts::TAU;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in samples[..spec.window].iter().enumerate() {
        let windowed =
            f64::from(sample) * (0.5 - 0.5 * (tau * n as f64 / spec.window as f64).cos());
        let angle = tau * (bin * n % spec.fft) as f64 / spec.fft as f64;
        re += windowed * angle.cos();
        im -= windowed * angle.sin();
    }
    re * re + im * im
}

/// Two tones, a sweep and a little noise at `level`.
fn busy_signal(len: usize, level: f32) -> Vec<f32> {
    let mut noise = 0x2545_f491_u32;
    (0..len)
        .map(|n| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let t = n as f32 / 16_000.0;
            let tones = (2764.6 * t).sin()
                + 0.3 * (21_000.0 * t).sin()
                + 0.5 * ((300.0 + 9000.0 * t) * t).sin();
            level * (0.5 * tones + 0.05 * (noise as f32 / u32::MAX as f32 - 0.5))
        })
        .collect()
}

fn features_of(spec: &FeatureSpec, samples: &[f32]) -> Vec<f32> {
    let mut features = Vec::new();
    LogMel::new(spec).unwrap().push(samples, &mut features);
    features
}

fn worst_difference(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter()
        .zip(want)
        .map(|(&g, &w)| (f64::from(g) - w).abs())
        .fold(0.0, f64::max)
}

#[test]
fn agrees_with_the_definition_computed_naively() {
    let spec = FeatureSpec::default();
    for level in [0.9, 0.01] {
        let samples = busy_signal(400 + 9 * 160, level);
        let got = features_of(&spec, &samples);
        assert_eq!(got.len(), 10 * 80);
        let worst = worst_difference(&got, &reference(&spec, &samples));
        assert!(worst < 2e-3, "worst difference {worst} at level {level}");
    }
}

#[test]
fn agrees_for_another_specification_too() {
    let spec = FeatureSpec {
        sample_rate: 8000,
        window: 200,
        hop: 80,
        fft: 300,
        mels: 23,
        low_hz: 0.0,
        high_hz: 4000.0,
        floor: 1e-5,
    };
    let samples = busy_signal(1000, 0.5);
    let worst = worst_difference(&features_of(&spec, &samples), &reference(&spec, &samples));
    assert!(worst < 2e-3, "worst difference {worst}");
}

#[test]
fn silence_is_the_logarithm_of_the_floor() {
    let features = features_of(&FeatureSpec::default(), &[0.0; 400]);
    assert_eq!(features, [1e-7f32.ln(); 80]);
}

#[test]
fn a_tone_peaks_in_the_band_that_holds_it() {
    let spec = FeatureSpec::default();
    let samples: Vec<f32> = (0..400)
        .map(|n| (std::f32::consts::TAU * 1000.0 * n as f32 / 16_000.0).sin())
        .collect();
    let features = features_of(&spec, &samples);
    let loudest = (0..80)
        .max_by(|&a, &b| features[a].total_cmp(&features[b]))
        .unwrap();
    let step = (hertz_to_mel(7600.0) - hertz_to_mel(20.0)) / 81.0;
    let centre = mel_to_hertz(hertz_to_mel(20.0) + step * (loudest + 1) as f64);
    assert!(
        (centre - 1000.0).abs() < 40.0,
        "the loudest band is at {centre} Hz"
    );
}

#[test]
fn after_a_reset_the_stream_starts_anew() {
    let samples = busy_signal(1000, 0.5);
    let mut front = LogMel::new(&FeatureSpec::default()).unwrap();
    front.push(&samples[..777], &mut Vec::new());
    front.reset();
    let mut features = Vec::new();
    assert_eq!(front.push(&samples, &mut features), 4);
    assert_eq!(features, features_of(front.spec(), &samples));
}

#[test]
fn a_field_out_of_range_is_named() {
    let good = FeatureSpec::default();
    let field_of = |spec: FeatureSpec| LogMel::new(&spec).err().map(|error| error.field);
    assert_eq!(
        field_of(FeatureSpec {
            window: 0,
            ..good.clone()
        }),
        Some("window")
    );
    assert_eq!(
        field_of(FeatureSpec {
            hop: 0,
            ..good.clone()
        }),
        Some("hop")
    );
    assert_eq!(
        field_of(FeatureSpec {
            hop: 401,
            ..good.clone()
        }),
        Some("hop")
    );
    assert_eq!(
        field_of(FeatureSpec {
            fft: 256,
            ..good.clone()
        }),
        Some("fft")
    );
    assert_eq!(
        field_of(FeatureSpec {
            mels: 0,
            ..good.clone()
        }),
        Some("mels")
    );
    assert_eq!(
        field_of(FeatureSpec {
            low_hz: f64::NAN,
            ..good.clone()
        }),
        Some("low_hz")
    );
    assert_eq!(
        field_of(FeatureSpec {
            high_hz: 9000.0,
            ..good.clone()
        }),
        Some("high_hz")
    );
    assert_eq!(
        field_of(FeatureSpec {
            floor: 0.0,
            ..good.clone()
        }),
        Some("floor")
    );
    assert_eq!(field_of(good), None);
}

proptest! {
    #[test]
    fn however_the_samples_are_cut_the_frames_are_the_same(cuts in prop::collection::vec(0usize..700, 0..12)) {
        let spec = FeatureSpec::default();
        let samples = busy_signal(3000, 0.4);
        let mut front = LogMel::new(&spec).unwrap();
        let mut features = Vec::new();
        let mut rest = &samples[..];
        for cut in cuts {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            front.push(now, &mut features);
            rest = later;
        }
        front.push(rest, &mut features);
        prop_assert_eq!(features, features_of(&spec, &samples));
    }
}
