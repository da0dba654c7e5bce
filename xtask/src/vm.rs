//! What the machine with measured boot is made of: Debian's kernel, busybox, and an editor of firmware variables.
//!
//! The packages are unpacked, never installed: this machine keeps its own kernel and its own busybox. The kernels come
//! from Debian's backports (6.12) and from Debian 12 itself (6.1), in a state of apt's own, so that nothing changes for
//! the rest of the machine; for who asks also from Debian 13's backports (6.18) and from Ubuntu 22.04 (5.15).
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
    for part in PARTS {
        fetch(&dir, part)?;
    }
    Ok(Some(dir))
}

/// Also the kernels that are tried for who asks: Debian's backports drop the newer one day, and the older is Ubuntu's.
pub(crate) fn more(kit: &Path, kernel: &str) -> Result<()> {
    match kernel {
        "6.18" => fetch(kit, NEWER),
        "5.15" => fetch(kit, OLDEST),
        _ => Ok(()),
    }
}

fn fetch(dir: &Path, (stamp, recipe, fill): Part) -> Result<()> {
    // Written last.
    let stamp = dir.join(stamp);
    if fs::read_to_string(&stamp).is_ok_and(|written| written == recipe) {
        return Ok(());
    }
    eprintln!("xtask: fetching a kernel of the test machine ({recipe})");
    fs::create_dir_all(dir)?;
    fill(dir).with_context(|| format!("a kernel for {recipe}"))?;
    fs::write(stamp, recipe)?;
    Ok(())
}

/// The file that says that a part of the folder is there, its recipe, which changes with what is put together, and who
/// does it.
type Part = (&'static str, &'static str, fn(&Path) -> Result<()>);

const PARTS: [Part; 2] = [
    // 6.5 is the first kernel with `SO_PEERPIDFD`, by which the agent knows its callers; Debian 12 itself has 6.1.
    ("recipe", "3: bookworm-backports, virt-firmware 26.10", measured),
    ("recipe-6.1", "2: bookworm", older),
];

const NEWER: Part = ("recipe-6.18", "1: trixie-backports", |dir| {
    kernel(TRIXIE_BACKPORTS, Release::Named("6.18"), &OLDER_MODULES, &dir.join("6.18"))
});
/// The first of Ubuntu 22.04: with overriding of functions' results, which Debian's have not, and without `bpf` in its list of
/// security modules.
const OLDEST: Part = ("recipe-5.15", "1: Ubuntu 22.04, 5.15.0-25.25", |dir| ubuntu(&dir.join("5.15")));

/// Which kernel of a source.
#[derive(Clone, Copy)]
enum Release<'r> {
    /// The present one.
    Present,
    /// The last one whose version begins so.
    Named(&'r str),
}

fn measured(dir: &Path) -> Result<()> {
    kernel(BACKPORTS, Release::Present, &MODULES, dir)?;
    busybox(dir).context("Debian's package busybox-static")?;
    tools::python(&dir.join("venv"), &format!("virt-firmware=={VIRT_FIRMWARE}"))
}

fn older(dir: &Path) -> Result<()> {
    kernel(BOOKWORM, Release::Present, &OLDER_MODULES, &dir.join("6.1"))
}

fn kernel(source: &str, release: Release<'_>, modules: &[&str], dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("modules"))?;
    let scratch = tempfile::tempdir()?;
    for folder in ["sources", "state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(scratch.path().join(folder))?;
    }
    fs::write(scratch.path().join("sources/debian.sources"), source)?;
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
    let asked = match release {
        // The package of that name has nothing in it but the name of the present kernel's.
        Release::Present => child::read(apt("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?,
        Release::Named(_) => child::read(apt("apt-cache").args(["pkgnames", "linux-image-"]))?,
    };
    let package =
        named(&asked, release).with_context(|| format!("expected a kernel's package, found {asked:?}"))?;
    child::twice(|| child::read(apt("apt-get").args(["download", package])))?;
    let root = unpack(scratch.path(), "linux-image")?;
    keep(&root, modules, dir)
}

/// By name and digest, from where they stay for as long as that release is kept: no key of Ubuntu's is on this machine.
fn ubuntu(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("modules"))?;
    let scratch = tempfile::tempdir()?;
    let mut root = PathBuf::new();
    for (package, digest) in UBUNTU {
        let name = format!("{package}-5.15.0-25-generic_5.15.0-25.25_amd64.deb");
        let mut helper = Command::new("/usr/lib/apt/apt-helper");
        helper.arg("download-file").arg(format!("{UBUNTU_POOL}/{name}"));
        helper.arg(scratch.path().join(&name)).arg(format!("SHA256:{digest}"));
        child::twice(|| child::read(&mut helper))?;
        root = unpack(scratch.path(), package)?;
    }
    keep(&root, &UBUNTU_MODULES, dir)
}

/// Keeps what is needed of an unpacked kernel.
fn keep(root: &Path, modules: &[&str], dir: &Path) -> Result<()> {
    copy_only(&root.join("boot"), "vmlinuz-", &dir.join("vmlinuz"))?;
    // Below /usr since Debian 13.
    let modules_of = ["lib/modules", "usr/lib/modules"].map(|folder| root.join(folder));
    let modules_of = modules_of.iter().find(|folder| folder.is_dir()).context("the kernel's modules")?;
    let release = only(modules_of, "")?.join("kernel");
    for module in modules {
        let (folder, name) = module.rsplit_once('/').context("a module's name")?;
        // Compressed since 6.12.
        let file = only(&release.join(folder), &format!("{name}.ko"))?;
        fs::copy(&file, dir.join("modules").join(file.file_name().context("a module's file")?))?;
    }
    Ok(())
}

/// The package among these words: by its version's numbers, the last.
fn named<'w>(words: &'w str, release: Release<'_>) -> Option<&'w str> {
    let beginning = match release {
        Release::Present => "linux-image-6".to_owned(),
        Release::Named(version) => format!("linux-image-{version}."),
    };
    let numbers = |word: &&str| -> Vec<u32> {
        let version = word.trim_start_matches("linux-image-").split('+').next().unwrap_or_default();
        version.split('.').map_while(|number| number.parse().ok()).collect()
    };
    let is_one = |word: &&str| word.starts_with(&beginning) && word.ends_with("-cloud-amd64");
    words.split_whitespace().filter(is_one).max_by_key(numbers)
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

const VIRT_FIRMWARE: &str = "26.10";
/// Where they are in the package, without their ending.
const MODULES: [&str; 8] = [
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/net/dummy",
    "drivers/block/brd",
    "fs/fuse/cuse",
    "fs/configfs/configfs",
    "drivers/virt/coco/tsm",
];
/// Those of 6.1 that are not built in.
const OLDER_MODULES: [&str; 3] = ["fs/configfs/configfs", "drivers/net/dummy", "drivers/block/brd"];
/// Those of Ubuntu's.
const UBUNTU_MODULES: [&str; 2] = ["drivers/net/dummy", "drivers/block/brd"];
/// The packages of Ubuntu's kernel, with their SHA-256 in the signed list of the release.
const UBUNTU: [(&str, &str); 2] = [
    ("linux-image-unsigned", "ac69df20790c48217eb1386ef81fd10d3f20a4ede4dab81cc107c65d29549fa0"),
    ("linux-modules", "d0ba4087d9e1d497925b3481d3531fba6c2a852855f8019d73b0b1385aa4da1f"),
];
const UBUNTU_POOL: &str = "http://archive.ubuntu.com/ubuntu/pool/main/l/linux";
const BACKPORTS: &str = "Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";
const TRIXIE_BACKPORTS: &str = "Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";
const BOOKWORM: &str = "Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_release_the_last_is_taken() {
        let words = "linux-image-6.18.5+deb13-cloud-amd64 linux-image-6.18.15+deb13-cloud-amd64
                     linux-image-6.18.9+deb13-amd64 linux-image-6.19.1+deb13-cloud-amd64";
        let found = named(words, Release::Named("6.18"));
        assert_eq!(found, Some("linux-image-6.18.15+deb13-cloud-amd64"));
        assert_eq!(named(words, Release::Named("6.1")), None);
    }
}
