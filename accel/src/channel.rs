//! Messages over a socket: four bytes of length, then JSON. Everything has a deadline.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// No message is longer, in bytes: what claims to be is no message.
const LONGEST: usize = 1 << 20;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other end is gone.
    #[error("the other end has closed the channel")]
    Closed,
    /// Nothing (whole) came in time.
    #[error("nothing came within {} ms", .0.as_millis())]
    Late(Duration),
    /// What came is no message.
    #[error("what came is no message: {0}")]
    Garbled(String),
    /// The system failed.
    #[error("the channel failed: {0}")]
    System(#[from] io::Error),
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(UnixStream);

impl Channel {
    /// A channel over a socket.
    #[must_use]
    pub const fn new(socket: UnixStream) -> Channel {
        Channel(socket)
    }

    /// Another handle of the same end.
    ///
    /// # Errors
    /// When the system has no more handles.
    pub fn again(&self) -> io::Result<Channel> {
        self.0.try_clone().map(Channel)
    }

    /// The socket under it.
    pub(crate) fn into_socket(self) -> UnixStream {
        self.0
    }

    /// Sends a message. The messages of one end must not be sent by two threads at once.
    ///
    /// # Errors
    /// [`ChannelError::Late`] when the other end takes nothing for `patience`.
    pub fn send(
        &mut self,
        message: &impl Serialize,
        patience: Duration,
    ) -> Result<(), ChannelError> {
        let text = serde_json::to_vec(message).map_err(|e| ChannelError::Garbled(e.to_string()))?;
        let length = u32::try_from(text.len())
            .map_err(|_| ChannelError::Garbled(format!("{} bytes", text.len())))?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(text);
        self.0.set_write_timeout(Some(patience))?;
        self.0.write_all(&bytes).map_err(|e| named(e, patience))
    }

    /// The next message; without `patience` it is waited for as long as the other end lives.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn receive<T: DeserializeOwned>(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<T, ChannelError> {
        let end = patience.map(|patience| Instant::now() + patience);
        let late = patience.unwrap_or_default();
        let mut length = [0; 4];
        self.fill(&mut length, end, late)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Err(ChannelError::Garbled(format!("it claims {length} bytes")));
        }
        let mut text = vec![0; length];
        self.fill(&mut text, end, late)?;
        serde_json::from_slice(&text).map_err(|e| ChannelError::Garbled(e.to_string()))
    }

    /// Reads all of `bytes` before `end`, however many pieces they come in.
    fn fill(
        &mut self,
        bytes: &mut [u8],
        end: Option<Instant>,
        patience: Duration,
    ) -> Result<(), ChannelError> {
        let mut done = 0;
        while done < bytes.len() {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(ChannelError::Late(patience));
            }
            self.0.set_read_timeout(left)?;
            match self.0.read(&mut bytes[done..]) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(named(e, patience)),
            }
        }
        Ok(())
    }
}

fn named(error: io::Error, patience: Duration) -> ChannelError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ChannelError::Late(patience),
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::UnexpectedEof => ChannelError::Closed,
        _ => ChannelError::System(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Loaded, Reply, Request};
    use proptest::prelude::*;

    const SOON: Duration = Duration::from_millis(40);

    fn pair() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::new(ours), theirs)
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let (mut ours, theirs) = pair();
        let mut theirs = Channel::new(theirs);
        ours.send(&Request::Step, SOON).unwrap();
        assert_eq!(theirs.receive::<Request>(None).unwrap(), Request::Step);
        let loaded = Reply::Loaded(Loaded { by: "x".into() });
        theirs.send(&loaded, SOON).unwrap();
        assert_eq!(ours.receive::<Reply>(Some(SOON)).unwrap(), loaded);
    }

    #[test]
    fn bytes_that_trickle_do_not_stretch_the_deadline() {
        let (mut ours, mut theirs) = pair();
        let drip = std::thread::spawn(move || {
            for _ in 0..8 {
                std::thread::sleep(SOON / 2);
                if theirs.write_all(&[1]).is_err() {
                    return;
                }
            }
        });
        let begin = Instant::now();
        let late = ours.receive::<Reply>(Some(SOON)).unwrap_err();
        assert!(begin.elapsed() < 3 * SOON, "{:?}", begin.elapsed());
        assert!(matches!(late, ChannelError::Late(_)), "{late}");
        drop(ours);
        drip.join().unwrap();
    }

    #[test]
    fn an_end_that_is_gone_is_closed_not_late() {
        let (mut ours, theirs) = pair();
        drop(theirs);
        let gone = ours.receive::<Reply>(Some(SOON)).unwrap_err();
        assert!(matches!(gone, ChannelError::Closed), "{gone}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_are_more_than_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (mut ours, mut theirs) = pair();
            theirs.write_all(&bytes).unwrap();
            drop(theirs);
            prop_assert!(ours.receive::<Reply>(Some(SOON)).is_err());
        }
    }
}
