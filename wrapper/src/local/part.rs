//! The local socket's turn in the keeper's loop.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::{Pid, getpid};
use secretmem::Kind;

use super::who::Tops;
use super::{Lease, Local, Served, Status};
use crate::config::{Source, Strategy, Wanted, Way};
use crate::errand::{Of, Term};
use crate::files::Shown;
use crate::keeper::{Core, Error, Event, Part, Present};

impl Part for Local {
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.waiting().collect()
    }

    fn wakes(&self) -> Option<Instant> {
        self.deadline()
    }

    fn turn(&mut self, core: &mut Core<'_>, _events: &[Event]) -> Result<(), Error> {
        let now = Instant::now();
        let core = &*core;
        self.tops = Tops::new(core.tops());
        let (strategy, (values, refused)) = (self.strategy, self.served());
        let status = || status(core, strategy, Served { files: core.standing().files, values, refused }, now);
        let mut shown = Vec::new();
        if let Some(present) = core.lent() {
            let generation = present.generation();
            let each = present.each(core.wanted());
            shown.extend(each.map(|(target, value)| Shown {
                name: &target.variable,
                value,
                generation,
                since: 0,
            }));
        }
        self.serve(&shown, status, now);
        Ok(())
    }
}

fn status(core: &Core<'_>, strategy: Strategy, served: Served, now: Instant) -> Status {
    let standing = core.standing();
    let since = |then: Instant| now.saturating_duration_since(then).as_secs();
    let terms = core.present().map(Present::terms).unwrap_or_default();
    let lease = |term: &Term| Lease {
        of: name(term.of, core.wanted()),
        seconds: standing.left(term, now),
        renewable: term.renewable,
        version: term.version,
    };
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pid: getpid().as_raw_pid(),
        program: core.program().map(Pid::as_raw_pid),
        uptime_seconds: since(standing.began),
        way: core.taken().map(|taken| way(taken.way)),
        memory: match secretmem::kind() {
            Kind::Secret => "memfd_secret",
            Kind::Locked => "locked",
            Kind::Unlocked => "unlocked",
        },
        strategy: match strategy {
            Strategy::Restart => "restart",
            Strategy::Sighup => "sighup",
            Strategy::Exec => "exec",
            Strategy::Live => "live",
            Strategy::None => "none",
        },
        frozen: core.is_frozen(),
        fresh_seconds: standing.spoke.map(since),
        restarts: standing.starts.saturating_sub(1),
        rotations: standing.rotations,
        leases: terms.iter().map(lease).collect(),
        served,
        enforcer: core.unenforced().unwrap_or(Status::PROTECTS).to_owned(),
        protection: standing
            .protection
            .as_ref()
            .map(|protection| protection.assessed(core.taken().map(|taken| taken.way))),
    }
}

fn way(way: Way) -> &'static str {
    match way {
        Way::Graft => "graft",
        Way::Constructor => "constructor",
        Way::Getenv => "getenv",
        Way::Environ => "environ",
    }
}

/// Where something comes from, as the configuration has it.
fn name(of: Of, wanted: &[Wanted]) -> String {
    let Of::Secret(index) = of else { return "token".to_owned() };
    match wanted.get(usize::from(index)).map(|wanted| &wanted.source) {
        Some(Source::Release { mount, key }) => format!("{mount}/release/{key}"),
        Some(Source::Path { path, .. }) => path.clone(),
        None => String::new(),
    }
}
