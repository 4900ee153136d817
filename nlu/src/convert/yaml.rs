//! YAML and JSON, which is YAML too, as a tree that knows its lines.

use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::domain::{DomainError, Place};

/// Nesting deeper than this is a mistake or an attack on the stack.
const DEEPEST: usize = 64;

/// One file.
#[derive(Debug)]
pub(super) struct Document {
    pub file: PathBuf,
    pub root: Node,
}

/// A value with the line it begins on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A text, a number, true or false: as written.
    Text(String),
    Null,
    List(Vec<Node>),
    /// Keys in the order of the file; a value has the line of its key.
    Map(Vec<(String, Node)>),
}

impl Node {
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, node)| node)
    }

    /// Keys and values of a map; none of anything else.
    pub fn entries(&self) -> &[(String, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; one of anything else, none of nothing.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<f64> {
        self.text()?
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
    }

    pub fn is_true(&self) -> bool {
        self.text() == Some("true")
    }
}

impl Document {
    pub fn place(&self, node: &Node, field: &str) -> Place {
        place(&self.file, Some(node.line), field)
    }
}

pub(super) fn place(file: &Path, line: Option<usize>, field: &str) -> Place {
    Place {
        file: file.to_path_buf(),
        line,
        field: field.into(),
    }
}

/// The file, or the files of the folder and of those in it, by name.
pub(super) fn documents(path: &Path) -> Result<Vec<Document>, DomainError> {
    let mut files = Vec::new();
    collect(path, &mut files, 0)?;
    files.sort();
    files.into_iter().map(|file| read(&file)).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> DomainError {
    place(path, None, "file").error(
        format!("cannot be read: {error}"),
        "check the name and the permissions",
    )
}

fn collect(path: &Path, files: &mut Vec<PathBuf>, depth: usize) -> Result<(), DomainError> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    for entry in entries {
        let inner = entry.map_err(|error| unreadable(path, &error))?.path();
        let known = inner
            .extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if known || (inner.is_dir() && depth < 4) {
            collect(&inner, files, depth + 1)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Document, DomainError> {
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
    let root = parse(&text).map_err(|(line, problem)| {
        place(file, Some(line), "syntax").error(problem, "correct this line")
    })?;
    Ok(Document {
        file: file.to_path_buf(),
        root,
    })
}

/// The first document of a text; the line and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: Vec::new(),
        copied: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd, line) => return Err((line, "the file is empty".into())),
            (event, line) => return reader.node(event, line, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: Vec<(usize, Node)>,
    /// Nodes that aliases have copied.
    copied: usize,
}

/// Aliases may copy this many nodes in all; a few lines of aliases of aliases could fill the memory.
const MOST_COPIED: usize = 10_000;

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), (usize, String)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err((error.marker().line(), error.info().to_string())),
            None => Err((1, "the file ends too early".into())),
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        line: usize,
        depth: usize,
    ) -> Result<Node, (usize, String)> {
        if depth > DEEPEST {
            return Err((line, "is nested too deeply".into()));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let value = if null {
                    Value::Null
                } else {
                    Value::Text(text.into_owned())
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => (Value::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Value::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => return self.alias(anchor, line),
            _ => return Err((line, "a value is missing".into())),
        };
        let node = Node { line, value };
        if anchor > 0 {
            self.anchors.push((anchor, node.clone()));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, (usize, String)> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, (usize, String)> {
        let mut entries = Vec::new();
        loop {
            let (event, line) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let Value::Text(key) = self.node(event, line, depth + 1)?.value else {
                return Err((line, "a key is no text".into()));
            };
            let (event, place) = self.next()?;
            let value = self.node(event, place, depth + 1)?.value;
            entries.push((key, Node { line, value }));
        }
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<Node, (usize, String)> {
        let found = self.anchors.iter().rev().find(|(id, _)| *id == anchor);
        let Some((_, node)) = found else {
            return Err((line, "an alias has no anchor".into()));
        };
        self.copied += size(node);
        if self.copied > MOST_COPIED {
            return Err((line, "aliases stand for too much".into()));
        }
        Ok(node.clone())
    }
}

fn size(node: &Node) -> usize {
    let inner: usize = match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
        _ => 0,
    };
    inner + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_know_their_lines() {
        let root = parse("a: 1\nb:\n  - x\n  - {c: 'null', d: null}\ne: &n [p]\nf: *n\n").unwrap();
        assert_eq!(root.get("a").unwrap().number(), Some(1.0));
        assert_eq!(root.get("b").unwrap().line, 2);
        let items = root.get("b").unwrap().items();
        assert_eq!((items[0].text(), items[0].line), (Some("x"), 3));
        assert_eq!(items[1].get("c").unwrap().text(), Some("null"));
        assert_eq!(items[1].get("d").unwrap().value, Value::Null);
        assert_eq!(items[1].get("d").unwrap().line, 4);
        assert_eq!(root.get("f").unwrap().items()[0].text(), Some("p"));
        let json = parse("{\n \"a\": [1.5,\n true], \"b\": \"\\u00fc\"}").unwrap();
        assert_eq!(json.get("a").unwrap().items()[1].line, 3);
        assert_eq!(json.get("b").unwrap().text(), Some("ü"));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(parse("a: 1\nb: [1\nc: 2").unwrap_err().0, 3);
        assert!(parse("").is_err());
        assert!(parse("{[a]: b}").is_err());
        assert!(parse(&"[".repeat(500)).is_err());
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for n in 1..40 {
            bomb.push_str(&format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1));
        }
        assert!(parse(&bomb).unwrap_err().1.contains("too much"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-c:\\-\\[\\]{}&*!|>'\"#%@, \n\té]{0,60}") {
            let _ = parse(&text);
        }
    }
}
