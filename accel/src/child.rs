//! The daemon's end: starts the program, waits for it no longer than it may take, and ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::channel::{Channel, ChannelError};
use crate::memory::SharedMemory;
use crate::plan::{Loaded, Part, Plan, Reply, Request};

/// How long the program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a step.
    pub step: Duration,
    /// Between two signs of life while it loads.
    pub sign: Duration,
    /// To load in all.
    pub load: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            step: Duration::from_millis(120),
            sign: Duration::from_secs(2),
            load: Duration::from_secs(60),
        }
    }
}

/// Why the program is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It cannot be started.
    #[error(
        "{} does not start ({source}); install it, or let hardware.accelerator_program name it", program.display()
    )]
    NoProgram {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The system refuses memory or a socket.
    #[error("no shared memory or socket for it ({0})")]
    System(#[from] io::Error),
    /// It ended.
    #[error("its process ended by itself ({0})")]
    Died(String),
    /// It did not answer.
    #[error("its process did not answer within {} ms", .0.as_millis())]
    Hung(Duration),
    /// It says that it cannot.
    #[error("{0}")]
    Refused(String),
    /// It says what it should not.
    #[error("its process gave a wrong answer: {0}")]
    Wrong(String),
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    channel: Channel,
    memory: SharedMemory,
    patience: Patience,
}

impl Child {
    /// Starts the program with so many bytes of shared memory and has it load a network.
    ///
    /// # Errors
    /// [`ChildError`]; nothing is left running.
    pub fn start(
        program: &Path,
        plan: Plan,
        bytes: usize,
        patience: Patience,
    ) -> Result<(Child, Loaded), ChildError> {
        let memory = SharedMemory::create(bytes)?;
        let (ours, theirs) = UnixStream::pair()?;
        let process = Command::new(program)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(memory.descriptor()?))
            .spawn()
            .map_err(|source| ChildError::NoProgram {
                program: program.to_owned(),
                source,
            })?;
        let mut child = Child {
            process,
            channel: Channel::new(ours),
            memory,
            patience,
        };
        let loaded = child.load(plan)?;
        Ok((child, loaded))
    }

    fn load(&mut self, plan: Plan) -> Result<Loaded, ChildError> {
        let Patience { sign, load, .. } = self.patience;
        let sent = self.channel.send(&Request::Load(Box::new(plan)), sign);
        sent.map_err(|e| self.named(e))?;
        let begin = Instant::now();
        loop {
            match self.receive(sign)? {
                Reply::Loaded(loaded) => return Ok(loaded),
                Reply::Alive if begin.elapsed() < load => {}
                Reply::Alive => return Err(ChildError::Hung(load)),
                other => return Err(unexpected(other)),
            }
        }
    }

    /// The memory that its tensors lie in.
    #[must_use]
    pub const fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Runs the network once.
    ///
    /// # Errors
    /// [`ChildError`]: it must not be used any more, answers might come late.
    pub fn step(&mut self) -> Result<(), ChildError> {
        let patience = self.patience.step;
        let sent = self.channel.send(&Request::Step, patience);
        sent.map_err(|e| self.named(e))?;
        match self.receive(patience)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// What ran where since it was loaded; the plan must have asked for a profile.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn parts(mut self) -> Result<Vec<Part>, ChildError> {
        let patience = self.patience.load;
        let sent = self.channel.send(&Request::Parts, patience);
        sent.map_err(|e| self.named(e))?;
        match self.receive(patience)? {
            Reply::Parts(parts) => Ok(parts),
            other => Err(unexpected(other)),
        }
    }

    fn receive(&mut self, patience: Duration) -> Result<Reply, ChildError> {
        let reply = self.channel.receive(Some(patience));
        reply.map_err(|e| self.named(e))
    }

    fn named(&mut self, error: ChannelError) -> ChildError {
        match error {
            ChannelError::Late(patience) => ChildError::Hung(patience),
            ChannelError::Closed => ChildError::Died(self.end()),
            ChannelError::Garbled(problem) => ChildError::Wrong(problem),
            ChannelError::System(error) => ChildError::System(error),
        }
    }

    /// How it ended, such as `signal: 9 (SIGKILL)`. It closes its end a little before that can be told.
    fn end(&mut self) -> String {
        for _ in 0..20 {
            match self.process.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(error) => return error.to_string(),
            }
        }
        "it closed its channel".into()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be gone already, which is just as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn unexpected(reply: Reply) -> ChildError {
    match reply {
        Reply::Refused(problem) => ChildError::Refused(problem),
        other => ChildError::Wrong(format!("{other:?} was not asked for")),
    }
}
