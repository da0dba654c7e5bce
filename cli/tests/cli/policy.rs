//! `policy check`, `diff`, `sign`, `verify` and `explain`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::document;
use crate::machine::{Machine, NOW};
use crate::run::{Ran, cloudtaser, cloudtaser_with};

#[test]
fn a_policy_that_holds_is_good_and_said_to_be() {
    let machine = Machine::new();
    let policy = machine.path("policy.toml");
    let ran = cloudtaser(&["policy", "check", &policy, "--at", NOW]).ends(0);
    assert!(ran.out.starts_with("OK: policy simulated version 7, until 2048-01-01T00:00:00Z"), "{}", ran.out);
    let json = cloudtaser(&["policy", "check", &policy, "--at", NOW, "-o", "json"]).ends(0).json();
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(json["problems"].as_array().unwrap().len(), 0);
    let notes = json["notes"].to_string();
    assert!(notes.contains("insecure-accept-simulated-roots is on"), "{notes}");
    assert!(notes.contains("snp.host_data"), "{notes}");
}

#[test]
fn all_problems_of_a_policy_are_told_together() {
    let machine = Machine::new();
    let text = document::policy(&[
        ("name", "name = \"\""),
        ("freshness", "freshness = { verdict_seconds = 0, collateral_days = 60 }"),
        ("measurement", "measurement = { any_of = [\"nowhere\"] }"),
        (
            "reference",
            "waive = [{ check = \"snp.vmpI\", reason = \"r\", ticket = \"T\", until = \"2027-01-01T00:00:00Z\" }]",
        ),
    ]);
    let file = machine.write("bad.toml", text.as_bytes());
    let json = cloudtaser(&["policy", "check", &file, "--at", NOW, "-o", "json"]).ends(1).json();
    let problems = json["problems"].as_array().unwrap();
    for (problem, expected) in
        problems.iter().zip(["a name", "verdict_seconds", "\"snp.vmpI\"", "\"nowhere\""])
    {
        assert!(problem.as_str().unwrap().contains(expected), "{problems:#?}");
    }
    assert_eq!(problems.len(), 4, "{problems:#?}");
}

#[test]
fn a_policy_that_has_ended_or_is_none_is_not_good() {
    let machine = Machine::new();
    let ended =
        cloudtaser(&["policy", "check", &machine.path("policy.toml"), "--at", "2048-01-01T00:00:00Z"]);
    assert!(ended.ends(1).out.contains("expired"));
    for text in ["", "name = 7", "\u{0}"] {
        cloudtaser(&["policy", "check", &machine.write("none.toml", text.as_bytes())]).ends(1);
    }
    cloudtaser(&["policy", "check", &machine.path("absent.toml")]).ends(2);
    cloudtaser(&["policy", "check", &machine.write("binary", &[0xff, 0xfe, 0])]).ends(2);
}

/// One rule changed: its effect and a part of what is said.
#[test]
fn a_difference_is_told_in_words_with_its_effect() {
    for (key, line, effect, words) in DIFFERENCES {
        let ran = diff(&[], &[(key, line)], &[]).ends(0);
        let lines = ran.lines();
        assert_eq!(lines.len(), 2, "{line}: {}", ran.out);
        assert!(lines[1].starts_with(effect) && lines[1].contains(words), "{line}: {}", lines[1]);
        // Back again: the reverse.
        let back = diff(&[(key, line)], &[], &[]).ends(0);
        let reverse = match effect {
            "loosens" => "tightens",
            "tightens" => "loosens",
            same => same,
        };
        assert!(back.lines()[1].starts_with(reverse), "{line}: {}", back.lines()[1]);
    }
}

#[test]
fn a_changed_reference_value_is_told_where_it_is_used() {
    let other = "6b".repeat(48);
    let line = format!("reference = [{{ id = \"image\", value = \"{other}\", provenance = \"rebuilt\" }}]");
    let ran = diff(&[], &[("reference", &line)], &[]).ends(0);
    assert!(
        ran.out.contains(&format!("admits machines with launch measurement image = {other}")),
        "{}",
        ran.out
    );
    assert!(ran.lines()[1].starts_with("both"), "{}", ran.out);
    let renamed = document::policy(&[]).replace("\"image\"", "\"picture\"");
    let machine = Machine::new();
    let (old, new) = (machine.path("policy.toml"), machine.write("new.toml", renamed.as_bytes()));
    assert_eq!(cloudtaser(&["policy", "diff", &old, &new]).ends(0).out, "no rule differs\n");
}

/// Approvers read the differences and sign. Each of these lets in machines that were refused, by a text that was made to
/// look like the old one.
#[test]
fn a_change_that_was_written_to_be_overlooked_is_told() {
    let good = "aa".repeat(64);
    let evil = "bb".repeat(64);
    let reference = format!(
        "reference = [{{ id = \"image\", value = \"{}\", provenance = \"r\" }}, \
         {{ id = \"{evil}\", value = \"{good}\", provenance = \"r\" }}]",
        "5a".repeat(48)
    );
    let chips = |chip: &str| format!("chips = {{ any_of = [\"{chip}\"] }}");
    let named =
        diff(&[("chips", &chips(&good))], &[("chips", &chips(&evil)), ("reference", &reference)], &[]);
    assert!(named.ends(0).out.contains(&format!("admits machines with chip {evil}")));
    let waiver = |check: &str, year: u16| {
        format!(
            "{{ check = \"{check}\", reason = \"r\", ticket = \"T\", until = \"{year}-01-01T00:00:00Z\" }}"
        )
    };
    let waive = |waivers: &[String]| format!("version = 7\nwaive = [{}]", waivers.join(", "));
    let short = waiver("snp.vmpl", 2027);
    let two = waive(&[waiver("snp.vmpl", 2047), short.clone()]);
    let longer =
        diff(&[("version", &waive(&[short]))], &[("version", &two)], &["--fail-on", "loosen"]).ends(1);
    assert!(longer.out.contains("admits machines that fail snp.vmpl, until 2047"), "{}", longer.out);
    let (above, below) = (waiver("tdx.mrservicetd", 2047), waiver("tdx.mrservicetd.current", 2027));
    let (old, new) = (waive(std::slice::from_ref(&below)), waive(&[below, above]));
    let above = diff(&[("version", &old)], &[("version", &new)], &["--fail-on", "loosen"]).ends(1);
    assert!(above.out.contains("admits machines that fail tdx.mrservicetd, until 2047"), "{}", above.out);
    let boot = |line: &str| {
        document::policy(&[])
            + &format!("\n[tpm.boot]\nkernel_cmdline = {{ by = \"grub\", any_of = [\"{line}\"] }}\n")
    };
    let machine = Machine::new();
    let old = machine.write("old.toml", boot("ro quiet").as_bytes());
    let new = machine.write("new.toml", boot("init=/bin/sh x = ro quiet").as_bytes());
    let line = cloudtaser(&["policy", "diff", &old, &new, "--fail-on", "loosen"]).ends(1).out;
    assert!(line.contains("a kernel command line, any_of init=/bin/sh x = ro quiet"), "{line}");
}

#[test]
fn a_platform_that_appears_is_told_with_every_rule_that_it_brings() {
    let machine = Machine::new();
    let old = machine.write("old.toml", document::policy(&[]).as_bytes());
    let section = "\n[tpm]\nbanks = { any_of = [\"sha256\"] }\n[tpm.boot]\nsecure_boot = \"any\"\n";
    let new = machine.write("new.toml", (document::policy(&[]) + section).as_bytes());
    let said = cloudtaser(&["policy", "diff", &old, &new]).ends(0).out;
    let lines: Vec<&str> = said.lines().skip(1).collect();
    let expected = [
        "loosens   admits machines of the platform tpm, which had no section",
        "loosens   admits machines with PCRs in bank sha256 (was not set)",
        "loosens   admits machines with a boot whose secure_boot is any (was not set)",
    ];
    assert_eq!(lines, expected, "{said}");
}

#[test]
fn a_pipeline_can_stop_at_what_loosens() {
    let loosened = [
        ("version", "version = 8"),
        ("guest_svn", "guest_svn = { min = 0 }"),
        ("vmpl", "vmpl = { any_of = [0, 1] }"),
    ];
    diff(&[], &loosened, &["--fail-on", "loosen"]).ends(1);
    diff(&loosened, &[], &["--fail-on", "loosen"]).ends(0);
    diff(&loosened, &[], &["--fail-on", "any"]).ends(1);
    diff(&[], &[], &["--fail-on", "any"]).ends(0);
    let json = diff(&[], &loosened, &["-o", "json"]).ends(0).json();
    assert_eq!((json["loosens"].as_bool(), json["tightens"].as_bool()), (Some(true), Some(false)));
    diff(&[], &[("vmpl", "vmpl = 0")], &[]).ends(2);
}

#[test]
fn a_signed_policy_is_verified_against_its_author_and_its_predecessor() {
    let machine = Machine::new();
    let (key, public) = author(&machine, "author.der");
    let (_, stranger) = author(&machine, "stranger.der");
    let (policy, signed) = (machine.path("policy.toml"), machine.path("policy.signed"));
    let said = cloudtaser(&["policy", "sign", &policy, "--key", &key, "--out", &signed]).ends(0).out;
    assert!(said.contains(&public), "{said}");
    let verify = |more: &[&str]| cloudtaser(&[&["policy", "verify", &signed, "--at", NOW], more].concat());
    verify(&["--signer", &public]).ends(0);
    verify(&["--signer", &stranger, "--signer", &public]).ends(0);
    let refused = verify(&["--signer", &stranger, "-o", "json"]).ends(1);
    assert_eq!(refused.failing(), ["policy.signature"]);
    for (version, code) in [(6, 0), (7, 1), (8, 1)] {
        let line = format!("version = {version}\n# another text");
        let previous = machine.write("previous.toml", document::policy(&[("version", &line)]).as_bytes());
        let ran = verify(&["--signer", &public, "--previous", &previous, "-o", "json"]).ends(code);
        let expected: &[&str] = if code == 0 { &[] } else { &["policy.succession"] };
        assert_eq!(ran.failing(), expected, "{version}");
    }
    verify(&["--signer", &public, "--previous", &policy]).ends(0);
    // The other verbs read it too.
    cloudtaser(&["policy", "check", &signed, "--at", NOW]).ends(0);
    cloudtaser(&["policy", "diff", &policy, &signed, "--fail-on", "any"]).ends(0);
}

#[test]
fn nothing_is_signed_over_and_no_policy_is_made_of_what_is_none() {
    let machine = Machine::new();
    let (key, public) = author(&machine, "author.der");
    let (policy, there) = (machine.path("policy.toml"), machine.path("ark.der"));
    let before = std::fs::read(&there).unwrap();
    let sign = |policy: &str, key: &str, out: &str| {
        cloudtaser(&["policy", "sign", policy, "--key", key, "--out", out])
    };
    assert!(sign(&policy, &key, &there).ends(2).err.contains("output.unwritable"));
    assert_eq!(std::fs::read(&there).unwrap(), before);
    let out = machine.path("out");
    sign(&machine.write("bad.toml", b"name = 1"), &key, &out).ends(2);
    sign(&policy, &there, &out).ends(2);
    assert!(!std::path::Path::new(&out).exists());
    let unsigned = cloudtaser(&["policy", "verify", &policy, "--signer", &public]).ends(2);
    assert!(unsigned.err.contains("policy.malformed"), "{}", unsigned.err);
    cloudtaser(&["policy", "verify", &policy]).ends(2);
}

#[test]
fn a_check_is_explained_by_its_name_by_its_family_and_out_of_a_verdict() {
    let one = cloudtaser(&["policy", "explain", "snp.policy.debug"]).ends(0);
    assert!(one.out.contains("without DEBUG"), "{}", one.out);
    let one = cloudtaser(&["policy", "explain", "tpm.pcr.sha256.7", "-o", "json"]).ends(0).json();
    assert_eq!(one[0]["check"], "tpm.pcr.sha256.7");
    let family = cloudtaser(&["policy", "explain", "snp.tcb", "-o", "json"]).ends(0).json();
    assert!(family.as_array().unwrap().len() >= 6);
    let machine = Machine::reporting(|report| report.debug().vmpl(3));
    let verdict = machine.appraise(&[]).ends(1);
    assert_eq!(verdict.failing(), ["snp.vmpl", "snp.policy.debug"]);
    let said =
        cloudtaser_with(&["policy", "explain", "-", "-o", "json"], verdict.out.as_bytes()).ends(0).json();
    let said: Vec<&str> = said.as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap()).collect();
    assert_eq!(said, ["snp.vmpl", "snp.policy.debug"]);
    let none = cloudtaser_with(&["policy", "explain", "-"], machine.verify(&["-o", "json"]).out.as_bytes());
    assert!(none.ends(0).out.contains("nothing to explain"));
    cloudtaser(&["policy", "explain", "snp.nonsense"]).ends(2);
    cloudtaser_with(&["policy", "explain", "-"], b"{ \"checks\": 7 }").ends(2);
}

/// Compares the usual policy with these lines changed to the one with those.
fn diff(old: &[(&str, &str)], new: &[(&str, &str)], more: &[&str]) -> Ran {
    let machine = Machine::new();
    let old = machine.write("old.toml", document::policy(old).as_bytes());
    let new = machine.write("new.toml", document::policy(new).as_bytes());
    cloudtaser(&[&["policy", "diff", &old, &new], more].concat())
}

/// A new author: the key file and the public key in hex.
fn author(machine: &Machine, name: &str) -> (String, String) {
    let pair = Ed25519KeyPair::generate().unwrap();
    let file = machine.write(name, pair.to_pkcs8().unwrap().as_ref());
    (file, hex::encode(pair.public_key().as_ref()))
}

/// A changed line, its effect, and a part of what is said.
const DIFFERENCES: [(&str, &str, &str, &str); 15] = [
    (
        "reported",
        "reported = { bl = 10, tee = 0, snp = 23, ucode = 84 }",
        "loosens",
        "admits machines with reported genoa SNP firmware 23 (was 25)",
    ),
    (
        "launch",
        "launch = { bl = 10, tee = 0, snp = 25, ucode = 85 }",
        "tightens",
        "refuses machines with launch genoa microcode below 85 (was 84)",
    ),
    ("products", "products = { any_of = [\"genoa\", \"turin\"] }", "loosens", "turin"),
    (
        "products",
        "products = { any_of = [\"turin\"] }",
        "both",
        "no longer admits machines with a processor of the line genoa",
    ),
    ("vmpl", "", "tightens", "refuses everybody: reports from VMPL is not set any more"),
    (
        "host_data",
        "host_data = { any_of = [\"0000000000000000000000000000000000000000000000000000000000000000\"] }",
        "tightens",
        "was any",
    ),
    (
        "chips",
        "chips = { none_of = [\"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\"] }",
        "tightens",
        "chip none of 00",
    ),
    ("guest_svn", "guest_svn = { min = 2 }", "tightens", "below 2 (was 0)"),
    ("expires", "expires = \"2049-01-01T00:00:00Z\"", "loosens", "admits until 2049"),
    ("version", "version = 8", "neutral", "is version 8 (was 7)"),
    (
        "freshness",
        "freshness = { verdict_seconds = 300, collateral_days = 90 }",
        "loosens",
        "up to 90 days old (was 60)",
    ),
    ("insecure-accept-simulated-roots", "insecure-accept-simulated-roots = false", "tightens", "is off"),
    (
        "mitigations",
        "mitigations = { launch = { mask = 2, value = 2 }, current = { mask = 0, value = 0 } }",
        "tightens",
        "0x2 under mask 0x2",
    ),
    (
        "version",
        "version = 7\nwaive = [{ check = \"snp.vmpl\", reason = \"r\", ticket = \"T\", until = \"2027-01-01T00:00:00Z\" }]",
        "loosens",
        "admits machines that fail snp.vmpl, until 2027",
    ),
    (
        "version",
        "version = 7\ngrant = [{ paths = { any_of = [\"a/b\"] } }]",
        "tightens",
        "only for purposes that are granted",
    ),
];
