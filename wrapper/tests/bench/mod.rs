//! What tests of real programs share.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const CANARY: &str = "canary-5f1e0c77-value";

/// A directory with the example program, its secrets, and whatever a test compiles; open to other users.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("examples/graft");
        copy(&built, &dir.path().join("graft"));
        fs::write(dir.path().join("secrets"), format!("PASSWORD={CANARY}\nSECOND=other\n")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn graft(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("graft"));
        command.arg(self.path("secrets")).arg(program).args(arguments);
        command
    }

    pub(crate) fn output(&self, program: &str, arguments: &[&str]) -> Output {
        self.graft(program, arguments).output().unwrap()
    }

    /// What a program wrote; it must have ended well.
    pub(crate) fn says(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {} {errors}", output.status);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A program of ours, compiled; none where there is no compiler.
    pub(crate) fn compiled(&self, name: &str, source: &str, flags: &[&str]) -> Option<String> {
        let out = self.path(name);
        let text = out.with_extension("c");
        fs::write(&text, source).unwrap();
        let built = Command::new("cc").arg(text).arg("-o").arg(&out).args(flags).output();
        built.is_ok_and(|output| output.status.success()).then(|| out.to_str().unwrap().to_owned())
    }

    pub(crate) fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        copy(&draft, &path);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Copies in another process: a program that this one holds open for writing, in whatever thread, is busy
/// for each that is forked meanwhile.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

pub(crate) fn installed(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
}

pub(crate) fn skip(test: &str, feature: &str, reason: &str) {
    let required = std::env::var_os("REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy().split(',').any(|required| required == feature);
    assert!(!required, "{test} needs {feature}: {reason}");
    println!("SKIP {test}: {reason}");
}
