//! The loop: who asks, what is told, and the proof that goes on.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use enforcer_abi::Tag;
use protocol::enforcer::{Event, Matrix, Severity};
use rustix::event::PollFlags;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::begin::bait;
use super::{Error, LONGEST, machine, release, say, wait_for};
use crate::canary::Canary;
use crate::config::Run;
use crate::edge::Edge;
use crate::ending::{Ending, Place};
use crate::events::clock;
use crate::events::feed::Feed;
use crate::guards;
use crate::guards::trial::Trial;
use crate::load::Loaded;
use crate::load::arms;
use crate::matrix::{self, Known};
use crate::socket::{News, Server, Tagger as _};

/// Everything that the loop turns.
pub(super) struct Enforcer<'c> {
    pub(super) config: &'c Run,
    pub(super) loaded: Loaded,
    pub(super) canary: Canary,
    pub(super) counts: OwnedFd,
    pub(super) feed: Feed,
    pub(super) server: Server<Edge>,
    pub(super) matrix: Matrix,
}

impl Enforcer<'_> {
    pub(super) fn serve(mut self, ending: &Ending) -> Result<Place, Error> {
        let mut more = false;
        while !ending.came() && !self.loaded.is_over() {
            if let Err(error) = self.wait(more, ending) {
                // What is armed goes on; who waits for us is told when it is possible again.
                say(&error.to_string());
                std::thread::sleep(LONGEST);
            }
            let now = Instant::now();
            for news in self.server.ready(&self.matrix, now) {
                self.tell(&news);
            }
            self.try_guards();
            if let Some(leaks) = &mut self.server.edge().leaks {
                bait(leaks, &mut self.canary);
            }
            self.prove(now);
            let Self { feed, server, matrix, .. } = &mut self;
            let mut watch = |event: &Event| publish(server, event);
            more = feed.ready(&mut watch);
            for trouble in feed.tick(matrix, &mut watch) {
                say(&trouble);
            }
        }
        self.feed.end(&mut |event: &Event| publish(&mut self.server, event));
        if self.loaded.is_over() { self.step_down() } else { Ok(Place::Left) }
    }

    /// Leaves nothing behind that the one in our place would meet; it waits for that.
    fn step_down(self) -> Result<Place, Error> {
        let Self { loaded, canary, feed, mut server, .. } = self;
        drop((loaded, canary, feed));
        // Who is not the enforcer can be told to end by anybody who may.
        let process = pidfd_open(getpid(), PidfdFlags::empty()).map_err(io::Error::from);
        let freed = process.and_then(|process| server.edge().tag(process.as_fd(), Tag::NONE));
        freed.map_err(machine("stepping down"))?;
        Ok(Place::Taken)
    }

    /// Has the canary go on. What goes wrong is told, and tried again: an end would leave less than a defence that is not proved.
    fn prove(&mut self, now: Instant) {
        let changed = self.canary.ready(self.server.edge(), &self.counts, now);
        let trouble = self.canary.trouble();
        if changed {
            match draw(self.config, self.server.trial(), &self.loaded, &self.canary) {
                Ok(matrix) => self.matrix = matrix,
                Err(error) => say(&error.to_string()),
            }
        }
        if let Some(trouble) = trouble {
            say(&trouble);
        }
    }

    /// Whether the trial of the node's guards has ended without a word. What goes wrong then is told, and tried again.
    fn try_guards(&mut self) {
        let before = self.server.trial().clone();
        if !self.server.trial_mut().lapses(clock::now().boot) {
            return;
        }
        match self.lapse() {
            Ok(()) => {
                let said = self.server.trial().said().unwrap_or_default();
                say(&said);
                let Self { feed, server, .. } = self;
                let mut watch = |event: &Event| publish(server, event);
                feed.say(Event::GUARDS_LAPSED, Severity::High, said, &mut watch);
            }
            Err(error) => {
                say(&error.to_string());
                *self.server.trial_mut() = before;
            }
        }
    }

    fn lapse(&mut self) -> Result<(), Error> {
        let trial = self.server.trial();
        guards::set(self.config, trial, &self.loaded)?;
        guards::changed(trial, &self.loaded)?;
        self.matrix = draw(self.config, trial, &self.loaded, &self.canary)?;
        Ok(())
    }

    /// An administrator has confirmed: the kernel and a file remember it.
    fn keep_guards(&self) {
        let trial = self.server.trial();
        if let Err(error) = guards::changed(trial, &self.loaded) {
            say(&error.to_string());
        }
        if let Err(error) = guards::write_down(self.config, trial) {
            say(&format!("{}: {error}", self.config.confirmed.display()));
        }
    }

    /// Until somebody comes, or it is time.
    fn wait(&self, more: bool, ending: &Ending) -> Result<(), Error> {
        let mut fds = self.server.fds();
        fds.push((self.feed.fd(), PollFlags::IN));
        fds.push((ending.fd(), PollFlags::IN));
        fds.extend(self.canary.fd().map(|fd| (fd, PollFlags::IN)));
        let wakes = self.server.wakes().map_or(self.canary.wakes(), |at| at.min(self.canary.wakes()));
        let wakes = wakes.saturating_duration_since(Instant::now()).min(LONGEST);
        wait_for(&fds, if more { Duration::ZERO } else { wakes })
    }

    pub(super) fn introduce(&self, before: usize) {
        if before > 0 {
            say(&format!("took over from {before} before"));
        }
        for (hook, why) in &self.loaded.missing {
            say(&format!("hook {hook} is not in use: {why}"));
        }
        if !self.loaded.absent.is_empty() {
            say(&format!("fields that this kernel does not have: {}", self.loaded.absent.join(", ")));
        }
        self.say_matrix();
        say(&format!(
            "kprobe_override: {}",
            if arms::kernel_has_override() { "available" } else { "not in this kernel" }
        ));
        if let Some(said) = self.server.trial().said() {
            say(&said);
        }
        say("ready");
    }

    fn say_matrix(&self) {
        for defence in &self.matrix.vectors {
            let why = defence.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let (vector, tier, mode, verified) =
                (&defence.vector, &defence.tier, &defence.mode, defence.verified);
            say(&format!("vector {vector} tier {tier} mode {mode} verified {verified:?}{why}"));
        }
    }

    fn tell(&mut self, news: &News) {
        if matches!(news, News::GuardsConfirmed { .. }) {
            self.keep_guards();
        }
        let Self { feed, server, .. } = self;
        let (name, severity, text) = match news {
            News::Protected { .. } => {
                (Event::PROTECTED, Severity::Info, "it is protected from now on".to_owned())
            }
            News::Confirmed { .. } => {
                (Event::CONFIRMED, Severity::Info, "it was looked at, and nothing was wrong".to_owned())
            }
            News::GuardsConfirmed { .. } => {
                (Event::GUARDS_CONFIRMED, Severity::High, "the node's guards go on refusing".to_owned())
            }
            News::Refused { why, .. } => (Event::NOT_PROTECTED, Severity::Medium, why.clone()),
            News::Ended { .. } => (Event::GROUP_ENDED, Severity::Info, "nobody of it is left".to_owned()),
        };
        let whom = match news {
            News::Protected { pid, group } | News::Confirmed { pid, group } => (Some(*pid), Some(*group)),
            News::Refused { pid, .. } | News::GuardsConfirmed { pid } => (Some(*pid), None),
            News::Ended { group } => (None, Some(*group)),
        };
        feed.say_of(whom, name, severity, text, &mut |event: &Event| publish(server, event));
    }
}

pub(super) fn draw(config: &Run, trial: &Trial, loaded: &Loaded, canary: &Canary) -> Result<Matrix, Error> {
    let known = Known {
        hooks: loaded.hooks().collect(),
        unasked: &loaded.unasked,
        missing: &loaded.missing,
        programs: loaded.programs()?,
        kernel: release(),
    };
    Ok(matrix::draw(
        &known,
        |vector| trial.mode(vector, config.mode_of(vector)),
        |vector| canary.proof(vector),
    ))
}

fn publish(server: &mut Server<Edge>, event: &Event) {
    if server.is_watched() {
        server.publish(event);
    }
}
