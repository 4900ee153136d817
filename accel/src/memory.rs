//! Memory that two processes see. Its size is sealed: the other end cannot take it away.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};

/// Memory shared with another process, for floats at offsets in bytes.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    map: MmapRaw,
}

/// What the size is sealed with.
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

impl SharedMemory {
    /// New memory of so many bytes, all noughts, whose size is fixed for good.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn create(bytes: usize) -> io::Result<SharedMemory> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name ends with a nought; nothing else is handed over.
        let number = unsafe { libc::memfd_create(c"vocar-tensors".as_ptr(), flags) };
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system has just made this descriptor for us alone.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(number) });
        file.set_len(bytes as u64)?;
        // SAFETY: the descriptor is open; the call takes numbers alone.
        if unsafe { libc::fcntl(number, libc::F_ADD_SEALS, SEALS) } < 0 {
            return Err(io::Error::last_os_error());
        }
        SharedMemory::map(file)
    }

    /// Memory that another process made.
    ///
    /// # Errors
    /// When it is none, or its size is not sealed.
    pub fn open(descriptor: OwnedFd) -> io::Result<SharedMemory> {
        // SAFETY: the descriptor is open; the call takes numbers alone.
        let seals = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            let text = "this is no memory whose size is sealed";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        SharedMemory::map(File::from(descriptor))
    }

    fn map(file: File) -> io::Result<SharedMemory> {
        // The size is sealed, so what is mapped stays there.
        let map = MmapOptions::new().map_raw(&file)?;
        Ok(SharedMemory { file, map })
    }

    /// Another descriptor of it, to give away.
    ///
    /// # Errors
    /// When the system has no more.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        let borrowed: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(&self.file);
        borrowed.try_clone_to_owned()
    }

    /// Where `count` floats lie at an offset, if they do. The other process may write there at any time.
    #[must_use]
    pub fn at(&self, offset: usize, count: usize) -> Option<*mut f32> {
        let end = count.checked_mul(size_of::<f32>())?.checked_add(offset)?;
        let fits = end <= self.map.len() && offset.is_multiple_of(align_of::<f32>());
        // SAFETY: the offset lies within the mapping, or at its end.
        fits.then(|| unsafe { self.map.as_mut_ptr().add(offset) }.cast())
    }

    /// Writes floats there. False when they do not fit.
    #[must_use]
    pub fn write(&self, offset: usize, values: &[f32]) -> bool {
        let Some(place) = self.at(offset, values.len()) else {
            return false;
        };
        // SAFETY: so many floats fit there; a mapping and a slice of ours do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), place, values.len()) };
        true
    }

    /// Copies floats from there; what is judged afterwards is the copy, which nobody else can change. False when so many
    /// are not there.
    #[must_use]
    pub fn read(&self, offset: usize, values: &mut [f32]) -> bool {
        let Some(place) = self.at(offset, values.len()) else {
            return false;
        };
        // SAFETY: so many floats are there; a mapping and a slice of ours do not overlap; any bits are a float.
        unsafe { std::ptr::copy_nonoverlapping(place, values.as_mut_ptr(), values.len()) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_writes_the_other_reads() {
        let ours = SharedMemory::create(4096).unwrap();
        let theirs = SharedMemory::open(ours.descriptor().unwrap()).unwrap();
        assert!(ours.write(64, &[1.0, 2.0]));
        let mut read = [0.0; 2];
        assert!(theirs.read(64, &mut read));
        assert_eq!(read, [1.0, 2.0]);
    }

    #[test]
    fn nothing_lies_outside_or_between() {
        let memory = SharedMemory::create(128).unwrap();
        assert!(memory.at(0, 32).is_some());
        assert!(memory.at(4, 32).is_none() && memory.at(2, 1).is_none());
        assert!(memory.at(usize::MAX, 1).is_none() && memory.at(0, usize::MAX).is_none());
    }

    #[test]
    fn its_size_cannot_be_changed_and_must_be_so() {
        let memory = SharedMemory::create(128).unwrap();
        assert!(File::from(memory.descriptor().unwrap()).set_len(0).is_err());
        let plain = tempfile::tempfile().unwrap();
        assert!(SharedMemory::open(plain.into()).is_err());
    }
}
