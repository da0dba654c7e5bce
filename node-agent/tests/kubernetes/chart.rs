//! The chart: rendered by the real Helm, held against its goldens, and what its schema refuses.
//!
//! What the API server makes of it is tested on the goldens (`rights.rs`), so that those tests need no Helm.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use node_agent::config::Config;
use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use crate::harness::skip_for;

/// The documents of a golden rendering.
pub(crate) fn golden(example: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(format!("goldens/{example}.yaml"))).unwrap();
    YamlLoader::load_from_str(&text).unwrap().iter().map(json).filter(|one| !one.is_null()).collect()
}

/// The one document of this kind.
pub(crate) fn one<'d>(documents: &'d [Value], kind: &str) -> &'d Value {
    documents.iter().find(|one| one["kind"] == kind).unwrap()
}

/// After a change of the chart: `UPDATE_GOLDENS=1 cargo test -p cloudtaser-node-agent --test kubernetes chart`.
#[test]
fn examples_render_to_their_goldens() {
    let Some(helm) = helm() else { return };
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
fn the_chart_has_nothing_that_helm_lint_would_say() {
    let Some(helm) = helm() else { return };
    for example in EXAMPLES {
        let values = folder().join(format!("examples/{example}.yaml"));
        let mut lint = Command::new(&helm);
        lint.args(["lint", "--strict", "--kube-version=1.36.0", "--values"]).arg(values).arg(folder());
        let output = lint.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn values_that_weaken_or_mean_nothing_are_refused() {
    let Some(helm) = helm() else { return };
    for (setting, refusal) in [
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("image.tag=0.1.0", "at '/image': additional properties 'tag' not allowed"),
        (
            "platforms={sgx}",
            "at '/platforms/0': value must be one of 'sev-snp', 'tdx', 'tpm2', 'azure', 'nitro', 'nitro-tpm'",
        ),
        ("platforms={tpm2}", "at '/deviceResource': minLength: got 0, want 3"),
        ("privileged=true", "at '': additional properties 'privileged' not allowed"),
        ("allowedUids={root}", "at '/allowedUids/0': got string, want integer"),
        ("facts.folders={/}", "at '/facts/folders/0': '/' does not match pattern"),
        ("deviceGroups={0}", "at '/deviceGroups/0': minimum: got 0, want 1"),
        ("endorsements=certs", "at '/endorsements': 'certs' does not match pattern"),
    ] {
        let output = template(&helm, "snp", &[setting]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(refusal), "{setting}: {complaint}");
    }
}

/// The configuration in the chart is one that the agent takes.
#[test]
fn the_agent_understands_what_the_chart_writes() {
    for example in EXAMPLES {
        let documents = golden(example);
        let text = one(&documents, "ConfigMap")["data"]["agent.toml"].as_str().unwrap().to_owned();
        // What the kubelet gives by the environment stands in the file here.
        let told = "\nnode = \"n\"\nserver = \"https://10.0.0.1\"\nevict";
        Config::parse(&text.replace("\nevict", told)).unwrap();
    }
}

/// Each line of the pod that gives it something, so that a new one is seen and argued for.
#[test]
fn the_pod_has_no_more_than_this() {
    for (example, pid, mounts) in [
        ("evidence", false, vec!["/run/cloudtaser", "/sys/kernel/config/tsm"]),
        ("snp", true, vec!["/run/cloudtaser", "/sys/kernel/config/tsm"]),
        (
            "tdx-tpm",
            true,
            vec![
                "/etc/cloudtaser/endorsements",
                "/run/cloudtaser",
                "/sys/kernel/config/tsm",
                "/sys/devices/virtual/misc/tdx_guest",
                "/sys/firmware/acpi/tables/data",
                "/sys/kernel/security",
                "/boot",
                "/opt/cloudtaser/bin",
            ],
        ),
    ] {
        let documents = golden(example);
        let pod = &one(&documents, "DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(pod["hostPID"], pid);
        assert_eq!((&pod["hostNetwork"], &pod["hostIPC"]), (&Value::Bool(false), &Value::Bool(false)));
        let volumes = pod["volumes"].as_array().unwrap();
        let paths: Vec<&str> = volumes.iter().filter_map(|one| one["hostPath"]["path"].as_str()).collect();
        assert_eq!(paths, mounts, "{example}");
        let security = &pod["containers"][0]["securityContext"];
        assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"]}));
        assert_eq!(
            (&security["privileged"], &security["allowPrivilegeEscalation"]),
            (&Value::Bool(false), &Value::Bool(false))
        );
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    }
}

const EXAMPLES: [&str; 3] = ["evidence", "snp", "tdx-tpm"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/node-agent")
}

fn template(helm: &Path, example: &str, settings: &[&str]) -> Output {
    let mut template = Command::new(helm);
    template.args(["template", "agents", "--namespace=cloudtaser", "--kube-version=1.36.0", "--values"]);
    template.arg(folder().join(format!("examples/{example}.yaml")));
    template.args(settings.iter().flat_map(|setting| ["--set", *setting]));
    template.arg(folder()).output().unwrap()
}

/// Helm, where the variable says or on the path.
fn helm() -> Option<PathBuf> {
    let named = std::env::var_os("CLOUDTASER_HELM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join("helm"));
    let found = named.into_iter().chain(on_path).find(|candidate| candidate.is_file());
    if found.is_none() {
        skip_for("helm", "no program helm");
    }
    found
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Integer(number) => Value::from(*number),
        Yaml::String(text) | Yaml::Real(text) => Value::from(text.as_str()),
        Yaml::Boolean(truth) => Value::from(*truth),
        Yaml::Array(values) => values.iter().map(json).collect(),
        Yaml::Hash(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), json(value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        // Helm writes no aliases.
        Yaml::Null | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
    }
}
