//! `cargo xtask test`: every test that this machine can run, and the proof for each that it cannot.
//!
//! A feature of the machine that we see to be there is put into `REQUIRE`, so that a test which skips for
//! want of it fails: no skip is taken on trust. What tests print goes to `test.log` in the target folder.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::bpf;
use crate::child;
use crate::helm;
use crate::house::House;
use crate::kubebed;
use crate::runtimes;
use crate::tally::{Show, Tally};
use crate::tools;
use crate::vectors;
use crate::vm;

pub(crate) fn run(house: &House) -> Result<()> {
    let tools = tools::ensure(house)?;
    let vectors = vectors::folder(house, std::env::var_os("CLOUDTASER_VECTORS"));
    let helm = helm::ensure(house)?;
    let kubebed = kubebed::ensure(house)?;
    let vm = vm::ensure(house)?;
    let mut seen = machine(vectors.is_some(), helm.is_some());
    seen.extend(runtimes::ensure()?);
    seen.extend(kubebed.as_ref().map(|_| "kube"));
    seen.extend(vm.as_ref().map(|_| "vm"));
    let features = features(&seen, std::env::var_os("REQUIRE"));
    // Ten minutes of emulation: only for who asks.
    let attacks = vm.is_some() && features.iter().any(|feature| feature == "attacks");
    let object = if attacks { Some(bpf::ensure(house)?) } else { None };
    println!("features that tests may not skip: {}", features.join(" "));

    let mut cargo = child::cargo(&house.root);
    cargo.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    tools.tell(&mut cargo).env("REQUIRE", features.join(","));
    if let Some(dir) = &vectors {
        cargo.env("CLOUDTASER_VECTORS", dir);
    }
    if let Some(helm) = &helm {
        cargo.env("CLOUDTASER_HELM", helm);
    }
    if let Some(kubebed) = &kubebed {
        cargo.env("CLOUDTASER_KUBEBED", kubebed);
    }
    if let Some(vm) = &vm {
        cargo.env("CLOUDTASER_VM", vm);
    }
    if let Some(object) = &object {
        cargo.env("CLOUDTASER_BPF_OBJECT", object);
    }
    std::fs::create_dir_all(&house.target)?;
    let log = house.target.join("test.log");
    let mut tally = Tally::default();
    listen(&mut cargo, &log, &mut tally)?;
    walk(house, vectors.as_deref(), &features, &mut tally);
    conclude(&tally, &log)
}

fn listen(cargo: &mut Command, log: &Path, tally: &mut Tally) -> Result<()> {
    let mut log = File::create(log).with_context(|| log.display().to_string())?;
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cargo test")?;
    let output = child.stdout.take().context("cargo test has no output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        writeln!(log, "{line}")?;
        if tally.line(&line) == Show::Line {
            println!("{line}");
        }
    }
    tally.end();
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        // It did not build, or a test took its whole process down.
        tally.check("cargo test", &Err(anyhow::anyhow!("{status}")));
    }
    Ok(())
}

fn walk(house: &House, dir: Option<&Path>, features: &[String], tally: &mut Tally) {
    match dir {
        Some(dir) => tally.check("vectors", &vectors::run(house, dir)),
        None if features.iter().any(|feature| feature == "vectors") => {
            tally.check(
                "vectors",
                &Err(anyhow::anyhow!("required, but CLOUDTASER_VECTORS names no folder of vectors")),
            );
        }
        None => tally.skip("vectors: no folder with a MANIFEST.toml"),
    }
}

fn conclude(tally: &Tally, log: &Path) -> Result<()> {
    for skip in &tally.skips {
        println!("skipped  {skip}");
    }
    for fault in &tally.faults {
        println!("failed   {fault}");
    }
    println!("{tally}");
    if tally.failed > 0 {
        bail!("{} tests failed; all that they printed is in {}", tally.failed, log.display());
    }
    Ok(())
}

/// What this machine has, seen by using it.
fn machine(vectors: bool, helm: bool) -> Vec<&'static str> {
    let fuse = File::options().read(true).write(true).open("/dev/fuse").is_ok();
    let seen = [
        // `tools::ensure` has run.
        ("bao", true),
        ("sev-snp-measure", true),
        ("ovmf", true),
        ("pesign", true),
        ("sbsign", true),
        ("systemd-stub", true),
        ("strace", true),
        ("systemd", child::which("systemd-analyze").is_some()),
        ("python3", true),
        ("systemd-measure", Path::new("/usr/lib/systemd/systemd-measure").is_file()),
        ("softhsm", Path::new("/usr/lib/softhsm/libsofthsm2.so").is_file()),
        ("swtpm", child::which("swtpm").is_some()),
        ("fuse", fuse),
        ("memfd_secret", has_memfd_secret()),
        ("cgroup", makes_cgroups()),
        ("unshare", makes_pid_namespaces()),
        ("runc", runs_containers()),
        ("tini", true),
        ("dumb-init", true),
        ("catatonit", true),
        ("vectors", vectors),
        ("helm", helm),
    ];
    seen.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

// System call 447 on every architecture. Python makes it, because this crate forbids unsafe code.
fn has_memfd_secret() -> bool {
    let call = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(447, 0) < 0)";
    child::read(Command::new("python3").args(["-c", call])).is_ok()
}

/// Whether tests may have processes in pods: in cgroups with kubelet's names.
fn makes_cgroups() -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut folders = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let folder = fields.next()?;
        (fields.next()? == "cgroup2").then(|| Path::new(folder).join("cloudtaser-xtask"))
    });
    folders
        .next()
        .is_some_and(|probe| std::fs::create_dir(&probe).is_ok() && std::fs::remove_dir(&probe).is_ok())
}

fn makes_pid_namespaces() -> bool {
    let apart = ["--pid", "--fork", "--mount-proc", "--kill-child", "true"];
    child::read(Command::new("unshare").args(apart)).is_ok()
}

/// Whether a container of one static program runs here.
fn runs_containers() -> bool {
    let name = format!("cloudtaser-xtask-{}", std::process::id());
    let run = || {
        let bundle = tempfile::tempdir()?;
        let [root, config] = ["rootfs", "config.json"].map(|name| bundle.path().join(name));
        std::fs::create_dir(&root)?;
        std::fs::copy(child::which("busybox").context("busybox")?, root.join("busybox"))?;
        child::read(Command::new("runc").args(["spec", "--bundle"]).arg(bundle.path()))?;
        let spec = std::fs::read_to_string(&config)?;
        let spec = spec.replace("\"terminal\": true", "\"terminal\": false");
        std::fs::write(&config, spec.replace("\"sh\"", "\"/busybox\", \"true\""))?;
        child::read(Command::new("runc").args(["run", "--bundle"]).arg(bundle.path()).arg(&name))
    };
    run().is_ok()
}

/// What is there and what the caller demands, once each.
fn features(machine: &[&str], demanded: Option<std::ffi::OsString>) -> Vec<String> {
    let demanded = demanded.unwrap_or_default().to_string_lossy().into_owned();
    let words = demanded.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.chain(machine.iter().copied()).map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_there_may_not_be_skipped() {
        assert_eq!(features(&["bao", "fuse"], Some("snp, bao".into())), ["bao", "fuse", "snp"]);
        assert_eq!(features(&["bao"], None), ["bao"]);
    }

    #[test]
    fn a_run_that_dies_has_failed() {
        let dir = tempfile::tempdir().unwrap();
        let mut tally = Tally::default();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 101"]);
        listen(&mut command, &dir.path().join("log"), &mut tally).unwrap();
        assert_eq!(tally.faults, ["cargo test: exit status: 101"]);
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn vectors_that_are_required_and_absent_are_a_failure() {
        let house = House::find().unwrap();
        let mut tally = Tally::default();
        walk(&house, None, &["vectors".to_owned()], &mut tally);
        walk(&house, None, &[], &mut tally);
        assert_eq!(tally.to_string(), "0 passed, 1 failed, 1 skipped");
    }
}
