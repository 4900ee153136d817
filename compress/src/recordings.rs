//! Recordings that a table lists, with what is said in them.

use std::path::{Path, PathBuf};

use vocar_speech::resample::RATE;
use vocar_speech::source::{AudioSource, RecordingError};

/// A row of a table of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The file, resolved against the table's folder.
    pub path: PathBuf,
    /// What is said, where the table has a column `text`.
    pub text: Option<String>,
}

/// Why a table of recordings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingsError {
    /// The table itself.
    #[error("{}: {problem}; give a tab-separated table with a header whose columns are `path` and, for recognition, `text`", file.display())]
    Table {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A recording that it lists.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Reads a table whose header names the columns `path` and perhaps `text`.
///
/// # Errors
/// [`RecordingsError::Table`] when it is not there, has no such column, or a row is too short.
pub fn list(table: &Path) -> Result<Vec<Recording>, RecordingsError> {
    let wrong = |problem: String| RecordingsError::Table {
        file: table.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(table).map_err(|e| wrong(e.to_string()))?;
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name);
    let path = column("path").ok_or_else(|| wrong("its header has no column `path`".into()))?;
    let said = column("text");
    let folder = table.parent().unwrap_or(Path::new("."));
    let row = |(number, line): (usize, &str)| {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied();
        let short = || wrong(format!("line {} has too few columns", number + 2));
        Ok(Recording {
            path: folder.join(
                cell(path)
                    .filter(|path| !path.is_empty())
                    .ok_or_else(short)?,
            ),
            text: said
                .map(|said| cell(said).map(str::to_owned).ok_or_else(short))
                .transpose()?,
        })
    };
    let rows = lines.enumerate().filter(|(_, line)| !line.is_empty());
    rows.map(row).collect()
}

impl Recording {
    /// Its sound, 16 kHz mono in [-1, 1].
    ///
    /// # Errors
    /// [`RecordingsError::Recording`] when it cannot be read.
    pub fn samples(&self) -> Result<Vec<f32>, RecordingsError> {
        let source = AudioSource::open(&self.path).map_err(RecordingError::from)?;
        Ok(source.whole()?)
    }
}

/// The first so many seconds of the recordings that a table lists.
///
/// # Errors
/// [`RecordingsError`] when the table or one of them cannot be read.
pub fn heard(table: &Path, seconds: f64) -> Result<Vec<Vec<f32>>, RecordingsError> {
    let (mut heard, mut wanted) = (Vec::new(), (seconds * f64::from(RATE)) as usize);
    for recording in list(table)? {
        if wanted == 0 {
            break;
        }
        let mut samples = recording.samples()?;
        samples.truncate(wanted);
        wanted -= samples.len();
        heard.push(samples);
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.tsv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn columns_are_found_by_their_names() {
        let (folder, path) = table("speaker\ttext\tpath\nx\topen the door\ta.wav\n\n");
        let rows = list(&path).unwrap();
        assert_eq!(
            rows,
            [Recording {
                path: folder.path().join("a.wav"),
                text: Some("open the door".into())
            }]
        );
        let (_folder, path) = table("path\na.wav\n");
        assert_eq!(list(&path).unwrap()[0].text, None);
    }

    #[test]
    fn what_is_no_table_of_recordings_is_refused_by_file_and_line() {
        for (text, part) in [
            ("file\na.wav\n", "`path`"),
            ("path\ttext\na.wav\n", "line 2"),
        ] {
            let (_folder, path) = table(text);
            let refused = list(&path).unwrap_err().to_string();
            assert!(
                refused.contains("table.tsv") && refused.contains(part),
                "{refused}"
            );
        }
        let (_folder, path) = table("path\nnowhere.wav\n");
        let refused = heard(&path, 1.0).unwrap_err().to_string();
        assert!(refused.contains("nowhere.wav"), "{refused}");
    }
}
