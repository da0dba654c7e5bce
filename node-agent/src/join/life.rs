//! A member at work: what happens goes to the machine, what it decides to the clerk and to the world.
//!
//! Two threads: this one waits and decides and is never kept waiting by anybody; the clerk's does one thing at a time. So
//! a verdict ends on time though OpenBao hangs, and the world is told before anything else is done.
//!
//! Trusted: the machine's decisions.

use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use release_client::pace::{Moment, Uptime};

use super::clerk::Clerk;
use super::clock;
use super::machine::{Action, Event, Member, Notice, Standing, Unknown, Verdict};
use super::status::{Refused, Status, Times};
use super::watch::Watch;
use super::{Settings, Unjoined};
use crate::journal;
use crate::kubernetes::{self, Board, State};

/// A member that is at work in the background.
#[derive(Debug)]
pub struct Membership {
    bell: Arc<EventFd>,
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Membership {
    /// Has OpenBao forget the token and the world know that nobody vouches for this machine any more. Waits a little for it.
    pub fn end(self) {
        self.is_ending.store(true, Ordering::Release);
        ring(&self.bell);
        if self.thread.join().is_err() {
            journal::write(&"member: its thread died");
        }
    }
}

/// Everything around the machine.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) settings: Settings,
    pub(super) member: Member,
    pub(super) watch: Watch,
    pub(super) file: PathBuf,
    pub(super) boot: String,
    pub(super) written: Option<Status>,
    /// The machine's Node, where it has one.
    pub(super) board: Option<Board>,
}

/// What the clerk is to do.
#[derive(Clone, Copy, Debug)]
enum Job {
    Claim,
    Enrol,
    Attest,
    Revoke,
}

/// The ends of the lines between the threads.
#[derive(Debug)]
struct Lines {
    jobs: Option<Sender<Job>>,
    answers: Receiver<Event>,
    bell: Arc<EventFd>,
    is_ending: Arc<AtomicBool>,
    clerk: JoinHandle<()>,
}

impl Life {
    /// Begins.
    pub(super) fn start(self, clerk: Clerk) -> Result<Membership, Unjoined> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let bell = EventFd::from_value_and_flags(0, flags).map_err(|error| Unjoined::Bell(error.into()))?;
        let (bell, is_ending) = (Arc::new(bell), Arc::new(AtomicBool::new(false)));
        let (jobs, to_do) = channel();
        let (answering, answers) = channel();
        let rung = Arc::clone(&bell);
        let work = move || work(clerk, &to_do, &answering, &rung);
        let clerk = thread::Builder::new().name("clerk".to_owned()).spawn(work).map_err(Unjoined::Thread)?;
        let lines = Lines {
            jobs: Some(jobs),
            answers,
            bell: Arc::clone(&bell),
            is_ending: Arc::clone(&is_ending),
            clerk,
        };
        let live = move || self.live(lines);
        let thread =
            thread::Builder::new().name("member".to_owned()).spawn(live).map_err(Unjoined::Thread)?;
        Ok(Membership { bell, is_ending, thread })
    }

    fn live(mut self, mut lines: Lines) {
        self.happens(Event::Woke, &lines);
        while !lines.is_ending.load(Ordering::Acquire) {
            if let Err(error) = self.wait(&lines) {
                journal::write(&format_args!("member: waiting: {error}"));
                thread::sleep(BREATH);
            }
            for event in self.events(&lines) {
                self.happens(event, &lines);
            }
        }
        self.happens(Event::Ending, &lines);
        lines.jobs = None;
        let start = Instant::now();
        let is_posted = || self.board.as_ref().is_none_or(|board| board.state() == State::Posted);
        while !(lines.clerk.is_finished() && is_posted()) && start.elapsed() < FAREWELL {
            thread::sleep(BREATH);
        }
    }

    fn wait(&self, lines: &Lines) -> Result<(), Errno> {
        let [clock, kernel, files] = self.watch.descriptors().map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let mut wanted = [PollFd::new(lines.bell.as_fd(), PollFlags::POLLIN), clock, kernel, files];
        let left = self.member.wake().map(|wake| wake.since(clock::uptime()).saturating_add(TICK));
        let timeout =
            left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut wanted, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        match lines.bell.read() {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What has happened; that time has passed, if nothing else has.
    fn events(&mut self, lines: &Lines) -> Vec<Event> {
        let mut events: Vec<Event> = lines.answers.try_iter().collect();
        let happenings = self.watch.look();
        if let Some(first) = happenings.first() {
            let more = happenings.len().saturating_sub(1);
            journal::write(&format_args!("member: this machine changed: {first} (and {more} more)"));
            events.push(Event::Changed);
        }
        if events.is_empty() {
            events.push(Event::Woke);
        }
        events
    }

    fn happens(&mut self, event: Event, lines: &Lines) {
        if let Event::Judged(Verdict::Unanswered(why)) | Event::Enrolled(Err(why)) = &event {
            journal::write(&format_args!("member: OpenBao did not judge this machine: {why}"));
        }
        let is_admission = matches!(event, Event::Judged(Verdict::Admitted(_)));
        let moment = Moment { now: clock::uptime(), dice: dice() };
        let actions = self.member.step(event, &moment);
        if is_admission && !actions.iter().any(|action| matches!(action, Action::Publish(_))) {
            // Nothing new, but newly so: the Node's heartbeat says when it was last found.
            self.member.told().cloned().into_iter().for_each(|notice| self.post(notice));
        }
        for action in actions {
            match action {
                Action::Publish(notice) => self.publish(notice),
                Action::Claim => lines.order(Job::Claim),
                Action::Enrol => lines.order(Job::Enrol),
                Action::Attest => lines.order(Job::Attest),
                Action::Revoke => lines.order(Job::Revoke),
            }
        }
        self.keep(moment.now);
    }

    fn publish(&self, notice: Notice) {
        let word = if notice.attested { "attested" } else { "not attested" };
        journal::write(&format_args!("member: {word}: {}: {}", notice.reason, notice.message));
        self.post(notice);
    }

    /// Puts it up at the Node, as found now.
    fn post(&self, notice: Notice) {
        let Some(board) = &self.board else { return };
        let standing = match self.member.standing() {
            Standing::Attested { .. } => kubernetes::Standing::Attested,
            Standing::Refused { .. } => kubernetes::Standing::Refused,
            Standing::Unknown(_) => kubernetes::Standing::Unknown,
        };
        let (reason, message) = (notice.reason.to_owned(), notice.message);
        board.put(kubernetes::Notice { standing, reason, message, at: clock::now() });
    }

    /// Writes the status file, if it would say something new.
    fn keep(&mut self, now: Uptime) {
        let Some(status) = self.status(now) else { return };
        // An agent that ends leaves the refusal behind, not its end: the next one is to know.
        if *self.member.standing() == Standing::Unknown(Unknown::Stopped)
            && self.written.as_ref().is_some_and(|written| written.refusal.is_some())
        {
            return;
        }
        if self
            .written
            .as_ref()
            .is_some_and(|written| written.uptime == status.uptime && written.message == status.message)
        {
            return;
        }
        match status.write(&self.file) {
            Ok(()) => self.written = Some(status),
            Err(error) => journal::write(&format_args!("member: {}: {error}", self.file.display())),
        }
    }

    fn status(&self, now: Uptime) -> Option<Status> {
        let notice = self.member.told()?.clone();
        let (until, refusal) = match self.member.standing() {
            Standing::Attested { until, .. } => (Some(*until), None),
            Standing::Refused { refusal, .. } => (None, Some(refusal.clone())),
            Standing::Unknown(_) => (None, None),
        };
        let next_try = self.member.next_try();
        let today = clock::now();
        let day = |time: Uptime| {
            let (ahead, behind) = (time.since(now).as_secs(), now.since(time).as_secs());
            attest::UnixTime(today.plus(ahead).0.saturating_sub(behind))
        };
        Some(Status {
            node: self.settings.node.clone(),
            role: self.settings.role.clone(),
            cluster_id: self.settings.cluster.clone(),
            attested: notice.attested,
            reason: notice.reason.to_owned(),
            message: notice.message,
            since: day(notice.since),
            until: until.map(day),
            next_try: next_try.map(day),
            refusal: refusal.map(|refusal| Refused { decision: refusal.decision, checks: refusal.checks }),
            uptime: Times {
                boot: self.boot.clone(),
                since: notice.since.0,
                until: until.map(|until| until.0),
                next_try: next_try.map(|next| next.0),
            },
        })
    }
}

impl Lines {
    fn order(&self, job: Job) {
        // A clerk who is gone does nothing, and nothing is attested for it: the verdict ends.
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            journal::write(&format_args!("member: nobody is there to do {job:?}"));
        }
    }
}

/// The clerk's thread.
fn work(mut clerk: Clerk, jobs: &Receiver<Job>, answers: &Sender<Event>, bell: &EventFd) {
    for job in jobs {
        let answer = match job {
            Job::Claim => Event::Claimed(clerk.claim()),
            Job::Enrol => Event::Enrolled(clerk.enrol().map_err(|why| why.to_string())),
            Job::Attest => Event::Judged(match clerk.attest() {
                Ok(admitted) => Verdict::Admitted(admitted.lasts),
                Err(none) => none.verdict(),
            }),
            Job::Revoke => {
                clerk.revoke();
                continue;
            }
        };
        if answers.send(answer).is_err() {
            return clerk.revoke();
        }
        ring(bell);
    }
}

fn ring(bell: &EventFd) {
    // The only failure is a counter that is full: it rings already.
    bell.write(1).unwrap_or_default();
}

/// Spreads machines out; nothing secret hangs on it.
fn dice() -> u64 {
    getrandom::u64().unwrap_or_default()
}

/// A wait ends a little after the time, not before.
const TICK: Duration = Duration::from_millis(1);
const BREATH: Duration = Duration::from_millis(50);
/// How long the end waits for OpenBao and for the Node.
const FAREWELL: Duration = Duration::from_secs(5);
