//! What the machine with measured boot is made of: Debian's kernel, busybox, and an editor of firmware variables.
//!
//! The packages are unpacked, never installed: this machine keeps its own kernel and its own busybox. The kernel comes
//! from Debian's backports, in a state of apt's own, so that nothing changes for the rest of the machine.
//! Trusted: the package sources that the machine is set up with, and the versions pinned here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::child;
use crate::house::House;
use crate::tools;

/// The folder, for `CLOUDTASER_VM`; `None` where no kernel can be had, and why.
pub(crate) fn ensure(house: &House) -> Result<Option<PathBuf>> {
    if let Some(named) = std::env::var_os("CLOUDTASER_VM") {
        return Ok(Some(named.into()));
    }
    if std::env::consts::ARCH != "x86_64" {
        return Ok(None);
    }
    let dir = house.target.join("tools/vm");
    // Written last.
    let stamp = dir.join("recipe");
    if fs::read_to_string(&stamp).is_ok_and(|recipe| recipe == RECIPE) {
        return Ok(Some(dir));
    }
    eprintln!("xtask: fetching the kernel of the test machine");
    fs::create_dir_all(dir.join("modules"))?;
    kernel(&dir).context("Debian's package linux-image-cloud-amd64, from backports")?;
    busybox(&dir).context("Debian's package busybox-static")?;
    tools::python(&dir.join("venv"), &format!("virt-firmware=={VIRT_FIRMWARE}"))?;
    fs::write(stamp, RECIPE)?;
    Ok(Some(dir))
}

fn kernel(dir: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for folder in ["sources", "state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scratch.path().join(folder))?;
    }
    fs::write(scratch.path().join("sources/backports.sources"), SOURCE)?;
    let apt = |program: &str| {
        let mut apt = Command::new(program);
        apt.args(["--quiet=2", "--option", "Dir::Etc::SourceList=/dev/null"]);
        apt.args(["--option", "Dir::State::Status=/var/lib/dpkg/status"]);
        for (setting, folder) in
            [("Dir::Etc::SourceParts", "sources"), ("Dir::State", "state"), ("Dir::Cache", "cache")]
        {
            apt.arg("--option").arg(format!("{setting}={}", scratch.path().join(folder).display()));
        }
        apt.current_dir(scratch.path());
        apt
    };
    child::twice(|| child::read(apt("apt-get").arg("update")))?;
    // The package of that name has nothing in it but the name of the present kernel's.
    let said = child::read(apt("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let package = said.split_whitespace().find(|word| word.starts_with("linux-image-6"));
    let package = package.with_context(|| format!("expected a kernel's package, found {said:?}"))?;
    child::twice(|| child::read(apt("apt-get").args(["download", package])))?;
    let root = unpack(scratch.path(), "linux-image")?;
    copy_only(&root.join("boot"), "vmlinuz-", &dir.join("vmlinuz"))?;
    for module in MODULES {
        let name = Path::new(module).file_name().context("a module's name")?;
        let file = format!("{module}.ko.xz");
        let release = only(&root.join("lib/modules"), "")?;
        fs::copy(release.join("kernel").join(&file), dir.join("modules").join(name).with_extension("ko.xz"))
            .with_context(|| file)?;
    }
    Ok(())
}

fn busybox(dir: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let apt = || {
        child::read(Command::new("apt-get").current_dir(scratch.path()).args(["download", "busybox-static"]))
    };
    if apt().is_err() {
        tools::refresh()?;
        apt()?;
    }
    let root = unpack(scratch.path(), "busybox-static")?;
    fs::copy(root.join("bin/busybox"), dir.join("busybox"))?;
    Ok(())
}

fn unpack(dir: &Path, package: &str) -> Result<PathBuf> {
    let root = dir.join("root");
    child::read(Command::new("dpkg-deb").arg("--extract").arg(only(dir, package)?).arg(&root))?;
    Ok(root)
}

fn copy_only(dir: &Path, beginning: &str, to: &Path) -> Result<()> {
    fs::copy(only(dir, beginning)?, to)?;
    Ok(())
}

/// The entry of a folder whose name begins so.
fn only(dir: &Path, beginning: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let named =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning));
    let found = paths.into_iter().find(named);
    found.with_context(|| format!("{}: expected an entry {beginning}…, found none", dir.display()))
}

/// Changes with what [`ensure`] puts together. 6.5 is the first kernel with `SO_PEERPIDFD`, by which the agent knows
/// its callers; Debian 12 itself has 6.1.
const RECIPE: &str = "1: bookworm-backports, virt-firmware 26.10";
const VIRT_FIRMWARE: &str = "26.10";
/// Where they are in the package, without their ending.
const MODULES: [&str; 6] = [
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "fs/fuse/cuse",
    "fs/configfs/configfs",
    "drivers/virt/coco/tsm",
];
const SOURCE: &str = "Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";
