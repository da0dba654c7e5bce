//! The enforcer's control group: killing, freezing and starving it without a signal.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::target::Target;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("own/cgroup-move", "cgroup-move", "move the enforcer into another control group", |stage| {
        told(moved(stage))
    })
    .invasive(),
    Probe::new("own/cgroup-freeze", "cgroup-kill", "cgroup.freeze of the enforcer's group", |stage| {
        told(Target::of(stage).and_then(|target| frozen(&target.group()?)))
    })
    .invasive(),
    Probe::new("own/cgroup-freeze-above", "cgroup-kill", "cgroup.freeze of the group above", |stage| {
        told(Target::of(stage).and_then(|target| frozen(&target.group_above()?)))
    })
    .invasive(),
    Probe::new("own/cgroup-starve", "cgroup-kill", "memory.max of 0 for the enforcer's group", |stage| {
        told(starved(stage))
    })
    .invasive(),
    Probe::new(
        "own/cgroup-starve-above",
        "cgroup-starve",
        "cpu.max of next to nothing for the group above",
        |stage| told(slowed(stage)),
    )
    .invasive(),
    Probe::new("own/cgroup-kill-above", "cgroup-kill", "cgroup.kill of the group above", |stage| {
        told(killed(stage, Target::group_above))
    })
    .invasive(),
    Probe::new("own/cgroup-kill", "cgroup-kill", "cgroup.kill of the enforcer's group", |stage| {
        told(killed(stage, Target::group))
    })
    .invasive(),
];

fn switch(path: &Path, word: &str) -> io::Result<()> {
    fs::write(path, word).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => absent(format!("there is no {}", path.display())),
        _ => error,
    })
}

fn moved(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let group = target.group()?;
    let procs = Path::new("/sys/fs/cgroup/cgroup.procs");
    switch(procs, &target.number().to_string())?;
    let there = fs::read_to_string(target.file("cgroup"))?.lines().any(|line| line == "0::/");
    switch(&group.join("cgroup.procs"), &target.number().to_string())?;
    if there { Ok("it was elsewhere for a moment".into()) } else { Err(nothing("it stayed")) }
}

fn frozen(group: &Path) -> Found {
    let freeze = group.join("cgroup.freeze");
    switch(&freeze, "1")?;
    std::thread::sleep(Duration::from_millis(200));
    let frozen = fs::read_to_string(group.join("cgroup.events"))?.lines().any(|line| line == "frozen 1");
    switch(&freeze, "0")?;
    if frozen { Ok("it was frozen for a moment".into()) } else { Err(nothing("it is not frozen")) }
}

fn killed(stage: &Stage, group: impl FnOnce(&Target) -> io::Result<std::path::PathBuf>) -> Found {
    let target = Target::of(stage)?;
    let group = group(&target)?;
    if target.dies(|| switch(&group.join("cgroup.kill"), "1"))? {
        Ok("it is dead".into())
    } else {
        Err(nothing("it lives"))
    }
}

/// A controller has to be handed down, group by group.
fn handed_down(group: &Path, controller: &str) -> io::Result<()> {
    let mut above: Vec<_> =
        group.ancestors().skip(1).take_while(|path| path.starts_with("/sys/fs/cgroup")).collect();
    above.reverse();
    for group in above {
        let control = group.join("cgroup.subtree_control");
        if !fs::read_to_string(&control)?.split_whitespace().any(|word| word == controller) {
            switch(&control, &format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// A thousandth of one processor, for a moment.
fn slowed(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let above = target.group_above()?;
    handed_down(&above, "cpu")?;
    let most = above.join("cpu.max");
    switch(&most, "1000 1000000")?;
    let slow = fs::read_to_string(&most)?.trim() == "1000 1000000";
    switch(&most, "max 100000")?;
    if slow { Ok("it hardly ran for a moment".into()) } else { Err(nothing("its limit is as it was")) }
}

fn starved(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let group = target.group()?;
    handed_down(&group, "memory")?;
    let most = group.join("memory.max");
    let dead = target.dies(|| switch(&most, "0"))?;
    let none = fs::read_to_string(&most)?.trim() == "0";
    switch(&most, "max")?;
    match (dead, none) {
        (true, _) => Ok("it is dead".into()),
        (false, true) => Ok("it got no more memory for a moment".into()),
        (false, false) => Err(nothing("it lives")),
    }
}
