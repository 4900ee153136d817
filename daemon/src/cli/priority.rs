//! Work that gives way to everything else on the machine.

/// Puts this thread, and every one that it starts, behind all others: nice 19 and, for the scheduler, a job that nobody waits for.
pub fn lowest() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: plain calls about the calling thread (0); `parameters` lives through the call.
    let refused = unsafe {
        let nice = libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        let batch = libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters);
        nice != 0 || batch != 0
    };
    if refused {
        let error = std::io::Error::last_os_error();
        tracing::warn!("this work does not give way to others as it should: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_and_what_it_starts_give_way() {
        let inner = std::thread::spawn(|| {
            lowest();
            std::thread::spawn(|| {
                // SAFETY: plain calls about the calling thread (0).
                unsafe {
                    (
                        libc::getpriority(libc::PRIO_PROCESS, 0),
                        libc::sched_getscheduler(0),
                    )
                }
            })
            .join()
        });
        assert_eq!(inner.join().unwrap().unwrap(), (19, libc::SCHED_BATCH));
    }
}
