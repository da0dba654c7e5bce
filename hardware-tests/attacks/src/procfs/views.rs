//! What procfs shows to debuggers: where memory is, what is open, what is running.
//!
//! Each view is held against what the victim said of itself, where it said something.

use std::fs::{File, read_dir, read_link};
use std::io::Read;
use std::os::unix::fs::FileExt;

use crate::kernel::Mapping;
use crate::layout::u64_at;
use crate::victim::PAGE;
use crate::{Attempt, Outcome, Stage, Victim, found};

/// Reads `/proc/V/path` (`task/T` is V's thread) and looks.
pub(super) fn read_and(stage: &Stage, path: &str, look: fn(&[u8], &Victim) -> Outcome) -> Attempt {
    let bytes = read(&mut File::open(place(stage, path))?)?;
    Ok(look(&bytes, &stage.victim))
}

/// Not by its size, which procfs does not tell.
pub(super) fn read(file: &mut File) -> Result<Vec<u8>, Outcome> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn place(stage: &Stage, path: &str) -> String {
    let held = stage.victim.held();
    format!("/proc/{}/{path}", held.pid)
        .replace("/task/V/", &format!("/task/{}/", held.pid))
        .replace("/task/T/", &format!("/task/{}/", held.thread))
}

/// Anything at all is more than nothing.
pub(super) fn anything(bytes: &[u8], _: &Victim) -> Outcome {
    let text = String::from_utf8_lossy(bytes).trim().replace(['\n', '\0'], " ");
    if text.is_empty() { Outcome::nothing("an empty file") } else { Outcome::got(text) }
}

pub(super) fn environ(bytes: &[u8], victim: &Victim) -> Outcome {
    found(bytes, victim.environment(), "of its environment")
}

/// The range that begins where the canary is, or has it within.
pub(super) fn maps(bytes: &[u8], victim: &Victim) -> Outcome {
    let address = victim.held().memory.address;
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| covers(line, address));
    line.map_or_else(|| Outcome::nothing("no line about its memory"), |line| Outcome::got(line.to_owned()))
}

/// `numa_maps` tells only where a range begins.
fn covers(line: &str, address: u64) -> bool {
    let range = line.split(' ').next().unwrap_or_default();
    let hex = |digits: &str| u64::from_str_radix(digits, 16).ok();
    match range.split_once('-') {
        Some((from, to)) => {
            hex(from).is_some_and(|from| from <= address) && hex(to).is_some_and(|to| address < to)
        }
        // Ranges beside each other are one.
        None => hex(range).is_some_and(|from| from <= address && address.saturating_sub(from) < 1 << 20),
    }
}

pub(super) fn rollup(bytes: &[u8], victim: &Victim) -> Outcome {
    named(bytes, "Rss:", victim)
}

pub(super) fn io(bytes: &[u8], victim: &Victim) -> Outcome {
    named(bytes, "rchar:", victim)
}

fn named(bytes: &[u8], name: &str, _: &Victim) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| line.starts_with(name));
    line.map_or_else(|| Outcome::nothing("an empty file"), |line| Outcome::got(line.to_owned()))
}

/// `AT_RANDOM`: where sixteen random bytes of its are.
pub(super) fn auxv(bytes: &[u8], _: &Victim) -> Outcome {
    const AT_RANDOM: u64 = 25;
    let mut pairs = bytes.chunks_exact(16).map(|pair| (u64_at(pair, 0), u64_at(pair, 8)));
    match pairs.find(|(kind, _)| *kind == AT_RANDOM) {
        Some((_, address)) => Outcome::got(format!("AT_RANDOM at {address:#x}")),
        None => Outcome::nothing(format!("{} bytes without AT_RANDOM", bytes.len())),
    }
}

/// The page frame of the canary; bit 63: present.
pub(super) fn pagemap(stage: &Stage) -> Attempt {
    let page = u64::try_from(PAGE).unwrap_or(4096);
    let at = stage.victim.held().memory.address.div_euclid(page).saturating_mul(8);
    let mut entry = [0; 8];
    File::open(place(stage, "pagemap"))?.read_exact_at(&mut entry, at)?;
    let entry = u64_at(&entry, 0);
    Ok(if entry >> 63 == 1 {
        Outcome::got(format!("its page: {entry:#x}"))
    } else {
        Outcome::nothing(format!("{entry:#x}"))
    })
}

/// Lists a directory.
pub(super) fn directory(stage: &Stage, path: &str) -> Attempt {
    let count = read_dir(place(stage, path))?.filter_map(Result::ok).count();
    Ok(if count > 0 {
        Outcome::got(format!("{count} entries"))
    } else {
        Outcome::nothing("an empty directory")
    })
}

/// Reads through a link of `map_files` what is mapped there: its own program begins with an ELF header.
pub(super) fn map_file(stage: &Stage) -> Attempt {
    let mut entries = read_dir(place(stage, "map_files"))?;
    let Some(entry) = entries.find_map(Result::ok) else {
        return Ok(Outcome::nothing("an empty directory"));
    };
    let mut head = [0; 4];
    File::open(entry.path())?.read_exact_at(&mut head, 0)?;
    Ok(Outcome::got(format!("{} begins {head:02x?}", entry.file_name().display())))
}

pub(super) fn link(stage: &Stage, path: &str) -> Attempt {
    Ok(Outcome::got(read_link(place(stage, path))?.display().to_string()))
}

/// The bytes of its program, even where the file was removed.
pub(super) fn exe(stage: &Stage) -> Attempt {
    let mut head = [0; 4];
    File::open(place(stage, "exe"))?.read_exact_at(&mut head, 0)?;
    Ok(if &head == b"\x7fELF" {
        Outcome::got("its program")
    } else {
        Outcome::nothing(format!("{head:02x?}"))
    })
}

pub(super) fn fdinfo(stage: &Stage) -> Attempt {
    let path = format!("fdinfo/{}", stage.victim.held().memfd.descriptor);
    read_and(stage, &path, |bytes, victim| named(bytes, "pos:", victim))
}

pub(super) fn descriptor_link(stage: &Stage) -> Attempt {
    link(stage, &format!("fd/{}", stage.victim.held().memfd.descriptor))
}

pub(super) fn open_memfd(stage: &Stage) -> Attempt {
    let memfd = &stage.victim.held().memfd;
    let bytes = read(&mut File::open(place(stage, &format!("fd/{}", memfd.descriptor)))?)?;
    Ok(found(&bytes, &memfd.canary, "of its memfd"))
}

/// The kernel itself refuses this one: ENXIO.
pub(super) fn open_secret(stage: &Stage) -> Attempt {
    let secret = stage.victim.held().secret.as_ref().ok_or(Outcome::impossible("no memfd_secret"))?;
    let file = File::open(place(stage, &format!("fd/{}", secret.descriptor)))?;
    Ok(found(&Mapping::readable(&file, PAGE)?.copy(), &secret.canary, "of its memfd_secret"))
}
