//! `evidence log`, on logs that the test's own server writes, and on what was done to them.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::log::{
    Checkpoint, DecisionId, Edge, Event, Head, KeyName, Kind, Level, NoteKey, Origin, PolicyRef, Proof,
    RecordDigest, SaltedName, SecretRef, SignatureKind, SignedCheckpoint, SignedNote, Subject, Tail, Text,
    Tile, bundle, leaf_hash,
};
use attest::{Crypto, Digest, Platform, UnixTime};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Ran, cloudtaser};

mod witness;

const ORIGIN: &str = "bao.example/attest-keys";

/// Somebody who signs notes.
pub(crate) struct Signer {
    key: NoteKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn log() -> Self {
        Self::new(ORIGIN, SignatureKind::Ed25519, 1)
    }

    pub(crate) fn witness(number: u8) -> Self {
        Self::new(&format!("witness.example/w{number}"), SignatureKind::CosignatureV1, number)
    }

    fn new(name: &str, kind: SignatureKind, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = pair.public_key().as_ref().try_into().unwrap();
        Self { key: NoteKey { name: KeyName::new(name).unwrap(), kind, key }, pair }
    }

    pub(crate) fn vkey(&self) -> String {
        self.key.to_text(&AwsLcRs)
    }

    fn sign(&self, text: &str) -> String {
        self.key.line(&AwsLcRs, self.pair.sign(text.as_bytes()).as_ref())
    }

    pub(crate) fn cosign(&self, text: &str, at: u64) -> String {
        let signature = self.pair.sign(Checkpoint::to_be_cosigned(text, UnixTime(at)).as_bytes());
        self.key.line(&AwsLcRs, &[&at.to_be_bytes(), signature.as_ref()].concat())
    }
}

/// A log in a directory, written as a server writes it.
pub(crate) struct Archive {
    pub(crate) dir: TempDir,
    tail: Tail,
    edge: Edge,
    entries: Vec<Vec<u8>>,
}

impl Archive {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, tail: Tail::EMPTY, edge: Edge::default(), entries: Vec::new() }
    }

    fn with(count: u64) -> Self {
        let mut archive = Self::new();
        (0..count).for_each(|number| archive.log(release(number)));
        archive.commit();
        archive
    }

    pub(crate) fn log(&mut self, event: Event) {
        let (_, bytes) = self.tail.append(&AwsLcRs, event).unwrap();
        for (tile, bytes) in self.edge.append(&AwsLcRs, leaf_hash(&AwsLcRs, &bytes)) {
            self.write(&tile.path(), &bytes);
        }
        self.entries.push(bytes);
    }

    pub(crate) fn commit(&self) {
        self.commit_with(|text| vec![Signer::log().sign(text)]);
    }

    fn commit_with(&self, lines: impl Fn(&str) -> Vec<String>) {
        let head = self.head();
        for (place, entries) in self.entries.chunks(256).enumerate() {
            let tile = Tile::in_tree(Level::Entries, u64::try_from(place).unwrap(), head.size).unwrap();
            self.write(&tile.path(), &bundle(entries.iter().map(Vec::as_slice)).unwrap());
        }
        self.edge.partial().for_each(|(tile, bytes)| self.write(&tile.path(), &bytes));
        let text = Checkpoint { origin: Origin::new(ORIGIN).unwrap(), head }.to_text();
        self.write("checkpoint", &SignedNote::assemble(&text, &lines(&text)).unwrap());
    }

    pub(crate) fn size(&self) -> u64 {
        self.tail.count()
    }

    fn head(&self) -> Head {
        self.edge.head(&AwsLcRs)
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.at(path)).unwrap()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn words(&self, verb: &str, more: &[&str]) -> Ran {
        cloudtaser(&[&["evidence", "log", verb, self.dir.path().to_str().unwrap()], more].concat())
    }

    /// `evidence log verify` with the key pinned.
    fn verify(&self, more: &[&str]) -> Ran {
        self.words("verify", &[&["--key", &Signer::log().vkey()], more].concat())
    }

    /// Puts other entries into the only bundle.
    fn replace(&self, entries: &[Vec<u8>]) {
        let path = format!("tile/entries/000.p/{}", self.entries.len());
        self.write(&path, &bundle(entries.iter().map(Vec::as_slice)).unwrap());
    }
}

pub(crate) fn record(number: u64) -> Vec<u8> {
    format!("the record of {number}").into_bytes()
}

pub(crate) fn release(number: u64) -> Event {
    let policy = PolicyRef { name: Text::new("payments").unwrap(), version: number, digest: Digest([5; 32]) };
    Event {
        kind: Kind::Admission,
        at: UnixTime(1_795_284_000).plus(number),
        decision: DecisionId(AwsLcRs.sha256(&[&number.to_be_bytes()])),
        under: None,
        request: Text::new(format!("release of 5a17ed version {number}")).unwrap(),
        record: RecordDigest::of(&AwsLcRs, &record(number)),
        subject: Subject {
            platform: Some(Platform::SevSnp),
            hardware: Some(Digest([u8::try_from(number % 2).unwrap(); 32])),
            policy: Some(policy),
            secret: Some(SecretRef { name: SaltedName(Digest([7; 32])), version: number }),
            valid_until: Some(UnixTime(1_795_287_600).plus(number)),
            ..Subject::default()
        },
    }
}

/// The first line of what came out.
fn headline(ran: &Ran) -> &str {
    ran.out.lines().next().unwrap()
}

/// The check that failed and what it found.
fn refused(ran: Ran) -> (String, String) {
    let ran = ran.ends(1);
    let checks = ran.json()["checks"].clone();
    let failing: Vec<&Value> =
        checks.as_array().unwrap().iter().filter(|check| check["verdict"] == "fail").collect();
    assert_eq!(failing.len(), 1, "{checks}");
    let text = |name: &str| failing[0][name].as_str().unwrap().to_owned();
    (text("id"), text("found"))
}

#[track_caller]
fn assert_refused(archive: &Archive, more: &[&str], id: &str, found: &str) {
    let (id_found, why) = refused(archive.verify(&[&["-o", "json"], more].concat()));
    assert_eq!((id_found.as_str(), why.as_str()), (id, found));
}

#[test]
fn an_honest_log_is_accepted_and_described() {
    let ran = Archive::with(300).verify(&[]).ends(0);
    let expected = "ACCEPTED: 300 entries of bao.example/attest-keys are what the checkpoint says";
    assert_eq!(headline(&ran), expected);
    assert!(ran.out.contains("pass    8 of 8 checks"), "{}", ran.out);
    assert!(ran.out.contains("admission  300"), "{}", ran.out);
    let json = Archive::with(300).verify(&["-o", "json"]).ends(0).json();
    assert_eq!(
        (&json["verdict"], &json["size"], &json["authenticated"]),
        (&"accepted".into(), &300.into(), &true.into())
    );
    assert_eq!(json["root"], Archive::with(300).head().root.to_string());
}

#[test]
fn a_log_without_entries_is_a_log() {
    let ran = Archive::with(0).verify(&[]).ends(0);
    assert_eq!(headline(&ran), "ACCEPTED: 0 entries of bao.example/attest-keys are what the checkpoint says");
}

#[test]
fn a_key_is_pinned_in_any_usual_form() {
    let archive = Archive::with(3);
    let log = Signer::log();
    archive.write("log.vkey", format!("{}\n", log.vkey()).as_bytes());
    archive.write("log.key", &log.key.key);
    let (vkey, raw) = (archive.at("log.vkey"), archive.at("log.key"));
    archive.words("verify", &["--key", vkey.to_str().unwrap()]).ends(0);
    archive.words("verify", &["--key", raw.to_str().unwrap(), "--origin", ORIGIN]).ends(0);
    archive.words("verify", &["--key", &hex::encode(log.key.key), "--origin", ORIGIN]).ends(0);
    let ran = archive.words("verify", &["--key", &hex::encode(log.key.key)]).ends(2);
    let nameless = "not judged: expected --origin with a key that has no name in it, found none (log.key)\n";
    assert_eq!(ran.err, nameless);
    let ran = archive.words("verify", &["--key", &Signer::witness(1).vkey()]).ends(2);
    let other =
        "not judged: expected the log's key (type 1), found a witness's: witness.example/w1 (log.key)\n";
    assert_eq!(ran.err, other);
}

#[test]
fn without_a_key_nothing_is_judged_unless_somebody_insists() {
    let archive = Archive::with(3);
    let ran = archive.words("verify", &[]).ends(2);
    assert!(
        ran.err
            .starts_with("not judged: checkpoint of bao.example/attest-keys names bao.example/attest-keys+")
    );
    assert!(ran.err.ends_with("(log.unpinned)\n"), "{}", ran.err);
    let ran = archive.words("verify", &["--insecure-any-key"]).ends(0);
    let mark = "UNAUTHENTICATED: no signature was checked, anybody may have written this";
    assert_eq!((ran.lines().first(), ran.lines().last()), (Some(&mark), Some(&mark)));
}

#[test]
fn what_is_not_there_or_no_checkpoint_is_not_judged() {
    let archive = Archive::new();
    let ran = archive.verify(&[]).ends(2);
    assert!(ran.err.ends_with("(input.unreadable)\n"), "{}", ran.err);
    archive.write("checkpoint", b"nothing\n");
    let ran = archive.verify(&[]).ends(2);
    assert!(
        ran.err
            .ends_with("not a signed note: expected signatures under the text (log.checkpoint.malformed)\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_checkpoint_of_another_key_or_log_is_refused() {
    let archive = Archive::with(3);
    let other = Signer::new(ORIGIN, SignatureKind::Ed25519, 9);
    let ran = archive.words("verify", &["-o", "json", "--key", &other.vkey()]);
    let names = |signer: &Signer| format!("{ORIGIN}+{}", signer.key.id(&AwsLcRs));
    let why = format!("expected a signature by {}, found {}", names(&other), names(&Signer::log()));
    assert_eq!(refused(ran), ("log.checkpoint".to_owned(), why));
    let why = format!("checkpoint of another log: expected origin \"elsewhere\", found {ORIGIN:?}");
    assert_refused(&archive, &["--origin", "elsewhere"], "log.checkpoint", &why);
}

#[test]
fn a_checkpoint_that_was_edited_is_refused() {
    let archive = Archive::with(3);
    let text = String::from_utf8(archive.read("checkpoint")).unwrap();
    archive.write("checkpoint", text.replacen("\n3\n", "\n2\n", 1).as_bytes());
    let why = format!("the signature by {ORIGIN}+{} does not verify", Signer::log().key.id(&AwsLcRs));
    assert_refused(&archive, &[], "log.checkpoint", &why);
}

#[test]
fn an_entry_taken_out_put_elsewhere_or_edited_is_named() {
    let archive = Archive::with(9);
    let entries = &archive.entries;
    let mut gap = entries.clone();
    gap.remove(4);
    archive.replace(&gap);
    assert_refused(&archive, &[], "log.order", "gap: expected entry 4, found entry 5");
    let mut swapped = entries.clone();
    swapped.swap(2, 6);
    archive.replace(&swapped);
    assert_refused(&archive, &[], "log.order", "reordered: expected entry 2, found entry 6");
    let mut edited = entries.clone();
    let mut entry = attest::log::Entry::decode(&edited[5]).unwrap();
    entry.event.kind = Kind::Refusal;
    edited[5] = entry.encode().unwrap();
    archive.replace(&edited);
    let hash = |bytes: &[u8]| leaf_hash(&AwsLcRs, bytes).0;
    let why =
        format!("entry 5 was edited: expected leaf hash {}, found {}", hash(&entries[5]), hash(&edited[5]));
    assert_refused(&archive, &[], "log.entries", &why);
    archive.replace(&entries[..8]);
    assert_refused(
        &archive,
        &[],
        "log.complete",
        "gap: expected entry 8 in tile/entries/000.p/9, found its end",
    );
    archive.replace(entries);
    archive.verify(&[]).ends(0);
}

#[test]
fn a_tile_that_is_missing_or_edited_is_named() {
    let archive = Archive::with(9);
    let path = "tile/0/000.p/9";
    let mut tile = archive.read(path);
    tile[32] ^= 1;
    archive.write(path, &tile);
    let why = format!(
        "{path} is not the entries': expected {}, found {}",
        leaf_hash(&AwsLcRs, &archive.entries[1]).0,
        hex::encode(&tile[32..64])
    );
    assert_refused(&archive, &[], "log.tiles", &why);
    std::fs::remove_file(archive.at(path)).unwrap();
    let why = "expected tile/0/000.p/9 in a log of 9 entries, found no such file";
    assert_refused(&archive, &[], "log.complete", why);
}

#[test]
fn a_log_written_anew_under_its_own_key_is_a_fork_of_what_was_kept() {
    let (old, mut new) = (Archive::with(5), Archive::new());
    for number in 0..8 {
        let mut event = release(number);
        event.at = UnixTime(event.at.0 + u64::from(number == 3));
        new.log(event);
    }
    new.commit();
    new.verify(&[]).ends(0);
    let kept = old.at("checkpoint");
    let since = ["--since", kept.to_str().unwrap()];
    let mut edge = Edge::default();
    for bytes in &new.entries[..5] {
        edge.append(&AwsLcRs, leaf_hash(&AwsLcRs, bytes));
    }
    let (expected, found) = (old.head().root, edge.head(&AwsLcRs).root);
    let why = format!("fork: the first 5 entries had another root: expected {expected}, found {found}");
    assert_refused(&new, &since, "log.append_only", &why);
    let why = "the log shrank: expected at least 5 entries, found 4";
    assert_refused(&Archive::with(4), &since, "log.append_only", why);
    let json = Archive::with(8).verify(&[&since[..], &["-o", "json"]].concat()).ends(0).json();
    let asked: Vec<&str> =
        json["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap()).collect();
    assert!(asked.contains(&"log.append_only"), "{asked:?}");
}

#[test]
fn a_kept_checkpoint_that_nobody_signed_proves_nothing() {
    let (archive, other) = (Archive::with(5), Archive::with(3));
    other.commit_with(|text| vec![Signer::new(ORIGIN, SignatureKind::Ed25519, 9).sign(text)]);
    let kept = other.at("checkpoint");
    let ran = archive.verify(&["--since", kept.to_str().unwrap()]).ends(2);
    assert!(ran.err.ends_with("(log.since.unsigned)\n"), "{}", ran.err);
}

#[test]
fn witnesses_are_counted() {
    let archive = Archive::with(5);
    let [one, two, three] = [1, 2, 3].map(Signer::witness);
    archive.commit_with(|text| {
        vec![Signer::log().sign(text), one.cosign(text, 1_795_284_000), three.cosign(text, 7)]
    });
    let all = ["--witness", &one.vkey(), "--witness", &two.vkey(), "--witness", &three.vkey()];
    let ran = archive.verify(&[&all[..], &["--witness-threshold", "2"]].concat()).ends(0);
    assert!(ran.out.contains("witness.example/w1 at 2026-11-21T18:00:00Z"), "{}", ran.out);
    let why = "expected cosignatures of 3 of 3 witnesses, found 2 (witness.example/w1, witness.example/w3)";
    assert_refused(&archive, &all, "log.witnesses", why);
    let ran = archive.verify(&[&all[..], &["--witness-threshold", "4"]].concat()).ends(2);
    let why = "not judged: expected a threshold of 1 to 3 witnesses, found 4 (log.witness.key)\n";
    assert_eq!(ran.err, why);
    archive.verify(&["--witness-threshold", "1"]).ends(2);
}

#[test]
fn records_are_those_that_were_logged() {
    let archive = Archive::with(3);
    let file = |number: u64| format!("records/{}.cbor", release(number).decision);
    archive.write(&file(0), &record(0));
    // What a server hands out has other objects beside the record that was signed.
    let objects = vec![b"a certificate".to_vec().into()];
    let bundle = attest::File { record: record(2).into(), objects, position: None };
    archive.write(&file(2), &bundle.to_cbor().unwrap());
    let ran = archive.verify(&[]).ends(0);
    assert!(ran.out.contains("2 as logged, 1 not in the directory"), "{}", ran.out);
    let why =
        format!("expected the record of decision {} for entry 1, found no such file", release(1).decision);
    assert_refused(&archive, &["--require-records"], "log.records", &why);
    archive.write(&file(1), &record(7));
    let (expected, found) = [1, 7].map(|n| RecordDigest::of(&AwsLcRs, &record(n))).into();
    let why = format!("the record of entry 1 is another file: expected digest {expected}, found {found}");
    assert_refused(&archive, &[], "log.records", &why);
    std::fs::create_dir_all(archive.at("elsewhere")).unwrap();
    let elsewhere = archive.at("elsewhere");
    archive.verify(&["--records", elsewhere.to_str().unwrap()]).ends(0);
}

#[test]
fn entries_are_shown_one_to_a_line() {
    let archive = Archive::with(300);
    let ran = archive.words("show", &["--from", "298", "--key", &Signer::log().vkey()]).ends(0);
    let lines = ran.lines();
    assert_eq!(lines.len(), 2);
    let start =
        "298 2026-11-21T18:04:58Z admission release of 5a17ed version 298, platform sev-snp, hardware 0000";
    assert!(lines[0].starts_with(start), "{}", lines[0]);
    let ran = archive.words("show", &["--from", "299", "-o", "json"]).ends(0);
    let line: Value = serde_json::from_str(ran.lines()[0]).unwrap();
    assert_eq!((&line["log"], &line["index"]), (&ORIGIN.into(), &299.into()));
    assert_eq!(
        (&line["event"]["kind"], &line["event"]["subject"]["secret"]["version"]),
        (&"admission".into(), &299.into())
    );
    assert_eq!(line["clock"], "2026-11-21T18:04:59Z");
    assert_eq!(line["digest"], attest::log::EntryDigest::of(&AwsLcRs, &archive.entries[299]).to_string());
}

#[test]
fn what_nobody_signed_is_shown_as_such_and_what_was_changed_not_at_all() {
    let archive = Archive::with(3);
    let ran = archive.words("show", &[]).ends(0);
    let notice = "UNVERIFIED: the entries are those of the checkpoint, whose signature was not checked";
    assert_eq!(
        (ran.lines().first(), ran.lines().last(), ran.lines().len()),
        (Some(&notice), Some(&notice), 5)
    );
    archive.replace(&archive.entries[..2]);
    let ran = archive.words("show", &["-o", "json"]).ends(1);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("gap: expected entry 2"), "{}", ran.err);
}

#[test]
fn a_recall_says_who_was_given_what_until_when() {
    let archive = Archive::with(6);
    let key = Signer::log().vkey();
    let chip = format!("hardware={}", "01".repeat(32));
    let ran = archive.words("recall", &[&chip, "--key", &key]).ends(0);
    assert_eq!(headline(&ran), format!("3 releases of 1 secrets to 1 machines, selected by {chip}"));
    assert!(ran.out.contains("5 2026-11-21T18:00:05Z admission release of 5a17ed version 5"), "{}", ran.out);
    let json = archive.words("recall", &["policy=payments@1", "--key", &key, "-o", "json"]).ends(0).json();
    let report = &json["report"];
    assert_eq!((&report["entries"], &report["releases"]), (&6.into(), &2.into()));
    assert_eq!(report["valid_until"], "2026-11-21T19:00:01Z");
    assert_eq!(report["recipients"].as_array().unwrap().len(), 2);
    assert_eq!(report["secrets"][0]["versions"], serde_json::json!([0, 1]));
    assert_eq!(report["secrets"][0]["name"], "07".repeat(32));
}

#[test]
fn a_recall_of_a_spoilt_log_gives_no_report() {
    let archive = Archive::with(6);
    archive.replace(&archive.entries[..5]);
    let key = Signer::log().vkey();
    let json = archive.words("recall", &["platform=sev-snp", "--key", &key, "-o", "json"]).ends(1).json();
    assert_eq!((&json["verdict"], &json["report"]), (&"refused".into(), &Value::Null));
    archive.words("recall", &["platform=sev-snp"]).ends(2);
    let ran = archive.words("recall", &["chip=1", "--key", &key]).ends(2);
    assert!(ran.err.contains("expected hardware=HEX, instance=HEX"), "{}", ran.err);
}
