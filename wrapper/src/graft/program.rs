//! Which program is this: the one the secret is for, or one that only carries the environment to it?
//!
//! Shells, `env`, init programs and user switchers run another program with the environment they were
//! given. Handed a value, they would copy it to their heap and put it on the next program's stack in clear;
//! so they keep the reference.
//!
//! Untrusted: everything. A program that lies about its name keeps a reference, or gets what its container
//! was given anyway.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Programs that run another program with their own environment.
const CARRIERS: &str = "\
    ash bash busybox bwrap capsh catatonit cgexec choom chpst chroot chrt coreutils daemonize dash \
    doas docker-init dumb-init entr env envdir execlineb find firejail fish flock gmake gosu hush \
    ionice ksh ksh93 linux64 lksh make minijail0 mksh mrsh nice ninja nohup nsenter numactl oksh \
    pgrphack posh prlimit pyenv rbash rksh run-parts runit runsv runsvdir runuser rzsh s6-envdir \
    s6-setlock s6-setuidgid s6-softlimit s6-sudo s6-supervise s6-svscan sash script setarch setlock \
    setpriv setsid setuidgid sh softlimit start-stop-daemon stdbuf su su-exec sudo taskset time \
    timeout tini tini-amd64 tini-arm64 tini-static tini-static-amd64 toybox unshare uutils watch \
    xargs yash zsh zsh5";

/// One file, many programs: the name it was called by says which.
const MULTI_CALL: [&str; 3] = ["busybox", "toybox", "coreutils"];

/// What a process said about the program it has just started.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The file it runs, where that can be read.
    pub(crate) file: Option<&'a Path>,
    /// Its own name for itself, and its first argument.
    pub(crate) arguments: [&'a [u8]; 2],
}

/// What the program may be given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// References: it runs the program that the secret is for.
    Carrier,
    /// Values.
    Consumer,
}

impl Program<'_> {
    pub(crate) fn role(&self) -> Role {
        let name = self.name();
        if CARRIERS.split(' ').any(|carrier| carrier.as_bytes() == name) {
            Role::Carrier
        } else {
            Role::Consumer
        }
    }

    fn name(&self) -> &[u8] {
        let [own, first] = self.arguments.map(base_name);
        // Login shells call themselves `-bash`.
        let own = own.strip_prefix(b"-").unwrap_or(own);
        let file = self.file.map_or(own, |file| base_name(file.as_os_str().as_bytes()));
        if !is_multi_call(file) {
            return file;
        }
        if is_multi_call(own) { first } else { own }
    }
}

fn is_multi_call(name: &[u8]) -> bool {
    MULTI_CALL.iter().any(|known| known.as_bytes() == name)
}

fn base_name(path: &[u8]) -> &[u8] {
    Path::new(OsStr::from_bytes(path)).file_name().map_or(path, OsStrExt::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(file: Option<&str>, own: &str, first: &str) -> Role {
        let arguments = [own.as_bytes(), first.as_bytes()];
        Program { file: file.map(Path::new), arguments }.role()
    }

    #[test]
    fn shells_and_switchers_carry_and_others_consume() {
        assert_eq!(role(Some("/usr/bin/bash"), "bash", "-c"), Role::Carrier);
        assert_eq!(role(Some("/sbin/tini"), "/sbin/tini", "--"), Role::Carrier);
        assert_eq!(role(Some("/usr/bin/node"), "node", "sh"), Role::Consumer);
    }

    #[test]
    fn a_program_called_after_a_shell_is_what_its_file_is() {
        assert_eq!(role(Some("/usr/bin/node"), "sh", ""), Role::Consumer);
        assert_eq!(role(Some("/usr/bin/dash"), "node", ""), Role::Carrier);
    }

    #[test]
    fn a_file_of_many_programs_is_the_one_it_was_called_as() {
        assert_eq!(role(Some("/bin/busybox"), "/bin/sh", "-c"), Role::Carrier);
        assert_eq!(role(Some("/bin/busybox"), "httpd", "-f"), Role::Consumer);
        assert_eq!(role(Some("/bin/busybox"), "busybox", "sh"), Role::Carrier);
        assert_eq!(role(Some("/bin/busybox"), "busybox", "httpd"), Role::Consumer);
    }

    #[test]
    fn where_the_file_cannot_be_read_the_name_decides() {
        assert_eq!(role(None, "-bash", ""), Role::Carrier);
        assert_eq!(role(None, "/usr/local/bin/app", ""), Role::Consumer);
    }
}
