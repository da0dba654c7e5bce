//! The sign of life: a file that is written anew every few seconds, with the matrix as it stands.
//!
//! Its absence is an event upstream: whoever reads it (the node agent, a monitor) takes a beat that is older than
//! [`Heartbeat::STALE`] for none. It is signed by nobody: whoever is root writes such a file too. What it is worth is said in
//! `docs/enforcer-events.md`.

use protocol::enforcer::{Heartbeat, Matrix, Moment};

use super::pump::Now;

/// What the file says now.
#[must_use]
pub fn beat(matrix: &Matrix, now: Now, pid: u32, version: &str) -> Vec<u8> {
    let heartbeat = Heartbeat {
        version: version.to_owned(),
        pid,
        time: Moment(now.unix),
        uptime: now.boot / 1_000_000_000,
        matrix: matrix.clone(),
    };
    // Maps with keys that are no text are what cannot be written; there are none.
    let mut text = serde_json::to_vec(&heartbeat).unwrap_or_default();
    text.push(b'\n');
    text
}
