//! What is enforced, and by whose word it changes.
//!
//! Executed again, our own program is the enforcer; so it must not do whatever its arguments say: whoever is root writes those.
//! While the enforcer refuses, a next life goes on only with what its last one was told: the same settings (arguments and list
//! of trusted programs) and the same object. Another object, or other settings, have to stand on a list that is signed
//! ([`crate::succession`]); anything else, and letting go, needs a statement that is signed ([`crate::succession::glass`]).
//!
//! Trusted: the map, which only the enforcer can write, and which is found by the kernel's own list, not by a path. Untrusted:
//! our arguments, and the files that they name.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use enforcer_abi::{Mode, Vector};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest as _, Sha256};

use crate::kernel;
use crate::load::causes;
use crate::succession::admit;
use crate::succession::glass::{self, Action, Statement};
use crate::succession::list::{self, Successor};

/// The map's name.
const MAP: &str = "POLICY";
const LENGTH: usize = 200;

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another policy is in force.
    #[error(
        "what is enforced here was loaded with other {0}: expected SHA-256 {expected}, found {found}: start with those, stand \
         with yours on a signed list of successors, or show a statement for `change`",
        .what, expected = hex::encode(.expected), found = hex::encode(.found)
    )]
    Other {
        /// Settings, or an object.
        what: &'static str,
        /// That is in force, or on the list.
        expected: [u8; 32],
        /// Ours.
        found: [u8; 32],
    },
    /// The statement is not good.
    #[error("break-glass: {0}")]
    Refused(#[from] glass::Refusal),
    /// Nor are we on the list.
    #[error(transparent)]
    Succession(#[from] list::Refusal),
    /// A file or a map.
    #[error("{what}: {source}")]
    Machine {
        /// Which.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Whether another policy is in force cannot be known.
    #[error(
        "the kernel's list of maps, which tells what is enforced here: {0}; it takes CAP_SYS_ADMIN, and where an enforcer \
         refuses, its own program"
    )]
    Unlisted(String),
    /// Somebody made a map that looks like ours.
    #[error(
        "expected one map with what is enforced here, in this version's form, found {0} in all: all but the enforcer's have to go first"
    )]
    Several(usize),
    /// There is no enforcer.
    #[error("nothing is enforced here, or this program is not the one that enforces it")]
    Nothing,
}

/// A policy, and who may have it changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Policy {
    /// SHA-256 of the arguments and the list of trusted programs.
    pub(crate) settings: [u8; 32],
    /// SHA-256 of the object.
    pub(crate) object: [u8; 32],
    /// Who may have it changed.
    pub(crate) keys: Keys,
    /// SHA-256 of the node's name, as it was told at the first start.
    pub(crate) node: [u8; 32],
    /// What the next statement has to answer; drawn by the first enforcer since the machine started, and anew after each.
    pub(crate) challenge: [u8; 32],
    /// The number of the last list of successors that was used.
    pub(crate) serial: u64,
}

/// Ed25519; zeros: none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Keys {
    /// Of break-glass.
    pub(crate) glass: [u8; 32],
    /// Of lists of successors.
    pub(crate) upgrade: [u8; 32],
}

impl Policy {
    /// Of these arguments (each ended by a zero), list of trusted programs and object.
    pub(crate) fn of(arguments: &[u8], list: &[u8], object: &[u8], keys: Keys, node: &str) -> Self {
        let mut settings = Sha256::new();
        for part in [lasting(arguments).as_slice(), list] {
            settings.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            settings.update(part);
        }
        Self {
            settings: settings.finalize().into(),
            object: Sha256::digest(object).into(),
            keys,
            node: Sha256::digest(node).into(),
            challenge: [0; 32],
            serial: 0,
        }
    }

    fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let Self { settings, object, keys: Keys { glass, upgrade }, node, challenge, serial } = self;
        let parts = [settings, object, glass, upgrade, node, challenge].map(<[u8; 32]>::as_slice);
        let parts = [parts.concat(), serial.to_le_bytes().to_vec()].concat();
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (digests, serial) = bytes.split_last_chunk::<8>()?;
        let [settings, object, glass, upgrade, node, challenge] = digests.as_chunks::<32>().0 else {
            return None;
        };
        Some(Self {
            settings: *settings,
            object: *object,
            keys: Keys { glass: *glass, upgrade: *upgrade },
            node: *node,
            challenge: *challenge,
            serial: u64::from_le_bytes(*serial),
        })
    }

    /// Puts it in force.
    pub(crate) fn put(&self, map: &OwnedFd) -> io::Result<()> {
        kernel::update(map.as_fd(), &0_u32, &self.bytes())
    }

    /// Whether it is what `other` is, whatever it is asked next.
    fn same(&self, other: &Self) -> bool {
        *self == Self { challenge: self.challenge, serial: self.serial, ..*other }
    }
}

/// The arguments but the program's own name, what is for once, and where files lie whose content counts.
fn lasting(arguments: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut words = arguments.split(|byte| *byte == 0).skip(1);
    while let Some(word) = words.next() {
        let joined = |name: &&[u8]| word.strip_prefix(*name).is_some_and(|rest| rest.starts_with(b"="));
        if PASSING.contains(&word) {
            words.next();
        } else if !PASSING.iter().any(joined) {
            kept.extend_from_slice(word);
            kept.push(0);
        }
    }
    kept
}

const PASSING: [&[u8]; 5] = [b"--node", b"--break-glass", b"--object", b"--successors", b"--when-replaced"];

/// On whose word somebody starts, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'t> {
    pub(crate) glass: Option<&'t Path>,
    pub(crate) successors: Option<&'t Path>,
    pub(crate) now: u64,
}

/// `ours` as it is to be put in force, and on which ground: nothing refuses yet, or it is what is in force, or somebody signed.
pub(crate) fn admit(ours: &Policy, told: &Told<'_>) -> Result<(Policy, Admitted), Error> {
    let Some((force, _map)) = in_force()? else {
        return Ok((Policy { challenge: drawn()?, ..*ours }, Admitted::First));
    };
    // What it is called is what it was called first: a container has a name of its own each time.
    let ours = Policy { node: force.node, challenge: force.challenge, serial: force.serial, ..*ours };
    if force.same(&ours) {
        return Ok((ours, Admitted::Same));
    }
    if let Some(path) = told.glass {
        let statement = redeem(&force, path, Action::Change, told.now)?;
        return Ok((Policy { challenge: drawn()?, ..ours }, Admitted::By(statement)));
    }
    let Some(path) = told.successors else { return Err(other(&force, &ours)) };
    let program = admit::own_digest().map_err(failed("our own program"))?;
    let (serial, successor) = judge(&force, path, &program, told.now)?;
    listed(&force, &successor, &ours)?;
    Ok((Policy { serial, ..ours }, Admitted::Listed(successor.version)))
}

/// What is other than it is, and is not to be.
fn other(force: &Policy, ours: &Policy) -> Error {
    let (what, expected, found) = if force.object == ours.object {
        ("settings", force.settings, ours.settings)
    } else {
        ("programs", force.object, ours.object)
    };
    Error::Other { what, expected, found }
}

/// Whether the list lets this program bring what it brings.
fn listed(force: &Policy, successor: &Successor, ours: &Policy) -> Result<(), Error> {
    let settings = successor.settings.map_or(force.settings, |digest| digest.0);
    let expected = Policy { object: successor.object, settings, ..*force };
    if expected.object == ours.object && expected.settings == ours.settings {
        Ok(())
    } else {
        Err(other(&expected, ours))
    }
}

/// What a list says of a program.
pub(crate) fn judge(
    force: &Policy,
    list: &Path,
    program: &[u8; 32],
    now: u64,
) -> Result<(u64, Successor), Error> {
    let text = fs::read_to_string(list).map_err(failed(&list.display().to_string()))?;
    let asked = list::Asked { key: &force.keys.upgrade, serial: force.serial, program, now };
    Ok(list::judge(&text, &asked)?)
}

/// On which ground it goes on.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// Nothing refuses yet what is done to an enforcer's own parts.
    First,
    /// It is what is in force.
    Same,
    /// A statement.
    By(Statement),
    /// A list, which calls it that.
    Listed(String),
}

/// Whether the enforcer may let go; and what makes the statement void once it has.
pub(crate) fn release(glass: &Path, now: u64) -> Result<(Statement, Spent), Error> {
    let (force, map) = in_force()?.ok_or(Error::Nothing)?;
    Ok((redeem(&force, glass, Action::Detach, now)?, Spent(map)))
}

/// What is in force, by whose challenge a statement is used up.
#[derive(Debug)]
pub(crate) struct Spent(OwnedFd);

impl Spent {
    /// Nothing is in force any more.
    pub(crate) fn forget(self) -> io::Result<()> {
        kernel::update(self.0.as_fd(), &0_u32, &[0_u8; LENGTH])
    }
}

fn redeem(force: &Policy, path: &Path, action: Action, now: u64) -> Result<Statement, Error> {
    let text = fs::read_to_string(path).map_err(failed(&path.display().to_string()))?;
    let Policy { keys: Keys { glass: key, .. }, node, challenge, .. } = force;
    Ok(glass::redeem(&text, &glass::Asked { key, node, challenge, action, now })?)
}

fn drawn() -> Result<[u8; 32], Error> {
    let mut challenge = [0; 32];
    match getrandom(&mut challenge, GetRandomFlags::empty()) {
        Ok(32) => Ok(challenge),
        Ok(_) => Err(failed("drawing a challenge")(io::ErrorKind::UnexpectedEof.into())),
        Err(error) => Err(failed("drawing a challenge")(error.into())),
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error + use<> {
    let what = what.to_owned();
    move |source| Error::Machine { what, source }
}

/// The policy of an enforcer that refuses what is done to its own parts. One that does not could be changed by anybody.
///
/// Whoever starts us may have taken rights away, or filter our calls, and may make maps of any name: a list that cannot be read
/// whole is no ground to go on, and neither are two policies.
pub(crate) fn in_force() -> Result<Option<(Policy, OwnedFd)>, Error> {
    let list = || failed("the kernel's list of maps");
    let (mut policies, mut seen, mut refuses) = (Vec::new(), 0_usize, false);
    for map in aya::maps::loaded_maps() {
        let map = match map {
            Ok(map) => map,
            // Another's map may go while we look.
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(Error::Unlisted(causes::line(&error))),
        };
        let name = map.name_as_str().unwrap_or_default();
        if name != MAP && name != "MODES" {
            continue;
        }
        let open = match map.fd() {
            Ok(open) => open,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(Error::Unlisted(causes::line(&error))),
        };
        seen = seen.saturating_add(usize::from(name == MAP));
        if name == MAP && map.value_size() == u32::try_from(LENGTH).unwrap_or(0) {
            let value: Option<Value> = kernel::lookup(open.as_fd(), &0_u32).map_err(list())?;
            let map = open.as_fd().try_clone_to_owned().map_err(list())?;
            policies.extend(value.and_then(|value| Some((Policy::read(&value.0)?, map))));
        } else if name == "MODES" && map.value_size() == 4 {
            let own = u32::from(Vector::OwnMap.number());
            let mode: Option<u32> = kernel::lookup(open.as_fd(), &own).map_err(list())?;
            refuses |= mode.is_some_and(|mode| Mode::of(mode) == Mode::Enforce);
        }
    }
    if refuses { only(policies, seen) } else { Ok(None) }
}

/// The one policy that there is, of so many maps of its name. One that is not the enforcer's is somebody's who wants another, and
/// one of another form another version's.
fn only<M>(mut policies: Vec<(Policy, M)>, seen: usize) -> Result<Option<(Policy, M)>, Error> {
    match (policies.pop(), seen) {
        (None, 0) => Ok(None),
        // Made, and not yet written: by an enforcer that ended before it armed anything. Or it has let go.
        (Some(one), 1) => Ok(Some(one).filter(|(policy, _)| policy.settings != [0; 32])),
        _ => Err(Error::Several(seen)),
    }
}

fn is_gone(error: &aya::maps::MapError) -> bool {
    matches!(error, aya::maps::MapError::SyscallError(call) if call.io_error.kind() == io::ErrorKind::NotFound)
}

#[derive(Clone, Copy)]
struct Value([u8; LENGTH]);

impl Default for Value {
    fn default() -> Self {
        Self([0; LENGTH])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGUMENTS: &[u8] = b"/bin/enforcer\0run\0--mode\0enforce\0";
    const KEYS: Keys = Keys { glass: [1; 32], upgrade: [2; 32] };

    fn ours() -> Policy {
        Policy::of(ARGUMENTS, b"list", b"object", KEYS, "n1")
    }

    #[test]
    fn other_arguments_programs_or_lists_are_another_policy() {
        let of =
            |arguments: &[u8], list: &[u8], object: &[u8]| Policy::of(arguments, list, object, KEYS, "n1");
        assert!(of(b"/elsewhere\0run\0--mode\0enforce\0", b"list", b"object").same(&ours()));
        for other in [
            of(b"/bin/enforcer\0run\0--mode\0off\0", b"list", b"object"),
            of(ARGUMENTS, b"more", b"object"),
            of(ARGUMENTS, b"list", b"other"),
            Policy { keys: Keys { glass: [3; 32], ..KEYS }, ..ours() },
            Policy { keys: Keys { upgrade: [3; 32], ..KEYS }, ..ours() },
            Policy { node: [3; 32], ..ours() },
        ] {
            assert!(!other.same(&ours()), "{other:?}");
        }
        assert!(Policy { challenge: [3; 32], serial: 4, ..ours() }.same(&ours()));
    }

    #[test]
    fn what_is_for_once_and_where_files_lie_is_no_part_of_the_policy() {
        for more in [
            "--break-glass\0/f",
            "--break-glass=/f",
            "--object\0/o",
            "--successors=/s",
            "--when-replaced=stand-by",
            "--node\0n",
        ] {
            let arguments = format!("/bin/enforcer\0run\0{more}\0--mode\0enforce\0");
            assert_eq!(lasting(arguments.as_bytes()), lasting(ARGUMENTS), "{more}");
        }
        let key = b"/bin/enforcer\0run\0--break-glass-key\0ab\0--mode\0enforce\0";
        assert_ne!(lasting(key), lasting(ARGUMENTS));
        assert_ne!(lasting(b"/e\0run\0--node-guards\0off\0"), lasting(b"/e\0run\0"));
    }

    #[test]
    fn a_successor_brings_the_object_that_the_list_names_and_the_settings_that_are_in_force() {
        let new = Policy::of(ARGUMENTS, b"list", b"new", KEYS, "n1");
        let successor = Successor {
            version: "2".into(),
            program: [4; 32],
            object: new.object,
            settings: None,
            not_after: 1,
        };
        listed(&ours(), &successor, &new).unwrap();
        let refusal = listed(&ours(), &successor, &ours()).unwrap_err().to_string();
        let (expected, found) = (hex::encode(new.object), hex::encode(ours().object));
        assert!(
            refusal.contains(&format!("other programs: expected SHA-256 {expected}, found {found}")),
            "{refusal}"
        );
        let changed = Policy { settings: [5; 32], ..new };
        assert!(matches!(listed(&ours(), &successor, &changed), Err(Error::Other { what: "settings", .. })));
        let named = Successor { settings: Some(list::Digest([5; 32])), ..successor };
        listed(&ours(), &named, &changed).unwrap();
        assert!(matches!(listed(&ours(), &named, &new), Err(Error::Other { what: "settings", .. })));
    }

    #[test]
    fn a_second_map_of_the_policys_name_is_believed_by_nobody() {
        let forged = Policy { keys: Keys { glass: [2; 32], ..KEYS }, ..ours() };
        let unwritten = Policy { settings: [0; 32], ..forged };
        let all = |policies: &[Policy]| policies.iter().map(|policy| (*policy, ())).collect();
        let one_of = |policies: &[Policy]| only(all(policies), policies.len());
        assert_eq!(one_of(&[]).unwrap(), None);
        assert_eq!(one_of(&[ours()]).unwrap(), Some((ours(), ())));
        assert_eq!(one_of(&[unwritten]).unwrap(), None);
        for pair in [[ours(), forged], [forged, ours()], [ours(), unwritten]] {
            assert!(matches!(one_of(&pair), Err(Error::Several(2))));
        }
        // Of another version, which keeps it in another form.
        assert!(matches!(only(all(&[]), 1), Err(Error::Several(1))));
        assert!(matches!(only(all(&[ours()]), 2), Err(Error::Several(2))));
    }

    #[test]
    fn what_is_put_is_what_is_read() {
        let policy = Policy { challenge: [7; 32], serial: 8, ..ours() };
        assert_eq!(Policy::read(&policy.bytes()), Some(policy));
    }
}
