//! A case, and how it lies on disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use simulator::snp::EPOCH;

/// A machine, and what a policy says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// The policy's name.
    pub(crate) policy: &'static str,
    /// The folder's name.
    pub(crate) name: String,
    /// A sentence about the machine.
    pub(crate) about: String,
    /// Where captured bytes come from, and under which licence.
    pub(crate) source: Option<String>,
    pub(crate) platform: &'static str,
    pub(crate) at: String,
    pub(crate) evidence: Vec<u8>,
    /// Names and contents.
    pub(crate) endorsements: Vec<(&'static str, Vec<u8>)>,
    /// A simulator's roots; the vendor's if there are none.
    pub(crate) roots: Vec<(&'static str, Vec<u8>)>,
    pub(crate) enrolled: Vec<String>,
    /// No list was kept.
    pub(crate) without_list: bool,
    /// Whether it answers the challenge of [`answer`].
    pub(crate) answers: bool,
    /// Whether the policy is changed so that it accepts a simulator's roots.
    pub(crate) simulated_roots_accepted: bool,
    /// The checks that fail, none if the machine is admitted.
    pub(crate) failing: Vec<&'static str>,
}

impl Case {
    /// The same machine, which says something else.
    pub(crate) fn saying(&self, evidence: Vec<u8>) -> Self {
        Self { evidence, ..self.clone() }
    }

    /// Another machine, which differs in this.
    pub(crate) fn but(&self, name: &str, about: &str, failing: &[&'static str]) -> Self {
        let failing = self.failing.iter().chain(failing).copied().collect();
        Self { name: name.to_owned(), about: about.to_owned(), failing, ..self.clone() }
    }

    /// The same machine under a policy that accepts simulated roots: nothing else is wrong.
    pub(crate) fn admitted(&self) -> Self {
        let about = format!("{}, where the policy accepts simulated roots", self.about);
        let failing = Vec::new();
        Self { name: "admitted".to_owned(), about, failing, simulated_roots_accepted: true, ..self.clone() }
    }

    /// Writes `cases/POLICY/NAME`. What several cases need lies beside them, once.
    pub(crate) fn write(&self, policies: &Path) {
        let folder = policies.join("cases").join(self.policy).join(&self.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("evidence.bin"), &self.evidence).unwrap();
        let kept = |files: &[(&'static str, Vec<u8>)]| -> Vec<String> {
            files.iter().map(|(name, content)| keep(&folder, name, content)).collect()
        };
        let (endorsements, roots) = (kept(&self.endorsements), kept(&self.roots));
        std::fs::write(folder.join("case.toml"), self.document(&endorsements, &roots)).unwrap();
    }

    fn document(&self, endorsements: &[String], roots: &[String]) -> String {
        let mut text = String::new();
        if let Some(source) = &self.source {
            writeln!(text, "# captured: {source}").unwrap();
        }
        let mut line = |name: &str, value: &str| writeln!(text, "{name} = {value}").unwrap();
        line("about", &quoted(&self.about));
        line("policy", &quoted(&format!("../../../measured/{}.toml", self.policy)));
        line("platform", &quoted(self.platform));
        line("at", &quoted(&self.at));
        line("evidence", "\"evidence.bin\"");
        for (name, values) in
            [("endorsements", endorsements), ("enrolled", &self.enrolled), ("insecure-trust-roots", roots)]
        {
            if !values.is_empty() {
                line(name, &list(values.iter().map(String::as_str)));
            }
        }
        if self.without_list {
            line("insecure-no-revocation", "true");
        }
        line("expect", if self.failing.is_empty() { "\"admit\"" } else { "\"refuse\"" });
        if !self.failing.is_empty() {
            line("failing", &list(self.failing.iter().copied()));
        }
        if self.answers {
            text.push_str(&challenge());
        }
        if self.simulated_roots_accepted {
            text.push_str("\n[set]\ninsecure-accept-simulated-roots = true\n");
        }
        text
    }
}

/// Writes a file beside the cases, or into this one's folder if the others have another one; its name from here.
fn keep(folder: &Path, name: &str, content: &[u8]) -> String {
    let shared = folder.with_file_name("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let path = shared.join(name);
    if !path.exists() {
        std::fs::write(&path, content).unwrap();
    }
    if std::fs::read(&path).unwrap() == content {
        return format!("../shared/{name}");
    }
    std::fs::write(folder.join(name), content).unwrap();
    name.to_owned()
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// None of our texts has anything to escape.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// What simulated machines answer.
fn challenge() -> String {
    let hour = instant(EPOCH.saturating_add(3600));
    let (nonce, key) = (hex::encode(NONCE), hex::encode(KEY));
    format!(
        "\n[challenge]\nnonce = \"{nonce}\"\ncontext = \"{CONTEXT}\"\nexpires = \"{hour}\"\nkem = \"x25519\"\npublic-key = \"{key}\"\n"
    )
}

/// What the hardware signs to answer it.
pub(crate) fn answer(platform: attest::Platform) -> Vec<u8> {
    let key = attest::OfferedKey { kem: attest::Kem::X25519, public: KEY.to_vec() };
    attest::Transcript { nonce: &NONCE, context: CONTEXT, key: &key }.caller_data(&AwsLcRs, platform)
}

pub(crate) const IN_ORDER: &str = "a simulated machine in order";
pub(crate) const NONCE: [u8; 32] = [7; 32];
const KEY: [u8; 32] = [9; 32];
const CONTEXT: &str = "release/db";

/// The reference values of the shipped policies, by id.
#[derive(Debug)]
pub(crate) struct Policies {
    values: BTreeMap<String, Vec<u8>>,
}

impl Policies {
    pub(crate) fn read(folder: &Path) -> Self {
        let files = std::fs::read_dir(folder.join("measured")).unwrap();
        let files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        let mut values = BTreeMap::new();
        for file in files {
            let document: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
            for reference in document["reference"].as_array().unwrap() {
                let id = reference["id"].as_str().unwrap().to_owned();
                values.insert(id, hex::decode(reference["value"].as_str().unwrap()).unwrap());
            }
        }
        Self { values }
    }

    pub(crate) fn value(&self, id: &str) -> &[u8] {
        &self.values[id]
    }

    pub(crate) fn digest(&self, id: &str) -> [u8; 48] {
        self.value(id).try_into().unwrap()
    }
}

/// An instant as the command line takes it.
pub(crate) fn instant(unix: u64) -> String {
    attest::UnixTime(unix).to_string()
}
