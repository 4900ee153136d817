//! On which processors a thread runs, and in which class.

use std::io;
use vocar_hw::{CpuList, SchedulingClass};

/// The processors that the service may use, as whoever started it decided.
#[derive(Debug, Clone)]
pub struct Processors {
    inherited: CpuList,
}

impl Processors {
    /// Those the calling thread may use now.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn of_this_thread() -> io::Result<Self> {
        let mut set = empty();
        // SAFETY: the set is ours, as long as stated, and written to by the system alone.
        let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        let inherited = (0..libc::CPU_SETSIZE as usize)
            // SAFETY: every number below CPU_SETSIZE has its bit in the set.
            .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
            .collect();
        Ok(Self { inherited })
    }

    /// Their numbers.
    #[cfg(test)]
    pub const fn list(&self) -> &CpuList {
        &self.inherited
    }

    /// Runs the calling thread on those of `wanted` that may be used; on all of them when none of `wanted` may.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn confine(&self, wanted: &CpuList) -> io::Result<CpuList> {
        let both = self.inherited.intersection(wanted);
        let cpus = if both.is_empty() {
            self.inherited.clone()
        } else {
            both
        };
        let mut set = empty();
        for cpu in cpus.iter().filter(|cpu| *cpu < libc::CPU_SETSIZE as usize) {
            // SAFETY: the number has its bit in the set.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
        // SAFETY: the set is ours, as long as stated, and only read; 0 is the calling thread.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
            0 => Ok(cpus),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Schedules the calling thread in a class.
///
/// # Errors
/// If the system refuses.
pub fn schedule(class: SchedulingClass) -> io::Result<()> {
    let policy = match class {
        SchedulingClass::Normal => libc::SCHED_OTHER,
        SchedulingClass::Batch => libc::SCHED_BATCH,
    };
    // SAFETY: all zeros is a value of these integers: priority 0, the only one that both classes have.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the parameters are ours and only read; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const fn empty() -> libc::cpu_set_t {
    // SAFETY: the set is an array of integers, for which all zeros is a value: no processor.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_changes_its_class_and_back() {
        std::thread::spawn(|| {
            for (class, wanted) in [
                (SchedulingClass::Batch, libc::SCHED_BATCH),
                (SchedulingClass::Normal, libc::SCHED_OTHER),
            ] {
                schedule(class).unwrap();
                // SAFETY: it takes and returns integers; 0 is the calling thread.
                assert_eq!(unsafe { libc::sched_getscheduler(0) }, wanted);
            }
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_is_confined_and_released() {
        std::thread::spawn(|| {
            let all = Processors::of_this_thread().unwrap();
            let first: CpuList = all.inherited.iter().take(1).collect();
            assert_eq!(all.confine(&first).unwrap(), first);
            assert_eq!(Processors::of_this_thread().unwrap().inherited, first);
            let elsewhere: CpuList = [1000].into_iter().collect();
            assert_eq!(all.confine(&elsewhere).unwrap(), all.inherited);
            assert_eq!(
                Processors::of_this_thread().unwrap().inherited,
                all.inherited
            );
        })
        .join()
        .unwrap();
    }
}
