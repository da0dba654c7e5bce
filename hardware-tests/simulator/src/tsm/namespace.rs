//! Puts a report file system at the kernel's path, in a mount namespace of one command.
//!
//! A kernel without configfs has no `/sys/kernel/config`, and nobody can make a directory in sysfs. In a
//! mount namespace of its own a command gets a `/sys/kernel` with the old folders and the missing one.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// A command that runs `program` where `reports` (see [`Mount::path`](super::Mount::path)) is found at
/// `/sys/kernel/config/tsm/report`. Add the program's arguments to it.
///
/// Needs `unshare` and `mount` of util-linux. Root gets a mount namespace only; others get a user
/// namespace too, in which they are root. The exit code is the program's, or 125 if setting up failed.
#[must_use]
pub fn at_the_kernels_path(reports: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--", "sh", "-c", SCRIPT, "at-the-kernels-path"]).arg(reports).arg(program);
    command
}

/// Builds the new `/sys/kernel` aside, from the old one, and moves it into place.
const SCRIPT: &str = r#"
set -eu
reports=$1
shift
new=$(mktemp -d)
trap 'umount -l "$new" || true; rmdir "$new"; exit 125' EXIT
mount -t tmpfs -o mode=755,nosuid,nodev,noexec tmpfs "$new"
for old in /sys/kernel/*/; do
    name=$(basename "$old")
    [ "$name" != config ] || continue
    mkdir "$new/$name"
    mount --rbind "$old" "$new/$name"
done
mkdir -p "$new/config/tsm/report"
mount --rbind "$reports" "$new/config/tsm/report"
mount --rbind "$new" /sys/kernel
umount -l "$new"
rmdir "$new"
trap - EXIT
exec "$@"
"#;
