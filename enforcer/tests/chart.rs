//! The chart: rendered by the real Helm, held against its goldens, and what its schema refuses.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail, and says what it skips")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use enforcer::config::Verb;

const EXAMPLES: [&str; 3] = ["detect", "enforce", "guards"];

/// After a change of the chart: `UPDATE_GOLDENS=1 cargo test -p cloudtaser-enforcer --test chart`.
#[test]
fn examples_render_to_their_goldens() {
    let Some(helm) = helm("chart.goldens") else { return };
    for example in EXAMPLES {
        let output = template(&helm, example, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let golden = folder().join(format!("goldens/{example}.yaml"));
        if std::env::var_os("UPDATE_GOLDENS").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(kept == text, "{example} renders to something else; look at it, then UPDATE_GOLDENS=1");
    }
}

#[test]
fn the_words_of_the_chart_are_the_programs() {
    for example in EXAMPLES {
        let golden = std::fs::read_to_string(folder().join(format!("goldens/{example}.yaml"))).unwrap();
        let words = golden.lines().skip_while(|line| line.trim() != "args:").skip(1);
        let words =
            words.take_while(|line| line.trim().starts_with("- ")).map(|line| line.trim()[2..].to_owned());
        let words = std::iter::once("cloudtaser-enforcer".to_owned()).chain(words);
        let parsed = <enforcer::config::Command as clap::Parser>::try_parse_from(words);
        assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        let Verb::Start(start) = parsed.unwrap().verb else { panic!("{example}: expected start") };
        enforcer::succession::start::run_of(&start.words).unwrap();
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let Some(helm) = helm("chart.schema") else { return };
    for (setting, refusal) in [
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("ebpf.enforcemode=true", "at '/ebpf': additional properties 'enforcemode' not allowed"),
        ("ebpf.nodeGuards=on", "at '/ebpf/nodeGuards': value must be one of 'off', 'detect', 'enforce'"),
        (
            "ebpf.vectors.ptrace=deny",
            "at '/ebpf/vectors/ptrace': value must be one of 'off', 'detect', 'enforce'",
        ),
        ("upgradeKey=abc", "at '/upgradeKey': 'abc' does not match pattern"),
        ("successors=unsigned", "at '/successors': 'unsigned' does not match pattern"),
        (
            "ebpf.nodeGuards=enforce",
            "ebpf.nodeGuards=enforce takes ebpf.trusted: without a list nobody on the node may do what its guards are against",
        ),
        ("ebpf.trusted=/bin/true", "at '/ebpf/trusted': '/bin/true' does not match pattern"),
        ("ebpf.trusted=# [[trusted]]", "at '/ebpf/trusted': '# [[trusted]]' does not match pattern"),
        ("ebpf.trial=2000", "at '/ebpf/trial': maximum: got 2,000, want 1,440"),
        ("privileged=true", "at '': additional properties 'privileged' not allowed"),
    ] {
        let output = template(&helm, "enforce", &[setting]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(refusal), "{setting}: {complaint}");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/enforcer")
}

fn template(helm: &Path, example: &str, settings: &[&str]) -> Output {
    let mut template = Command::new(helm);
    template.args([
        "template",
        "enforcer",
        "--namespace=cloudtaser-system",
        "--kube-version=1.36.0",
        "--values",
    ]);
    template.arg(folder().join(format!("examples/{example}.yaml")));
    template.args(settings.iter().flat_map(|setting| ["--set", *setting]));
    template.arg(folder()).output().unwrap()
}

/// Helm, where the variable says or on the path.
fn helm(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("CLOUDTASER_HELM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join("helm"));
    let found = named.into_iter().chain(on_path).find(|candidate| candidate.is_file());
    let required = std::env::var_os("REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy();
    if found.is_none() {
        assert!(!required.split(',').any(|word| word == "helm"), "REQUIRE=helm: no program helm");
        eprintln!("SKIP {test}: no program helm");
    }
    found
}
