//! What is answered to whom.
//!
//! Anybody may ask for protection of itself; who was nothing to us when it came may ask for nothing else. What a group may
//! ask, may be asked by those alone who belonged to it when they came: a line that was opened before, and perhaps stolen
//! then, is good for asking for protection and no more. The matrix and events are root's.
//!
//! Trusted: the kernel's word on the caller, tags. Untrusted: words.

use std::time::{Duration, Instant};

use enforcer_abi::{Tag, role};
use protocol::enforcer::{Ask, MAX_NEEDLES, Matrix, Needle, Said};
use rustix::rand::{GetRandomFlags, getrandom};

use super::News;
use super::caller::Caller;
use super::edge::{Inside, Needles, Tagger};
use super::groups::{Group, Groups, Key};
use super::sight::Sight;
use crate::guards::trial::Trial;

/// Between two looks at which groups have ended.
const SWEEP: Duration = Duration::from_secs(10);

/// Who answers.
#[derive(Debug)]
pub(super) struct Desk<E> {
    pub(super) edge: E,
    /// That of the node's guards.
    pub(super) trial: Trial,
    groups: Groups,
    swept: Option<Instant>,
}

/// Who asks, and what is known meanwhile.
pub(super) struct Turn<'t> {
    pub(super) caller: &'t Caller,
    /// What the caller was when it came.
    pub(super) came: Tag,
    pub(super) matrix: &'t Matrix,
    pub(super) now: Instant,
}

impl<E: Tagger + Needles> Desk<E> {
    pub(super) fn new(edge: E) -> Self {
        Self { edge, trial: Trial::NONE, groups: Groups::default(), swept: None }
    }

    /// Forgets the groups that have nobody left, now and then.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<News> {
        let due = self.swept.and_then(|last| last.checked_add(SWEEP)).is_none_or(|due| now >= due);
        let unknown: Vec<u64> =
            self.edge.registered().into_iter().filter(|group| self.groups.find(*group).is_none()).collect();
        if !due || self.groups.is_empty() && unknown.is_empty() {
            return Vec::new();
        }
        self.swept = Some(now);
        let edge = &self.edge;
        // Where it cannot be told, a group stays.
        let has_ended = |group| !edge.lives(group).unwrap_or(true);
        let mut ended = self.groups.forget(has_ended);
        // Of an enforcer before us, and nobody of them has come to us.
        ended.extend(unknown.into_iter().filter(|group| has_ended(*group)));
        for group in &ended {
            self.edge.forget(*group);
        }
        ended.into_iter().map(|group| News::Ended { group }).collect()
    }

    pub(super) fn answer(&mut self, turn: &Turn<'_>, ask: Ask, news: &mut Vec<News>) -> Said {
        let outcome = match ask {
            Ask::Protect {} => self.protect(turn, news),
            Ask::Confirm {} => self.confirm(turn, news),
            Ask::Register { needles } => self.register(turn, &needles),
            Ask::Keep {} => self.keep(turn),
            Ask::Matrix {} => for_root(turn).map(|()| Said::Matrix(turn.matrix.clone())),
            Ask::ConfirmGuards {} => self.confirm_guards(turn, news),
            Ask::Watch {} => for_root(turn).map(|()| Said::Watching {}),
        };
        outcome.unwrap_or_else(|why| {
            news.push(News::Refused { pid: turn.caller.pid(), why: why.clone() });
            Said::Refused { why }
        })
    }

    fn protect(&mut self, turn: &Turn<'_>, news: &mut Vec<News>) -> Result<Said, String> {
        let caller = turn.caller;
        let pid = caller.pid();
        if turn.came != Tag::NONE || self.edge.tag_of(caller.process()).map_err(told)? != Tag::NONE {
            return Err("expected a process without a tag, found one that has one".to_owned());
        }
        fit(caller)?;
        if self.groups.room(caller.place()).is_err() {
            self.swept = None;
            news.extend(self.sweep(turn.now));
        }
        self.groups.room(caller.place()).map_err(told)?;
        let group = u64::from_ne_bytes(random()?).max(1);
        let key = Key(random()?);
        // Before the tag: afterwards it must differ.
        let before = self.edge.look(pid).map_err(told)?;
        let tag = Tag { group, roles: role::PROTECTED, becoming: 0 };
        self.edge.tag(caller.process(), tag).map_err(|error| format!("tagging: {error}"))?;
        // Again: who came before the tag is here still, and nobody comes after it.
        if let Err(why) = fit(caller) {
            self.edge.tag(caller.process(), Tag::NONE).map_err(told)?;
            return Err(why);
        }
        let place = caller.place().to_owned();
        let (is_clear, is_inherited) = (false, false);
        self.groups.insert(group, Group { key, leader: pid, before, is_clear, place, is_inherited });
        news.push(News::Protected { pid, group });
        Ok(Said::Tagged {})
    }

    fn confirm(&mut self, turn: &Turn<'_>, news: &mut Vec<News>) -> Result<Said, String> {
        let caller = turn.caller;
        if turn.came == Tag::NONE {
            return Ok(Said::Unprotected {});
        }
        let number = self.group_of(turn)?;
        let seen = self.edge.look(caller.pid()).map_err(told)?;
        let group = self.groups.find(number).ok_or("expected a group of ours, found none")?;
        if group.is_clear {
            return Ok(clear(group, seen, turn));
        }
        if group.leader != caller.pid() {
            return Err(
                "expected the process that asked for protection, found another of its group".to_owned()
            );
        }
        let sight = Sight::of(caller.pid()).map_err(told)?;
        sight.fit().map_err(told)?;
        match (seen, group.before) {
            (Some(now), Some(before)) => now.renewed(before).map_err(told)?,
            (Some(now), None) => now.alone().map_err(told)?,
            (None, _) => {}
        }
        if !caller.lives() {
            return Err("the process that connected has ended".to_owned());
        }
        group.is_clear = true;
        news.push(News::Confirmed { pid: caller.pid(), group: number });
        Ok(clear(group, seen, turn))
    }

    fn register(&mut self, turn: &Turn<'_>, needles: &[Needle]) -> Result<Said, String> {
        if needles.len() > MAX_NEEDLES {
            return Err(format!("expected at most {MAX_NEEDLES} needles, found {}", needles.len()));
        }
        let number = self.group_of(turn)?;
        let group = self.groups.find(number).ok_or("expected a group of ours, found none")?;
        if !group.is_clear {
            return Err("expected a group that is confirmed, found one that is not".to_owned());
        }
        let key = group.key;
        self.edge.register(number, &key.0, needles)?;
        Ok(Said::Done {})
    }

    fn keep(&mut self, turn: &Turn<'_>) -> Result<Said, String> {
        let number = self.group_of(turn)?;
        let group = self.groups.find(number).ok_or("expected a group of ours, found none")?;
        if !group.is_clear {
            return Err("expected a group that is confirmed, found one that is not".to_owned());
        }
        if group.leader != turn.caller.pid() {
            return Err(
                "expected the process that asked for protection, found another of its group".to_owned()
            );
        }
        let is_inherited = group.is_inherited;
        let process = turn.caller.process();
        let tag = self.edge.tag_of(process).map_err(told)?;
        if is_inherited && !tag.is(role::KEEPER) {
            return Err("expected who kept this group's secrets before, found another of it".to_owned());
        }
        let tag = Tag { roles: tag.roles | role::KEEPER, ..tag };
        self.edge.tag(process, tag).map_err(|error| format!("tagging: {error}"))?;
        Ok(Said::Done {})
    }

    fn confirm_guards(&mut self, turn: &Turn<'_>, news: &mut Vec<News>) -> Result<Said, String> {
        for_root(turn)?;
        let pid = turn.caller.pid();
        let session = crate::guards::confirm::session(pid).map_err(told)?;
        if !turn.caller.lives() {
            return Err("the process that connected has ended".to_owned());
        }
        self.trial.confirm(session).map_err(told)?;
        news.push(News::GuardsConfirmed { pid });
        Ok(Said::Done {})
    }

    /// The group that the caller belonged to when it came, and belongs to.
    fn group_of(&mut self, turn: &Turn<'_>) -> Result<u64, String> {
        let caller = turn.caller;
        let tag = self.edge.tag_of(caller.process()).map_err(told)?;
        if !tag.is(role::PROTECTED) || tag.group != turn.came.group {
            return Err(
                "expected a protected process, found one that is not, or was not when it came".to_owned()
            );
        }
        if self.groups.find(tag.group).is_none() {
            // Of an enforcer before us; its tag is nobody else's work. It is looked at again.
            self.groups.room(caller.place()).map_err(told)?;
            let known = self.edge.key(tag.group);
            let key = Key(known.map_or_else(random, Ok)?);
            let (leader, place) = (caller.pid(), caller.place().to_owned());
            let (is_clear, is_inherited) = (false, known.is_some());
            self.groups.insert(tag.group, Group { key, leader, before: None, is_clear, place, is_inherited });
        }
        Ok(tag.group)
    }
}

fn clear(group: &Group, seen: Option<Inside>, turn: &Turn<'_>) -> Said {
    let by_procfs = ["tag", "threads", "tracer"];
    let by_kernel: &[&str] = match (seen, group.before) {
        (Some(_), Some(_)) => &["executed-anew", "program", "supervisor", "descriptors"],
        (Some(_), None) => &["supervisor", "descriptors"],
        (None, _) => &[],
    };
    let looked = by_procfs.iter().chain(by_kernel).map(|&word| word.to_owned()).collect();
    Said::Clear { key: hex::encode(group.key.0), looked, matrix: turn.matrix.clone() }
}

fn fit(caller: &Caller) -> Result<(), String> {
    let sight = Sight::of(caller.pid()).map_err(told)?;
    if !caller.lives() {
        return Err("the process that connected has ended".to_owned());
    }
    sight.fit().map_err(told)
}

fn for_root(turn: &Turn<'_>) -> Result<(), String> {
    if turn.caller.is_root() { Ok(()) } else { Err("expected root, found another user".to_owned()) }
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(got) if got == N => Ok(bytes),
        Ok(got) => Err(format!("expected {N} random bytes, found {got}")),
        Err(error) => Err(told(error)),
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
