//! What the kernel says of this process and this machine.
//!
//! Read once at start. What cannot be read is not believed: a check that rests on it is missed.
//!
//! Trusted: the kernel. Untrusted: on a machine that somebody else rules, all of it; the verifier is told what was found, and
//! overrules it where it knows better.

use std::fs;
use std::path::Path;

use rustix::process::{DumpableBehavior, dumpable_behavior, geteuid};

use super::blame::{Circumstances, plain};
use super::measures::Mapping;

/// `CAP_SYS_PTRACE` of capabilities(7).
const CAP_SYS_PTRACE: u64 = 1 << 19;
/// Devices that only a machine with encrypted memory has.
const ENCRYPTED: [&str; 3] = ["/dev/sev-guest", "/dev/tdx_guest", "/dev/nsm"];

/// What decides who refuses an attack.
pub(super) fn circumstances() -> Circumstances {
    let modules = read("/sys/kernel/security/lsm").unwrap_or_default();
    let others = modules.split(',').filter(|name| !["", "capability", "yama", "lockdown"].contains(name));
    Circumstances {
        user: geteuid().as_raw(),
        may_trace: capabilities().is_some_and(|set| set & CAP_SYS_PTRACE != 0),
        dumpable: is_dumpable(),
        yama: read("/proc/sys/kernel/yama/ptrace_scope").and_then(|text| text.parse().ok()),
        modules: others.map(str::to_owned).collect(),
        core_pattern: read("/proc/sys/kernel/core_pattern").map(|text| plain(&text)).unwrap_or_default(),
    }
}

pub(super) fn is_dumpable() -> bool {
    !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
}

fn capabilities() -> Option<u64> {
    let status = read("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The weaknesses of the processor that are left open; none where the kernel does not list them.
pub(super) fn weaknesses() -> Option<Vec<String>> {
    let entries = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").ok()?;
    let mut open: Vec<String> = Vec::new();
    let mut listed = false;
    for entry in entries.flatten() {
        listed = true;
        let state = fs::read_to_string(entry.path()).unwrap_or_else(|_unreadable| "Vulnerable".to_owned());
        if state.starts_with("Vulnerable") {
            open.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    open.sort_unstable();
    listed.then_some(open)
}

pub(super) fn encrypted() -> Option<&'static str> {
    ENCRYPTED.into_iter().find(|device| Path::new(device).exists())
}

/// The mapping that begins at this address, by the kernel's own list.
pub(super) fn mapping(address: u64) -> Result<(Mapping, u64), String> {
    let list = fs::read_to_string("/proc/self/smaps").map_err(|error| format!("smaps: {error}"))?;
    find(&list, address).ok_or_else(|| "the mapping is not listed".to_owned())
}

fn find(list: &str, address: u64) -> Option<(Mapping, u64)> {
    let mut before = None;
    let mut found: Option<(Mapping, u64, bool)> = None;
    for line in list.lines() {
        if let Some((start, end, rest)) = range(line) {
            match found {
                Some((ref mut mapping, own_end, guard)) => {
                    mapping.guarded = guard && start == own_end && rest.starts_with("---p");
                    break;
                }
                None if start == address => {
                    let secret = rest.ends_with("/secretmem (deleted)") || rest.contains("secretmem");
                    let guard = before == Some((start, true));
                    found = Some((Mapping { secret, ..Mapping::default() }, end, guard));
                }
                None => before = Some((end, rest.starts_with("---p"))),
            }
        } else if let (Some((mapping, ..)), Some(flags)) = (&mut found, line.strip_prefix("VmFlags:")) {
            mapping.flags = flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    found.map(|(mapping, end, _)| (mapping, end))
}

/// `START-END REST`, in hex.
fn range(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, rest))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Region;

    #[test]
    fn a_page_of_secret_memory_is_listed_as_what_it_is() {
        let region = Region::create(16).unwrap();
        let address = u64::try_from(region.bytes().as_ptr().addr()).unwrap();
        let (mapping, end) = mapping(address).unwrap();
        assert_eq!((mapping.secret, mapping.guarded, end - address), (true, true, 4096));
        for flag in ["lo", "dd"] {
            assert!(mapping.flags.iter().any(|one| one == flag), "{flag} in {mapping:?}");
        }
    }

    #[test]
    fn ordinary_memory_is_not_taken_for_anything_else() {
        let list = "\
1000-2000 rw-p 00000000 00:00 0 \nVmFlags: rd wr mr mw me ac \n\
2000-3000 ---p 00000000 00:00 0 \nVmFlags: mr mw me \n\
3000-4000 rw-s 00000000 00:01 7 /secretmem (deleted)\nVmFlags: rd wr sh lo dd \n\
4000-5000 rw-p 00000000 00:00 0 \nVmFlags: rd \n";
        let (ordinary, _) = find(list, 0x1000).unwrap();
        assert!(!ordinary.secret && !ordinary.guarded, "{ordinary:?}");
        let (half, end) = find(list, 0x3000).unwrap();
        assert!(half.secret && !half.guarded, "{half:?}: nothing guards its end");
        assert_eq!(
            (half.flags.as_slice(), end),
            (["rd", "wr", "sh", "lo", "dd"].map(str::to_owned).as_slice(), 0x4000)
        );
        assert!(find(list, 0x9000).is_none());
    }
}
