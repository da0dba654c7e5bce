//! The canary: attached is not enforcing, so a decoy is attacked, again and again, and only what was refused counts.
//!
//! Two children of the enforcer's own: a *decoy*, tagged as protected, and an *attacker*, which is nobody to the policy but for
//! the mark that its attacks are not events. Each is told the name of a vector, does what an attacker would as far as that is
//! harmless, and says what came of it. That it was *our* refusal the programs' own count proves.
//!
//! BPF LSM programs load where nobody calls them, and `kernel.ftrace_enabled=0` silences all of them at once: both are seen here
//! and nowhere else.
//!
//! It never ends the enforcer: where it cannot go on, nothing counts as proved any more, that is told, and it is tried again.
//!
//! Trusted: our children (tagged, so that nobody else touches the decoy), the count. Untrusted: the kernel's promises.

mod attacks;
mod child;
mod kernel;
mod nursery;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use enforcer_abi::{Guard, Tag, Vector, role};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::socket::Tagger;
use child::{Answer, Child};
use nursery::{Nursery, Pair};

/// Between two rounds.
const PERIOD: Duration = Duration::from_secs(10);
/// How long a child may take for one attack, or to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of the last attack by one vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// It was refused, by our programs.
    Refused,
    /// Who tried it was killed.
    Killed,
    /// It went through.
    Went,
    /// It was refused by somebody else: nothing is proved about us.
    Others,
    /// There is no attack that is harmless enough.
    Untried,
    /// It cannot be tried any more: what was proved before is not known to hold.
    Silent,
}

/// Whether the programs' count of the canary's attacks went on: one number per vector.
pub(crate) trait Count {
    /// How often the programs answered the canary by this vector.
    fn answered(&self, vector: Vector) -> io::Result<u64>;
}

/// The two children, and what is known.
#[derive(Debug)]
pub(crate) struct Canary {
    nursery: Nursery,
    /// None after the last one died.
    pair: Option<Pair>,
    proofs: Vec<Proof>,
    doing: Doing,
    due: Instant,
    /// Whether this round has brought something new.
    news: bool,
    /// Why it could not go on.
    trouble: Option<String>,
    /// The decoy's group; of the last one where there is none.
    group: u64,
    /// The key of the decoy's fingerprints.
    key: [u8; 32],
    /// Whether what is sent is searched for the decoy's secret.
    searched: bool,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Doing {
    /// The next round.
    Nothing,
    /// A new pair, to go on with the vectors from this one on; since when.
    Waiting(usize, Instant),
    /// The answer about this vector; the count before, and since when.
    Trying(usize, u64, Instant),
}

/// Serves the children's life, or that of who starts them.
pub fn serve(target: Option<u32>, enforcer: Option<u32>, nursery: bool) -> io::Result<()> {
    match (nursery, enforcer) {
        (true, Some(enforcer)) => nursery::serve(enforcer),
        (true, None) => Err(io::ErrorKind::InvalidInput.into()),
        (false, _) => attacks::serve(target, enforcer),
    }
}

impl Canary {
    /// Starts both children and tags them.
    pub(crate) fn new(tags: &impl Tagger, now: Instant) -> io::Result<Self> {
        let nursery = Nursery::start()?;
        nursery.ask()?;
        wait(nursery.line(), PATIENCE)?;
        let pair = nursery.answer()?.ok_or(io::ErrorKind::TimedOut)?;
        // No more than its children: who starts us may have put another program in the place of ours.
        let group = group_of(std::process::id());
        tags.tag(nursery.process(), Tag { group, roles: role::DECOY, becoming: 0 })?;
        mark(&pair, tags)?;
        Ok(Self {
            nursery,
            group: group_of(pair.decoy.pid()),
            pair: Some(pair),
            proofs: vec![Proof::Untried; Vector::ALL.len()],
            doing: Doing::Nothing,
            due: now,
            news: false,
            trouble: None,
            key: random()?,
            searched: false,
        })
    }

    /// The decoy's group, and the key of its fingerprints.
    pub(crate) const fn decoy(&self) -> (u64, &[u8; 32]) {
        (self.group, &self.key)
    }

    /// Whether what the decoy sends is searched for its secret. While it is not, what was proved last stands.
    pub(crate) const fn is_searched(&mut self, searched: bool) {
        self.searched = searched;
    }

    /// What came of the last attack.
    pub(crate) fn proof(&self, vector: Vector) -> Proof {
        self.proofs.get(usize::from(vector.number())).copied().unwrap_or(Proof::Untried)
    }

    /// What to wait for.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match (self.doing, &self.pair) {
            (Doing::Nothing, _) | (Doing::Trying(..), None) => None,
            (Doing::Waiting(..), _) => Some(self.nursery.line()),
            (Doing::Trying(at, ..), Some(pair)) => Some(child_of(pair, at).answers()),
        }
    }

    /// When it wants a turn though nobody answers.
    pub(crate) fn wakes(&self) -> Instant {
        match self.doing {
            Doing::Nothing => self.due,
            Doing::Waiting(_, since) | Doing::Trying(_, _, since) => {
                since.checked_add(PATIENCE).unwrap_or(self.due)
            }
        }
    }

    /// Why it could not go on, once each.
    pub(crate) const fn trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Goes on without waiting. Whether a round has ended that brought something new.
    pub(crate) fn ready(&mut self, tags: &impl Tagger, count: &impl Count, now: Instant) -> bool {
        if let Err(error) = self.go_on(tags, count, now) {
            self.fail(&error, now);
        }
        matches!(self.doing, Doing::Nothing) && std::mem::take(&mut self.news)
    }

    /// One whole round, waited for: at the start.
    pub(crate) fn round(&mut self, tags: &impl Tagger, count: &impl Count) {
        self.due = Instant::now();
        self.ready(tags, count, Instant::now());
        while !matches!(self.doing, Doing::Nothing) {
            // What cannot be waited for is asked again.
            let _waited = self.fd().map(|fd| wait(fd, Duration::from_millis(200)));
            self.ready(tags, count, Instant::now());
        }
    }

    fn go_on(&mut self, tags: &impl Tagger, count: &impl Count, now: Instant) -> io::Result<()> {
        loop {
            let late = |since| now.saturating_duration_since(since) >= PATIENCE;
            match self.doing {
                Doing::Nothing if now < self.due => return Ok(()),
                Doing::Nothing => self.begin(0, count, now)?,
                Doing::Waiting(from, since) => match self.nursery.answer()? {
                    None if late(since) => return Err(io::ErrorKind::TimedOut.into()),
                    None => return Ok(()),
                    Some(pair) => {
                        mark(&pair, tags)?;
                        self.group = group_of(pair.decoy.pid());
                        // Not before the search knows it.
                        self.searched = false;
                        self.pair = Some(pair);
                        self.begin(from, count, now)?;
                    }
                },
                Doing::Trying(at, before, since) => {
                    let answer = match self.answer(at)? {
                        None if !late(since) => return Ok(()),
                        None => Answer::Gone,
                        Some(answer) => answer,
                    };
                    self.news |= self.take(at, before, answer, count)?;
                    self.begin(at.saturating_add(1), count, now)?;
                }
            }
        }
    }

    /// Asks for the next attack that there is, from this one on; for a pair first, where there is none.
    fn begin(&mut self, from: usize, count: &impl Count, now: Instant) -> io::Result<()> {
        let next = Vector::ALL.iter().enumerate().skip(from).find(|(_, vector)| self.can_try(**vector));
        let Some((at, vector)) = next else {
            self.doing = Doing::Nothing;
            self.due = now.checked_add(PERIOD).unwrap_or(now);
            return Ok(());
        };
        let Some(pair) = &mut self.pair else {
            self.nursery.ask()?;
            self.doing = Doing::Waiting(at, now);
            return Ok(());
        };
        let before = count.answered(*vector)?;
        self.doing = Doing::Trying(at, before, now);
        // Who cannot be told has ended: there is no answer then, either.
        child_of_mut(pair, at).ask(vector.row().name).unwrap_or_default();
        Ok(())
    }

    fn answer(&mut self, at: usize) -> io::Result<Option<Answer>> {
        self.pair.as_mut().map_or(Ok(Some(Answer::Gone)), |pair| child_of_mut(pair, at).answer())
    }

    fn take(&mut self, at: usize, before: u64, answer: Answer, count: &impl Count) -> io::Result<bool> {
        let Some(vector) = Vector::ALL.get(at) else { return Ok(false) };
        if answer == Answer::Gone {
            self.pair = None;
        }
        let ours = count.answered(*vector)? > before;
        let proof = match (answer, ours) {
            (Answer::Refused, true) => Proof::Refused,
            (Answer::Gone, true) => Proof::Killed,
            // Somebody else refused it, or killed it: nothing is proved.
            (Answer::Refused | Answer::Gone, false) => Proof::Others,
            (Answer::Went, _) => Proof::Went,
            (Answer::Impossible, _) => Proof::Untried,
        };
        let Some(known) = self.proofs.get_mut(at) else { return Ok(false) };
        Ok(std::mem::replace(known, proof) != proof)
    }

    /// Nothing is known to hold any more; there is another round.
    fn fail(&mut self, error: &io::Error, now: Instant) {
        self.trouble = Some(format!("the canary: {error}"));
        self.pair = None;
        self.doing = Doing::Nothing;
        self.due = now.checked_add(PERIOD).unwrap_or(now);
        let silent = |vector: &Vector| if self.can_try(*vector) { Proof::Silent } else { Proof::Untried };
        let proofs: Vec<Proof> = Vector::ALL.iter().map(silent).collect();
        self.news |= proofs != self.proofs;
        self.proofs = proofs;
    }

    fn can_try(&self, vector: Vector) -> bool {
        attacks::exists(vector) && (self.searched || vector != Vector::SecretLeak)
    }
}

/// Gives both their tags: groups of their own, so that neither is anybody's friend. The attacker is as untouchable as the decoy:
/// its attacks are not events, and nobody shall make them in its name.
fn mark(pair: &Pair, tags: &impl Tagger) -> io::Result<()> {
    let tag = |child: &Child, roles| Tag { group: group_of(child.pid()), roles, becoming: 0 };
    tags.tag(pair.decoy.process(), tag(&pair.decoy, role::DECOY))?;
    tags.tag(pair.attacker.process(), tag(&pair.attacker, role::CANARY | role::DECOY))
}

fn group_of(pid: u32) -> u64 {
    u64::from(pid).wrapping_add(crate::leak::DECOYS)
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

fn child_of(pair: &Pair, at: usize) -> &Child {
    if inside(at) { &pair.decoy } else { &pair.attacker }
}

fn child_of_mut(pair: &mut Pair, at: usize) -> &mut Child {
    if inside(at) { &mut pair.decoy } else { &mut pair.attacker }
}

/// Whether a protected process itself has to try it.
fn inside(at: usize) -> bool {
    Vector::ALL.get(at).is_some_and(|vector| vector.guard() == Guard::Inside)
}

fn wait(fd: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut fds, Some(&patience)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The programs' count, in a map of one number per vector and processor.
impl Count for OwnedFd {
    fn answered(&self, vector: Vector) -> io::Result<u64> {
        let each = crate::kernel::lookup_each(self.as_fd(), u32::from(vector.number()))?;
        Ok(each.into_iter().fold(0, u64::saturating_add))
    }
}
