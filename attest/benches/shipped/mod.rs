//! The shipped policies, each on the machines of its cases: what an appraisal costs once the claims are verified.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::{Claims, Endorsements, Platform, Policy, Revocation, TrustAnchors, UnixTime, Verified};
use toml::Table;

/// One machine that is in order, under the policy that is for it.
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) checks: usize,
    claims: Verified<Claims>,
    policy: Policy,
    at: UnixTime,
}

/// Those of the cases that end in an appraisal by the policy: the ones called `admitted`, `captured`, `enrolled`.
pub(crate) fn machines() -> Vec<Machine> {
    let cases = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/cases"));
    let mut found: Vec<Machine> = Vec::new();
    for policy in std::fs::read_dir(cases).unwrap() {
        let policy = policy.unwrap().path();
        let good = ["admitted", "captured", "enrolled"].map(|case| policy.join(case));
        found.extend(good.iter().filter(|case| case.is_dir()).filter_map(|case| read(case)));
    }
    found
}

impl Machine {
    pub(crate) fn appraise(&self) {
        black_box(self.policy.inspect(black_box(&self.claims), self.at));
    }

    /// The same with a module that looks at every check.
    #[cfg(feature = "rego")]
    pub(crate) fn with_module(mut self, text: &str) -> Self {
        self.policy = Policy::parse(&AwsLcRs, &format!("{text}\n[rego]\nmodule = '''{MODULE}'''\n")).unwrap();
        self.checks = self.policy.inspect(&self.claims, self.at).checks.len();
        self
    }
}

/// The text of a shipped policy.
#[cfg(feature = "rego")]
pub(crate) fn policy(name: &str) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/measured"));
    std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap()
}

fn read(folder: &Path) -> Option<Machine> {
    let case: Table = std::fs::read_to_string(folder.join("case.toml")).unwrap().parse().unwrap();
    let text = |key: &str| case.get(key).and_then(toml::Value::as_str);
    let list = |key: &str| {
        let items = case.get(key).and_then(toml::Value::as_array);
        items.into_iter().flatten().map(|item| item.as_str().unwrap()).collect::<Vec<_>>()
    };
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let mut endorsements = Endorsements::default();
    for name in list("endorsements") {
        let kind = match Path::new(name).extension().and_then(|ending| ending.to_str()) {
            Some("crl") => &mut endorsements.revocation_lists,
            Some("json") => &mut endorsements.documents,
            _ => &mut endorsements.certificates,
        };
        kind.push(bytes(name));
    }
    let roots: Vec<Vec<u8>> = list("insecure-trust-roots").into_iter().map(bytes).collect();
    let anchors = if roots.is_empty() {
        TrustAnchors::vendor()
    } else {
        TrustAnchors::insecure_simulated(&roots).unwrap()
    };
    let anchors = anchors.with_attestation_keys(list("enrolled").iter().map(|name| name.parse().unwrap()));
    let at = UnixTime::parse(text("at")?).unwrap();
    let evidence = bytes(text("evidence")?);
    let evidence = attest::parse(Platform::named(text("platform")?)?, &evidence).unwrap();
    let waived = case.get("insecure-no-revocation").and_then(toml::Value::as_bool) == Some(true);
    let revocation = if waived { Revocation::InsecureWaived } else { Revocation::Required };
    let prepared = endorsements.prepare(&AwsLcRs, &evidence, &anchors, revocation, at).ok()?;
    let claims = evidence.verify(&AwsLcRs, &prepared, at).ok()?;
    let policy = Policy::parse(&AwsLcRs, &String::from_utf8(bytes(text("policy")?)).unwrap()).unwrap();
    let checks = policy.inspect(&claims, at).checks.len();
    let name = folder.parent()?.file_name()?.to_str()?.to_owned();
    Some(Machine { name, checks, claims, policy, at })
}

#[cfg(feature = "rego")]
const MODULE: &str = r#"package cloudtaser
deny contains msg if {
    some check in input.checks
    check.verdict == "waived"
    msg := sprintf("%s is waived", [check.id])
}
deny contains "too privileged" if input.claims.vmpl > 0"#;
