//! The first life and the second.
//!
//! The environment goes over as it is: a token in it is taken out, and overwritten, in the second life, which nobody outside
//! can look into. What is asked first is whether this is the second life already; a process of a protected program that is a
//! wrapper too finds itself protected with it.
//!
//! Trusted: `/proc/self/exe`, which is the file that we run. Untrusted: the environment, beyond what it asks for.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use protocol::enforcer::{Ask, Said};
use rustix::process::{PTracer, set_ptracer};
use rustix::thread::set_name;

use super::bond::{Bond, Line, Silence};

/// How often we ask again where we are refused, and the time between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// Comes back protected, or with the reason why not.
pub(super) fn begin(socket: &Path) -> Result<Bond, String> {
    let told = |silence: Silence| silence.to_string();
    match confirmed(socket).map_err(told)? {
        Ok(bond) => {
            // Executed by another name than its own.
            set_name(c"cloudtaser-wrap").unwrap_or_default();
            Ok(bond)
        }
        Err(line) => {
            let_our_hand_trace_us();
            if line.ask(&Ask::Protect {}).map_err(told)? != (Said::Tagged {}) {
                return Err(Silence::Malformed.to_string());
            }
            Err(format!("executing ourselves anew: {}", anew()))
        }
    }
}

/// Who looks at processes at the wrong moment (`ps` reads what we were before) has gone a little later.
fn confirmed(socket: &Path) -> Result<Result<Bond, Line>, Silence> {
    for _ in 0..ATTEMPTS {
        match Line::to(socket).and_then(Line::confirm) {
            Err(Silence::Refused(_)) => sleep(PAUSE),
            settled => return settled,
        }
    }
    Line::to(socket).and_then(Line::confirm)
}

/// Returns where it failed only.
fn anew() -> std::io::Error {
    let mut arguments = env::args_os();
    let own = arguments.next().unwrap_or_default();
    Command::new("/proc/self/exe").arg0(own).args(arguments).exec()
}

/// A program in our place is traced by a hand that is forked later, and not an ancestor: yama wants to be told of it, and a
/// protected process may not say so any more. The enforcer keeps everybody else off.
fn let_our_hand_trace_us() {
    let word = env::var_os("CLOUDTASER_SUPERVISE");
    let in_place =
        word.is_some_and(|word| ["0", "f", "F", "false", "FALSE", "False"].iter().any(|no| word == *no));
    if in_place {
        // Without yama nobody asks.
        set_ptracer(PTracer::Any).unwrap_or_default();
    }
}
