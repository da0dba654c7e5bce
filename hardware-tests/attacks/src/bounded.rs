//! A program with some of root's rights and no more, as in a container: what it takes is seen by what is lost without.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Args;
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What is started, and what it may.
#[derive(Args, Debug)]
pub struct Bounded {
    /// Rights that it keeps, as they are called in manifests: `BPF,SYS_ADMIN`.
    #[arg(long, value_delimiter = ',', required = true)]
    keep: Vec<String>,
    /// The program, and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Bounded {
    /// Becomes the program; comes back only when that fails.
    #[must_use]
    pub fn run(&self) -> io::Error {
        self.restrict()
            .and_then(|()| {
                let (program, words) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
                Err(Command::new(program).args(words).exec())
            })
            .map_or_else(|error| error, |()| io::ErrorKind::InvalidInput.into())
    }

    fn restrict(&self) -> io::Result<()> {
        let named = |name: &String| {
            let right = CapabilitySet::from_name(name);
            right.ok_or_else(|| {
                io::Error::other(format!("{name}: expected the name of a right, without CAP_"))
            })
        };
        let kept: CapabilitySet =
            self.keep.iter().map(named).collect::<io::Result<Vec<_>>>()?.into_iter().collect();
        for other in CapabilitySet::all().difference(kept).iter() {
            match remove_capability_from_bounding_set(other) {
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets)?;
        Ok(set_no_new_privs(true)?)
    }
}
