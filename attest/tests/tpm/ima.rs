//! IMA lists: what they prove beside a quote, and what a policy asks of that.

use attest::crypto::{AwsLcRs, Crypto, Hash};
use attest::ima::{Aggregate, ImaLog};
use attest::{Evidence, Malformed, Part, Platform, parcel};

use super::forge::{Key, Statement, Value};
use super::judge::{genuine, quoted, refusals};

/// A list in the making: entries as the kernel has them.
#[derive(Clone, Default)]
struct List(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    template: &'static str,
    /// The fields as they are hashed.
    fields: Vec<Vec<u8>>,
    violation: bool,
}

impl List {
    fn file(mut self, template: &'static str, path: &str) -> Self {
        let digest = [&b"sha256:\0"[..], &AwsLcRs.sha256(&[path.as_bytes()]).0].concat();
        let mut fields = vec![digest, [path.as_bytes(), &[0]].concat()];
        if template == "ima-sig" {
            fields.push(b"signature".to_vec());
        }
        self.0.push(Entry { template, fields, violation: false });
        self
    }

    fn old(mut self, path: &str) -> Self {
        let fields = vec![AwsLcRs.sha1(&[path.as_bytes()]).0.to_vec(), path.as_bytes().to_vec()];
        self.0.push(Entry { template: "ima", fields, violation: false });
        self
    }

    fn violation(self, path: &str) -> Self {
        let mut list = self.file("ima-ng", path);
        list.0.last_mut().unwrap().violation = true;
        list
    }

    fn usual() -> Self {
        Self::default().file("ima-ng", "/init").file("ima-sig", "/bin/sh").file("ima-ng", "/etc/passwd")
    }

    fn binary(&self) -> Vec<u8> {
        self.0.iter().flat_map(Entry::binary).collect()
    }

    fn ascii(&self) -> Vec<u8> {
        self.0.iter().flat_map(|entry| entry.ascii().into_bytes()).collect()
    }

    /// PCR 10 of the SHA-256 bank.
    fn pcr(&self) -> Vec<u8> {
        let extended = self
            .0
            .iter()
            .map(|entry| if entry.violation { [0xff; 32] } else { AwsLcRs.sha256(&[&entry.hashed()]).0 });
        extended.fold([0; 32], |value, digest| AwsLcRs.sha256(&[&value, &digest]).0).to_vec()
    }

    /// The same on an old kernel, which pads SHA-1.
    fn padded_pcr(&self) -> Vec<u8> {
        let extended =
            self.0.iter().map(|entry| [&AwsLcRs.sha1(&[&entry.hashed()]).0[..], &[0; 12]].concat());
        extended.fold([0; 32], |value, digest| AwsLcRs.sha256(&[&value, &digest]).0).to_vec()
    }
}

impl Entry {
    fn hashed(&self) -> Vec<u8> {
        if self.template == "ima" {
            let mut bytes = self.fields.concat();
            bytes.resize(276, 0);
            return bytes;
        }
        self.fields.iter().flat_map(|field| sized(field)).collect()
    }

    fn recorded(&self) -> [u8; 20] {
        if self.violation { [0; 20] } else { AwsLcRs.sha1(&[&self.hashed()]).0 }
    }

    fn binary(&self) -> Vec<u8> {
        let mut bytes = [&[10, 0, 0, 0][..], &self.recorded(), &sized(self.template.as_bytes())].concat();
        if self.template == "ima" {
            bytes.extend(&self.fields[0]);
            bytes.extend(sized(&self.fields[1]));
        } else {
            bytes.extend(sized(&self.hashed()));
        }
        bytes
    }

    fn ascii(&self) -> String {
        let path = String::from_utf8(self.fields[1].clone()).unwrap();
        let digest = match self.template {
            "ima" => hex::encode(&self.fields[0]),
            _ => format!("sha256:{}", hex::encode(&self.fields[0][8..])),
        };
        let extra = self.fields.get(2).map_or(String::new(), |extra| format!(" {}", hex::encode(extra)));
        let recorded = hex::encode(self.recorded());
        format!("10 {recorded} {} {digest} {}{extra}\n", self.template, path.trim_end_matches('\0'))
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat()
}

fn sent(list: &[u8], pcrs: &[Value]) -> (Key, Vec<u8>) {
    let key = Key::new();
    let statement = Statement { values: pcrs.to_vec(), ..Statement::quote(b"nonce") };
    let quote = key.evidence(&statement.marshal(), &statement.values);
    (key, parcel::assemble(&[(Part::TpmQuote, &quote), (Part::ImaLog, list)]))
}

fn told(list: &[u8], pcr: Vec<u8>) -> attest::ima::Files {
    let (key, evidence) = sent(list, &[(Hash::Sha256, 10, pcr)]);
    let claims = genuine(&evidence, &key.name());
    quoted(&claims).files.clone().unwrap()
}

fn refused(list: &[u8], pcrs: &[Value]) -> Vec<String> {
    let (key, evidence) = sent(list, pcrs);
    refusals(&evidence, &[key.name()])
}

fn what(list: &[u8]) -> &'static str {
    match ImaLog::parse(list) {
        Err(Malformed::Value { what, .. } | Malformed::Length { what, .. }) => what,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn both_forms_tell_the_same_files() {
    let list = List::usual().old("/old/name");
    let [binary, ascii] = [list.binary(), list.ascii()].map(|bytes| told(&bytes, list.pcr()));
    assert_eq!(binary.files, ascii.files);
    let paths: Vec<&str> = binary.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["/init", "/bin/sh", "/etc/passwd", "/old/name"]);
    assert_eq!(binary.files[1].digest.to_string(), AwsLcRs.sha256(&[b"/bin/sh"]).to_string());
}

#[test]
fn an_old_kernel_pads_what_it_extends() {
    let list = List::usual();
    assert_eq!(told(&list.binary(), list.padded_pcr()).files.len(), 3);
}

#[test]
fn entries_after_the_quote_prove_nothing() {
    let list = List::usual();
    let longer = list.clone().file("ima-ng", "/later").file("ima-ng", "/still/later");
    let files = told(&longer.binary(), list.pcr());
    assert_eq!((files.files.len(), files.later), (3, 2));
}

#[test]
fn a_violation_is_extended_as_ones_and_proves_no_file() {
    let list = List::usual().violation("/changed").file("ima-ng", "/next");
    let files = told(&list.ascii(), list.pcr());
    assert_eq!((files.files.len(), files.violations), (4, 1));
}

#[test]
fn a_list_of_another_machine_is_refused() {
    let (list, other) = (List::usual(), List::default().file("ima-ng", "/init"));
    let pcr = |list: &List| [(Hash::Sha256, 10, list.pcr())];
    assert_eq!(refused(&other.binary(), &pcr(&list)), ["tpm.ima.replay"]);
    let mut short = list.clone();
    short.0.remove(1);
    assert_eq!(refused(&short.ascii(), &pcr(&list)), ["tpm.ima.replay"]);
    assert_eq!(refused(&list.ascii(), &[(Hash::Sha256, 9, list.pcr())]), ["tpm.ima.replay"]);
    assert_eq!(refused(b"", &pcr(&list)), ["tpm.ima.replay"]);
}

/// The digest in the list is what is extended; what stands beside it is believed only if it hashes to that.
#[test]
fn l13_a_file_that_is_not_in_its_digest_is_refused() {
    let list = List::usual();
    let text = String::from_utf8(list.ascii()).unwrap().replace("/etc/passwd", "/etc/shadow");
    assert_eq!(refused(text.as_bytes(), &[(Hash::Sha256, 10, list.pcr())]), ["tpm.ima.replay"]);
}

#[test]
fn the_first_entry_is_of_the_quoted_pcrs() {
    let firmware: Vec<Value> = (0..10).map(|index| (Hash::Sha256, index, vec![0x11; 32])).collect();
    let aggregate = |count: usize| {
        let mut list = List::default().file("ima-ng", "boot_aggregate");
        let digest = AwsLcRs.sha256(&[&vec![0x11; 32 * count]]);
        list.0[0].fields[0] = [&b"sha256:\0"[..], &digest.0].concat();
        list.file("ima-ng", "/init")
    };
    let judged = |list: &List, firmware: &[Value]| {
        let pcrs = [firmware, &[(Hash::Sha256, 10, list.pcr())]].concat();
        let (key, evidence) = sent(&list.binary(), &pcrs);
        let claims = genuine(&evidence, &key.name());
        quoted(&claims).files.clone().unwrap().boot_aggregate
    };
    for count in [8, 10] {
        assert_eq!(judged(&aggregate(count), &firmware), Aggregate::Matches);
    }
    assert_eq!(judged(&aggregate(10), &firmware[..8]), Aggregate::NotQuoted);
    assert_eq!(judged(&aggregate(8), &firmware[..8]), Aggregate::Matches);
    assert_eq!(judged(&aggregate(8), &[]), Aggregate::NotQuoted);
    assert_eq!(judged(&List::usual(), &firmware), Aggregate::Absent);
    let other = aggregate(9);
    let pcrs = [&firmware[..], &[(Hash::Sha256, 10, other.pcr())]].concat();
    assert_eq!(refused(&other.binary(), &pcrs), ["tpm.ima.boot_aggregate"]);
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let line = |rest: &str| format!("10 {} {rest}\n", "11".repeat(20)).into_bytes();
    let digest = "22".repeat(32);
    assert_eq!(what(&line(&format!("evm-sig sha256:{digest} /x"))), "IMA template");
    assert_eq!(what(&line(&format!("ima-ng md5:{digest} /x"))), "algorithm of an IMA entry");
    assert_eq!(what(&line(&format!("ima-ngv2 verity:sha256:{digest} /x"))), "algorithm of an IMA entry");
    assert_eq!(what(&line(&format!("ima-ng sha1:{digest} /x"))), "digest of an IMA entry");
    assert_eq!(what(&line(&format!("ima-ng {digest} /x"))), "line of an IMA list");
    assert_eq!(what(&line(&format!("ima-ng sha256:{digest} /x y"))), "line of an IMA list");
    assert_eq!(what(&line("ima-ng")), "line of an IMA list");
    assert_eq!(what(format!("11 {} ima-ng\n", "11".repeat(20)).as_bytes()), "PCR of an IMA entry");
    let (digest, long) = ("22".repeat(20), "a".repeat(256));
    assert_eq!(what(&line(&format!("ima {digest} {long}"))), "path of an IMA entry");
    assert_eq!(what(&line(&format!("ima-ng sha1:{digest} /a\0b"))), "line of an IMA list");
}

#[test]
fn l23_lengths_of_4_gib_are_refused_by_what_is_left() {
    let list = List::usual().binary();
    for at in [24, 34, 38, 82] {
        let mut bytes = list.clone();
        bytes[at..at + 4].fill(0xff);
        let error = ImaLog::parse(&bytes).unwrap_err();
        assert!(matches!(error, Malformed::Truncated { .. }), "{at}: {error}");
    }
}

#[test]
fn l22_every_cut_of_a_list_ends_in_an_error_or_a_refusal() {
    let list = List::usual();
    let (key, statement) =
        (Key::new(), Statement { values: vec![(Hash::Sha256, 10, list.pcr())], ..Statement::quote(b"n") });
    let quote = key.evidence(&statement.marshal(), &statement.values);
    for bytes in [list.binary(), list.ascii()] {
        // Without its last line feed a list is whole.
        for length in 0..bytes.len() - 1 {
            let bytes = parcel::assemble(&[(Part::TpmQuote, &quote), (Part::ImaLog, &bytes[..length])]);
            if Evidence::parse(Platform::Tpm2, &bytes).is_ok() {
                assert_eq!(refusals(&bytes, &[key.name()]), ["tpm.ima.replay"], "{length}");
            }
        }
    }
}
