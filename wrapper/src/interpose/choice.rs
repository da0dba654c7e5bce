//! Which way the values go: the first of those allowed that is not refused.
//!
//! A way is passed over for a reason, and the reasons are told with the way that was taken, or with the refusal
//! where none is left. Whether tracing is refused shows only when it is tried: [`Choice::refused`] goes on then.
//!
//! Trusted: the list of the configuration. It decides nothing by itself: the order is the operator's.

use std::fmt;

use super::reach::Obstacle;
use crate::config::Way;

/// The way to try now, and those that were passed over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    taken: Taken,
    later: Vec<Way>,
    obstacle: Option<String>,
}

/// The way that was taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Taken {
    /// The way.
    pub way: Way,
    /// The ways before it in the list, each with what stood against it.
    pub passed_over: Vec<(Way, String)>,
}

/// No way that is allowed reaches the program.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no way that CLOUDTASER_DELIVERY allows reaches the program ({})", reasons(.0))]
pub struct NoWay(pub Vec<(Way, String)>);

impl Choice {
    /// The first of `ways` that reaches the program, which has this between it and a library.
    pub fn new(ways: &[Way], obstacle: Option<&Obstacle>) -> Result<Self, NoWay> {
        Self::next(Vec::new(), ways.to_vec(), obstacle.map(Obstacle::to_string))
    }

    /// The way to try.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.taken.way
    }

    /// It was the right one.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// It was refused: the next one.
    pub fn refused(self, why: String) -> Result<Self, NoWay> {
        let Taken { way, mut passed_over } = self.taken;
        passed_over.push((way, why));
        Self::next(passed_over, self.later, self.obstacle)
    }

    fn next(
        mut passed_over: Vec<(Way, String)>,
        ways: Vec<Way>,
        obstacle: Option<String>,
    ) -> Result<Self, NoWay> {
        let mut ways = ways.into_iter();
        while let Some(way) = ways.next() {
            match &obstacle {
                Some(obstacle) if needs_a_library(way) => passed_over.push((way, obstacle.clone())),
                Some(_) | None => {
                    let taken = Taken { way, passed_over };
                    return Ok(Self { taken, later: ways.collect(), obstacle });
                }
            }
        }
        Err(NoWay(passed_over))
    }
}

const fn needs_a_library(way: Way) -> bool {
    matches!(way, Way::Constructor | Way::Getenv)
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Graft | Way::Constructor => write!(f, "values reach the program by {}", word(self.way))?,
            Way::Getenv => write!(
                f,
                "values reach the program by getenv, which those that read their environment otherwise do not ask"
            )?,
            Way::Environ => write!(
                f,
                "INSECURE: values stand in the program's environment in clear, for everybody who may read /proc/PID/environ"
            )?,
        }
        if self.passed_over.is_empty() { Ok(()) } else { write!(f, " ({})", reasons(&self.passed_over)) }
    }
}

fn reasons(passed_over: &[(Way, String)]) -> String {
    let reasons: Vec<String> =
        passed_over.iter().map(|(way, reason)| format!("{}: {reason}", word(*way))).collect();
    reasons.join("; ")
}

/// The word that the configuration has for a way.
#[must_use]
pub const fn word(way: Way) -> &'static str {
    match way {
        Way::Graft => "graft",
        Way::Constructor => "constructor",
        Way::Getenv => "getenv",
        Way::Environ => "environ",
    }
}

/// Who it may be that refuses tracing: what `/proc` says of yama, and of filters on this process (proc(5), `Seccomp`).
#[must_use]
pub fn who_refuses(yama: Option<&str>, status: &str) -> String {
    let scope = yama.map(str::trim).filter(|scope| matches!(*scope, "2" | "3"));
    let filtered = status
        .lines()
        .any(|line| line.split_once(':').is_some_and(|(name, mode)| name == "Seccomp" && mode.trim() == "2"));
    match (scope, filtered) {
        (Some(scope), _) => format!("tracing is refused by yama (ptrace_scope {scope})"),
        (None, true) => "tracing is refused, perhaps by the seccomp filter that is on us".to_owned(),
        (None, false) => "tracing is refused by a security module or a sandbox such as gVisor".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpose::reach::Fault;

    const DEFAULT: [Way; 3] = [Way::Graft, Way::Constructor, Way::Getenv];

    fn obstacle() -> Obstacle {
        Obstacle { file: "/app".into(), fault: Fault::Static }
    }

    #[test]
    fn the_first_way_is_tried_first_and_the_next_when_it_is_refused() {
        let choice = Choice::new(&DEFAULT, None).unwrap();
        assert_eq!(choice.way(), Way::Graft);
        assert_eq!(choice.taken().to_string(), "values reach the program by graft");
        let choice = choice.refused(who_refuses(Some("3\n"), "")).unwrap();
        assert_eq!(choice.way(), Way::Constructor);
        assert_eq!(
            choice.taken().to_string(),
            "values reach the program by constructor (graft: tracing is refused by yama (ptrace_scope 3))"
        );
    }

    #[test]
    fn a_static_program_is_left_to_the_ways_that_need_no_library() {
        assert_eq!(Choice::new(&DEFAULT, Some(&obstacle())).unwrap().way(), Way::Graft);
        let none_left = Choice::new(&DEFAULT, Some(&obstacle())).unwrap().refused("no".into()).unwrap_err();
        assert_eq!(
            none_left.to_string(),
            "no way that CLOUDTASER_DELIVERY allows reaches the program (graft: no; \
             constructor: /app is linked statically; getenv: /app is linked statically)"
        );
        let ways = [Way::Getenv, Way::Environ];
        let plain = Choice::new(&ways, Some(&obstacle())).unwrap();
        assert_eq!(plain.way(), Way::Environ);
        assert_eq!(
            plain.taken().to_string(),
            "INSECURE: values stand in the program's environment in clear, for everybody who may read \
             /proc/PID/environ (getenv: /app is linked statically)"
        );
    }

    #[test]
    fn the_order_is_the_operators() {
        let choice = Choice::new(&[Way::Getenv, Way::Constructor], None).unwrap();
        assert_eq!(choice.way(), Way::Getenv);
        assert!(Choice::new(&[], None).is_err());
    }

    #[test]
    fn whoever_may_refuse_tracing_is_named() {
        assert_eq!(who_refuses(Some("2"), "Seccomp:\t2\n"), "tracing is refused by yama (ptrace_scope 2)");
        assert_eq!(
            who_refuses(Some("1"), "Name:\tx\nSeccomp:\t2\n"),
            "tracing is refused, perhaps by the seccomp filter that is on us"
        );
        assert_eq!(
            who_refuses(None, "Seccomp:\t0\n"),
            "tracing is refused by a security module or a sandbox such as gVisor"
        );
    }
}
