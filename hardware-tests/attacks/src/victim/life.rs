//! What the program does when it is started as a victim: waits for orders, one at a time, until the line is closed.
//!
//! Trusted: the line, whose other end is who started it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fd::AsRawFd;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::CANARY;
use super::holding::{Holding, unshare};
use super::line::Line;
use super::words::{Order, Report};
use crate::handshake::Enforcer;
use crate::kernel::{Arg, call, inherited};
use crate::{call, inside};

/// How a victim was started.
#[derive(Clone, Debug, clap::Args)]
pub struct Life {
    /// The number of the line's descriptor.
    #[arg(long)]
    line: i32,
    /// The second life, after `execve`: where the enforcer listens.
    #[arg(long)]
    confirm: Option<String>,
    /// The number of the order that led to it.
    #[arg(long, default_value_t = 0)]
    order: u32,
}

impl Life {
    /// Lives it, to the end of the line.
    pub fn live(self, environment: String) -> Result<(), Errno> {
        let socket = inherited(self.line)?;
        // Its own child shall not keep the line open, but the second life shall.
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        let mut victim =
            Body { number: socket.as_raw_fd(), line: Line::of(socket), environment, holding: None };
        default_signals();
        match self.confirm {
            None => {
                unshare();
                // As much of a core as the kernel would write.
                setrlimit(Resource::Core, Rlimit { current: None, maximum: None }).ok();
                victim.line.say(0, Report::Ready {}, None)?;
            }
            Some(path) => {
                let report = victim.confirm(&path);
                victim.line.say(self.order, report, None)?;
            }
        }
        loop {
            match victim.line.hear::<Order>() {
                Ok(heard) => victim.obey(heard.number, heard.words)?,
                Err(Errno::INTR) => {}
                Err(Errno::PIPE) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

struct Body {
    line: Line,
    number: i32,
    environment: String,
    holding: Option<Holding>,
}

impl Body {
    fn obey(&mut self, number: u32, order: Order) -> Result<(), Errno> {
        let report = match order {
            Order::Settle { socket, anew } => self.settle(number, socket, anew),
            Order::Hold {} => self.hold(),
            Order::Look {} => {
                Report::Seen { scratch: self.holding.as_ref().map(Holding::scratch).unwrap_or_default() }
            }
            Order::Pass { which } => return self.pass(number, &which),
            Order::Call { number, words } => numbered(number, &words),
            Order::TraceMe {} => return self.trace_me(number),
            Order::Crash { signal } => answer(call!(libc::SYS_kill, own_pid(), signal)),
            Order::Inside { name, argument } => match &self.holding {
                Some(holding) => inside::perform(&name, &argument, holding),
                None => Report::Failed { errno: libc::EINVAL },
            },
        };
        self.line.say(number, report, None)
    }

    fn settle(&mut self, order: u32, socket: Option<String>, anew: bool) -> Report {
        let Some(path) = socket else { return self.hold() };
        if let Err(why) = Enforcer::at(Path::new(&path)).and_then(|enforcer| enforcer.protect()) {
            return Report::Refused { why };
        }
        if !anew {
            return self.hold();
        }
        let failed = self.again(order, &path);
        Report::Refused { why: format!("executing itself anew: {failed}") }
    }

    /// Executes itself anew; comes back only with an error.
    fn again(&self, order: u32, path: &str) -> std::io::Error {
        if let Err(error) = fcntl_setfd(&self.line, FdFlags::empty()) {
            return error.into();
        }
        Command::new("/proc/self/exe")
            .args([
                "victim",
                "--line",
                &self.number.to_string(),
                "--order",
                &order.to_string(),
                "--confirm",
                path,
            ])
            .exec()
    }

    fn confirm(&mut self, path: &str) -> Report {
        match Enforcer::at(Path::new(path)).and_then(|enforcer| enforcer.confirm()) {
            Ok(_key) => self.hold(),
            Err(why) => Report::Refused { why },
        }
    }

    fn hold(&mut self) -> Report {
        if self.holding.is_none() {
            match Holding::take(self.environment.clone()) {
                Ok(holding) => self.holding = Some(holding),
                Err(error) => return Report::Failed { errno: error.raw_os_error() },
            }
        }
        match &self.holding {
            Some(holding) => Report::Held(Box::new(holding.told.clone())),
            None => Report::Failed { errno: libc::EINVAL },
        }
    }

    fn pass(&self, number: u32, which: &str) -> Result<(), Errno> {
        match self.holding.as_ref().and_then(|holding| holding.file(which)) {
            Some(file) => self.line.say(number, Report::Done { value: 0 }, Some(file)),
            None => self.line.say(number, Report::Failed { errno: libc::EBADF }, None),
        }
    }

    fn trace_me(&self, number: u32) -> Result<(), Errno> {
        let asked = call!(libc::SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
        let traced = asked.is_ok();
        self.line.say(number, answer(asked), None)?;
        if traced {
            call!(libc::SYS_kill, own_pid(), libc::SIGSTOP)?;
        }
        Ok(())
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// The standard library looks at these two itself, for overflows of the stack.
fn default_signals() {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // `struct sigaction` of zeros: SIG_DFL. Refused: the signal is survived, and the probe says so.
        call!(libc::SYS_rt_sigaction, signal, &[0; 32][..], 0, 8).ok();
    }
}

fn numbered(number: i64, words: &[i64]) -> Report {
    let mut words = words.iter().copied();
    let mut next = || Arg::Number(words.next().unwrap_or(0));
    answer(call(number, [next(), next(), next(), next(), next(), next()]))
}

fn answer(answered: Result<i64, Errno>) -> Report {
    match answered {
        Ok(value) => Report::Done { value },
        Err(error) => Report::Failed { errno: error.raw_os_error() },
    }
}

/// The environment's canary is not read again: it is what the program was started with.
#[must_use]
pub fn environment() -> String {
    std::env::vars().find(|(name, _)| name == CANARY).map(|(_, value)| value).unwrap_or_default()
}
