//! Sentences of Rhino and Home Assistant, read as templates of ours.

use super::plain_name;
use crate::template::{self, Expr};
use crate::words;

/// Whose sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    /// `[a, b]` one of, `(a, b)` optional, `$type:name`, `@macro`.
    Rhino,
    /// `(a|b)` one of, `[a|b]` optional, `{list:name}`, `<rule>`.
    HomeAssistant,
}

/// Groups deeper than this are a mistake.
const DEEPEST: usize = 30;
/// A permutation of more parts would be too many sentences.
const MOST_PERMUTED: usize = 4;

/// Reads a sentence.
///
/// # Errors
/// What cannot be kept, for a note.
pub(super) fn parse(text: &str, syntax: Syntax) -> Result<Expr, String> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        syntax,
        depth: 0,
    };
    let expr = reader.group(None)?;
    // The template's own reader has the last word on what is a sentence.
    template::parse(&expr.to_string()).map_err(|error| error.problem)
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    syntax: Syntax,
    depth: usize,
}

impl Reader {
    fn separator(&self) -> char {
        match self.syntax {
            Syntax::Rhino => ',',
            Syntax::HomeAssistant => '|',
        }
    }

    fn is_special(&self, c: char) -> bool {
        match self.syntax {
            Syntax::Rhino => "()[]$@,".contains(c),
            Syntax::HomeAssistant => "()[]{}<>|;".contains(c),
        }
    }

    /// Reads alternatives up to `close`. An empty one makes the others optional.
    fn group(&mut self, close: Option<char>) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("its brackets are nested too deeply".into());
        }
        let mut options: Vec<Vec<Expr>> = vec![Vec::new()];
        let mut permuted = vec![0];
        loop {
            let Some(c) = self.chars.get(self.at).copied() else {
                match close {
                    Some(close) => return Err(format!("a '{close}' is missing")),
                    None => break,
                }
            };
            if Some(c) == close {
                self.at += 1;
                break;
            }
            if c == self.separator() && close.is_some() {
                self.at += 1;
                options.push(Vec::new());
            } else if c == ';' && self.syntax == Syntax::HomeAssistant && close == Some(')') {
                self.at += 1;
                permuted.push(options[0].len());
            } else if let Some(last) = options.last_mut() {
                let part = part(self)?;
                last.extend(part);
            }
        }
        self.depth -= 1;
        if permuted.len() > 1 {
            return permutations(options, &permuted);
        }
        Ok(choice(options))
    }

    fn until(&mut self, close: char) -> Result<String, String> {
        let start = self.at;
        while let Some(c) = self.chars.get(self.at) {
            if *c == close {
                self.at += 1;
                return Ok(self.chars[start..self.at - 1].iter().collect());
            }
            self.at += 1;
        }
        Err(format!("a '{close}' is missing"))
    }

    /// A name as Rhino writes it: letters, digits, `_`, and `.` and `:` within.
    fn bare_name(&mut self) -> String {
        let start = self.at;
        let in_name = |c: char| c.is_ascii_alphanumeric() || "_.:".contains(c);
        while self.chars.get(self.at).copied().is_some_and(in_name) {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }
}

fn part(reader: &mut Reader) -> Result<Vec<Expr>, String> {
    let c = reader.chars[reader.at];
    if !reader.is_special(c) {
        return Ok(spoken(reader));
    }
    reader.at += 1;
    match (reader.syntax, c) {
        (Syntax::Rhino, '[') => reader.group(Some(']')).map(|expr| vec![expr]),
        (Syntax::HomeAssistant, '(') => reader.group(Some(')')).map(|expr| vec![expr]),
        (Syntax::Rhino, '(') => reader.group(Some(')')).map(optional),
        (Syntax::HomeAssistant, '[') => reader.group(Some(']')).map(optional),
        (Syntax::Rhino, '$') => slot(&reader.bare_name()),
        (Syntax::HomeAssistant, '{') => slot(&reader.until('}')?),
        (Syntax::Rhino, '@') => rule(&reader.bare_name()),
        (Syntax::HomeAssistant, '<') => rule(&reader.until('>')?),
        (_, c) => Err(format!("'{c}' stands where it means nothing")),
    }
}

fn slot(text: &str) -> Result<Vec<Expr>, String> {
    let (kind, name) = text.split_once(':').unwrap_or((text, text));
    if kind.is_empty() || name.is_empty() {
        return Err(format!("'{text}' is no slot"));
    }
    if kind.contains("..") {
        return Err(format!(
            "the range '{kind}' within a sentence is not supported"
        ));
    }
    Ok(vec![Expr::Slot {
        kind: slot_kind(kind),
        name: plain_name(name),
    }])
}

/// The slot type that stands for Rhino's built-in ones; any other by its plain name.
fn slot_kind(kind: &str) -> String {
    match kind {
        "pv.Percent" => "percent".into(),
        "pv.Alphabetic" => "spelling".into(),
        other => plain_name(other),
    }
}

fn rule(name: &str) -> Result<Vec<Expr>, String> {
    if name.is_empty() {
        return Err("a rule has no name".into());
    }
    Ok(vec![Expr::Rule(plain_name(name))])
}

fn spoken(reader: &mut Reader) -> Vec<Expr> {
    let start = reader.at;
    while reader
        .chars
        .get(reader.at)
        .is_some_and(|c| !reader.is_special(*c))
    {
        reader.at += 1;
    }
    let text: String = reader.chars[start..reader.at].iter().collect();
    let words = words::spoken(&text).into_iter().next().unwrap_or_default();
    words.into_iter().map(Expr::Word).collect()
}

fn sequence(mut parts: Vec<Expr>) -> Expr {
    if parts.len() == 1 {
        parts.remove(0)
    } else {
        Expr::Seq(parts)
    }
}

fn is_nothing(expr: &Expr) -> bool {
    matches!(expr, Expr::Seq(parts) if parts.is_empty())
}

fn optional(expr: Expr) -> Vec<Expr> {
    match expr {
        inner @ Expr::Opt(_) => vec![inner],
        nothing if is_nothing(&nothing) => Vec::new(),
        inner => vec![Expr::Opt(Box::new(inner))],
    }
}

fn choice(options: Vec<Vec<Expr>>) -> Expr {
    let can_be_nothing = options.len() > 1 && options.iter().any(Vec::is_empty);
    let mut said: Vec<Expr> = options
        .into_iter()
        .filter(|option| !option.is_empty())
        .map(sequence)
        .collect();
    let expr = match said.len() {
        0 => return Expr::Seq(Vec::new()),
        1 => said.remove(0),
        _ => Expr::Alt(said),
    };
    if can_be_nothing {
        Expr::Opt(Box::new(expr))
    } else {
        expr
    }
}

/// `(a;b)`: all orders of the parts, which begin at the given places of the only option.
fn permutations(mut options: Vec<Vec<Expr>>, starts: &[usize]) -> Result<Expr, String> {
    if options.len() > 1 {
        return Err("a group mixes '|' and ';'".into());
    }
    if starts.len() > MOST_PERMUTED {
        return Err(format!("a permutation has more than {MOST_PERMUTED} parts"));
    }
    let all = options.pop().unwrap_or_default();
    let ends = starts[1..].iter().copied().chain([all.len()]);
    let parts: Vec<Expr> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| sequence(all[*start..end].to_vec()))
        .filter(|part| !is_nothing(part))
        .collect();
    let mut orders: Vec<Vec<Expr>> = vec![Vec::new()];
    for part in parts {
        orders = orders
            .iter()
            .flat_map(|order| {
                let part = part.clone();
                (0..=order.len()).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, part.clone());
                    longer
                })
            })
            .collect();
    }
    Ok(choice(orders))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences_become_templates() {
        for (syntax, text, template) in [
            (
                Syntax::Rhino,
                "[turn, switch] on (the, all) $room:where lights",
                "(turn|switch) on [the|all] {room:where} lights",
            ),
            (
                Syntax::Rhino,
                "set to $pv.Percent:level @please",
                "set to {percent:level} <please>",
            ),
            (
                Syntax::HomeAssistant,
                "<turn> on [the] {area:room} (light|lamp)",
                "<turn> on [the] {area:room} (light|lamp)",
            ),
            (
                Syntax::HomeAssistant,
                "open (the|) Door!",
                "open [the] door",
            ),
            (
                Syntax::HomeAssistant,
                "set {brightness}[%| percent]",
                "set {brightness} [percent|percent]",
            ),
            (
                Syntax::HomeAssistant,
                "(now;open the door) please",
                "(open the door now|now open the door) please",
            ),
            (Syntax::HomeAssistant, "wait 5 minutes", "wait five minutes"),
        ] {
            let expr = parse(text, syntax).unwrap();
            assert_eq!(expr, template::parse(template).unwrap(), "{text}: {expr}");
        }
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        for (syntax, text, part) in [
            (Syntax::HomeAssistant, "open (the", "')' is missing"),
            (Syntax::HomeAssistant, "open a|b", "means nothing"),
            (Syntax::HomeAssistant, "set {0..100:x}", "range"),
            (Syntax::HomeAssistant, "[open]", ""),
            (Syntax::Rhino, "set $:x", "no slot"),
            (Syntax::Rhino, "", "empty"),
        ] {
            match parse(text, syntax) {
                Ok(expr) => assert!(matches!(expr, Expr::Opt(_)), "{text}: {expr}"),
                Err(why) => assert!(why.contains(part), "{text}: {why}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_sentence_breaks_the_reader(text in "[a-c(){}<>|;,$@:\\[\\] 0é']{0,40}", rhino: bool) {
            let syntax = if rhino { Syntax::Rhino } else { Syntax::HomeAssistant };
            if let Ok(expr) = parse(&text, syntax) {
                prop_assert!(template::parse(&expr.to_string()).is_ok());
            }
        }
    }
}
