//! How one program after another is given its values, and what is said of it.
//!
//! Everything that outlives a start: which ways are allowed, which was taken, the library's door and the values behind
//! it. The processes are made by [`crate::keeper`].
//!
//! Trusted: the configuration. Untrusted: whoever comes to the door.

use std::ffi::OsString;
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::choice::{Choice, NoWay, Taken, who_refuses};
use super::{Equipment, Error, Form, Interposer, PRELOAD, Trouble, lay_out_entries, reach};
use crate::config::Way;
use crate::graft::Secrets;
use crate::say;
use crate::stem::{Gift, Opens, Start, Watch};

/// Between two looks for processes that are not reached: this at first, and twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(500);
const LAST_LOOK: Duration = Duration::from_secs(64);

/// The ways of one keeper.
#[derive(Debug)]
pub struct Ways<'k> {
    allowed: &'k [Way],
    command: &'k [OsString],
    taken: Option<Taken>,
    desk: Option<Desk>,
}

/// Where programs that have loaded the library are answered.
#[derive(Debug)]
struct Desk {
    interposer: Interposer,
    secrets: Secrets,
    look: Option<Instant>,
    pause: Duration,
}

/// What the stem is ordered, and what the new process is sent before it begins.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) start: Start,
    pub(crate) gift: OwnedFd,
}

impl<'k> Ways<'k> {
    /// The ways that are allowed, in the order of trial, for this command.
    #[must_use]
    pub fn new(allowed: &'k [Way], command: &'k [OsString]) -> Self {
        Self { allowed, command, taken: None, desk: None }
    }

    /// The first way to try. The program's file is looked at for those that need a library.
    pub(crate) fn choose(&self) -> Result<Choice, NoWay> {
        let path = std::env::var_os("PATH");
        Choice::new(self.allowed, reach::obstacle(self.command, path.as_deref()).as_ref())
    }

    /// The way that was taken for the present program.
    #[must_use]
    pub fn taken(&self) -> Option<&Taken> {
        self.taken.as_ref()
    }

    /// The program runs. What is not simply the graft is said; once, and again when it changes.
    pub(crate) fn take(&mut self, choice: &Choice) {
        let taken = choice.taken();
        let changed = self.taken.as_ref() != Some(taken);
        if changed && (taken.way != Way::Graft || !taken.passed_over.is_empty()) {
            say(taken);
        }
        self.taken = Some(taken.clone());
    }

    /// A start by way of the library.
    pub(crate) fn by_library(
        &mut self,
        form: Form,
        secrets: Secrets,
        paths: Vec<(String, String)>,
    ) -> Result<Prepared, Trouble> {
        let interposer = Interposer::open(form)?;
        let look = Instant::now().checked_add(FIRST_LOOK);
        let desk = self.desk.insert(Desk { interposer, secrets, look, pause: FIRST_LOOK });
        desk.prepare(paths)
    }

    /// Another start beside the program's, with the values of now.
    pub(crate) fn once_more(
        &mut self,
        secrets: Secrets,
        paths: Vec<(String, String)>,
    ) -> Result<Prepared, Trouble> {
        self.renew(secrets);
        self.desk.as_mut().ok_or(Trouble::Closed)?.prepare(paths)
    }

    /// From here on those who come are given these; given back where nobody comes.
    pub(crate) fn renew(&mut self, mut secrets: Secrets) -> Option<Secrets> {
        let Some(desk) = &mut self.desk else { return Some(secrets) };
        secrets.succeed(&desk.secrets);
        desk.secrets = secrets;
        None
    }

    /// A start with the values in clear.
    pub(crate) fn in_clear(secrets: &Secrets, paths: Vec<(String, String)>) -> Result<Prepared, Trouble> {
        let entries: Vec<Vec<u8>> = secrets
            .references()
            .map(|(name, reference)| format!("{name}={reference}").into_bytes())
            .collect();
        let (gift, len) = lay_out_entries(secrets, &entries)?;
        Ok(Prepared {
            start: Start { variables: paths, watch: Watch::Given(Gift::Entries(len)), opens: Opens::Plain },
            gift,
        })
    }

    /// Nobody is answered any more.
    pub(crate) fn close(&mut self) {
        self.desk = None;
    }

    /// The descriptors that programs come in by.
    pub(crate) fn waits(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.desk.iter().flat_map(|desk| desk.interposer.descriptors())
    }

    /// When there is something to look at.
    pub(crate) fn wakes(&self) -> Option<Instant> {
        self.desk.as_ref().and_then(|desk| desk.look)
    }

    /// Answers whoever asks, and looks for those who never will.
    pub(crate) fn turn(&mut self, now: Instant) -> Result<(), Error> {
        let Some(desk) = &mut self.desk else { return Ok(()) };
        let served = desk.interposer.ready(&desk.secrets)?;
        served.troubles.iter().for_each(say);
        if served.carriers {
            // It is about to start others.
            desk.pause = FIRST_LOOK;
            desk.look = now.checked_add(FIRST_LOOK);
        }
        if desk.look.is_some_and(|look| look <= now) {
            desk.interposer.look(&desk.secrets).iter().for_each(say);
            desk.pause = desk.pause.saturating_mul(2);
            desk.look = now.checked_add(desk.pause).filter(|_| desk.pause <= LAST_LOOK);
        }
        Ok(())
    }
}

impl Desk {
    fn prepare(&self, paths: Vec<(String, String)>) -> Result<Prepared, Trouble> {
        let before = std::env::var_os(PRELOAD).map(OsString::into_string).transpose();
        let before = before.map_err(|_bytes| Trouble::Preload)?;
        let Equipment { library, number, preload } =
            self.interposer.equip(&self.secrets, before.as_deref())?;
        let mut variables = paths;
        variables.extend(self.secrets.references().map(|(name, reference)| (name.to_owned(), reference)));
        variables.push((PRELOAD.to_owned(), preload));
        let start = Start { variables, watch: Watch::Given(Gift::Library(number)), opens: Opens::Plain };
        Ok(Prepared { start, gift: library })
    }
}

/// Why our own child may not be traced, as far as this machine says it.
pub(crate) fn why_untraced() -> String {
    let read = |path: &str| fs::read_to_string(path).ok();
    let yama = read("/proc/sys/kernel/yama/ptrace_scope");
    who_refuses(yama.as_deref(), &read("/proc/self/status").unwrap_or_default())
}

/// The form of the library that a way needs.
pub(crate) const fn form(way: Way) -> Option<Form> {
    match way {
        Way::Constructor => Some(Form::Constructor),
        Way::Getenv => Some(Form::Getenv),
        Way::Graft | Way::Environ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Builder;

    fn secrets() -> Secrets {
        let mut builder = Builder::with_capacity(64).unwrap();
        let span = builder.push(b"alpha").unwrap();
        Secrets::new(builder.freeze().unwrap(), vec![("PASSWORD".to_owned(), span)]).unwrap()
    }

    #[test]
    fn a_start_by_library_has_references_and_one_in_clear_has_none() {
        let words = ["sh".into()];
        let mut ways = Ways::new(&[Way::Constructor], &words);
        let paths = || vec![("FILE".to_owned(), "/x".to_owned())];
        let prepared = ways.by_library(Form::Constructor, secrets(), paths()).unwrap();
        let names: Vec<&str> = prepared.start.variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["FILE", "PASSWORD", "LD_PRELOAD"]);
        assert!(prepared.start.variables[1].1.starts_with("ctref:"));
        assert_eq!((ways.waits().count(), ways.wakes().is_some()), (1, true));
        ways.close();
        assert_eq!((ways.waits().count(), ways.wakes()), (0, None));
        let plain = Ways::in_clear(&secrets(), paths()).unwrap();
        assert_eq!(plain.start.variables, paths());
    }

    #[test]
    fn a_command_that_is_not_there_is_left_to_its_start() {
        let words: [OsString; 1] = ["no-such-program".into()];
        assert_eq!(Ways::new(&[Way::Constructor], &words).choose().unwrap().way(), Way::Constructor);
    }
}
