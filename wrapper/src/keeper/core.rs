//! What the keeper can do: everything that its parts ask of it.
//!
//! Processes are made by the stem, values come from fetchers, programs are started, ended, frozen. Nothing here waits
//! for the outside; what takes time is told later as an [`Event`].
//!
//! Trusted: stem and fetchers, which are this program. Untrusted: the program, and what descends from it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::process::{Pid, getpid};
use secretmem::Parcel;

use super::part::Event;
use super::present::{self, Change, Present};
use super::standing::Standing;
use super::{Error, family};
use crate::config::{Form, Supervision, Wanted, Way};
use crate::enforcer::{Bond, Enforcer};
use crate::errand::{self, Brought, Errand, Setback};
use crate::graft::kernel::send_signal;
use crate::graft::{Rewritten, Secrets};
use crate::interpose::{Taken, Trouble, Ways};
use crate::line::{Line, Message};
use crate::say;
use crate::stem::{Opens, Order, Stem};
use crate::supervise::{Child, Then};

/// The keeper without its parts.
#[derive(Debug)]
pub struct Core<'k> {
    pub(super) stem: &'k Stem,
    pub(super) conduct: Supervision,
    pub(super) wanted: &'k [Wanted],
    pub(super) memory: Memory,
    /// The token for the first errand; those after it take the one that came with the values.
    pub(super) given: Option<Parcel>,
    pub(super) present: Option<Present>,
    pub(super) child: Option<Child>,
    errand: Option<Fetcher>,
    returned: Option<Returned>,
    /// What every fetcher takes along: how well we protect what it brings.
    pub(super) report: Vec<u8>,
    /// Processes made for parts and errands, which are not of the program's.
    pub(super) made: BTreeSet<i32>,
    /// Those of them whose end is told.
    pub(super) awaited: BTreeSet<i32>,
    pub(super) ways: Ways<'k>,
    /// On which the kernel asks about files that the program opens.
    listeners: Vec<OwnedFd>,
    pub(super) standing: Standing,
    enforcer: Enforcer,
    pub(super) events: Vec<Event>,
    pub(super) outcome: Option<u8>,
    /// There may be reports of the kernel's that were not taken yet.
    pub(super) has_reports: bool,
}

/// Whether a mapping of programs' memory stays with us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Memory {
    /// No: values are handed over once.
    Given,
    /// Yes: values can be rewritten where they lie.
    Shared,
}

/// What became of an errand.
#[derive(Debug)]
pub enum Returned {
    /// OpenBao gave this.
    Brought(Brought),
    /// It did not. The fetcher has told the whole story.
    Setback(Setback),
    /// The fetcher was killed, or not understood.
    Lost(errand::Error),
}

#[derive(Debug)]
struct Fetcher {
    pid: Pid,
    line: Line,
}

impl<'k> Core<'k> {
    pub(super) fn new(stem: &'k Stem, conduct: &Supervision, wanted: &'k [Wanted], memory: Memory) -> Self {
        Self {
            stem,
            conduct: conduct.clone(),
            wanted,
            memory,
            given: None,
            present: None,
            child: None,
            errand: None,
            returned: None,
            report: Vec::new(),
            made: BTreeSet::new(),
            awaited: BTreeSet::new(),
            ways: Ways::new(&[Way::Graft], &[]),
            listeners: Vec::new(),
            standing: Standing::new(Instant::now()),
            enforcer: Enforcer::Off,
            events: Vec::new(),
            outcome: None,
            has_reports: false,
        }
    }

    // Processes for parts.

    /// Has a process made, which is told of when it ends; our end of its line.
    pub fn order(&mut self, order: &Order) -> Result<(Pid, Line), Error> {
        let (pid, line) = self.make(order)?;
        self.awaited.insert(pid.as_raw_pid());
        Ok((pid, line))
    }

    fn make(&mut self, order: &Order) -> Result<(Pid, Line), Error> {
        let (ours, theirs) = Line::pair().map_err(Error::os("socketpair"))?;
        let pid = self.stem.order(order, theirs)?;
        self.made.insert(pid.as_raw_pid());
        Ok((pid, ours))
    }

    /// Kills a process that was made for a part.
    pub fn abandon(&mut self, pid: Pid) {
        if self.made.contains(&pid.as_raw_pid()) {
            // Gone is as good.
            send_signal(pid, libc::SIGKILL).unwrap_or_default();
        }
    }

    // Errands and what they bring.

    /// Sends a fetcher on an errand, with the token that we hold. One that is still on its way is ended.
    pub fn send(&mut self, errand: &Errand) -> Result<(), Error> {
        self.abandon_errand();
        let token = self.present.as_ref().map(Present::token).transpose().map_err(present::Error::Memory)?;
        let (pid, line) = self.make(&Order::Fetch)?;
        errand.send(&line, token.flatten().or_else(|| self.given.take()), &self.report)?;
        self.errand = Some(Fetcher { pid, line });
        Ok(())
    }

    /// Ends the errand that is under way, if one is. Nothing is told of it.
    pub fn abandon_errand(&mut self) {
        self.returned = None;
        if let Some(fetcher) = self.errand.take() {
            self.abandon(fetcher.pid);
        }
    }

    /// Waits for the errand that is under way, whatever comes of it.
    pub(super) fn wait_for_errand(&mut self, limit: Duration) {
        if let Some(fetcher) = self.errand.take() {
            drop(fetcher.line.receive_within(limit));
            self.abandon(fetcher.pid);
        }
    }

    /// Whether a fetcher is on its way.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.errand.is_some()
    }

    /// What became of the errand; once.
    pub fn returned(&mut self) -> Option<Returned> {
        self.returned.take()
    }

    pub(super) fn errand_line(&self) -> Option<BorrowedFd<'_>> {
        self.errand.as_ref().map(|fetcher| fetcher.line.as_fd())
    }

    pub(super) fn receive(&mut self) {
        let Some(fetcher) = self.errand.take() else { return };
        self.returned = Some(match Brought::receive(&fetcher.line, self.wanted) {
            Ok(Ok(brought)) => Returned::Brought(brought),
            Ok(Err(setback)) => Returned::Setback(setback),
            Err(error) => Returned::Lost(error),
        });
        self.events.push(Event::Returned);
    }

    /// Takes over what was brought: for later starts, for files, for the next errand. On an error nothing has changed.
    pub fn exchange(&mut self, brought: Brought) -> Result<Change, present::Error> {
        let terms = brought.terms.clone();
        let (present, change) = match &self.present {
            Some(present) => present.after(brought, self.wanted)?,
            None => (Present::first(brought, self.wanted)?, Change::Changed),
        };
        let is_rotation = self.present.is_some() && change == Change::Changed;
        self.standing.rotations = self.standing.rotations.saturating_add(u64::from(is_rotation));
        self.standing.heard(&terms, Instant::now());
        self.present = Some(present);
        // Before anybody is given them.
        if change == Change::Changed {
            self.register();
        }
        Ok(change)
    }

    // The enforcer.

    /// Who protects us from now on.
    pub fn enforced_by(&mut self, enforcer: Enforcer) {
        if let Some(protection) = &mut self.standing.protection {
            protection.enforced_by(&enforcer);
        }
        self.enforcer = enforcer;
    }

    /// What the enforcer has promised, while it is there.
    #[must_use]
    pub fn enforcer(&self) -> Option<&Bond> {
        self.enforcer.promised().ok()
    }

    /// Why no enforcer protects us; none while one does.
    #[must_use]
    pub fn unenforced(&self) -> Option<&str> {
        self.enforcer.promised().err()
    }

    /// Tells the enforcer what of ours nobody shall send: fingerprints, of each value once.
    pub fn register(&mut self) {
        let (Some(bond), Some(present)) = (self.enforcer.promised().ok(), &self.present) else { return };
        let told = bond.register_values(
            present.each(self.wanted).map(|(target, value)| (target.variable.as_str(), value)),
        );
        told.unwrap_or_else(|silence| {
            say(format_args!("what may not be sent is not known to the enforcer: {silence}"));
        });
    }

    /// What we hold.
    #[must_use]
    pub fn present(&self) -> Option<&Present> {
        self.present.as_ref()
    }

    /// What may be given to who asks now: nothing while the program is frozen. Who was stopped can be let go on by
    /// others than us.
    #[must_use]
    pub fn lent(&self) -> Option<&Present> {
        self.present.as_ref().filter(|_| !self.is_frozen())
    }

    /// What is wanted, in the order of the indices.
    #[must_use]
    pub fn wanted(&self) -> &'k [Wanted] {
        self.wanted
    }

    /// Wipes what we hold, as soon as nobody is left who could be given it. There is no other start afterwards.
    pub fn forget(&mut self) {
        self.present = None;
    }

    /// Writes what we hold to where the program's values lie.
    pub fn rewrite(&mut self) -> Result<Rewritten, Error> {
        let secrets = self.present.as_ref().ok_or(Error::Forgotten)?.secrets(self.wanted)?;
        // Behind the library's door there are values for those who come; what was fetched lies in programs' own pages.
        let Some(secrets) = self.ways.renew(secrets) else { return Ok(Rewritten::OutOfReach) };
        Ok(self.child.as_mut().map_or(Rewritten::OutOfReach, |child| child.tracer.rewrite(secrets)))
    }

    // The program.

    /// Starts the program with what we hold.
    pub(super) fn start(&mut self) -> Result<(), Error> {
        let secrets = self.secrets()?;
        self.start_with(secrets)
    }

    /// What we hold, as variables.
    pub(super) fn secrets(&self) -> Result<Secrets, Error> {
        Ok(self.present.as_ref().ok_or(Error::Forgotten)?.secrets(self.wanted)?)
    }

    /// The way by which the program was given its values.
    #[must_use]
    pub fn taken(&self) -> Option<&Taken> {
        self.ways.taken()
    }

    /// Where programs come that fetch their values; nobody is answered while they are frozen.
    pub(super) fn door(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ways.waits().filter(|_| !self.is_frozen())
    }

    /// Answers them.
    pub(super) fn serve(&mut self, now: Instant) -> Result<(), Error> {
        if self.is_frozen() { Ok(()) } else { Ok(self.ways.turn(now).map_err(Trouble::from)?) }
    }

    /// Whether the program is to find files that are not there.
    pub(super) fn opens(&self) -> Opens {
        let mut targets = self.wanted.iter().flat_map(|wanted| &wanted.targets);
        if targets.any(|target| target.form == Form::File) { Opens::Answered } else { Opens::Plain }
    }

    /// What a new process says before it becomes a program: nothing, or why it does not. A program that is answered
    /// sends where it will ask; that is kept.
    pub(super) fn hear(&mut self, line: &Line) -> io::Result<Option<Message>> {
        while let Some(mut message) = line.receive()? {
            match message.descriptor.take() {
                Some(listener) => self.listeners.push(listener),
                None => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    /// Where a program that was adopted will ask.
    pub(super) fn hear_listener(&mut self, line: &Line) -> io::Result<()> {
        if self.opens() == Opens::Answered {
            let message = line.receive()?;
            self.listeners.extend(message.and_then(|message| message.descriptor));
        }
        Ok(())
    }

    /// Where the kernel asks about files that the program opens; one for each start.
    pub fn listeners(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.listeners)
    }

    /// How things stand.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The same, for parts that know more.
    pub fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    /// The program's main process, while there is one.
    #[must_use]
    pub fn program(&self) -> Option<Pid> {
        self.child.as_ref().map(|child| child.main)
    }

    /// Children of ours that we have made: the program's main process, and hooks.
    pub fn tops(&self) -> impl Iterator<Item = Pid> {
        self.program().into_iter().chain(self.made.iter().copied().filter_map(Pid::from_raw))
    }

    /// The processes that were given values and live, where mappings of their memory are kept.
    pub fn holders(&mut self) -> Vec<Pid> {
        self.child.as_mut().map(|child| child.tracer.programs()).unwrap_or_default()
    }

    /// Sends the program, or its group, a signal.
    pub fn signal(&mut self, signal: i32) {
        if let Some(child) = &mut self.child {
            child.send(signal);
        }
    }

    /// Ends the program, and starts it anew with what we hold then. What does not end in time is killed.
    pub fn restart(&mut self) {
        if let Some(child) = &mut self.child {
            child.end(Then::Restart);
        }
    }

    /// Ends the program, and then ourselves with `code`. What does not end in time is killed.
    pub fn end_program(&mut self, code: u8) {
        match &mut self.child {
            Some(child) => child.end(Then::End(code)),
            None => self.outcome = Some(code),
        }
    }

    /// Stops the program and all that descends from it, where they stand. Nobody of them is given a value.
    ///
    /// False if one does not stand still yet.
    pub fn freeze(&mut self) -> Result<bool, Error> {
        let Some(child) = &mut self.child else { return Ok(true) };
        child.hold();
        family::stop(getpid(), &self.spared()).map_err(Error::os("stopping the program"))
    }

    /// Lets a frozen program go on.
    pub fn thaw(&mut self) -> Result<(), Error> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let held = child.release();
        for (pid, status) in held {
            self.report(pid, status)?;
        }
        family::go_on(getpid(), &self.spared()).map_err(Error::os("letting the program go on"))
    }

    /// Whether the program is frozen.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.child.as_ref().is_some_and(Child::is_frozen)
    }

    pub(super) fn forward(&mut self, signal: i32) {
        if let Some(child) = &mut self.child {
            child.forward(signal);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.child
            .as_ref()
            .and_then(Child::deadline)
            .into_iter()
            .chain(self.ways.wakes().filter(|_| !self.is_frozen()))
            .min()
    }

    pub(super) fn look_at_the_clock(&mut self, now: Instant) {
        if let Some(child) = &mut self.child {
            child.look_at_the_clock(now);
        }
    }

    pub(super) fn kill(&mut self) {
        self.abandon_errand();
        let Some(child) = &mut self.child else { return };
        child.kill();
        // Its other processes have the values too, in whatever group they are.
        family::kill(getpid(), &self.spared()).map_or_else(say, |_all| ());
    }
}
