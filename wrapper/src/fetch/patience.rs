//! How long to go on asking.
//!
//! Waits grow from a fifth of a second to five, each between half and one and a half times its nominal
//! length, so that a cluster that starts at once does not ask at once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

const FIRST: u64 = 200;
const LONGEST: u64 = 5_000;

/// Repeats `attempt` while it fails for a reason that may pass, and `limit` is not over.
pub(super) fn patiently<T, E>(
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T, E>,
    is_transient: impl Fn(&E) -> bool,
    mut told: impl FnMut(&E, Duration),
) -> Result<T, E> {
    let start = Instant::now();
    for round in 0_u32.. {
        match attempt() {
            Err(error) if is_transient(&error) => {
                let wait = delay(round, random());
                if start.elapsed().saturating_add(wait) >= limit {
                    return Err(error);
                }
                told(&error, wait);
                sleep(wait);
            }
            settled => return settled,
        }
    }
    attempt()
}

fn delay(round: u32, random: u16) -> Duration {
    let nominal = FIRST.checked_shl(round).unwrap_or(LONGEST).clamp(FIRST, LONGEST);
    let spread = nominal.saturating_mul(u64::from(random)) >> 16;
    Duration::from_millis((nominal >> 1).saturating_add(spread))
}

/// Without a random source all would wait the same: no harm but a crowd.
fn random() -> u16 {
    let mut bytes = [0; 2];
    getrandom(&mut bytes, GetRandomFlags::NONBLOCK).unwrap_or_default();
    u16::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_spread_around_it() {
        assert_eq!(delay(0, 0), Duration::from_millis(100));
        assert_eq!(delay(0, u16::MAX), Duration::from_millis(299));
        assert_eq!(delay(60, 0), Duration::from_millis(2500));
        assert_eq!(delay(u32::MAX, u16::MAX), Duration::from_millis(7499));
    }

    #[test]
    fn what_will_not_pass_is_not_asked_twice() {
        let mut asked = 0;
        let answer: Result<(), &str> = patiently(
            Duration::from_mins(1),
            || {
                asked += 1;
                Err("no")
            },
            |_| false,
            |_, _| {},
        );
        assert_eq!((answer, asked), (Err("no"), 1));
    }

    #[test]
    fn what_passes_is_asked_again() {
        let mut asked = 0;
        let answer = patiently(
            Duration::from_mins(1),
            || {
                asked += 1;
                if asked < 3 { Err("busy") } else { Ok(asked) }
            },
            |_| true,
            |_, _| {},
        );
        assert_eq!(answer, Ok(3));
    }
}
