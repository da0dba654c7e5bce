//! `unseal keygen` and `unseal split`, as the dealer of a set uses them.

use tempfile::TempDir;

use crate::run::cloudtaser;

/// Who copies a file to the wrong name, or sends one key under two, would hold two shares of a quorum of two.
#[test]
fn one_key_is_not_dealt_the_shares_of_two_custodians() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["anna", "ben"] {
        cloudtaser(&["unseal", "keygen", "--out", &path(name)]).ends(0);
    }
    let split = |carl: &str| {
        let words = [("anna", "anna"), ("ben", "ben"), ("carl", carl)];
        let words = words.map(|(name, file)| format!("--custodian={name}={}.pub", path(file)));
        let [anna, ben, carl] = words.each_ref().map(String::as_str);
        let out = path("");
        cloudtaser(&["unseal", "split", "--name=prod", "--threshold=2", anna, ben, carl, "--out", &out])
    };
    let refused = split("ben").ends(2);
    let why = "expected a key of their own for each custodian, found one for ben and carl (custodian.key)";
    assert!(refused.err.contains(why), "{}", refused.err);
    assert!(!dir.path().join("custodians.json").exists());
    cloudtaser(&["unseal", "keygen", "--out", &path("carl")]).ends(0);
    split("carl").ends(0);
}
