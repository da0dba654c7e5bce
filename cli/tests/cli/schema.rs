//! The policy's JSON Schema: the one that is checked in is that of the types, and it agrees with the parser.

use std::path::PathBuf;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::document;
use crate::run::cloudtaser;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policies"))
}

/// The schema as a validator reads it.
struct Validator(Schemas, SchemaIndex);

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let schema = serde_json::from_str(&attest::policy::schema()).unwrap();
        compiler.add_resource("policy.json", schema).unwrap();
        let index = compiler.compile("policy.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn accepts(&self, policy: &str) -> bool {
        let document: Value = toml::from_str(policy).unwrap();
        self.0.validate(&document, self.1).is_ok()
    }
}

/// After a change of the types: `UPDATE_SCHEMA=1 cargo test -p cloudtaser-cli --test cli schema`.
#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = folder().join("policy.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, attest::policy::schema()).unwrap();
    }
    // As documents: the order of their keys depends on how serde_json was built.
    let document = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let of_the_types = document(&attest::policy::schema());
    assert!(document(&std::fs::read_to_string(&path).unwrap()) == of_the_types, "run with UPDATE_SCHEMA=1");
    assert!(document(&cloudtaser(&["policy", "schema"]).ends(0).out) == of_the_types, "build it again");
}

#[test]
fn every_policy_that_is_shipped_fits_the_schema() {
    let validator = Validator::new();
    let mut found = 0;
    for entry in std::fs::read_dir(folder().join("measured")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(validator.accepts(&text), "{}", path.display());
        found += 1;
    }
    assert!(found >= 3, "{found} policies");
    assert!(validator.accepts(&document::policy(&[])));
}

/// Lesson L5, for those who check with the schema alone.
#[test]
fn l05_what_the_schema_refuses_is_what_the_parser_refuses() {
    let validator = Validator::new();
    for (key, line) in [
        ("name", "name = \"x\"\nunknown = true"),
        ("version", "version = \"7\""),
        ("expires", "expires = \"tomorrow\""),
        ("freshness", "freshness = { verdict_seconds = 300 }"),
        ("products", "products = { any_of = [] }"),
        ("products", "products = { any_of = [\"rome\"] }"),
        ("chips", "chips = \"all\""),
        ("vmpl", "vmpl = [0]"),
        ("vmpl", "vmpl = { any_of = [-1] }"),
        ("host_data", "host_data = { any_of = [\"00\"] }"),
        ("guest_svn", "guest_svn = { min = 0, max = 3 }"),
        ("guest_policy", "guest_policy = { debug = \"yes\" }"),
        ("guest_policy", "guest_policy = { debugging = \"clear\" }"),
        ("mitigations", "mitigations = { launch = { mask = 0, value = 0 } }"),
        ("launch", "launch = { bl = 10, tee = 0, snp = 256, ucode = 84 }"),
        ("launch", "launch = { bl = 10, tee = 0, snp = 25 }"),
        ("launch", "launch = { bl = 10, tee = 0, snp = 25, ucode = 84, hbm = 1 }"),
    ] {
        let policy = document::policy(&[(key, line)]);
        assert!(!validator.accepts(&policy), "the schema takes {line}");
        let parsed = attest::Policy::parse(&attest::crypto::AwsLcRs, &policy);
        assert!(parsed.is_err(), "the parser takes {line}");
    }
}
