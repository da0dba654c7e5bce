//! What the section `[tpm.boot]` of a policy admits.

use attest::crypto::{AwsLcRs, Crypto};
use attest::{BadPolicy, Part, Policy, parcel};

use super::forge::{Key, Statement, Value};
use super::judge::{NOW, genuine, ids};
use super::log::{APPLICATION, AUTHORITY, IPL, Log, SECURITY, TAG, VARIABLE, sha256, variable};

const HEAD: &str = r#"
name = "boot"
version = 1
expires = "2030-01-01T00:00:00Z"
freshness = { verdict_seconds = 60, collateral_days = 30 }
"#;

const TPM: &str = r#"
[tpm]
ak = { any_of = ["enrolled"] }
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [0, 4, 7]
pcrs = "any"
clock_safe = "set"
firmware_version = "any"
"#;

const RULES: [(&str, &str); 18] = [
    ("secure_boot", r#""set""#),
    ("exit_boot_services", r#""set""#),
    ("firmware_version", r#"{ any_of = ["Firmware 1.0"] }"#),
    ("pk", r#"{ any_of = ["pk"] }"#),
    ("kek", r#"{ any_of = ["kek"] }"#),
    ("db", r#"{ any_of = ["db"] }"#),
    ("dbx", r#"{ any_of = ["dbx"] }"#),
    ("authorities", r#"{ any_of = ["certificate"] }"#),
    ("drivers", r#"{ any_of = ["shim"] }"#),
    ("images", r#"{ any_of = ["shim", "grub", "kernel"] }"#),
    ("owner_keys", r#"{ any_of = ["owner-keys"] }"#),
    ("kernel_cmdline", r#"{ by = "grub", any_of = ["/vmlinuz root=/dev/sda1 ro"] }"#),
    ("uki", r#""any""#),
    ("files", r#"{ any_of = ["grub.cfg", "vmlinuz"] }"#),
    ("phases", r#"{ any_of = [""] }"#),
    ("ima", r#""any""#),
    ("cluster", r#""any""#),
    ("facts", r#""any""#),
];

/// The section with one rule changed, or left out.
fn rules(change: &str, rule: Option<&str>) -> String {
    let lines = RULES.iter().filter_map(|(name, usual)| {
        let value = if *name == change { rule } else { Some(*usual) };
        value.map(|value| format!("{name} = {value}\n"))
    });
    format!("[tpm.boot]\n{}", lines.collect::<String>())
}

fn policy(section: &str) -> Result<Policy, BadPolicy> {
    let known = [
        ("pk", variable(super::log::GLOBAL, "PK", b"PK")),
        ("kek", variable(super::log::GLOBAL, "KEK", b"KEK")),
        ("db", variable(SECURITY, "db", b"db")),
        ("dbx", variable(SECURITY, "dbx", b"dbx")),
        ("certificate", variable(SECURITY, "db", b"certificate")),
        ("shim", b"MZ shim".to_vec()),
        ("grub", b"MZ grub".to_vec()),
        ("kernel", b"MZ kernel".to_vec()),
        ("uki", b"MZ image".to_vec()),
        ("owner-keys", b"list of keys".to_vec()),
        ("grub.cfg", b"content of grub.cfg".to_vec()),
        ("vmlinuz", b"content of vmlinuz".to_vec()),
        (".linux", b"kernel".to_vec()),
        (".cmdline", b"root=/dev/vda ro".to_vec()),
        (".initrd", b"initrd".to_vec()),
    ];
    let references = known.map(|(id, measured)| {
        let value = sha256(&measured);
        format!("[[reference]]\nid = \"{id}\"\nvalue = \"{value}\"\nprovenance = \"this test\"\n")
    });
    Policy::parse(&AwsLcRs, &format!("{HEAD}{}{TPM}{section}", references.concat()))
}

/// The failing checks of a machine with these PCRs that sends this log, or none.
fn failing(section: &str, pcrs: &[Value], log: Option<&Log>) -> Vec<String> {
    let key = Key::new();
    let statement = Statement { values: pcrs.to_vec(), ..Statement::quote(b"nonce") };
    let quote = key.evidence(&statement.marshal(), &statement.values);
    let evidence = match log {
        Some(log) => parcel::assemble(&[(Part::TpmQuote, &quote), (Part::EventLog, &log.encode())]),
        None => quote,
    };
    let claims = genuine(&evidence, &key.name());
    ids(&policy(section).unwrap().inspect(&claims, NOW).checks)
}

fn of(log: &Log, change: &str, rule: &str) -> Vec<String> {
    failing(&rules(change, Some(rule)), &log.pcrs(), Some(log))
}

fn usual(log: &Log) -> Vec<String> {
    failing(&rules("", None), &log.pcrs(), Some(log))
}

#[test]
fn a_known_boot_is_admitted() {
    assert_eq!(usual(&Log::linux()), Vec::<String>::new());
}

#[test]
fn each_rule_that_is_not_set_refuses_by_name() {
    let log = Log::linux();
    for (name, _) in RULES {
        assert_eq!(failing(&rules(name, None), &log.pcrs(), Some(&log)), [format!("tpm.boot.{name}")]);
    }
}

#[test]
fn without_a_log_only_what_may_be_anything_is_admitted() {
    let found = failing(&rules("", None), &Log::linux().pcrs(), None);
    let strict =
        RULES.iter().filter(|(_, rule)| *rule != r#""any""#).map(|(name, _)| format!("tpm.boot.{name}"));
    let mut expected: Vec<String> = std::iter::once("tpm.boot.log".to_owned()).chain(strict).collect();
    // The order of the checks, not of the table.
    expected.sort_by_key(|id| found.iter().position(|other| other == id));
    assert_eq!(found, expected);
}

#[test]
fn what_a_policy_does_not_know_is_refused_by_name() {
    let linux = Log::linux;
    for (log, id) in [
        (linux().add(4, APPLICATION, b"MZ evil", b""), "images"),
        (linux().add(2, APPLICATION, b"MZ evil", b""), "drivers"),
        (linux().plain(7, AUTHORITY, b"another certificate"), "authorities"),
        (linux().add(14, IPL, b"another key", b"MokList\0"), "owner_keys"),
        (linux().add(9, IPL, b"another initrd", b"/vmlinuz\0"), "files"),
        (linux().add(13, IPL, b"an extension", b""), "files"),
        (linux().grub("kernel_cmdline: ", "/vmlinuz init=/evil"), "kernel_cmdline"),
        (linux().load_options("init=/evil"), "kernel_cmdline"),
        (linux().plain(12, IPL, &super::log::wide("init=/evil\0")), "kernel_cmdline"),
    ] {
        assert_eq!(usual(&log), [format!("tpm.boot.{id}")]);
    }
}

#[test]
fn keys_of_another_owner_are_refused_by_name() {
    for (vendor, name) in
        [(super::log::GLOBAL, "PK"), (super::log::GLOBAL, "KEK"), (SECURITY, "db"), (SECURITY, "dbx")]
    {
        let mut log = Log::linux();
        let own = variable(vendor, name, name.as_bytes());
        let at = log.0.iter().position(|event| event.measured == own).unwrap();
        let other = variable(vendor, name, b"of another owner");
        (log.0[at].measured, log.0[at].data) = (other.clone(), other);
        assert_eq!(usual(&log), [format!("tpm.boot.{}", name.to_lowercase())]);
        log.0.remove(at);
        assert_eq!(usual(&log), [format!("tpm.boot.{}", name.to_lowercase())]);
    }
}

#[test]
fn secure_boot_that_is_off_is_refused() {
    let mut log = Log::linux();
    let on = variable(super::log::GLOBAL, "SecureBoot", &[1]);
    let at = log.0.iter().position(|event| event.measured == on).unwrap();
    let off = variable(super::log::GLOBAL, "SecureBoot", &[0]);
    (log.0[at].measured, log.0[at].data) = (off.clone(), off);
    assert_eq!(usual(&log), ["tpm.boot.secure_boot"]);
    assert_eq!(of(&log, "secure_boot", r#""clear""#), Vec::<String>::new());
    log.0.remove(at);
    for rule in [r#""set""#, r#""clear""#] {
        assert_eq!(of(&log, "secure_boot", rule), ["tpm.boot.secure_boot"]);
    }
    assert_eq!(of(&log, "secure_boot", r#""any""#), Vec::<String>::new());
}

/// The digest covers the text and not the prefix, so somebody could call the true line a command, and let his own
/// line follow.
#[test]
fn l10_a_command_line_cannot_be_hidden_behind_another_name() {
    let evil = "/vmlinuz root=/dev/sda1 ro init=/evil";
    for hide in [
        |log: Log, line: &str| log.grub("grub_cmd: ", line),
        |log: Log, line: &str| log.add(8, IPL, line.as_bytes(), b"a file\0"),
    ] {
        let mut log = Log::linux();
        log.0.retain(|event| event.register != 8);
        let log = hide(log, evil).grub("kernel_cmdline: ", "/vmlinuz root=/dev/sda1 ro");
        assert!(usual(&log).contains(&"tpm.boot.kernel_cmdline".to_owned()));
    }
}

#[test]
fn a_command_line_counts_only_if_it_was_measured_by_whom_the_policy_says() {
    let log = Log::linux();
    let line = r#"any_of = ["/vmlinuz root=/dev/sda1 ro"]"#;
    for (by, admitted) in [("grub", true), ("kernel", true), ("systemd", false), ("uki", false)] {
        let found = of(&log, "kernel_cmdline", &format!("{{ by = \"{by}\", {line} }}"));
        assert_eq!(found.is_empty(), admitted, "{by}: {found:?}");
    }
    let none = of(&Log::firmware(true).exit(), "kernel_cmdline", r#"{ by = "grub", none_of = ["x"] }"#);
    assert_eq!(none, ["tpm.boot.images", "tpm.boot.kernel_cmdline"]);
}

#[test]
fn forbidden_words_are_words() {
    let log = Log::linux();
    for (word, admitted) in [
        ("ro", false),
        ("r", true),
        ("root=", false),
        ("root", true),
        ("root=/dev/sda1", false),
        ("/vmlinuz", false),
        ("init=", true),
    ] {
        let found = of(&log, "kernel_cmdline", &format!(r#"{{ by = "grub", none_of = ["{word}"] }}"#));
        assert_eq!(found.is_empty(), admitted, "{word}: {found:?}");
    }
}

#[test]
fn a_unified_kernel_image_is_judged_by_its_sections() {
    let log = Log::uki();
    let section = |uki: &str, line: &str| {
        let loose = ["authorities", "owner_keys", "images"];
        let rules = RULES.iter().map(|(name, usual)| match *name {
            "uki" => format!("uki = {uki}\n"),
            "kernel_cmdline" => format!("kernel_cmdline = {line}\n"),
            name if loose.contains(&name) => format!("{name} = \"any\"\n"),
            _ => format!("{name} = {usual}\n"),
        });
        failing(&format!("[tpm.boot]\n{}", rules.collect::<String>()), &log.pcrs(), Some(&log))
    };
    let rule = |name: &str, id: &str| format!(r#"{{ section = "{name}", any_of = ["{id}"] }}"#);
    let all = [rule(".linux", ".linux"), rule(".cmdline", ".cmdline"), rule(".initrd", ".initrd")];
    let by_uki = r#"{ by = "uki", any_of = ["root=/dev/vda ro"] }"#;
    assert_eq!(section(&format!("[{}]", all.join(", ")), by_uki), Vec::<String>::new());
    let refused = ["tpm.boot.uki"];
    assert_eq!(section(&format!("[{}]", all[..2].join(", ")), by_uki), refused);
    let wrong = rule(".initrd", ".linux");
    assert_eq!(section(&format!("[{}, {}, {wrong}]", all[0], all[1]), by_uki), refused);
    let missing = rule(".osrel", ".linux");
    assert_eq!(section(&format!("[{}, {missing}]", all.join(", ")), by_uki), refused);
    let other = r#"{ by = "uki", any_of = ["root=/dev/vdb ro"] }"#;
    assert_eq!(section(r#""any""#, other), ["tpm.boot.kernel_cmdline"]);
    // Of a section the log has only the digest: nobody can say which words are not in it.
    let words = r#"{ by = "uki", none_of = ["init="] }"#;
    assert_eq!(section(r#""any""#, words), ["tpm.boot.kernel_cmdline"]);
}

#[test]
fn phases_are_judged_as_far_as_they_are_reached() {
    let log = Log::linux();
    let reached = log.clone().plain(11, IPL, b"enter-initrd");
    let section = rules("phases", Some(r#"{ any_of = ["enter-initrd"] }"#));
    assert_eq!(failing(&section, &reached.pcrs(), Some(&log)), Vec::<String>::new());
    assert_eq!(failing(&section, &log.pcrs(), Some(&log)), ["tpm.boot.phases"]);
}

#[test]
fn a_node_joins_one_cluster() {
    let log = Log::linux();
    let section = rules("cluster", Some(r#"{ any_of = ["prod-1", "prod-2"] }"#));
    let joined = |names: &[&str]| {
        let log = names.iter().fold(log.clone(), |log, name| log.plain(15, IPL, name.as_bytes()));
        failing(&section, &log.pcrs(), Some(&Log::linux()))
    };
    assert_eq!(joined(&["prod-1"]), Vec::<String>::new());
    assert_eq!(joined(&["prod-2"]), Vec::<String>::new());
    for names in [&[][..], &["staging"], &["prod-1", "prod-2"], &["prod-1", "prod-1"]] {
        assert_eq!(joined(names), ["tpm.boot.cluster"], "{names:?}");
    }
    let without: Vec<Value> = log.pcrs().into_iter().filter(|(_, index, _)| *index != 15).collect();
    assert_eq!(failing(&section, &without, Some(&log)), ["tpm.boot.cluster"]);
}

/// What the agent measured when it started; whoever comes later can only add.
#[test]
fn facts_are_asked_of_every_text_that_was_measured() {
    let rule =
        r#"{ lockdown = { any_of = ["integrity", "confidentiality"] }, "lsm.bpf" = { any_of = ["on"] } }"#;
    let section = rules("facts", Some(rule));
    let told = |texts: &[&str]| {
        let log = texts.iter().fold(Log::linux(), |log, text| log.plain(14, TAG, text.as_bytes()));
        failing(&section, &log.pcrs(), Some(&log))
    };
    let good = "cloudtaser/facts/v1\nlockdown=integrity\nlsm.bpf=on\nother=1\n";
    assert_eq!(told(&[good]), Vec::<String>::new());
    assert_eq!(told(&[good, good]), Vec::<String>::new());
    for bad in [
        "cloudtaser/facts/v1\nlockdown=none\nlsm.bpf=on\n",
        "cloudtaser/facts/v1\nlockdown=integrity\n",
        "cloudtaser/facts/v1\n",
    ] {
        for texts in [&[bad][..], &[bad, good], &[good, bad]] {
            assert_eq!(told(texts), ["tpm.boot.facts"], "{texts:?}");
        }
    }
    assert_eq!(told(&[]), ["tpm.boot.facts"]);
}

/// Lesson L13: the text decides nothing where its digest is that of something else.
#[test]
fn l13_facts_that_were_not_measured_are_a_strangers_key() {
    let section = rules("facts", Some(r#"{ lockdown = { any_of = ["integrity"] } }"#));
    let claimed = b"cloudtaser/facts/v1\nlockdown=integrity\n";
    let log = Log::linux().add(14, TAG, b"cloudtaser/facts/v1\nlockdown=none\n", claimed);
    assert_eq!(failing(&section, &log.pcrs(), Some(&log)), ["tpm.boot.owner_keys", "tpm.boot.facts"]);
}

/// An attack: root has the agent's own text called a key of the owner's, and another text measured behind it.
#[test]
fn l13_facts_that_the_log_calls_a_key_hide_behind_no_other_facts() {
    let (bad, good) = ("cloudtaser/facts/v1\nlockdown=none\n", "cloudtaser/facts/v1\nlockdown=integrity\n");
    let log = Log::linux().add(14, IPL, bad.as_bytes(), b"MokList\0").plain(14, TAG, good.as_bytes());
    let facts = rules("facts", Some(r#"{ lockdown = { any_of = ["integrity"] } }"#));
    let usual = r#"owner_keys = { any_of = ["owner-keys"] }"#;
    assert_eq!(failing(&facts, &log.pcrs(), Some(&log)), ["tpm.boot.owner_keys", "tpm.boot.facts"]);
    let any = facts.replace(usual, r#"owner_keys = "any""#);
    assert_eq!(failing(&any, &log.pcrs(), Some(&log)), ["tpm.boot.facts"]);
    let prefixed = [b"grub_cmd: ", bad.as_bytes()].concat();
    let told = Log::linux().add(14, IPL, bad.as_bytes(), &prefixed).plain(14, TAG, good.as_bytes());
    assert_eq!(failing(&facts, &told.pcrs(), Some(&told)), ["tpm.boot.facts"]);
}

#[test]
fn a_register_that_was_not_quoted_is_not_told() {
    let log = Log::linux();
    for (register, ids) in [
        (2, &["drivers"][..]),
        (14, &["owner_keys"]),
        (8, &["kernel_cmdline", "files"]),
        (11, &["files", "phases"]),
        (13, &["files"]),
    ] {
        let pcrs: Vec<Value> = log.pcrs().into_iter().filter(|(_, index, _)| *index != register).collect();
        let expected: Vec<String> = ids.iter().map(|id| format!("tpm.boot.{id}")).collect();
        assert_eq!(failing(&rules("", None), &pcrs, Some(&log)), expected, "{register}");
    }
}

/// More was measured there than the log tells, so nobody knows what.
#[test]
fn a_register_of_which_the_log_is_silent_refuses() {
    let log = Log::linux();
    for (register, ids) in [(12, &["files"][..]), (13, &["files"])] {
        let pcrs = log.clone().plain(register, IPL, b"something").pcrs();
        let expected: Vec<String> = ids.iter().map(|id| format!("tpm.boot.{id}")).collect();
        assert_eq!(failing(&rules("", None), &pcrs, Some(&log)), expected, "{register}");
    }
}

#[test]
fn a_log_of_a_bank_that_the_policy_does_not_allow_is_refused() {
    let log = Log::linux();
    let value = |register: u32| {
        let events = log.0.iter().filter(|event| event.register == register);
        events.fold([0; 20], |value, event| AwsLcRs.sha1(&[&value, &AwsLcRs.sha1(&[&event.measured]).0]).0)
    };
    let sha1: Vec<Value> =
        (0..16).map(|register| (attest::crypto::Hash::Sha1, register, value(register).to_vec())).collect();
    let found = failing(&rules("", None), &sha1, Some(&log));
    assert!(found.contains(&"tpm.boot.bank".to_owned()), "{found:?}");
}

#[test]
fn sections_that_say_nothing_do_not_parse() {
    for (name, rule) in [
        ("images", "{ any_of = [] }"),
        ("images", r#"["shim"]"#),
        ("kernel_cmdline", r#"{ by = "grub" }"#),
        ("kernel_cmdline", r#"{ by = "grub", any_of = [] }"#),
        ("kernel_cmdline", r#"{ any_of = ["x"] }"#),
        ("kernel_cmdline", r#"{ by = "grub", any_of = ["x"], except = ["y"] }"#),
        ("facts", "{}"),
        ("facts", "{ lockdown = { any_of = [] } }"),
        ("facts", r#"{ lockdown = ["integrity"] }"#),
        ("uki", "[]"),
        ("uki", r#"[{ section = ".linux" }]"#),
        ("secure_boot", r#""on""#),
        ("nothing", r#""any""#),
    ] {
        let section = if name == "nothing" {
            format!("{}{name} = {rule}\n", rules("", None))
        } else {
            rules(name, Some(rule))
        };
        let error = policy(&section).unwrap_err();
        assert!(matches!(error, BadPolicy::Document(_) | BadPolicy::List(_)), "{rule}: {error}");
    }
    let dangling = rules("images", Some(r#"{ any_of = ["nowhere"] }"#));
    assert!(matches!(policy(&dangling), Err(BadPolicy::Dangling(id)) if id == "nowhere"));
    let dangling = rules("uki", Some(r#"[{ section = ".linux", any_of = ["nowhere"] }]"#));
    assert!(matches!(policy(&dangling), Err(BadPolicy::Dangling(id)) if id == "nowhere"));
}

#[test]
fn two_variables_of_one_name_must_both_be_known() {
    let mut log = Log::linux();
    let db = variable(SECURITY, "db", b"db");
    let at = log.0.iter().position(|event| event.measured == db).unwrap();
    let other = variable(SECURITY, "db", b"more");
    log.0.insert(
        at + 1,
        super::log::Event { register: 7, kind: VARIABLE, measured: other.clone(), data: other },
    );
    assert_eq!(usual(&log), ["tpm.boot.db"]);
}
