//! Rotation's turns in the keeper's loop.
//!
//! What fetchers bring goes to the [`Tenant`]; what it wants done is done here: errands, other values for the program by
//! the operator's strategy, its end, its standing still. Everything that the operator should know is one line.
//!
//! Trusted: fetchers, and the keeper. Untrusted: the program and the hook.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use release_client::pace::{Moment, Uptime};
use rustix::event::PollFlags;
use rustix::process::Pid;

use super::clock::Clock;
use super::grants::{self, grants};
use super::hook::{Deed, Hook};
use super::strategy::{Step, Why};
use super::tenant::{self, Action, Failure, Policy, Reason, Tenant, Values};
use super::words;
use crate::config::{self, Config, Method, Strategy, Wanted, Withdrawal};
use crate::errand::{Brought, Errand, Of};
use crate::graft::runtime::{self, Reads};
use crate::keeper::{Change, Core, Error, Event, Part, Returned, WITHDRAWN};
use crate::say;

/// An errand is not given up sooner than this, however short the operator's patience is at start.
const LEAST_PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at a frozen program.
const LOOK: Duration = Duration::from_secs(1);

/// The part that looks after values while the program runs.
#[derive(Debug)]
pub struct Rotation<'c> {
    conduct: &'c config::Rotation,
    wanted: &'c [Wanted],
    policy: Policy,
    clock: Clock,
    /// From the first turn on: only then there are values.
    tenant: Option<Tenant>,
    hook: Hook,
    hook_process: Option<Pid>,
    /// When the frozen program was looked at last.
    looked: Option<Uptime>,
}

impl<'c> Rotation<'c> {
    /// As the configuration wants it.
    pub fn new(config: &'c Config) -> io::Result<Self> {
        let conduct = &config.rotation;
        let policy = Policy {
            refresh: conduct.refresh,
            grace: conduct.grace,
            max_stale: conduct.max_stale,
            withdrawal: conduct.withdrawal,
            exchanges: conduct.strategy != Strategy::None,
            logs_in: config.login.method != Method::Token,
            patience: config.patience.max(LEAST_PATIENCE),
        };
        Ok(Self {
            conduct,
            wanted: &config.secrets,
            policy,
            clock: Clock::new()?,
            tenant: None,
            hook: Hook::default(),
            hook_process: None,
            looked: None,
        })
    }

    fn begin(&self, core: &Core<'_>, moment: &Moment) -> Option<Tenant> {
        let grants = grants(core.present()?.terms(), self.wanted);
        Some(Tenant::new(self.policy, &grants, moment.now, moment))
    }

    /// What the tenant and the hook are to know of what happened.
    fn heard(&mut self, core: &mut Core<'_>, events: &[Event], moment: &Moment) -> Vec<tenant::Event> {
        let mut heard = Vec::new();
        for event in events {
            match event {
                Event::Returned => {
                    heard.extend(core.returned().map(|returned| self.returned(core, returned)));
                }
                Event::Ended(pid, with) if self.hook_process == Some(*pid) => {
                    self.hook_ended(core, *with, moment);
                }
                Event::Started(_) | Event::Ended(..) => {}
            }
        }
        heard.push(tenant::Event::Woke);
        heard
    }

    fn returned(&self, core: &mut Core<'_>, returned: Returned) -> tenant::Event {
        match returned {
            Returned::Brought(brought) => self.brought(core, brought),
            Returned::Setback(setback) if setback.refused => tenant::Event::Failed(Failure::Refused),
            Returned::Setback(_) => tenant::Event::Failed(Failure::Away),
            Returned::Lost(error) => {
                say(error);
                tenant::Event::Failed(Failure::Away)
            }
        }
    }

    fn brought(&self, core: &mut Core<'_>, brought: Brought) -> tenant::Event {
        let grants = grants(&brought.terms, self.wanted);
        let values = match core.exchange(brought) {
            Ok(Change::Same) => Values::Same,
            Ok(Change::Changed) => Values::Changed,
            Err(error) => {
                say(error);
                return tenant::Event::Failed(Failure::Away);
            }
        };
        tenant::Event::Brought { grants, values }
    }

    /// Does one thing; what came of it, where that is news for the tenant.
    fn act(
        &mut self,
        core: &mut Core<'_>,
        action: Action,
        moment: &Moment,
    ) -> Result<Option<tenant::Event>, Error> {
        match action {
            Action::Withdraw(reason) => self.withdraw(core, reason)?,
            Action::Exchange => self.exchange(core, moment)?,
            Action::Thaw => {
                core.thaw()?;
                say("OpenBao confirms everything again; the program goes on");
            }
            Action::Errand(wants) => {
                let terms = core.present().map(|present| present.terms().to_vec()).unwrap_or_default();
                if let Err(error) = core.send(&grants::errand(&wants, &terms)) {
                    say(error);
                    return Ok(Some(tenant::Event::Failed(Failure::Away)));
                }
            }
            Action::Abandon => core.abandon_errand(),
            Action::Tell(notice) => say(words::notice(notice)),
        }
        Ok(None)
    }

    fn withdraw(&mut self, core: &mut Core<'_>, reason: Reason) -> Result<(), Error> {
        let what = words::reason(reason, self.wanted);
        match self.conduct.withdrawal {
            Withdrawal::Kill => say(format_args!("{what}; the program is ended")),
            Withdrawal::Freeze => {
                say(format_args!("{what}; the program stands still until OpenBao confirms everything"));
            }
        }
        // Who is to be killed stands still first: nobody of them goes on while another ends.
        self.hook_process.into_iter().for_each(|pid| core.abandon(pid));
        core.freeze()?;
        if self.conduct.withdrawal == Withdrawal::Kill {
            core.end_program(WITHDRAWN);
        }
        Ok(())
    }

    /// Others of its user may send SIGCONT to what was stopped, and what a hook has started is spared until the hook's end is
    /// told: so the frozen are looked at again and again.
    fn keep_frozen(&mut self, core: &mut Core<'_>, moment: &Moment) -> Result<Option<Uptime>, Error> {
        if !core.is_frozen() {
            self.looked = None;
            return Ok(None);
        }
        if self.looked.is_none_or(|looked| moment.now.since(looked) >= LOOK) {
            core.freeze()?;
            self.looked = Some(moment.now);
        }
        Ok(self.looked.map(|looked| looked.plus(LOOK)))
    }

    fn exchange(&mut self, core: &mut Core<'_>, moment: &Moment) -> Result<(), Error> {
        let strategy = self.conduct.strategy;
        let step = match Step::before(strategy, least(&core.holders())) {
            Some(step) => step,
            None => Step::after(strategy, core.rewrite()?),
        };
        match step {
            Step::Done => say("a value has changed; the program has it"),
            Step::Signal => {
                say("a value has changed; the program has it, and SIGHUP");
                core.signal(libc::SIGHUP);
            }
            Step::Hook => {
                let deed = self.hook.changed(moment);
                self.look_after_hook(core, deed, moment);
            }
            Step::Restart(why) => Self::restart(core, &why),
        }
        Ok(())
    }

    fn restart(core: &mut Core<'_>, why: &Why) {
        say(format_args!("{why}; the program is started anew"));
        core.restart();
    }

    fn hook_ended(&mut self, core: &mut Core<'_>, with: u8, moment: &Moment) {
        self.hook_process = None;
        if with != 0 {
            say(format_args!("CLOUDTASER_ROTATION_HOOK ended with {with}"));
        }
        let deed = self.hook.ended(with == 0, moment);
        self.look_after_hook(core, deed, moment);
    }

    fn look_after_hook(&mut self, core: &mut Core<'_>, deed: Option<Deed>, moment: &Moment) {
        let mut next = deed;
        while let Some(deed) = next.take() {
            match deed {
                Deed::Run => next = self.run_hook(core, moment),
                Deed::Kill => self.hook_process.into_iter().for_each(|pid| core.abandon(pid)),
                Deed::Tell(again) => say(words::hook_failed(again)),
            }
        }
    }

    fn run_hook(&mut self, core: &mut Core<'_>, moment: &Moment) -> Option<Deed> {
        say("a value has changed; the program has it, CLOUDTASER_ROTATION_HOOK runs");
        match core.run_hook() {
            Ok(pid) => {
                self.hook_process = Some(pid);
                None
            }
            Err(error) => {
                say(format_args!("CLOUDTASER_ROTATION_HOOK: {error}"));
                self.hook.ended(false, moment)
            }
        }
    }
}

impl Part for Rotation<'_> {
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.clock.as_fd(), PollFlags::IN)]
    }

    fn turn(&mut self, core: &mut Core<'_>, events: &[Event]) -> Result<(), Error> {
        let moment = self.clock.now();
        let begun = self.tenant.take().or_else(|| self.begin(core, &moment));
        let Some(mut tenant) = begun else { return Ok(()) };
        let mut happened = VecDeque::from(self.heard(core, events, &moment));
        while let Some(event) = happened.pop_front() {
            for action in tenant.step(event, &moment) {
                happened.extend(self.act(core, action, &moment)?);
            }
        }
        let look = self.keep_frozen(core, &moment)?;
        // A hook is given values too: while the program is frozen none begins.
        let mut hook = None;
        if !core.is_frozen() {
            let deed = self.hook.woke(&moment);
            self.look_after_hook(core, deed, &moment);
            hook = self.hook.wake();
        }
        let wake = tenant.wake().into_iter().chain(hook).chain(look).min();
        self.tenant = Some(tenant);
        self.clock.ring(wake).map_err(|source| Error::Os { doing: "timerfd", source })
    }

    /// A token of ours takes its leases with it.
    fn farewell(&self, core: &Core<'_>) -> Option<Errand> {
        let terms = core.present()?.terms();
        let token = self.policy.logs_in && terms.iter().any(|term| term.of == Of::Token);
        let leases = terms.iter().filter_map(|term| term.lease.clone());
        let leases: Vec<String> = if token && self.policy.exchanges { Vec::new() } else { leases.collect() };
        (token || !leases.is_empty()).then_some(Errand::Revoke { leases, token })
    }
}

/// How the least attentive of these programs reads its environment.
fn least(programs: &[Pid]) -> Option<Reads> {
    let reads: Vec<Reads> = programs.iter().map(|pid| runtime::reads_of(*pid)).collect();
    let inattentive = reads.iter().find(|reads| **reads != Reads::Live);
    inattentive.or(reads.first()).copied()
}
