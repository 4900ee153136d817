//! What can be wrong with the text and table files of a speech bundle.

use vocar_inference::BundleError;

/// Why a phone table, lexicon, pronunciation model or phone bigram was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The file could not be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The file could not be read.
    #[error("{file}: cannot be read ({source}); check its permissions and the disk")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a text file is wrong.
    #[error("{file}: line {line}: {problem}; correct the file or reinstall the bundle")]
    Line {
        /// The file.
        file: String,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A whole file is wrong.
    #[error("{file}: {problem}; reinstall the bundle")]
    Content {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
}

impl ResourceError {
    pub(crate) fn line(file: &str, line: usize, problem: impl Into<String>) -> ResourceError {
        ResourceError::Line {
            file: file.to_owned(),
            line,
            problem: problem.into(),
        }
    }

    pub(crate) fn content(file: &str, problem: impl Into<String>) -> ResourceError {
        ResourceError::Content {
            file: file.to_owned(),
            problem: problem.into(),
        }
    }
}
