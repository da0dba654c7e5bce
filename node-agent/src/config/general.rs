//! Who may knock, and where.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeSet;
use std::path::PathBuf;

pub(super) fn socket(written: Option<PathBuf>, problems: &mut Vec<String>) -> PathBuf {
    let path = written.unwrap_or_else(|| SOCKET.into());
    if !path.is_absolute() {
        problems.push(format!("socket: expected an absolute path, found {}", path.display()));
    }
    path
}

pub(super) fn socket_mode(written: Option<u32>, problems: &mut Vec<String>) -> u32 {
    let mode = written.unwrap_or(SOCKET_MODE);
    // A mode written in decimal by mistake, such as 660, is larger than any mode.
    if mode > 0o777 {
        problems.push(format!("socket_mode: expected an octal number such as 0o660, found {mode}"));
    }
    mode
}

pub(super) fn max_connections(written: Option<usize>, problems: &mut Vec<String>) -> usize {
    let most = written.unwrap_or(MAX_CONNECTIONS);
    if !(1..=1024).contains(&most) {
        problems.push(format!("max_connections: expected 1 to 1024, found {most}"));
    }
    most
}

pub(super) fn allowed_uids(
    written: Option<Vec<u32>>,
    pods: bool,
    problems: &mut Vec<String>,
) -> BTreeSet<u32> {
    let Some(uids) = written else {
        problems.push("allowed_uids: missing; list the user ids that may ask for evidence".to_owned());
        return BTreeSet::new();
    };
    if uids.is_empty() && !pods {
        problems.push("allowed_uids: empty, so nobody could ask for evidence".to_owned());
    }
    if uids.contains(&OVERFLOW_UID) {
        let why = "the kernel gives it to every user of an unknown user namespace";
        problems.push(format!("allowed_uids: {OVERFLOW_UID} stands for nobody in particular: {why}"));
    }
    uids.into_iter().collect()
}

const SOCKET: &str = "/run/cloudtaser/agent.sock";
/// Anyone may knock: the list of user ids decides.
const SOCKET_MODE: u32 = 0o666;
const MAX_CONNECTIONS: usize = 64;
/// Linux' default `kernel.overflowuid`.
const OVERFLOW_UID: u32 = 65534;
