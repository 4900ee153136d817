//! The program's end: obeys one daemon until it is gone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::channel::{Channel, ChannelError};
use crate::memory::SharedMemory;
use crate::plan::{Loaded, Part, Plan, Reply, Request};

/// What does the arithmetic.
pub trait Backend: Sized {
    /// Loads a network whose tensors lie in this memory.
    ///
    /// # Errors
    /// A sentence: why it cannot be run.
    fn load(plan: &Plan, memory: SharedMemory) -> Result<(Self, Loaded), String>;

    /// Runs it once.
    ///
    /// # Errors
    /// A sentence.
    fn step(&mut self) -> Result<(), String>;

    /// What ran where.
    ///
    /// # Errors
    /// A sentence.
    fn parts(&mut self) -> Result<Vec<Part>, String>;
}

/// Why the program ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was not started by the daemon.
    #[error(
        "standard input and output are not what the daemon gives ({0}); this program is started by vocard and vocar alone"
    )]
    Alone(io::Error),
    /// The daemon said what it should not.
    #[error("{0}")]
    Unexpected(String),
    /// The channel broke.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// Time between two signs of life while a network is loaded.
const BEAT: Duration = Duration::from_millis(200);
/// How long the daemon may take to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves the daemon that started this process, over its standard input (the channel) and output (the memory), until it is
/// gone.
///
/// # Errors
/// [`ServeError`].
pub fn serve<B: Backend>() -> Result<(), ServeError> {
    let (mut channel, memory) = inherited().map_err(ServeError::Alone)?;
    end_with(&channel).map_err(ServeError::Alone)?;
    let plan = match channel.receive(None) {
        Ok(Request::Load(plan)) => plan,
        Ok(other) => {
            return Err(ServeError::Unexpected(format!(
                "{other:?} before a network"
            )));
        }
        Err(ChannelError::Closed) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let pulse = Pulse::start(channel.again().map_err(ChannelError::from)?);
    let loaded = B::load(&plan, memory);
    pulse.stop();
    let mut backend = match loaded {
        Ok((backend, loaded)) => {
            channel.send(&Reply::Loaded(loaded), PATIENCE)?;
            backend
        }
        Err(problem) => return Ok(channel.send(&Reply::Refused(problem), PATIENCE)?),
    };
    loop {
        let reply = match channel.receive(None) {
            Ok(Request::Step) => backend.step().map(|()| Reply::Done),
            Ok(Request::Parts) => backend.parts().map(Reply::Parts),
            Ok(Request::Load(_)) => Err("one process runs one network".into()),
            Err(ChannelError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        channel.send(&reply.unwrap_or_else(Reply::Refused), PATIENCE)?;
    }
}

/// Takes channel and memory from where the daemon put them, and puts standard error in the place of standard output, before
/// a library prints.
fn inherited() -> io::Result<(Channel, SharedMemory)> {
    let memory = SharedMemory::open(io::stdout().as_fd().try_clone_to_owned()?)?;
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null")?;
    replace(&nothing, 0)?;
    replace(&io::stderr().as_fd(), 1)?;
    Ok((Channel::new(UnixStream::from(channel)), memory))
}

fn replace(with: &impl AsRawFd, number: libc::c_int) -> io::Result<()> {
    // SAFETY: both numbers are open descriptors; what the second one was is held elsewhere or not needed.
    match unsafe { libc::dup2(with.as_raw_fd(), number) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Ends the process when the daemon is gone, even while a library holds the main thread.
fn end_with(channel: &Channel) -> io::Result<()> {
    let channel = channel.again()?;
    std::thread::Builder::new()
        .name("hang-up".into())
        .spawn(move || {
            let descriptor = OwnedFd::from(channel.into_socket());
            let mut wait = libc::pollfd {
                fd: descriptor.as_raw_fd(),
                events: 0,
                revents: 0,
            };
            loop {
                // SAFETY: one entry lies there, and its descriptor is open.
                let found = unsafe { libc::poll(&raw mut wait, 1, -1) };
                if found > 0 {
                    std::process::exit(0);
                }
            }
        })?;
    Ok(())
}

/// Signs of life from another thread.
struct Pulse {
    stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pulse {
    fn start(mut channel: Channel) -> Pulse {
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                if channel.send(&Reply::Alive, PATIENCE).is_err() {
                    return;
                }
                std::thread::park_timeout(BEAT);
            }
        });
        Pulse { stopped, thread }
    }

    /// Returns when no more signs will be sent.
    fn stop(self) {
        self.stopped.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // A thread that panicked sends no more either.
        let _ = self.thread.join();
    }
}
