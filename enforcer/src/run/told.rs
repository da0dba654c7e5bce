//! What we were told, and its digests: by these an operator signs who may take over.
//!
//! Trusted: the kernel, whose word our arguments are. Untrusted: the files, until somebody has signed for them.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use serde::Serialize;

use super::Error;
use crate::config::{Run, TRUSTED};
use crate::procfs::ordinary_bytes;
use crate::succession::admit::own_digest;
use crate::succession::challenge::called;
use crate::succession::list::Digest;
use crate::succession::policy::{self, Keys, Policy};
use crate::succession::signed::NO_KEY;

/// What we are told by files. Read once: what was judged is what is used, whatever becomes of them meanwhile.
pub(super) struct Files {
    pub(super) object: io::Result<Vec<u8>>,
    pub(super) list: io::Result<Vec<u8>>,
}

impl Files {
    pub(super) fn read(config: &Run) -> Self {
        Self { object: ordinary_bytes(&config.object), list: ordinary_bytes(&config.trusted) }
    }

    /// What we were told, as one digest; and by whose word it changes. Arguments are the kernel's word: whoever starts us may put
    /// another file over `/proc/self/cmdline`.
    pub(super) fn policy(&self, arguments: impl Iterator<Item = OsString>, config: &Run) -> Policy {
        let arguments: Vec<u8> =
            arguments.flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
        let bytes = |file: &'_ io::Result<Vec<u8>>| file.as_ref().map_or(Vec::new(), Clone::clone);
        let (object, list) = (bytes(&self.object), bytes(&self.list));
        let keys = Keys {
            glass: config.break_glass_key.unwrap_or(NO_KEY),
            upgrade: config.upgrade_key.unwrap_or(NO_KEY),
        };
        Policy::of(&arguments, &list, &object, keys, &called(config.node.as_deref()))
    }
}

/// SHA-256 of each, in the words of a list of successors.
#[derive(Debug, Serialize)]
pub struct Digests {
    program: Digest,
    object: Digest,
    settings: Digest,
}

/// Of this program, its object, and these words with the list of trusted programs that they name. A file that cannot be read is no
/// empty one here, nor one that was named and is not there.
pub fn digests(words: &[OsString], config: &Run) -> Result<Digests, Error> {
    let files = Files::read(config);
    let arguments = [OsString::from("cloudtaser-enforcer")].into_iter().chain(words.iter().cloned());
    let Policy { object, settings, .. } = files.policy(arguments, config);
    let unread = |path: &Path| {
        let what = path.display().to_string();
        |source| Error::Policy(policy::Error::Machine { what, source })
    };
    files.object.map_err(unread(&config.object))?;
    match files.list {
        // Without the usual file nobody is trusted; one that was named is meant to be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.trusted == Path::new(TRUSTED) => {}
        read => drop(read.map_err(unread(&config.trusted))?),
    }
    let program = own_digest().map_err(unread(Path::new("/proc/self/exe")))?;
    Ok(Digests { program: Digest(program), object: Digest(object), settings: Digest(settings) })
}
