//! The program in our place: with our process id, and without anybody who looks after it.
//!
//! A hand is forked, which has everything fetched and holds it. It attaches to us (`PTRACE_SEIZE`), we become the
//! program, and it grafts, follows shells and their like, lets go and ends. We never hold a value. The two speak over
//! a line:
//!
//! | from | word | meaning |
//! |---|---|---|
//! | hand | [`Word::Ready`] | values are there; these variables refer to them |
//! | we | [`Word::Go`] | the hand may attach |
//! | hand | [`Word::Held`] | it has; the next `execve` stops for it |
//! | hand | [`Word::Failed`] | it has told why; the code to end with |
//!
//! As process 1 we are also who orphans come to: the hand stays behind as one zombie, until the program waits.
//!
//! Trusted: the hand, which is this program. Untrusted: the program.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd as _, OwnedFd};

use minicbor::{Decode, Encode};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, PTracer, Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper,
    set_dumpable_behavior, set_ptracer, wait, waitpid,
};
use secretmem::{Parcel, Region};

use crate::config::{Config, Form, Way};
use crate::enforcer::Enforcer;
use crate::graft::{self, Tracer};
use crate::keeper::{self, Keeper, Memory};
use crate::line::Line;
use crate::run::{become_ordered, restrict_program, told, trouble};
use crate::selftest::Protection;
use crate::signals::{News, Signals};
use crate::stem::{self, Made, Opens, Planted, Side, Start, Stem, Watch};
use crate::{harden, say};

/// What is said between us and the hand.
#[derive(Debug, Encode, Decode)]
enum Word {
    #[n(0)]
    Ready {
        #[n(0)]
        hand: i32,
        #[n(1)]
        variables: Vec<(String, String)>,
    },
    #[n(1)]
    Go,
    #[n(2)]
    Held,
    #[n(3)]
    Failed(#[n(0)] u8),
}

/// Becomes the program; returns where it did not, with the code to end with.
pub(crate) fn run(
    config: &Config,
    signals: Signals,
    token: Option<Parcel>,
    enforcer: Enforcer,
) -> Result<u8, u8> {
    if config.secrets.iter().flat_map(|wanted| &wanted.targets).any(|target| target.form == Form::File) {
        say(
            "CLOUDTASER_SUPERVISE: false leaves nobody who could answer for files; expected no FIELD=@VARIABLE",
        );
        return Err(keeper::BAD_CONFIGURATION);
    }
    if !config.delivery.ways.contains(&Way::Graft) {
        say("CLOUDTASER_SUPERVISE: false goes by the graft alone; expected graft in CLOUDTASER_DELIVERY");
        return Err(keeper::BAD_CONFIGURATION);
    }
    // The hand's end is nobody's but the machine's init's.
    set_child_subreaper(None).map_err(io::Error::from).map_err(trouble)?;
    let (ours, theirs) = Line::pair().map_err(trouble)?;
    let program = getpid();
    // Our mapping of the token is not there after a fork; its descriptor is.
    let token = token.map(|token| (token.size(), token.give()));
    match stem::fork().map_err(trouble)? {
        Side::Old(between) => {
            drop((theirs, token));
            let is_bound = matches!(enforcer, Enforcer::Bound(_));
            // The hand has it.
            drop(enforcer);
            waitpid(Some(between), WaitOptions::empty()).map_err(io::Error::from).map_err(trouble)?;
            give_way(config, &ours, &signals, is_bound)
        }
        Side::New => {
            drop(ours);
            match stem::fork().map_err(trouble)? {
                // Not ours to wait for once this one has ended, unless orphans come to us.
                Side::Old(_hand) => Ok(0),
                Side::New => {
                    harden::be_hidden().map_err(trouble)?;
                    lend_a_hand(config, theirs, (signals, token), (program, enforcer))
                }
            }
        }
    }
}

/// Our part: waits until the hand is ready, is attached to, and becomes the program.
fn give_way(config: &Config, line: &Line, signals: &Signals, is_bound: bool) -> Result<u8, u8> {
    let mut known = None;
    let (hand, variables) = match hear(line, signals, &mut known)? {
        Word::Ready { hand, variables } => (hand, variables),
        other @ (Word::Go | Word::Held | Word::Failed(_)) => return Err(misheard(&other)),
    };
    let hand = Pid::from_raw(hand.max(0)).ok_or(keeper::OUR_TROUBLE)?;
    known = Some(hand);
    if !is_bound {
        offer(hand).map_err(trouble)?;
    }
    tell(line, &Word::Go)?;
    match hear(line, signals, &mut known)? {
        Word::Held => {}
        other @ (Word::Ready { .. } | Word::Go | Word::Failed(_)) => return Err(misheard(&other)),
    }
    let start = Start { variables, watch: Watch::InPlace, opens: Opens::Plain };
    restrict_program(config)?;
    let error = Made::exec_in_place(&start, &config.command, line);
    let error = keeper::Error::Graft(graft::Error::Exec(error));
    Err(told(&error, error.exit_code()))
}

/// Lets the hand attach; who is protected by the enforcer did so before he was (`enforcer::life`). We hold nothing: there is nothing to be read here.
fn offer(hand: Pid) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    match set_ptracer(PTracer::ProcessID(hand)) {
        // Without yama nobody asks.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The next word of the hand, unless a signal ends us first.
fn hear(line: &Line, signals: &Signals, hand: &mut Option<Pid>) -> Result<Word, u8> {
    loop {
        let mut fds = [signals.as_fd(), line.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(trouble(io::Error::from(error))),
        }
        let [_, from_hand] = &fds;
        if !from_hand.revents().is_empty() {
            let message = line.receive().map_err(trouble)?;
            // A hand that was killed says nothing.
            return message
                .and_then(|message| minicbor::decode(&message.bytes).ok())
                .ok_or(keeper::OUR_TROUBLE);
        }
        while let Some(news) = signals.next().map_err(trouble)? {
            if let News::Forward(signal @ (libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)) =
                news
            {
                // It ends by itself too, once it finds us gone.
                hand.map_or(Ok(()), |hand| kill_process(hand, Signal::KILL)).unwrap_or_default();
                let error = keeper::Error::Interrupted(signal);
                return Err(told(&error, error.exit_code()));
            }
        }
    }
}

fn misheard(word: &Word) -> u8 {
    match word {
        Word::Failed(code) => *code,
        Word::Ready { .. } | Word::Go | Word::Held => keeper::OUR_TROUBLE,
    }
}

fn tell(line: &Line, word: &Word) -> Result<(), u8> {
    let message = minicbor::to_vec(word).map_err(|_impossible| keeper::OUR_TROUBLE)?;
    line.send(&message, None).map_err(trouble)
}

/// The hand's part; and that of the processes that its stem makes.
fn lend_a_hand(
    config: &Config,
    line: Line,
    (signals, token): (Signals, Option<(usize, OwnedFd)>),
    (program, enforcer): (Pid, Enforcer),
) -> Result<u8, u8> {
    // Without a descriptor, and not there in those that are forked from here: they may not touch it.
    let token = ManuallyDrop::new(token.map(|(len, memory)| Region::receive(memory, len)).transpose());
    match stem::plant().map_err(trouble)? {
        Planted::Keeper(stem) => {
            let own = (&signals, ManuallyDrop::into_inner(token), enforcer);
            match hold(config, &line, &stem, own, program) {
                Ok(()) => leave(stem),
                // Whom we trace ends with us.
                Err(code) => tell(&line, &Word::Failed(code))?,
            }
            Ok(0)
        }
        Planted::Made(made) => {
            drop((line, signals, enforcer));
            become_ordered(config, made)
        }
        Planted::Over => Ok(0),
    }
}

/// The token, to be sent along.
fn given(token: Result<Option<Region>, secretmem::Error>) -> Result<Option<Parcel>, secretmem::Error> {
    let Some(token) = token? else { return Ok(None) };
    let mut parcel = Parcel::create(token.bytes().len())?;
    parcel.bytes_mut()?.copy_from_slice(token.bytes());
    Ok(Some(parcel))
}

/// Ends what is left of ours, so that none of it becomes the program's: the stem ends with its line.
fn leave(stem: Stem) {
    drop(stem);
    while matches!(wait(WaitOptions::empty()), Ok(_) | Err(Errno::INTR)) {}
}

fn hold(
    config: &Config,
    line: &Line,
    stem: &Stem,
    (signals, token, enforcer): (&Signals, Result<Option<Region>, secretmem::Error>, Enforcer),
    program: Pid,
) -> Result<(), u8> {
    let protection = Protection::measure(stem, config, &enforcer);
    say(protection.told());
    let mut kept = vec![line.as_fd(), stem.as_fd(), signals.as_fd()];
    kept.extend(enforcer.promised().ok().map(|bond| bond.as_fd()));
    harden::keeper(&kept).map_err(trouble)?;
    let token = given(token).map_err(|error| told(&error, keeper::UNPROTECTED))?;
    let keeper = Keeper::new(stem, signals, &config.supervision, &config.secrets, Memory::Given);
    let keeper = keeper.reporting(protection).enforced_by(enforcer);
    let fetched = keeper.with_token(token).fetched();
    let mut tracer = Tracer::new(fetched.map_err(|error| told(&error, error.exit_code()))?);
    tell(line, &Word::Ready { hand: getpid().as_raw_pid(), variables: tracer.references() })?;
    line.receive().map_err(trouble)?.ok_or(keeper::OUR_TROUBLE)?;
    tracer.seize(program).map_err(|_refused| told(&graft::Error::TracingRefused, keeper::UNPROTECTED))?;
    tell(line, &Word::Held)?;
    match tracer.adopt(program, |_pid| ()) {
        Ok(()) => follow(&mut tracer),
        // It could not become the program, and has told so.
        Err(graft::Error::Gone(_)) => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|error| told(&error, keeper::OUR_TROUBLE))
}

/// Until everybody who carries references has been served, or has ended.
fn follow(tracer: &mut Tracer) -> Result<(), graft::Error> {
    let options = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    while !tracer.is_idle() {
        match wait(options) {
            Ok(Some((pid, status))) if status.stopped() => tracer.stopped(pid, status)?,
            Ok(Some((pid, _ended))) => tracer.forget(pid),
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(graft::Error::Trace { doing: "waiting", source: error.into() }),
        }
    }
    Ok(())
}
