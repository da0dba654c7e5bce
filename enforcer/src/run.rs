//! The whole program, top to bottom: load, tag ourselves, arm, prove, serve.
//!
//! One thread, one loop, which waits for clients, records, the canary's children, and time. What was pinned goes on when it ends.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use enforcer_abi::{Mode, Tag, Vector, role};
use protocol::enforcer::{Event, Matrix, Severity};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::arms::{self, Arms};
use crate::canary::Canary;
use crate::challenge::called;
use crate::config::Run;
use crate::confine::{self, Attackers, Listing};
use crate::edge::Edge;
use crate::ending::{Ending, Place};
use crate::events::clock;
use crate::events::feed::{Feed, Unopened};
use crate::guards;
use crate::held::{self, Signs};
use crate::leak::{self, Leaks};
use crate::load::{self, Loaded, Wanted};
use crate::matrix::{self, Known};
use crate::pins::Before;
use crate::policy::{self, Admitted, Keys, Policy};
use crate::procfs::{genuine_bytes, magic};
use crate::record;
use crate::settings;
use crate::signed::NO_KEY;
use crate::socket::{Door, News, Occupied, Server, Tagger as _};
use crate::switches::GROUPS;
use crate::trial::Trial;
use crate::trusted::{List, Whole};

/// The longest time between two looks at everything.
const LONGEST: Duration = Duration::from_secs(1);
/// Between two trials where the kernel refuses to load.
const AGAIN: Duration = Duration::from_mins(1);

/// Why it did not run, or does no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another policy is in force.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// Nothing was loaded.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// Nobody can ask for anything.
    #[error(transparent)]
    Door(#[from] Occupied),
    /// Nothing can be told.
    #[error(transparent)]
    Feed(#[from] Unopened),
    /// The machine does not do what it should.
    #[error("{doing}: {source}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether it may be otherwise at another time, with all that was said to us as it is: so it is waited for.
    const fn may_pass(&self) -> bool {
        match self {
            Self::Load(error) => error.is_the_kernels(),
            Self::Policy(error) => matches!(error, policy::Error::Unlisted(_)),
            Self::Door(_) | Self::Feed(_) | Self::Machine { .. } => false,
        }
    }
}

/// Loads, and looks after what was loaded until told to end. On a kernel that loads nothing it stays, says so, and tries again:
/// an end would be taken for a fault that another start mends.
pub fn run(config: &Run) -> Result<(), Error> {
    confine::begin(attackers(config)).map_err(machine("giving up what is not needed"))?;
    let ending = Ending::watch().map_err(machine("listening to signals"))?;
    while !ending.came() {
        match begin(config) {
            Ok(enforcer) => return ending.stand_by(enforcer.serve(&ending)?, config.when_replaced),
            Err(error) if error.may_pass() => hold(config, &error, &ending)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn begin(config: &Run) -> Result<Enforcer<'_>, Error> {
    let files = Files::read(config);
    let ours = policy(config, &files);
    let now = clock::now().unix / 1_000_000_000;
    let rights = |listing| confine::spare(listing).map_err(machine("rights"));
    rights(Listing::Possible)?;
    let (ours, maps) = admitted(config, &ours, now)?;
    let mut loaded = Loaded::new(Wanted {
        object: (&config.object, files.object.as_deref()),
        settings: settings::of(config, arms(config).typed())
            .map_err(machine("the control group of --scope"))?,
        group: config.scope.as_deref().unwrap_or(Path::new(GROUPS)),
        ring: config.ring,
        pins: (!config.no_pins).then_some(config.pins.as_path()),
        before: maps,
    })?;
    rights(Listing::Spared)?;
    if loaded.forgotten > 0 {
        say(
            "the maps that were there nobody guarded: they are not taken over, and who was protected by them is not",
        );
    }
    let list = files.list.as_deref().unwrap_or_default();
    let trial = guards::begin(config, list, &loaded, clock::now().boot)?;
    guards::set(config, &trial, &loaded)?;
    let edge = loaded.edge()?;
    // Before anything is armed: afterwards nobody may, who is not the enforcer.
    tag_ourselves(&edge).map_err(machine("tagging ourselves"))?;
    let mut canary = Canary::new(&edge, Instant::now()).map_err(machine("starting the canary"))?;
    trust(config, &files, &loaded, &edge)?;
    ours.put(&loaded.policy()?).map_err(machine("writing down what is enforced"))?;
    loaded.arm(&arms(config))?;
    let counts = loaded.answered()?;
    let mut leaks = loaded.leaks(config.unread.into())?;
    bait(&mut leaks, &mut canary);
    canary.round(&edge, &counts);
    let before = loaded.retire_others()?;
    edge.end_others().map_err(machine("ending the enforcer before us"))?;
    // What was registered with it to the last.
    leaks.adopt().map_err(machine("taking in what was registered"))?;
    if before > 0 {
        // What was refused until now may have been those before us.
        canary.round(&edge, &counts);
    }
    let mut feed = Feed::new(&config.outputs, loaded.take_feed()?)?;
    feed.say(Event::STARTED, Severity::Info, started(before), &mut |_nobody_yet: &Event| {});
    let edge = Edge { leaks: Some(leaks), ..edge };
    let mut server = Server::new(Door::open(&config.socket)?, edge);
    let matrix = draw(config, &trial, &loaded, &canary)?;
    *server.trial_mut() = trial;
    let enforcer = Enforcer { config, loaded, canary, counts, feed, server, matrix };
    match confine::close(attackers(config)) {
        Ok(()) => say("what only loading takes is given up"),
        Err(error) => say(&format!("NOT ALL THAT ONLY LOADING TAKES IS GIVEN UP: {error}")),
    }
    enforcer.introduce(before);
    Ok(enforcer)
}

/// Where our maps are going to be guarded, those are not taken over that were not: whoever opened one could write to it.
fn maps(config: &Run, admitted: &Admitted) -> Before {
    let guards = config.mode_of(Vector::OwnMap) == Mode::Enforce;
    if guards && matches!(admitted, Admitted::First) { Before::Open } else { Before::Guarded }
}

/// Has the canary try what is searched, and the search know the decoy.
fn bait<K: leak::Kernel>(leaks: &mut Leaks<K>, canary: &mut Canary) {
    let (group, key) = canary.decoy();
    leaks.decoy_is(group, key);
    canary.is_searched(leaks.can_be_tried());
}

/// Our policy as it is to be put in force, and what becomes of the maps that are there: on whose word, is said and recorded.
fn admitted(config: &Run, ours: &Policy, now: u64) -> Result<(Policy, Before), Error> {
    let (glass, successors) = (config.break_glass.as_deref(), config.successors.as_deref());
    let (ours, admitted) = policy::admit(ours, &policy::Told { glass, successors, now })?;
    match &admitted {
        Admitted::First | Admitted::Same => {}
        Admitted::By(statement) => {
            record::upstream(Path::new(protocol::enforcer::LET_GO), statement, now)
                .map_err(machine("recording the statement"))?;
            say(&format!("another policy from here on, by a signed statement: {}", statement.reason));
        }
        Admitted::Listed(version) => {
            say(&format!("another policy from here on, by a signed list of successors: version {version}"));
        }
    }
    say(&format!("settings {}, programs {}", hex::encode(ours.settings), hex::encode(ours.object)));
    say(&format!("break-glass: challenge {}", hex::encode(ours.challenge)));
    Ok((ours, maps(config, &admitted)))
}

/// What we are told by files. Read once: what was judged is what is used, whatever becomes of them meanwhile.
struct Files {
    object: io::Result<Vec<u8>>,
    list: io::Result<Vec<u8>>,
}

impl Files {
    fn read(config: &Run) -> Self {
        Self { object: fs::read(&config.object), list: fs::read(&config.trusted) }
    }
}

/// What we were told, as one digest; and by whose word it changes. Arguments are the kernel's word: whoever starts us may put
/// another file over `/proc/self/cmdline`.
fn policy(config: &Run, files: &Files) -> Policy {
    let arguments: Vec<u8> =
        std::env::args_os().flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
    let bytes = |file: &'_ io::Result<Vec<u8>>| file.as_ref().map_or(Vec::new(), Clone::clone);
    let (object, list) = (bytes(&files.object), bytes(&files.list));
    let keys = Keys {
        glass: config.break_glass_key.unwrap_or(NO_KEY),
        upgrade: config.upgrade_key.unwrap_or(NO_KEY),
    };
    Policy::of(&arguments, &list, &object, keys, &called(config.node.as_deref()))
}

/// Tells the kernel who is trusted. A list that cannot be read trusts nobody, and is no ground not to start.
fn trust(config: &Run, files: &Files, loaded: &Loaded, edge: &Edge) -> Result<(), Error> {
    let trusting = loaded.trusting()?;
    let list = List::of(&config.trusted, files.list.as_deref()).unwrap_or_else(|void| {
        say(&format!("nobody is trusted: {void}"));
        List::default()
    });
    for void in trusting.tell(&list, edge).map_err(machine("telling who is trusted"))? {
        say(&format!("not trusted: {void}"));
    }
    if trusting.succeed().map_err(machine("telling our own program"))? == Whole::No {
        say(
            "A DEVELOPMENT BUILD: it loads libraries, so this program will not be known when it is started again, and \
             cannot be replaced or let go without a restart of the node; build it static",
        );
    }
    Ok(())
}

/// Nothing could be loaded: says why, and shows it where the matrix is read, until it is time to try again.
fn hold(config: &Run, error: &Error, ending: &Ending) -> Result<(), Error> {
    // The kernel's lists tell who was before us.
    confine::spare(Listing::Possible).map_err(machine("rights"))?;
    let signs = Signs::look(config);
    let why = if signs.are_there() { format!("{signs}: {error}") } else { error.to_string() };
    say(&if signs.are_there() { format!("LOCKED OUT: {why}") } else { format!("NOTHING IS REFUSED: {why}") });
    // The sign of life of one that lives is its own.
    if signs.alive.is_none()
        && let Err(error) = held::show(config, release(), &why)
    {
        say(&format!("{}: {error}", config.outputs.heartbeat.display()));
    }
    wait_for(&[(ending.fd(), PollFlags::IN)], AGAIN)
}

fn wait_for(fds: &[(BorrowedFd<'_>, PollFlags)], patience: Duration) -> Result<(), Error> {
    let mut fds: Vec<_> = fds.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let patience = Timespec::try_from(patience).ok();
    match poll(&mut fds, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(machine("waiting")(error.into())),
    }
}

/// Everything that the loop turns.
struct Enforcer<'c> {
    config: &'c Run,
    loaded: Loaded,
    canary: Canary,
    counts: OwnedFd,
    feed: Feed,
    server: Server<Edge>,
    matrix: Matrix,
}

impl Enforcer<'_> {
    fn serve(mut self, ending: &Ending) -> Result<Place, Error> {
        let mut more = false;
        while !ending.came() && !self.loaded.is_over() {
            if let Err(error) = self.wait(more, ending) {
                // What is armed goes on; who waits for us is told when it is possible again.
                say(&error.to_string());
                std::thread::sleep(LONGEST);
            }
            let now = Instant::now();
            for news in self.server.ready(&self.matrix, now) {
                self.tell(&news);
            }
            self.try_guards();
            if let Some(leaks) = &mut self.server.edge().leaks {
                bait(leaks, &mut self.canary);
            }
            self.prove(now);
            let Self { feed, server, matrix, .. } = &mut self;
            let mut watch = |event: &Event| publish(server, event);
            more = feed.ready(&mut watch);
            for trouble in feed.tick(matrix, &mut watch) {
                say(&trouble);
            }
        }
        self.feed.end(&mut |event: &Event| publish(&mut self.server, event));
        if self.loaded.is_over() { self.step_down() } else { Ok(Place::Left) }
    }

    /// Leaves nothing behind that the one in our place would meet; it waits for that.
    fn step_down(self) -> Result<Place, Error> {
        let Self { loaded, canary, feed, mut server, .. } = self;
        drop((loaded, canary, feed));
        // Who is not the enforcer can be told to end by anybody who may.
        let process = pidfd_open(getpid(), PidfdFlags::empty()).map_err(io::Error::from);
        let freed = process.and_then(|process| server.edge().tag(process.as_fd(), Tag::NONE));
        freed.map_err(machine("stepping down"))?;
        Ok(Place::Taken)
    }

    /// Has the canary go on. What goes wrong is told, and tried again: an end would leave less than a defence that is not proved.
    fn prove(&mut self, now: Instant) {
        let changed = self.canary.ready(self.server.edge(), &self.counts, now);
        let trouble = self.canary.trouble();
        if changed {
            match draw(self.config, self.server.trial(), &self.loaded, &self.canary) {
                Ok(matrix) => self.matrix = matrix,
                Err(error) => say(&error.to_string()),
            }
        }
        if let Some(trouble) = trouble {
            say(&trouble);
        }
    }

    /// Whether the trial of the node's guards has ended without a word. What goes wrong then is told, and tried again.
    fn try_guards(&mut self) {
        let before = self.server.trial().clone();
        if !self.server.trial_mut().lapses(clock::now().boot) {
            return;
        }
        match self.lapse() {
            Ok(()) => {
                let said = self.server.trial().said().unwrap_or_default();
                say(&said);
                let Self { feed, server, .. } = self;
                let mut watch = |event: &Event| publish(server, event);
                feed.say(Event::GUARDS_LAPSED, Severity::High, said, &mut watch);
            }
            Err(error) => {
                say(&error.to_string());
                *self.server.trial_mut() = before;
            }
        }
    }

    fn lapse(&mut self) -> Result<(), Error> {
        let trial = self.server.trial();
        guards::set(self.config, trial, &self.loaded)?;
        guards::changed(trial, &self.loaded)?;
        self.matrix = draw(self.config, trial, &self.loaded, &self.canary)?;
        Ok(())
    }

    /// An administrator has confirmed: the kernel and a file remember it.
    fn keep_guards(&self) {
        let trial = self.server.trial();
        if let Err(error) = guards::changed(trial, &self.loaded) {
            say(&error.to_string());
        }
        if let Err(error) = guards::write_down(self.config, trial) {
            say(&format!("{}: {error}", self.config.confirmed.display()));
        }
    }

    /// Until somebody comes, or it is time.
    fn wait(&self, more: bool, ending: &Ending) -> Result<(), Error> {
        let mut fds = self.server.fds();
        fds.push((self.feed.fd(), PollFlags::IN));
        fds.push((ending.fd(), PollFlags::IN));
        fds.extend(self.canary.fd().map(|fd| (fd, PollFlags::IN)));
        let wakes = self.server.wakes().map_or(self.canary.wakes(), |at| at.min(self.canary.wakes()));
        let wakes = wakes.saturating_duration_since(Instant::now()).min(LONGEST);
        wait_for(&fds, if more { Duration::ZERO } else { wakes })
    }

    fn introduce(&self, before: usize) {
        if before > 0 {
            say(&format!("took over from {before} before"));
        }
        for (hook, why) in &self.loaded.missing {
            say(&format!("hook {hook} is not in use: {why}"));
        }
        if !self.loaded.absent.is_empty() {
            say(&format!("fields that this kernel does not have: {}", self.loaded.absent.join(", ")));
        }
        self.say_matrix();
        say(&format!(
            "kprobe_override: {}",
            if arms::kernel_has_override() { "available" } else { "not in this kernel" }
        ));
        if let Some(said) = self.server.trial().said() {
            say(&said);
        }
        say("ready");
    }

    fn say_matrix(&self) {
        for defence in &self.matrix.vectors {
            let why = defence.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let (vector, tier, mode, verified) =
                (&defence.vector, &defence.tier, &defence.mode, defence.verified);
            say(&format!("vector {vector} tier {tier} mode {mode} verified {verified:?}{why}"));
        }
    }

    fn tell(&mut self, news: &News) {
        if matches!(news, News::GuardsConfirmed { .. }) {
            self.keep_guards();
        }
        let Self { feed, server, .. } = self;
        let (name, severity, text) = match news {
            News::Protected { .. } => {
                (Event::PROTECTED, Severity::Info, "it is protected from now on".to_owned())
            }
            News::Confirmed { .. } => {
                (Event::CONFIRMED, Severity::Info, "it was looked at, and nothing was wrong".to_owned())
            }
            News::GuardsConfirmed { .. } => {
                (Event::GUARDS_CONFIRMED, Severity::High, "the node's guards go on refusing".to_owned())
            }
            News::Refused { why, .. } => (Event::NOT_PROTECTED, Severity::Medium, why.clone()),
            News::Ended { .. } => (Event::GROUP_ENDED, Severity::Info, "nobody of it is left".to_owned()),
        };
        let whom = match news {
            News::Protected { pid, group } | News::Confirmed { pid, group } => (Some(*pid), Some(*group)),
            News::Refused { pid, .. } | News::GuardsConfirmed { pid } => (Some(*pid), None),
            News::Ended { group } => (None, Some(*group)),
        };
        feed.say_of(whom, name, severity, text, &mut |event: &Event| publish(server, event));
    }
}

fn draw(config: &Run, trial: &Trial, loaded: &Loaded, canary: &Canary) -> Result<Matrix, Error> {
    let known = Known {
        hooks: loaded.hooks().collect(),
        missing: &loaded.missing,
        programs: loaded.programs()?,
        kernel: release(),
    };
    Ok(matrix::draw(
        &known,
        |vector| trial.mode(vector, config.mode_of(vector)),
        |vector| canary.proof(vector),
    ))
}

fn publish(server: &mut Server<Edge>, event: &Event) {
    if server.is_watched() {
        server.publish(event);
    }
}

fn tag_ourselves(edge: &Edge) -> io::Result<()> {
    let process = pidfd_open(getpid(), PidfdFlags::empty())?;
    // Of one before us, who made this process what it is.
    let known = edge.tag_of(process.as_fd())?;
    if known.is(role::ENFORCER) {
        return Ok(());
    }
    let mut group = [0; 8];
    getrandom(&mut group, GetRandomFlags::empty())?;
    let group = u64::from_ne_bytes(group).max(1);
    edge.tag(process.as_fd(), Tag { group, roles: role::ENFORCER, becoming: 0 })
}

fn started(before: usize) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match before {
        0 => format!("version {version}"),
        links => format!("version {version}, which took over {links} links from one before"),
    }
}

/// Which kinds of hook are to be used.
fn arms(config: &Run) -> Arms<'_> {
    // A list that is not the kernel's counts as none: what needs no list is used then.
    let list = genuine_bytes(Path::new("/sys/kernel/security/lsm"), magic::SECURITYFS).unwrap_or_default();
    Arms::new(config, &String::from_utf8_lossy(&list))
}

const fn attackers(config: &Run) -> Attackers {
    if config.reactive_kill { Attackers::Killed } else { Attackers::Told }
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn machine(doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Machine { doing, source }
}

fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    writeln!(io::stderr(), "cloudtaser-enforcer: {text}").unwrap_or_default();
}
