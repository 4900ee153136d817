//! A choice in words.

use std::fmt::Write;

use crate::choice::Choice;

/// What was seen, what was chosen and why, and what became of each accelerator: lines for a terminal.
pub fn explain(choice: &Choice) -> String {
    let mut text = String::new();
    section(&mut text, "Seen", &choice.seen);
    section(&mut text, "Chosen", &choice.why);
    section(&mut text, "Accelerators", &accelerators(choice));
    section(&mut text, "Clusters by profile", &clusters(choice));
    section(
        &mut text,
        "How far this is proven",
        std::slice::from_ref(&choice.profile.standing),
    );
    text
}

fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{title}:");
    for line in lines {
        let _ = writeln!(text, "  - {line}");
    }
}

fn accelerators(choice: &Choice) -> Vec<String> {
    if choice.accelerators.is_empty() {
        return vec!["the profile knows none that could run the models; the CPU is used".into()];
    }
    let used = |usable: bool| if usable { "used" } else { "not used" };
    choice
        .accelerators
        .iter()
        .map(|a| format!("{}: {}: {}", a.name, used(a.usable), a.reason))
        .collect()
}

fn clusters(choice: &Choice) -> Vec<String> {
    let line = |c: &crate::profile::ClusterSpec| {
        format!(
            "{} (cpu {}): {}, up to {} MHz, capacity {}, about {} mW a busy core (estimate)",
            c.name, c.cpus, c.core, c.max_mhz, c.capacity, c.estimated_mw
        )
    };
    choice.profile.clusters.iter().map(line).collect()
}
