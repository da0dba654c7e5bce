//! The example of a systemd unit: understood by systemd, and it runs a program as it says.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::process::Command;

const WRAPPER: &str = env!("CARGO_BIN_EXE_cloudtaser-wrapper");

#[test]
fn systemd_understands_the_example_and_has_nothing_to_say_of_it() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        let required = std::env::var_os("REQUIRE").unwrap_or_default();
        assert!(
            !required.to_string_lossy().split(',').any(|word| word == "systemd"),
            "systemd-analyze is not installed"
        );
        return println!("SKIP systemd_understands_the_example: systemd-analyze is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("cloudtaser-example.service");
    // The programs of the example are not installed here, and the agent's unit is another room's.
    let text =
        text().replace("/usr/bin/cloudtaser-wrapper", WRAPPER).replace("/usr/bin/example", "/usr/bin/true");
    fs::write(&unit, text).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(String::from_utf8_lossy(&verified.stderr), "");
}

/// Its words reach as far as the node agent, of which there is none: the configuration is whole.
#[test]
fn the_words_of_the_example_are_a_whole_configuration() {
    let mut wrapper = Command::new(WRAPPER);
    wrapper.env_clear().args(["--", "true"]).env("CLOUDTASER_RELEASE_TIMEOUT", "1");
    for line in text().lines().filter_map(|line| line.strip_prefix("Environment=")) {
        wrapper.envs(line.split(' ').map(|word| word.split_once('=').unwrap()));
    }
    let ca = tempfile::NamedTempFile::new().unwrap();
    wrapper.env("BAO_CACERT", ca.path()).env("BAO_ADDR", "https://127.0.0.1:1");
    let output = wrapper.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("no certificate in it"), "{told}");
    assert!(!told.contains("problem(s) in the configuration"), "{told}");
}

fn text() -> String {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/cloudtaser-example.service");
    fs::read_to_string(unit).unwrap()
}
