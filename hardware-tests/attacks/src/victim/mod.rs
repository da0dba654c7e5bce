//! A process that holds secrets, and the handle on it that its starter has.
//!
//! It is this program itself. It starts bare, with nothing but a canary in its environment; [`Victim::settle`] has it protect
//! itself (or not) and take hold of its secrets. It dies when its line is closed.
//!
//! Trusted: the victim's reports, which are what attacks are compared with.

mod holding;
mod life;
mod line;
mod words;

use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;

pub(crate) use holding::Holding;
pub use holding::{PAGE, SYS_MEMFD_SECRET, canary};
pub use life::{Life, environment};
use line::Line;
pub use words::{Held, Order, Place, Report};

use crate::Outcome;

/// The name of the environment's canary.
pub const CANARY: &str = "ATTACKS_CANARY";
/// How long a victim may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A victim, from its starter's side.
#[derive(Debug)]
pub struct Victim {
    process: Child,
    line: Line,
    asked: Cell<u32>,
    environment: String,
    held: Held,
}

impl Victim {
    /// Starts one, bare and without secrets, in a directory where it may leave a core.
    pub fn start(directory: &Path) -> Result<Self, String> {
        let environment = canary().map_err(|error| format!("random numbers: {error}"))?;
        let (line, far) = Line::pair().map_err(|error| format!("a line to the victim: {error}"))?;
        line.patience(PATIENCE).map_err(|error| format!("a line to the victim: {error}"))?;
        let process = Command::new("/proc/self/exe")
            .args(["victim", "--line", &far.as_raw_fd().to_string()])
            .env(CANARY, &environment)
            .current_dir(directory)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("the victim was not started: {error}"))?;
        drop(far);
        let victim = Self { process, line, asked: Cell::new(0), environment, held: Held::default() };
        match victim.line.hear::<Report>() {
            Ok(heard) if heard.words == (Report::Ready {}) => Ok(victim),
            Ok(heard) => Err(format!("the victim's first word was {:?}", heard.words)),
            Err(error) => Err(format!("the victim does not speak: {error}")),
        }
    }

    /// Has it protect itself where a socket is given, and take hold of its secrets.
    pub fn settle(&mut self, socket: Option<&Path>, anew: bool) -> Result<(), String> {
        let socket = socket.map(|path| path.display().to_string());
        match self.ask(&Order::Settle { socket, anew }) {
            Ok(Report::Held(held)) => {
                self.held = *held;
                Ok(())
            }
            Ok(Report::Refused { why }) => Err(why),
            Ok(other) => Err(format!("the victim did not settle: {other:?}")),
            Err(error) => Err(format!("the victim did not settle: {error}")),
        }
    }

    /// Has it take hold of its secrets before it is protected.
    pub fn hold(&mut self) -> Result<(), Outcome> {
        let report = self.ask(&Order::Hold {})?;
        let Report::Held(held) = report else {
            return Err(Outcome::impossible(format!("the victim holds nothing: {report:?}")));
        };
        self.held = *held;
        Ok(())
    }

    /// What it holds.
    #[must_use]
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap_or(0)
    }

    /// Its process, for calls that take no zero.
    pub fn process(&self) -> Result<Pid, Errno> {
        Pid::from_raw(self.pid()).ok_or(Errno::SRCH)
    }

    /// Its environment's canary.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Gives an order, and waits for the answer to it.
    pub fn ask(&self, order: &Order) -> Result<Report, Errno> {
        self.ask_file(order).map(|(report, _)| report)
    }

    /// Gives an order without waiting.
    pub fn tell(&self, order: &Order) -> Result<u32, Errno> {
        let number = self.asked.get().wrapping_add(1);
        self.asked.set(number);
        self.line.say(number, order, None)?;
        Ok(number)
    }

    /// Gives an order whose answer may bring a descriptor.
    pub fn ask_file(&self, order: &Order) -> Result<(Report, Option<OwnedFd>), Errno> {
        let number = self.tell(order)?;
        loop {
            let heard = self.line.hear::<Report>()?;
            // An answer that a probe before us did not wait for is not ours.
            if heard.number == number {
                return Ok((heard.words, heard.file));
            }
        }
    }

    /// The text that others wrote into its scratch page.
    pub fn scratch(&self) -> Result<String, Errno> {
        let Report::Seen { scratch } = self.ask(&Order::Look {})? else { return Err(Errno::BADMSG) };
        Ok(scratch)
    }

    /// Whether it lives and answers; it is continued first, should a probe have stopped it.
    pub fn is_well(&mut self) -> bool {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return false;
        }
        let continued =
            self.process().and_then(|pid| rustix::process::kill_process(pid, rustix::process::Signal::CONT));
        continued.is_ok()
            && self.line.patience(Duration::from_secs(10)).is_ok()
            && self.scratch().is_ok_and(|text| text.is_empty())
    }

    /// Waits for its end, and says the signal that it died of.
    pub fn end(&mut self) -> Option<i32> {
        self.process.wait().ok().and_then(|status| status.signal())
    }

    /// Follows what child processes of ours asked: their numbers are used up.
    pub(crate) fn skip(&self, numbers: u32) {
        self.asked.set(self.asked.get().wrapping_add(numbers));
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Gone already: nothing to do.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
