//! The report as text.

use super::{Energy, Row, Score, WordRow};

/// The rows as a Markdown table; sizes and times against the first one.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| network | file | smaller | step, median | 95 % | faster | real-time factor | memory | nats a frame | same phone | recognised | word error |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let first = &rows[0];
        text += &format!(
            "| {} | {:.2} MB | {:.2} x | {:.2} ms | {:.2} ms | {:.2} x | {:.4} | {:.1} MB | {:.4} | {:.1} % | {} |\n",
            row.name,
            row.bytes as f64 / 1e6,
            first.bytes as f64 / row.bytes as f64,
            row.median_ms,
            row.p95_ms,
            first.median_ms / row.median_ms,
            row.rtf,
            row.peak_bytes as f64 / 1e6,
            row.divergence,
            100.0 * row.same,
            recognised(row.recognition.as_ref())
        );
    }
    text
}

/// The rows of a bundle of words as a Markdown table; sizes and times against the first one.
pub fn words_markdown(rows: &[WordRow]) -> String {
    let mut text = String::from(
        "| network | file | smaller | rows and heads | eight words, median | 95 % | faster | sentence, median | 95 % | memory | read alike | intent | and slots | slot F1 | others taken |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let (first, reading) = (&rows[0], &row.reading);
        let taken = match reading.others {
            0 => "–".to_owned(),
            _ => format!("{:.1} %", 100.0 * reading.others_taken),
        };
        text += &format!(
            "| {} | {:.2} MB | {:.2} x | {:.2} MB | {:.3} ms | {:.3} ms | {:.2} x | {:.3} ms | {:.3} ms | {:.1} MB | {:.1} % | {:.1} % | {:.1} % | {:.1} % | {taken} |\n",
            row.name,
            row.bytes as f64 / 1e6,
            first.bytes as f64 / row.bytes as f64,
            row.beside_bytes as f64 / 1e6,
            row.median_ms,
            row.p95_ms,
            first.median_ms / row.median_ms,
            reading.median_ms,
            reading.p95_ms,
            row.peak_bytes as f64 / 1e6,
            100.0 * row.same,
            100.0 * reading.intent,
            100.0 * reading.intent_and_slots,
            100.0 * reading.slot_f1,
        );
    }
    text
}

fn recognised(score: Option<&Score>) -> String {
    score.map_or_else(
        || "– | –".into(),
        |score| {
            let (right, errors) = (100.0 * score.accepted_right, 100.0 * score.word_error);
            format!("{right:.1} % | {errors:.1} %")
        },
    )
}

/// What a drive costs: processor seconds, and, with the power of a busy core in milliwatts, an estimate of the energy.
pub fn energy_text(energy: &Energy, core: Option<(&str, u32)>) -> String {
    let mut text = format!(
        "{:.0} s of sound, {:.1} % speech: {:.1} processor seconds behind voice activity\n",
        energy.seconds,
        100.0 * energy.speech,
        energy.cascade_s,
    );
    let joules = |seconds: f64, milliwatts: u32| seconds * f64::from(milliwatts) / 1e3;
    for (operators, seconds) in [
        ("our operators", energy.always_on_s),
        ("stock tract", energy.always_on_stock_s),
    ] {
        let saved = 100.0 * energy.saved(seconds);
        text += &format!(
            "always on in floats with {operators}: {seconds:.1} processor seconds, of which the cascade saves {saved:.1} %\n"
        );
        if let Some((name, milliwatts)) = core {
            let (ours, theirs) = (
                joules(energy.cascade_s, milliwatts),
                joules(seconds, milliwatts),
            );
            text += &format!(
                "estimate for {name}, {milliwatts} mW a busy core, were it as fast as this one: {ours:.1} J against {theirs:.1} J\n"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, bytes: u64, median_ms: f64) -> Row {
        Row {
            name: name.into(),
            bytes,
            median_ms,
            p95_ms: 2.0 * median_ms,
            rtf: median_ms / 240.0,
            peak_bytes: 30_000_000,
            divergence: 0.01,
            same: 0.995,
            recognition: None,
        }
    }

    #[test]
    fn the_table_compares_with_its_first_row() {
        let mut rows = [row("f32", 8_000_000, 2.4), row("int8", 2_000_000, 0.6)];
        rows[1].recognition = Some(Score {
            asked: 10,
            accepted_right: 0.9,
            accepted_wrong: 0.1,
            best_right: 0.9,
            word_error: 0.05,
        });
        let text = markdown(&rows);
        let last: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!(
            last,
            [
                "| int8 | 2.00 MB | 4.00 x | 0.60 ms | 1.20 ms | 4.00 x | 0.0025 | 30.0 MB | 0.0100 | 99.5 % | 90.0 % | 5.0 % |",
                "| f32 | 8.00 MB | 1.00 x | 2.40 ms | 4.80 ms | 1.00 x | 0.0100 | 30.0 MB | 0.0100 | 99.5 % | – | – |",
            ]
        );
    }

    #[test]
    fn energy_is_seconds_times_power() {
        let energy = Energy {
            seconds: 3600.0,
            speech: 0.05,
            cascade_s: 10.0,
            always_on_s: 40.0,
            always_on_stock_s: 100.0,
        };
        let text = energy_text(&energy, Some(("prime", 2000)));
        for part in [
            "saves 75.0 %",
            "saves 90.0 %",
            "20.0 J against 80.0 J",
            "20.0 J against 200.0 J",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
