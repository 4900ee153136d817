//! Sentence templates: `(a|b)` one of, `[a]` or `[a|b]` optional, `{slot}`, `{type:slot}`, `<rule>`, and plain words.

use std::fmt;

use crate::words;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// One word of `[a-z']`.
    Word(String),
    /// A typed value: `{kind:name}`; `{name}` is short for `{name:name}`.
    Slot {
        /// Slot type: a list, an entity list, a `[slots]` entry or a builtin.
        kind: String,
        /// Name of the slot in the intent.
        name: String,
    },
    /// A reusable part from `[rules]`.
    Rule(String),
    /// One after the other; empty says nothing.
    Seq(Vec<Expr>),
    /// Exactly one of them.
    Alt(Vec<Expr>),
    /// It or nothing.
    Opt(Box<Expr>),
}

/// Where and why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {problem}; {mend}")]
pub struct TemplateError {
    /// 1-based column in characters.
    pub column: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub mend: String,
}

/// Groups deeper than this are a mistake (or an attack on the stack), not a sentence.
const DEEPEST: usize = 32;

/// Reads a template.
///
/// # Errors
/// Unbalanced brackets, empty groups or names, characters that are no words (digits among them: write numbers as words
/// or use a slot), nesting deeper than 32.
pub fn parse(text: &str) -> Result<Expr, TemplateError> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        depth: 0,
    };
    let expr = reader.alternatives(None)?;
    if says_nothing(&expr) {
        return Err(reader.error(0, "the template is empty", "write the words people say"));
    }
    Ok(expr)
}

/// True when the expression has neither words nor slots nor rules in it.
fn says_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Word(_) | Expr::Slot { .. } | Expr::Rule(_) => false,
        Expr::Seq(parts) | Expr::Alt(parts) => parts.iter().all(says_nothing),
        Expr::Opt(inner) => says_nothing(inner),
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn error(
        &self,
        at: usize,
        problem: impl Into<String>,
        mend: impl Into<String>,
    ) -> TemplateError {
        TemplateError {
            column: at + 1,
            problem: problem.into(),
            mend: mend.into(),
        }
    }

    /// Reads `a b|c d` up to `close` (consumed) or the end of the text.
    fn alternatives(&mut self, close: Option<char>) -> Result<Expr, TemplateError> {
        let opened = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.error(
                opened,
                "brackets are nested too deeply",
                "move parts into [rules]",
            ));
        }
        let mut options = vec![Vec::new()];
        loop {
            match self.chars.get(self.at).copied() {
                None if close.is_none() => break,
                None => {
                    let want = close.unwrap_or(')');
                    let mend = format!("add the closing '{want}'");
                    return Err(self.error(
                        opened.saturating_sub(1),
                        "this bracket is never closed",
                        mend,
                    ));
                }
                Some(c) if Some(c) == close => {
                    self.at += 1;
                    break;
                }
                Some('|') if close.is_some() => {
                    self.at += 1;
                    options.push(Vec::new());
                }
                Some(_) => {
                    let part = self.part()?;
                    if let (Some(part), Some(option)) = (part, options.last_mut()) {
                        option.push(part);
                    }
                }
            }
        }
        self.depth -= 1;
        if close.is_some() && options.iter().any(Vec::is_empty) {
            return Err(self.error(
                opened,
                "an alternative is empty",
                "use [a|b] to make a choice optional",
            ));
        }
        let mut options: Vec<Expr> = options.into_iter().map(sequence).collect();
        Ok(if options.len() == 1 {
            options.remove(0)
        } else {
            Expr::Alt(options)
        })
    }

    fn part(&mut self) -> Result<Option<Expr>, TemplateError> {
        let start = self.at;
        let c = self.chars[start];
        self.at += 1;
        match c {
            ' ' | '\t' | '\n' => Ok(None),
            '(' => self.alternatives(Some(')')).map(Some),
            '[' => self
                .alternatives(Some(']'))
                .map(|inner| Some(Expr::Opt(Box::new(inner)))),
            '{' => self.slot(start).map(Some),
            '<' => self.name(start, '>').map(|name| Some(Expr::Rule(name))),
            ')' | ']' | '}' | '>' => Err(self.error(
                start,
                format!("'{c}' closes nothing"),
                "remove it or add its opening bracket",
            )),
            '|' => Err(self.error(
                start,
                "'|' outside a group",
                "put the alternatives in ( ) or [ ]",
            )),
            c if is_word_char(c) => self.word(start).map(Some),
            c if c.is_ascii_digit() => Err(self.error(
                start,
                format!("digit '{c}'"),
                "write the number as a word or use {number}",
            )),
            c => Err(self.error(
                start,
                format!("'{c}' is not part of a word"),
                "use the letters a to z and '",
            )),
        }
    }

    fn word(&mut self, start: usize) -> Result<Expr, TemplateError> {
        while self.chars.get(self.at).copied().is_some_and(is_word_char) {
            self.at += 1;
        }
        let written: String = self.chars[start..self.at].iter().collect();
        let said = words::spoken(&written)
            .into_iter()
            .next()
            .unwrap_or_default();
        if said.is_empty() {
            return Err(self.error(
                start,
                format!("'{written}' is no word"),
                "use at least one letter",
            ));
        }
        Ok(sequence(said.into_iter().map(Expr::Word).collect()))
    }

    fn slot(&mut self, start: usize) -> Result<Expr, TemplateError> {
        let text = self.name(start, '}')?;
        let (kind, name) = text.split_once(':').unwrap_or((&text, &text));
        if kind.is_empty() || name.is_empty() || name.contains(':') {
            return Err(self.error(
                start,
                format!("'{{{text}}}' is no slot"),
                "write {name} or {type:name}",
            ));
        }
        Ok(Expr::Slot {
            kind: kind.into(),
            name: name.into(),
        })
    }

    fn name(&mut self, start: usize, close: char) -> Result<String, TemplateError> {
        let begin = self.at;
        while self.chars.get(self.at).is_some_and(|c| is_name_char(*c)) {
            self.at += 1;
        }
        let name: String = self.chars[begin..self.at].iter().collect();
        if self.chars.get(self.at) != Some(&close) {
            let mend = format!("names are a-z, 0-9 and _, then '{close}'");
            return Err(self.error(
                start,
                format!("the name '{name}' is not closed by '{close}'"),
                mend,
            ));
        }
        self.at += 1;
        if name.is_empty() {
            return Err(self.error(
                start,
                "a name is missing between the brackets",
                "write a name",
            ));
        }
        Ok(name)
    }
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '\''
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':'
}

/// A sequence with inner sequences opened up and a single part standing for itself.
fn sequence(parts: Vec<Expr>) -> Expr {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Expr::Seq(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    if flat.len() == 1 {
        flat.remove(0)
    } else {
        Expr::Seq(flat)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |parts: &[Expr], glue: &str| {
            parts
                .iter()
                .map(Expr::to_string)
                .collect::<Vec<_>>()
                .join(glue)
        };
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Slot { kind, name } if kind == name => write!(f, "{{{name}}}"),
            Self::Slot { kind, name } => write!(f, "{{{kind}:{name}}}"),
            Self::Rule(name) => write!(f, "<{name}>"),
            Self::Seq(parts) => f.write_str(&joined(parts, " ")),
            Self::Alt(parts) => write!(f, "({})", joined(parts, "|")),
            Self::Opt(inner) => match inner.as_ref() {
                Self::Alt(parts) => write!(f, "[{}]", joined(parts, "|")),
                other => write!(f, "[{other}]"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(text: &str) -> Expr {
        Expr::Word(text.into())
    }

    #[test]
    fn every_form_is_read() {
        let expr = parse("set [the] (heat|cold air) to {number:level} <more>").unwrap();
        let expected = Expr::Seq(vec![
            word("set"),
            Expr::Opt(Box::new(word("the"))),
            Expr::Alt(vec![
                word("heat"),
                Expr::Seq(vec![word("cold"), word("air")]),
            ]),
            word("to"),
            Expr::Slot {
                kind: "number".into(),
                name: "level".into(),
            },
            Expr::Rule("more".into()),
        ]);
        assert_eq!(expr, expected);
    }

    #[test]
    fn spellings_meet_in_one_form() {
        assert_eq!(parse("AC Tyre").unwrap().to_string(), "a c tire");
    }

    #[test]
    fn mistakes_name_the_column_and_the_mend() {
        for (text, column, part) in [
            ("open (the|a door", 6, "never closed"),
            ("open ]", 6, "closes nothing"),
            ("open a|b", 7, "outside a group"),
            ("level 3", 7, "digit"),
            ("set {}", 5, "missing"),
            ("set {Level}", 5, "not closed"),
            ("set {a:b:c}", 5, "no slot"),
            ("(a|)", 2, "empty"),
            ("", 1, "empty"),
            ("über", 1, "not part of a word"),
            ("turn <x on", 6, "not closed"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        assert!(parse(&"(".repeat(200)).is_err());
    }

    fn expr() -> impl Strategy<Value = Expr> {
        let leaf = prop_oneof![
            "[b-z][a-z]{2,5}z".prop_map(Expr::Word),
            ("[a-z]{1,4}", "[a-z]{1,4}").prop_map(|(kind, name)| Expr::Slot { kind, name }),
            "[a-z]{1,4}".prop_map(Expr::Rule),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(sequence),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Alt),
                inner.prop_map(|e| Expr::Opt(Box::new(e))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(expr in expr()) {
            prop_assert_eq!(parse(&expr.to_string()).unwrap(), expr);
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[a-c(){}<>|:\\[\\] 0é']{0,40}") {
            let _ = parse(&text);
        }
    }
}
