//! From programs to hooks: each by the strongest kind that this kernel takes.

use std::os::fd::AsFd as _;

use enforcer_abi::Part;

use crate::btf::Btf;
use crate::kernel;
use crate::leak::Dormant;
use crate::load::Error;
use crate::load::arms::Arms;
use crate::load::calls::{self, Call};
use crate::load::fronts;
use crate::load::hooks::{self, Hook, Hooks, Place};
use crate::load::switches::{self, Stay};

/// Programs on typed tracepoints, without which nobody's identity is kept: name in the object, tracepoint.
const IDENTITY: [(&str, &str); 2] = [("forked", "sched_process_fork"), ("freed", "sched_process_free")];

impl super::Loaded {
    /// Attaches what keeps identity, and each hook by the strongest kind that takes it.
    pub(crate) fn arm(&mut self, arms: &Arms<'_>) -> Result<(), Error> {
        let Some((available, types)) = self.armoury.take() else { return Ok(()) };
        let btf = Btf::parse(&types)?;
        let asked = |functions: [&str; 2]| functions.into_iter().any(|name| btf.function(name).is_ok());
        let unasked = fronts::UNASKED.into_iter().filter(|(.., functions)| !asked(*functions));
        self.unasked = unasked.map(|(hook, vector, _)| (hook, vector)).collect();
        for (name, tracepoint) in IDENTITY {
            let hook = available.attach(name, Place::Tracepoint(tracepoint), &btf)?;
            self.keep(hook)?;
        }
        for (name, tracepoint) in fronts::TRACEPOINTS {
            self.wanted.push(name.to_owned());
            match available.attach(name, Place::Tracepoint(tracepoint), &btf) {
                Ok(hook) => self.keep(hook)?,
                Err(error) => self.missing.push((name.to_owned(), error.to_string())),
            }
        }
        for name in available.names(&btf) {
            // Of those for different numbers of arguments one is enough.
            if self.hooks.iter().any(|hook| hook.is_kin(&name))
                || fronts::SEARCHES.contains(&name.as_str())
                || fronts::on_demand(&name) && !arms.asked.contains(&name.as_str())
            {
                continue;
            }
            self.wanted.push(name.clone());
            let mut reasons = Vec::new();
            let taken = arms.of(&name).into_iter().find_map(|(program, place)| {
                available.attach(program, place, &btf).map_err(|error| reasons.push(error.to_string())).ok()
            });
            match taken {
                Some(hook) => self.keep(hook)?,
                None => self.missing.push((name, why(&reasons))),
            }
        }
        self.arm_calls(arms, &available, &btf)?;
        self.prepare_searches(arms, &available, &btf);
        let stay = if self.pins.is_some() { Stay::On } else { Stay::WithUs };
        let before = std::mem::replace(&mut self.switches_before, Ok(Vec::new()));
        let guarded = before
            .and_then(|before| switches::guard(&mut self.ebpf, &self.group, &self.owned, stay, &before));
        match guarded {
            Ok(()) => self.switches = true,
            Err(error) => self.missing.push((switches::HOOK.to_owned(), error.to_string())),
        }
        // The kernel's types alone are megabytes, and we stay for months.
        drop(available);
        drop(btf);
        drop(types);
        kernel::give_back_memory();
        Ok(())
    }

    /// Where no hook refuses, system calls are looked at themselves.
    fn arm_calls(&mut self, arms: &Arms<'_>, available: &Hooks, btf: &Btf<'_>) -> Result<(), Error> {
        let (mut overridden, mut unloadable) = (false, false);
        for call in arms.overridden() {
            if self.refuses(call) {
                continue;
            }
            self.wanted.push(call.pinned());
            if unloadable {
                continue;
            }
            match available.attach(calls::PROGRAM, Place::Override(call), btf) {
                Ok(hook) => {
                    self.keep(hook)?;
                    overridden = true;
                }
                // This kernel has another set of calls.
                Err(error @ hooks::Error::Attach { .. }) => {
                    self.missing.push((call.name.to_owned(), error.to_string()));
                }
                Err(error) => {
                    self.missing.push((calls::PROGRAM.to_owned(), error.to_string()));
                    unloadable = true;
                }
            }
        }
        let checks = self.hooks.iter().any(|hook| hook.shown() == "ptrace_access_check");
        if !checks && !overridden && arms.passing {
            self.wanted.push(fronts::PASSING.to_owned());
            let place = Place::Passing(fronts::PASSING, arms.reaction);
            match available.attach(fronts::PASSING, place, btf) {
                Ok(hook) => self.keep(hook)?,
                Err(error) => self.missing.push((fronts::PASSING.to_owned(), error.to_string())),
            }
        }
        Ok(())
    }

    /// Whether the hook that a call comes by refuses.
    fn refuses(&self, call: &Call) -> bool {
        !self.unasked.contains(&(call.hook, call.vector))
            && self.hooks.iter().any(|hook| {
                matches!(hook.place, Place::Lsm | Place::ModifyReturn) && hook.shown() == call.hook
            })
    }

    fn prepare_searches(&mut self, arms: &Arms<'_>, available: &Hooks, btf: &Btf<'_>) {
        for name in fronts::SEARCHES {
            if self.dormant.iter().any(|other| fronts::hook(&other.name) == fronts::hook(name)) {
                continue;
            }
            let mut reasons = Vec::new();
            let taken = arms.of(name).into_iter().find_map(|(program, place)| {
                let prepared = available.prepare(program, place, btf);
                let (program, _) = prepared.map_err(|error| reasons.push(error.to_string())).ok()?;
                Some(Dormant { name: name.to_owned(), place, program })
            });
            match taken {
                Some(dormant) => {
                    // Without it, it is one more program that others may open, and no more.
                    self.owned.add(Part::Program, dormant.program.as_fd()).unwrap_or_default();
                    self.dormant.push(dormant);
                }
                None => self.missing.push((name.to_owned(), why(&reasons))),
            }
        }
    }

    fn keep(&mut self, hook: Hook) -> Result<(), Error> {
        for (part, what) in [(Part::Program, &hook.program), (Part::Link, &hook.link)] {
            // A kprobe's link is a counter of perf, which has no number.
            let known = self.owned.add(part, what.as_fd());
            if !matches!(hook.place, Place::Override(_) | Place::Entry(..)) {
                known.map_err(|source| Error::Write { name: "OWN", source })?;
            }
        }
        if let Some(pins) = &self.pins {
            pins.link(&hook.pinned(), hook.link.as_fd())?;
        }
        self.hooks.push(hook);
        Ok(())
    }

    /// Takes away the links of enforcers before us, now that ours are there. Where one of ours is not, theirs stays.
    pub(crate) fn retire_others(&mut self) -> Result<usize, Error> {
        let Some(pins) = &self.pins else { return Ok(0) };
        let (before, kept) = pins.retire_others(|name| self.wanted.iter().any(|wanted| wanted == name))?;
        let why = "it could not be attached as strongly as by the enforcer before, whose program stays";
        self.missing.extend(kept.into_iter().map(|name| (name, why.to_owned())));
        Ok(before)
    }
}

/// Why no program stands for a hook.
fn why(reasons: &[String]) -> String {
    if reasons.is_empty() {
        "no program of the kinds that are used here can stand for it".to_owned()
    } else {
        reasons.join("; ")
    }
}
