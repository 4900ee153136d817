//! Tags of words as a chain: which sequence of tags is the best, when a tag is likelier after some than after others
//! (J. Lafferty, A. McCallum, F. Pereira, "Conditional Random Fields", 2001).

use super::tensors::{BadFile, Tensors};

/// Name of the scores in a file; a file without them has every allowed step at nought.
const STEPS: &str = "steps";

/// A tag of a word in the scheme of B. Sang (2000): a slot's first word, a further one, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tag {
    Outside,
    Begin(String),
    Inside(String),
}

impl Tag {
    pub fn parse(text: &str) -> Option<Tag> {
        match text.split_once('-') {
            Some(("B", slot)) => Some(Tag::Begin(slot.to_owned())),
            Some(("I", slot)) => Some(Tag::Inside(slot.to_owned())),
            None if text == "O" => Some(Tag::Outside),
            _ => None,
        }
    }

    /// Whether this tag may follow another, `None` at the beginning.
    fn may_follow(&self, before: Option<&Tag>) -> bool {
        match (self, before) {
            (Tag::Inside(slot), Some(Tag::Begin(open) | Tag::Inside(open))) => slot == open,
            (Tag::Inside(_), _) => false,
            _ => true,
        }
    }
}

/// Scores of the steps from tag to tag.
#[derive(Debug)]
pub(super) struct Chain {
    /// Of each tag as a sentence's first.
    first: Vec<f32>,
    /// For each tag those it may follow, with the score of the step.
    before: Vec<Vec<(usize, f32)>>,
}

/// The scores of a file's steps: `steps` [tags + 1, tags] from the tag of the row to that of the column, the last row for the
/// first word; all at nought where it has none.
///
/// # Errors
/// [`BadFile`] when these are of another shape or not finite.
pub(super) fn steps(tensors: &Tensors, tags: usize) -> Result<Vec<f32>, BadFile> {
    if tensors.has(STEPS) {
        return tensors.floats(STEPS, &[tags + 1, tags]);
    }
    Ok(vec![0.0; (tags + 1) * tags])
}

impl Chain {
    /// The chain of some tags with the scores of the steps between them.
    pub fn new(learnt: &[f32], tags: &[Tag]) -> Chain {
        let count = tags.len();
        let step = |before: usize, after: usize| learnt[before * count + after];
        let first = |(number, tag): (usize, &Tag)| {
            if tag.may_follow(None) {
                step(count, number)
            } else {
                f32::NEG_INFINITY
            }
        };
        let before = |(number, tag): (usize, &Tag)| {
            let allowed = (0..count).filter(|earlier| tag.may_follow(Some(&tags[*earlier])));
            allowed
                .map(|earlier| (earlier, step(earlier, number)))
                .collect()
        };
        Chain {
            first: tags.iter().enumerate().map(first).collect(),
            before: tags.iter().enumerate().map(before).collect(),
        }
    }

    /// The best sequence of tags for rows of their scores, one a word, in which no slot goes on that has not begun
    /// (A. Viterbi, 1967).
    pub fn best_path(&self, mut rows: impl Iterator<Item = Vec<f32>>) -> Vec<usize> {
        let Some(row) = rows.next() else {
            return Vec::new();
        };
        let mut best: Vec<f32> = row.iter().zip(&self.first).map(|(a, b)| a + b).collect();
        let mut back: Vec<Vec<usize>> = Vec::new();
        for row in rows {
            let reached: Vec<(usize, f32)> = self
                .before
                .iter()
                .map(|steps| highest(steps.iter().map(|(from, step)| (*from, best[*from] + step))))
                .collect();
            best = row
                .iter()
                .zip(&reached)
                .map(|(score, (_, so_far))| score + so_far)
                .collect();
            back.push(reached.into_iter().map(|(from, _)| from).collect());
        }
        let (last, _) = highest(best.iter().copied().enumerate());
        let mut path = vec![last];
        for from in back.iter().rev() {
            path.push(from[path[path.len() - 1]]);
        }
        path.reverse();
        path
    }
}

/// The number with the highest score.
fn highest(numbers: impl Iterator<Item = (usize, f32)>) -> (usize, f32) {
    numbers
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, f32::NEG_INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags() -> Vec<Tag> {
        ["O", "B-a", "I-a", "B-b", "I-b"]
            .into_iter()
            .map(|tag| Tag::parse(tag).unwrap())
            .collect()
    }

    fn chain(steps: Option<&[f32]>) -> Chain {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head.safetensors");
        let header = match steps {
            Some(steps) => format!(
                r#"{{"steps":{{"dtype":"F32","shape":[6,5],"data_offsets":[0,{}]}}}}"#,
                4 * steps.len()
            ),
            None => "{}".to_owned(),
        };
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend(
            steps
                .unwrap_or_default()
                .iter()
                .flat_map(|v| v.to_le_bytes()),
        );
        std::fs::write(&path, bytes).unwrap();
        let learnt = super::steps(&Tensors::read(&path).unwrap(), tags().len()).unwrap();
        Chain::new(&learnt, &tags())
    }

    #[test]
    fn no_slot_goes_on_that_has_not_begun() {
        let inside = vec![0.0, 0.5, 9.0, 0.0, 0.0];
        let path = chain(None).best_path(vec![inside.clone(), inside].into_iter());
        assert_eq!(path, [1, 2]);
    }

    #[test]
    fn learnt_steps_decide_between_tags_that_score_alike() {
        let row = vec![0.0, 1.0, 1.3, 1.05, 0.0];
        let without = chain(None).best_path(vec![row.clone(), row.clone()].into_iter());
        assert_eq!(without, [1, 2]);
        let mut steps = vec![0.0; 30];
        steps[5 + 2] = -2.0;
        steps[25 + 3] = 0.3;
        let with = chain(Some(&steps)).best_path(vec![row.clone(), row].into_iter());
        assert_eq!(with, [3, 3]);
    }

    #[test]
    fn steps_of_another_shape_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head.safetensors");
        let header = r#"{"steps":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend([0; 8]);
        std::fs::write(&path, bytes).unwrap();
        let refused = super::steps(&Tensors::read(&path).unwrap(), tags().len()).unwrap_err();
        assert!(refused.to_string().contains("steps"), "{refused}");
    }
}
