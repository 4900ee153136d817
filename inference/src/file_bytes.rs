//! A file's bytes for a decoder, a window of them in memory at a time: a network is held once, not once more as its file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use prost::bytes::{Buf, Bytes};

/// Bytes in memory at a time.
const WINDOW: usize = 1 << 16;

/// The bytes of a file, in order. A decoder cannot be told that reading failed: it gets zeros then, and
/// [`FileBytes::finish`] says why.
pub(crate) struct FileBytes {
    file: File,
    /// Not taken yet, those in the window among them.
    left: usize,
    window: Vec<u8>,
    /// Of the window, taken already.
    taken: usize,
    /// What [`Buf::copy_to_bytes`] hands out, one after the other: the decoder copies each once more and lets it go. An
    /// allocation for each would leave holes between what stays, where the next does not fit.
    lent: Arc<Vec<u8>>,
    failure: Option<io::Error>,
}

/// A part of a file that is lent to the decoder.
struct Lent(Arc<Vec<u8>>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FileBytes {
    /// Opens a file.
    ///
    /// # Errors
    /// The system's, when there is no such file or it may not be read.
    pub fn open(path: &Path) -> io::Result<FileBytes> {
        let file = File::open(path)?;
        let left = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = FileBytes {
            file,
            left,
            window: vec![0; WINDOW],
            taken: 0,
            lent: Arc::default(),
            failure: None,
        };
        bytes.refill();
        Ok(bytes)
    }

    /// Whether all bytes that were taken are the file's.
    ///
    /// # Errors
    /// Why the file could not be read to where it was.
    pub fn finish(self) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    fn refill(&mut self) {
        self.window.resize(self.left.min(WINDOW), 0);
        self.taken = 0;
        if self.failure.is_none() {
            self.failure = self.file.read_exact(&mut self.window).err();
        }
        if self.failure.is_some() {
            self.window.fill(0);
        }
    }
}

impl Buf for FileBytes {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        &self.window[self.taken..]
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.left, "bytes that a file has");
        while count > 0 {
            let step = count.min(self.window.len() - self.taken);
            self.taken += step;
            self.left -= step;
            count -= step;
            if self.taken == self.window.len() {
                self.refill();
            }
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        assert!(count <= self.left, "bytes that a file has");
        let mut lent = std::mem::take(&mut self.lent);
        // Copied afresh only while the last part is still lent.
        let part = Arc::make_mut(&mut lent);
        part.resize(count, 0);
        self.copy_to_slice(part);
        self.lent = Arc::clone(&lent);
        Bytes::from_owner(Lent(lent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_in_order_across_windows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        for length in [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 17] {
            let wanted: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
            std::fs::write(&path, &wanted).unwrap();
            let mut bytes = FileBytes::open(&path).unwrap();
            let mut parts = Vec::new();
            while bytes.has_remaining() {
                let count = bytes.remaining().min(1000);
                parts.push(bytes.copy_to_bytes(count));
            }
            assert!(parts.concat() == wanted, "{length} bytes");
            bytes.finish().unwrap();
        }
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bytes");
        std::fs::write(&path, vec![7; 2 * WINDOW]).unwrap();
        let mut bytes = FileBytes::open(&path).unwrap();
        std::fs::write(&path, [7]).unwrap();
        let all = bytes.copy_to_bytes(2 * WINDOW);
        assert!(all[..WINDOW].iter().all(|&b| b == 7) && all[WINDOW..].iter().all(|&b| b == 0));
        let failure = bytes.finish().unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::UnexpectedEof);
    }
}
