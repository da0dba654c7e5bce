//! From what we are told to an enforcer that is ready: admitted, tagged, armed, proved, confined. Nothing that is attached here
//! comes before our own tag.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Instant;

use enforcer_abi::{Mode, Tag, Vector, role};
use protocol::enforcer::{Event, Severity};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use rustix::rand::{GetRandomFlags, getrandom};

use super::enforcer::{Enforcer, draw};
use super::told::Files;
use super::{Error, arms_of, attackers, machine, say};
use crate::canary::Canary;
use crate::config::Run;
use crate::confine::{self, Listing};
use crate::edge::Edge;
use crate::events::clock;
use crate::events::feed::Feed;
use crate::guards;
use crate::guards::tell::Believed;
use crate::guards::trusted::{List, Whole};
use crate::leak::{self, Leaks};
use crate::load::pins::Before;
use crate::load::settings;
use crate::load::switches::GROUPS;
use crate::load::{Loaded, Wanted};
use crate::record;
use crate::socket::{Door, Server, Tagger as _};
use crate::succession::policy::{self, Admitted, Policy};

/// All of it.
pub(super) fn begin(config: &Run) -> Result<Enforcer<'_>, Error> {
    let files = Files::read(config);
    let ours = files.policy(std::env::args_os(), config);
    let now = clock::now().unix / 1_000_000_000;
    let rights = |listing| confine::spare(listing).map_err(machine("rights"));
    rights(Listing::Possible)?;
    let (ours, admitted) = admitted(config, &ours, now)?;
    let mut loaded = Loaded::new(Wanted {
        object: (&config.object, files.object.as_deref()),
        settings: settings::of(config, arms_of(config).typed())
            .map_err(machine("the control group of --scope"))?,
        group: config.scope.as_deref().unwrap_or(Path::new(GROUPS)),
        ring: config.ring,
        pins: (!config.no_pins).then_some(config.pins.as_path()),
        before: maps(config, &admitted),
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
    put_in_force(config, &files, (&ours, &admitted), &edge, &mut loaded)?;
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

/// Tells the kernel who is trusted, and arms.
fn put_in_force(
    config: &Run,
    files: &Files,
    (ours, admitted): (&Policy, &Admitted),
    edge: &Edge,
    loaded: &mut Loaded,
) -> Result<(), Error> {
    let believed = match admitted {
        Admitted::First => Believed::All,
        Admitted::Same | Admitted::By(_) | Admitted::Listed(_) => Believed::Trusted,
    };
    let mut said = trust(config, files, loaded, edge, believed)?;
    ours.put(&loaded.policy()?).map_err(machine("writing down what is enforced"))?;
    loaded.arm(&arms_of(config))?;
    if believed == Believed::All {
        // Who opened a file of the list before there was a hook to see it still has it open, or it is another file now.
        said = trust(config, files, loaded, edge, believed)?;
    }
    for line in &said {
        say(line);
    }
    Ok(())
}

/// Where our maps are going to be guarded, those are not taken over that were not: whoever opened one could write to it.
fn maps(config: &Run, admitted: &Admitted) -> Before {
    let guards = config.mode_of(Vector::OwnMap) == Mode::Enforce;
    if guards && matches!(admitted, Admitted::First) { Before::Open } else { Before::Guarded }
}

/// Has the canary try what is searched, and the search know the decoy.
pub(super) fn bait<K: leak::Kernel>(leaks: &mut Leaks<K>, canary: &mut Canary) {
    let (group, key) = canary.decoy();
    leaks.decoy_is(group, key);
    canary.is_searched(leaks.can_be_tried());
}

/// Our policy as it is to be put in force, and on whose word, which is said and recorded.
fn admitted(config: &Run, ours: &Policy, now: u64) -> Result<(Policy, Admitted), Error> {
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
    Ok((ours, admitted))
}

/// Tells the kernel who is trusted, and returns what is to be said about it. A list that cannot be read trusts nobody, and is no
/// ground not to start.
fn trust(
    config: &Run,
    files: &Files,
    loaded: &Loaded,
    edge: &Edge,
    believed: Believed,
) -> Result<Vec<String>, Error> {
    let trusting = loaded.trusting()?;
    let (list, nobody) = match List::of(&config.trusted, files.list.as_deref()) {
        Ok(list) => (list, None),
        Err(void) => (List::default(), Some(format!("nobody is trusted: {void}"))),
    };
    let void = trusting
        .tell((&list, &config.trusted_root), edge, believed)
        .map_err(machine("telling who is trusted"))?;
    let mut said: Vec<String> = nobody.into_iter().collect();
    said.extend(void.iter().map(|void| format!("not trusted: {void}")));
    if trusting.succeed().map_err(machine("telling our own program"))? == Whole::No {
        said.push(
            "A DEVELOPMENT BUILD: it loads libraries, so this program will not be known when it is started again, and \
             cannot be replaced or let go without a restart of the node; build it static"
                .to_owned(),
        );
    }
    Ok(said)
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
