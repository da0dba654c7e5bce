//! Who refused a theft, and in which words the report says so. Pure.
//!
//! A filter answers before the kernel looks at the arguments. Secret memory answers with errors that nothing else gives.
//! What is left, EPERM and EACCES, comes from permissions, or from a security module: permissions are asked first
//! (`__ptrace_may_access` of the kernel), so that a module is to blame only where they would have let us.
//!
//! Trusted: all of it was found out by this program.

use protocol::protection::{Attack, By, Outcome, Theft};

use super::spoils::{Attempt, Spoils};

/// What decides who refuses.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    /// Our effective user.
    pub(super) user: u32,
    /// Whether we have `CAP_SYS_PTRACE`.
    pub(super) may_trace: bool,
    /// Whether the keeper is dumpable.
    pub(super) dumpable: bool,
    /// yama's `ptrace_scope`, where there is yama.
    pub(super) yama: Option<u8>,
    /// The security modules that are active, `capability` and `yama` left out.
    pub(super) modules: Vec<String>,
    /// Where cores go.
    pub(super) core_pattern: String,
}

impl Circumstances {
    /// As whom we attack.
    pub(super) fn attacker(&self) -> String {
        let may = if self.may_trace { "may trace (CAP_SYS_PTRACE)" } else { "may not trace others" };
        format!("uid {}, {may}", self.user)
    }
}

/// The report's words for all thefts.
pub(super) fn attacks(spoils: &Spoils, circumstances: &Circumstances) -> Vec<Attack> {
    spoils.thefts.iter().map(|(theft, attempt)| judged(*theft, attempt, spoils, circumstances)).collect()
}

fn judged(theft: Theft, attempt: &Attempt, spoils: &Spoils, circumstances: &Circumstances) -> Attack {
    let (outcome, by, found) = match attempt {
        Attempt::Took(how) => (Outcome::Taken, None, how.clone()),
        Attempt::Nothing(why) => (Outcome::NotApplicable, None, why.clone()),
        Attempt::Refused(errno) => {
            let filtered = spoils.filtered.iter().any(|(filtered, _)| *filtered == theft);
            let refusal = Refusal { theft, errno: *errno, filtered };
            refusal.judged(circumstances)
        }
    };
    Attack { theft, outcome, by, found: plain(&found) }
}

struct Refusal {
    theft: Theft,
    errno: i32,
    filtered: bool,
}

impl Refusal {
    fn judged(&self, circumstances: &Circumstances) -> (Outcome, Option<By>, String) {
        let name = name(self.errno);
        let refused = |by, found| (Outcome::Refused, Some(by), found);
        if self.filtered {
            return refused(By::Seccomp, format!("{name}, whatever the arguments are"));
        }
        match (self.theft, self.errno) {
            (Theft::CoreDump, 0) => {
                refused(By::Permissions, format!("no core for {}", circumstances.core_pattern))
            }
            (Theft::PtraceDuringGraft, libc::EPERM) => refused(By::Kernel, format!("{name}: traced by us")),
            (_, libc::EPERM | libc::EACCES) => {
                let (by, why) = self.denier(circumstances);
                refused(by, format!("{name}: {why}"))
            }
            (_, libc::ENOSYS | libc::ENOENT | libc::ESRCH) => {
                (Outcome::NotApplicable, None, format!("{name}: it cannot be tried here"))
            }
            _ => refused(By::Kernel, name),
        }
    }

    /// Who said EPERM or EACCES.
    fn denier(&self, circumstances: &Circumstances) -> (By, String) {
        let Circumstances { may_trace, yama, modules, .. } = circumstances;
        if self.theft == Theft::MapFiles && !may_trace {
            return (By::Permissions, "needs CAP_CHECKPOINT_RESTORE".to_owned());
        }
        // A program is dumpable, the keeper is not.
        let dumpable = self.theft == Theft::PtraceAfterGraft || circumstances.dumpable;
        if !may_trace && !dumpable {
            return (By::Permissions, "not dumpable, and we lack CAP_SYS_PTRACE".to_owned());
        }
        match yama {
            Some(scope @ 3..) => (By::SecurityModule, format!("yama ptrace_scope {scope}")),
            Some(scope @ 1..) if !may_trace => (By::SecurityModule, format!("yama ptrace_scope {scope}")),
            _ if modules.is_empty() => (By::Permissions, "no security module is active".to_owned()),
            _ => (By::SecurityModule, modules.join(", ")),
        }
    }
}

/// The name of an error number.
pub(super) fn name(errno: i32) -> String {
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::ENODEV, "ENODEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOSYS, "ENOSYS"),
    ];
    let found = known.into_iter().find(|(number, _)| *number == errno);
    found.map_or_else(|| format!("error {errno}"), |(_, name)| name.to_owned())
}

/// As a report may have it.
pub(super) fn plain(text: &str) -> String {
    let shown = text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' });
    shown.take(protocol::protection::Report::MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Circumstances {
        Circumstances {
            user: 65532,
            core_pattern: "|/usr/bin/collect".to_owned(),
            ..Circumstances::default()
        }
    }

    fn root() -> Circumstances {
        Circumstances { user: 0, may_trace: true, ..user() }
    }

    #[track_caller]
    fn told(theft: Theft, attempt: Attempt, circumstances: &Circumstances, expected: (Option<By>, &str)) {
        let spoils = Spoils { thefts: vec![(theft, attempt)], ..Spoils::default() };
        let attack = attacks(&spoils, circumstances).remove(0);
        assert_eq!((attack.by, attack.found.as_str()), expected);
    }

    #[test]
    fn errors_that_only_secret_memory_gives_are_the_kernels() {
        for (theft, errno, name) in [
            (Theft::ProcessVmReadv, libc::EFAULT, "EFAULT"),
            (Theft::ProcMem, libc::EIO, "EIO"),
            (Theft::ProcFd, libc::ENXIO, "ENXIO"),
        ] {
            told(theft, Attempt::Refused(errno), &root(), (Some(By::Kernel), name));
        }
    }

    #[test]
    fn a_user_is_refused_by_permissions_before_any_module_is_asked() {
        let circumstances = Circumstances { yama: Some(1), modules: vec!["apparmor".to_owned()], ..user() };
        let expected = (Some(By::Permissions), "EPERM: not dumpable, and we lack CAP_SYS_PTRACE");
        told(Theft::ProcessVmReadv, Attempt::Refused(libc::EPERM), &circumstances, expected);
        // A program that was let go is dumpable: there yama decides.
        let expected = (Some(By::SecurityModule), "EPERM: yama ptrace_scope 1");
        told(Theft::PtraceAfterGraft, Attempt::Refused(libc::EPERM), &circumstances, expected);
    }

    #[test]
    fn root_is_refused_by_yama_at_its_strictest_or_by_the_modules_that_are_there() {
        let strict = Circumstances { yama: Some(3), ..root() };
        let attempt = || Attempt::Refused(libc::EPERM);
        told(Theft::PtracePeek, attempt(), &strict, (Some(By::SecurityModule), "EPERM: yama ptrace_scope 3"));
        let modules = vec!["landlock".to_owned(), "selinux".to_owned()];
        let guarded = Circumstances { yama: Some(1), modules, ..root() };
        told(Theft::PtracePeek, attempt(), &guarded, (Some(By::SecurityModule), "EPERM: landlock, selinux"));
    }

    #[test]
    fn a_filter_is_known_by_its_answer_to_absurd_arguments() {
        let spoils = Spoils {
            thefts: vec![(Theft::PidfdGetfd, Attempt::Refused(libc::EPERM))],
            filtered: vec![(Theft::PidfdGetfd, libc::EPERM)],
            untraceable: None,
        };
        let attack = attacks(&spoils, &root()).remove(0);
        assert_eq!(attack.by, Some(By::Seccomp));
        assert_eq!(attack.found, "EPERM, whatever the arguments are");
    }

    #[test]
    fn what_was_taken_is_nobodys_refusal() {
        let taken = Attempt::Took("16 bytes of the canary read".to_owned());
        told(Theft::ProcMem, taken, &root(), (None, "16 bytes of the canary read"));
        let nothing = Attempt::Refused(libc::ENOSYS);
        told(Theft::PidfdGetfd, nothing, &root(), (None, "ENOSYS: it cannot be tried here"));
    }

    #[test]
    fn a_crash_without_a_core_says_where_cores_would_have_gone() {
        let expected = (Some(By::Permissions), "no core for |/usr/bin/collect");
        told(Theft::CoreDump, Attempt::Refused(0), &user(), expected);
    }
}
