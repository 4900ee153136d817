//! Which day it is where the vehicle is.

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};
use vocar_nlu::Date;

/// Today by the system's clock and time zone; in Greenwich when the system cannot tell.
#[must_use]
pub fn today() -> Date {
    local().unwrap_or_else(Date::today_utc)
}

fn local() -> Option<Date> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now = libc::time_t::try_from(since.as_secs()).ok()?;
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both point to memory of ours; the result is looked at only when the system has written it.
    let parts = unsafe {
        if libc::localtime_r(&raw const now, parts.as_mut_ptr()).is_null() {
            return None;
        }
        parts.assume_init()
    };
    Date::new(
        u16::try_from(parts.tm_year + 1900).ok()?,
        u8::try_from(parts.tm_mon + 1).ok()?,
        u8::try_from(parts.tm_mday).ok()?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_more_than_a_day_from_greenwich() {
        let greenwich = Date::today_utc();
        let here = local().unwrap();
        assert!(
            greenwich.plus(-1) <= here && here <= greenwich.plus(2),
            "{here}"
        );
    }
}
