//! The system inside: busybox, a few modules, and the programs under test with their libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::archive::Archive;
use crate::image::Image;
use crate::kit::Kit;
use crate::process::read;

/// What goes into the initial RAM disk.
#[derive(Debug)]
pub struct System {
    kit: Kit,
    archive: Archive,
    libraries: BTreeSet<PathBuf>,
}

impl System {
    /// A system that can be told what to do, with a network.
    pub fn new(kit: &Kit) -> Result<Self> {
        let mut archive = Archive::new();
        archive.file("init", include_bytes!("init.sh"));
        archive.file("bin/busybox", &fs::read(kit.busybox())?);
        archive.device("dev/console", 5, 1);
        for (number, name) in MODULES.into_iter().enumerate() {
            let file = kit.module(name);
            let content = fs::read(&file).with_context(|| file.display().to_string())?;
            // The shell lists them in the order of their names.
            archive.file(&format!("lib/modules/{number}-{name}.ko.xz"), &content);
        }
        Ok(Self { kit: kit.clone(), archive, libraries: BTreeSet::new() })
    }

    /// A system for the quick machine, without a network.
    pub fn plain(kit: &Kit) -> Result<Self> {
        let mut archive = Archive::new();
        archive.file("init", include_bytes!("guest.sh"));
        archive.file("bin/busybox", &fs::read(kit.busybox())?);
        archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n");
        archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n");
        archive.device("dev/console", 5, 1);
        Ok(Self { kit: kit.clone(), archive, libraries: BTreeSet::new() })
    }

    /// Adds a program as `/bin/NAME`, without what is for debuggers only, and the libraries that it is linked to.
    pub fn program(mut self, program: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let stripped = scratch.path().join("program");
        read(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
        let name = program.file_name().context("a program's name")?.to_string_lossy().into_owned();
        self.archive.file(&format!("bin/{name}"), &fs::read(stripped)?);
        for library in libraries(program)? {
            self = self.library(&library)?;
        }
        Ok(self)
    }

    /// Adds a library that a program asks for when it runs.
    pub fn library(mut self, library: &Path) -> Result<Self> {
        if self.libraries.insert(library.to_owned()) {
            let content = fs::read(library).with_context(|| library.display().to_string())?;
            self.archive.file(&library.display().to_string(), &content);
        }
        Ok(self)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &[u8]) -> Self {
        self.archive.file(path, content);
        self
    }

    /// The initial RAM disk.
    pub(crate) fn archive(&self) -> Vec<u8> {
        self.archive.clone().finish()
    }

    /// The system as a kernel image with this command line, not signed yet, in `folder`.
    pub fn image(&self, command_line: &str, folder: &Path) -> Result<Image> {
        Image::build(&self.kit, self.archive(), command_line, folder)
    }
}

/// The paths in what `ldd` says. Of a static program it says that there are none, and fails.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = Command::new("ldd").arg(program).output().context("running ldd")?;
    let why = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success() || why.contains("not a dynamic executable"), "ldd: {}", why.trim());
    let said = String::from_utf8_lossy(&said.stdout);
    let paths = said.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

/// The network; the rest that is needed is built into the kernel.
const MODULES: [&str; 3] = ["failover", "net_failover", "virtio_net"];
