//! Which kinds of hook are to be used: all that this kernel calls and nobody forbade, strongest first.

use std::path::Path;

use enforcer_abi::Tier;

use crate::config::{Kind, Run};
use crate::load::calls::{self, Call};
use crate::load::fronts;
use crate::load::hooks::{Place, Reaction};
use crate::procfs::{genuine, magic};

/// The kinds, and what else is up to whoever runs us.
#[derive(Clone, Debug)]
pub(crate) struct Arms<'a> {
    /// Kinds that refuse, strongest first.
    places: Vec<Place>,
    /// Programs that run only on demand, and are wanted.
    pub(crate) asked: &'a [&'a str],
    /// What becomes of whom nothing refuses.
    pub(crate) reaction: Reaction,
    /// Whether entries of functions may be used.
    entries: bool,
    /// Whether all system calls may be looked at.
    pub(crate) passing: bool,
}

impl Arms<'_> {
    /// What the configuration says; `lsms` is the kernel's list of those that it calls. BPF LSM programs load and attach where
    /// `bpf` is not in it, too, and are then never called.
    pub(crate) fn new(config: &Run, lsms: &str) -> Self {
        let may = |kind| !config.forbid.contains(&kind);
        let calls_lsm = lsms.trim_end().split(',').any(|name| name == "bpf");
        let lsm = (calls_lsm && may(Kind::Lsm)).then_some(Place::Lsm);
        let modify = may(Kind::FmodRet).then_some(Place::ModifyReturn);
        Self {
            places: lsm.into_iter().chain(modify).collect(),
            asked: if config.stale_files { &["stale_file"] } else { &[] },
            reaction: if config.reactive_kill { Reaction::Kill } else { Reaction::Tell },
            entries: may(Kind::Kprobe),
            passing: may(Kind::SysEnter),
        }
    }

    /// The programs that may stand for a hook, and where; strongest first.
    pub(crate) fn of<'n>(&self, hook: &'n str) -> Vec<(&'n str, Place)> {
        let refusing = self.places.iter().map(|place| (hook, *place));
        let entry = fronts::entry(hook).filter(|_| self.entries);
        refusing.chain(entry.map(|(program, at)| (program, Place::Entry(at, self.reaction)))).collect()
    }

    /// The system calls whose results may be overridden.
    pub(crate) fn overridden(&self) -> &'static [Call] {
        if self.entries { calls::ALL } else { &[] }
    }

    /// The tier of what refuses.
    pub(crate) fn typed(&self) -> u32 {
        self.places.first().map_or(0, |place| number(place.tier()))
    }
}

/// Whether results of the kernel's functions can be overridden.
pub(crate) fn kernel_has_override() -> bool {
    // Where functions may be made to fail, the kernel lists them.
    genuine(Path::new("/sys/kernel/debug/error_injection/list"), magic::DEBUGFS).is_ok()
}

#[expect(clippy::as_conversions, reason = "the number of an enum of repr(u8)")]
const fn number(tier: Tier) -> u32 {
    tier as u32
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::{Command, Verb};

    fn config(words: &[&str]) -> Box<Run> {
        let words = ["cloudtaser-enforcer", "run"].iter().chain(words);
        let Verb::Run(config) = Command::parse_from(words).verb else { panic!("another verb") };
        config
    }

    fn tiers(words: &[&str], lsms: &str) -> Vec<Tier> {
        let config = config(words);
        Arms::new(&config, lsms).of("file_open").iter().map(|(_, place)| place.tier()).collect()
    }

    #[test]
    fn what_the_kernel_does_not_call_is_not_used() {
        assert_eq!(tiers(&[], "lockdown,bpf\n"), [Tier::Lsm, Tier::ModifyReturn, Tier::Observe]);
        assert_eq!(tiers(&[], "lockdown,yama\n"), [Tier::ModifyReturn, Tier::Observe]);
    }

    #[test]
    fn who_cannot_be_refused_is_killed_only_when_an_operator_wants_it() {
        assert_eq!(tiers(&["--forbid", "fmod-ret", "--reactive-kill"], ""), [Tier::Kill]);
        assert_eq!(tiers(&["--forbid", "fmod-ret"], ""), [Tier::Observe]);
        assert_eq!(tiers(&["--forbid", "fmod-ret", "--forbid", "kprobe"], ""), []);
    }
}
