//! The chart: rendered by the real Helm, held against its goldens, and what its schema refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// The values that the chart shows, each with a golden rendering.
pub(crate) const EXAMPLES: [&str; 3] = ["attestseal", "shamir", "transit"];

/// Renders the chart with one of its examples and further settings; `None` where there is no Helm.
pub(crate) fn rendered(test: &str, example: &str, settings: &[&str]) -> Option<String> {
    let output = template(&helm(test)?, example, settings);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaint}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// The documents in a rendering.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    YamlLoader::load_from_str(text).unwrap().iter().map(json).filter(|one| !one.is_null()).collect()
}

/// The one document of this kind and name.
pub(crate) fn one<'d>(documents: &'d [Value], kind: &str, name: &str) -> &'d Value {
    let found = documents.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    assert!(found.is_some(), "no {kind} {name}");
    found.unwrap_or(&Value::Null)
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/openbao-sovereign")
}

/// After a change of the chart: `UPDATE_GOLDENS=1 cargo test -p cloudtaser-cli --test source goldens`.
#[test]
fn examples_render_to_their_goldens() {
    for example in EXAMPLES {
        let Some(text) = rendered("goldens", example, &[]) else { return };
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
    let Some(helm) = helm("chart.lint") else { return };
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
    let Some(helm) = helm("chart.schema") else { return };
    let empty = Command::new(&helm).args(["template", "sovereign"]).arg(folder()).output().unwrap();
    let complaint = String::from_utf8_lossy(&empty.stderr).into_owned();
    assert!(complaint.contains("at '/image/digest': '' does not match pattern"), "{complaint}");
    for (setting, refusal) in [
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("image.tag=2.7.2", "at '/image': additional properties 'tag' not allowed"),
        ("replicas=2", "at '/replicas': value must be one of 3, 5, 7"),
        ("plugins.attest.sha256=abcd", "at '/plugins/attest/sha256': 'abcd' does not match pattern"),
        ("tls.key=secret", "at '/tls': additional properties 'key' not allowed"),
        ("token=secret", "at '': additional properties 'token' not allowed"),
        ("confidential.labels=null", "at '/confidential': missing property 'labels'"),
        ("backup.recipients=", "at '/backup/recipients': '' does not match pattern"),
    ] {
        let output = template(&helm, "shamir", &[setting]);
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complaint.contains(refusal), "{setting}: {complaint}");
    }
}

fn template(helm: &Path, example: &str, settings: &[&str]) -> Output {
    let mut template = Command::new(helm);
    template.args(["template", "sovereign", "--namespace=bao", "--kube-version=1.36.0", "--values"]);
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
    if found.is_none() {
        skip(test, "helm", "no program helm");
    }
    found
}

#[expect(clippy::print_stdout, reason = "a skip is counted where it is printed")]
fn skip(test: &str, feature: &str, reason: &str) {
    let required = std::env::var_os("REQUIRE").unwrap_or_default().to_string_lossy().into_owned();
    assert!(!required.split(',').any(|word| word.trim() == feature), "{feature} is required: {reason}");
    println!("SKIP {test}: {reason}");
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
