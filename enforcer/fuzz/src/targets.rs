//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use enforcer::btf::{Btf, Error};
use enforcer::elf::{self, Kind};
use enforcer::guards::trial::{LENGTH, Refusal, Told, Trial};
use enforcer::guards::trusted::{List as Trusted, MOST, Void};
use enforcer::succession::glass::{self, Action, Statement};
use enforcer::succession::list::{self, List};
use enforcer::succession::signed::{NO_KEY, Unsigned, open};
use enforcer_abi::{Guard, Mode, Vector};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// The kernel's types: what is found is there, within its structure, and what is not there is named.
pub fn btf(bytes: &[u8]) {
    let Ok(types) = Btf::parse(bytes) else { return };
    for path in [&["a"][..], &["b"], &["c"], &["in", "b"], &[]] {
        let whole = [&["outer"][..], path].concat().join(".");
        match types.offset("outer", path) {
            Ok(at) => {
                let size = size(bytes, "outer").expect("a structure out of nothing");
                assert!(at <= size, "{whole} at {at} of {size} bytes");
                assert!(path.iter().all(|name| holds(bytes, name.as_bytes())), "a field out of nothing");
            }
            Err(Error::Absent(what)) if what == "outer" => assert_eq!(size(bytes, "outer"), None),
            Err(Error::Absent(what)) => assert_eq!(what, whole),
            Err(error) => assert!(matches!(error, Error::Bits(_) | Error::Short("a structure")), "{error}"),
        }
    }
    match types.function("f") {
        Ok(number) => assert!(number > 0 && size_of_types(number) <= bytes.len() && holds(bytes, b"f")),
        Err(error) => assert_eq!(types.arguments("f"), Err(error), "one reason"),
    }
    if let Ok(count) = types.arguments("f") {
        assert!(
            usize::try_from(count).is_ok_and(|count| 8 * count < bytes.len()),
            "arguments out of nothing"
        );
    }
    assert!(types.tracepoint("t").is_err() || holds(bytes, b"btf_trace_t"));
    for found in types.enumerators(&["ONE"]).into_iter().flatten() {
        assert!(holds(bytes, b"ONE") && holds(bytes, &found.to_ne_bytes()), "a number out of nothing");
    }
    let absent = "no_name_of_any_kernel";
    if !holds(bytes, absent.as_bytes()) {
        let error = || Error::Absent(absent.to_owned());
        assert_eq!(types.offset(absent, &["a"]), Err(error()));
        assert_eq!(types.function(absent), Err(error()));
        assert_eq!(types.arguments(absent), Err(error()));
        assert_eq!(types.tracepoint(absent), Err(Error::Absent(format!("tracepoint {absent}"))));
        assert_eq!(types.enumerators(&[absent]), [None]);
    }
    let longer = [bytes, b"\0outer\0"].concat();
    let again = Btf::parse(&longer).expect("what lies behind the sections is in none");
    assert_eq!(again.offset("outer", &["b"]), types.offset("outer", &["b"]));
}

/// Another reading: the size of the first structure or union of this name.
fn size(bytes: &[u8], wanted: &str) -> Option<u32> {
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let place = |at: usize| usize::try_from(word(at)?).ok();
    let strings = place(4)? + place(16)?;
    let strings = bytes.get(strings..strings + place(20)?)?;
    let mut at = place(4)? + place(8)?;
    let end = at + place(12)?;
    while at < end {
        let name = strings.get(place(at)?..).unwrap_or_default().split(|byte| *byte == 0).next();
        let (kind, count) = (word(at + 4)? >> 24 & 31, place(at + 4)? & 0xffff);
        if matches!(kind, 4 | 5) && name == Some(wanted.as_bytes()) {
            return word(at + 8);
        }
        at += 12
            + match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * count,
                6 | 13 => 8 * count,
                _ => 0,
            };
    }
    None
}

/// What so many types take at least.
fn size_of_types(count: u32) -> usize {
    usize::try_from(count).map_or(usize::MAX, |count| count.saturating_mul(12))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A newcomer's file: what is whole is so for the kernel, too, and what follows the headers changes nothing.
pub fn elf(bytes: &[u8]) {
    let kind = kind(bytes);
    let read = executed(bytes);
    let expected = match &read {
        _ if bytes.starts_with(b"#!") => Kind::Script,
        None => Kind::Other,
        Some(headers) if headers.contains(&3) => Kind::Loads,
        Some(_) => Kind::Whole,
    };
    assert_eq!(kind, expected, "{read:?}");
    if kind != Kind::Other {
        let interpreter = [3_u32.to_ne_bytes().as_slice(), &[0; 52]].concat();
        assert_eq!(self::kind(&[bytes, &interpreter].concat()), kind, "what lies behind counts");
    }
}

fn kind(bytes: &[u8]) -> Kind {
    let mut file = File::from(memfd_create("program", MemfdFlags::CLOEXEC).expect("a file in memory"));
    file.write_all(bytes).expect("written");
    elf::kind(&file).expect("whatever is in a file that can be read is of some kind")
}

/// The kinds of the program headers, where the kernel executes it, as `load_elf_binary` comes to them.
fn executed(bytes: &[u8]) -> Option<Vec<u32>> {
    let half = |at: usize| Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    let machine = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    let order = if cfg!(target_endian = "little") { 1 } else { 2 };
    let ours = bytes.starts_with(&[0x7f, b'E', b'L', b'F', 2, order]);
    if !ours || !matches!(half(16)?, 2 | 3) || half(18)? != machine || half(54)? != 56 {
        return None;
    }
    let start = usize::try_from(u64::from_ne_bytes(*bytes.get(32..)?.first_chunk()?)).ok()?;
    let length = usize::from(half(56)?) * 56;
    if length == 0 || length > 4096 {
        return None;
    }
    let headers = bytes.get(start..start.checked_add(length)?)?;
    headers.chunks(56).map(|header| header.first_chunk().copied().map(u32::from_ne_bytes)).collect()
}

/// The key that the targets sign with; with the same bytes, the corpora were signed.
fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn sign(domain: &str, line: &[u8]) -> String {
    hex::encode(key().sign(&[domain.as_bytes(), line].concat()).to_bytes())
}

/// What was opened of these bytes as they are, and of these bytes as the key's holder signs them: never more than was signed,
/// for this and by this key, and written in the one way.
fn opened<T: DeserializeOwned + Serialize>(text: &str, domain: &str, longest: usize) -> Vec<(String, T)> {
    let public = key().verifying_key().to_bytes();
    let read = |text: &str, domain: &str, key: &[u8; 32]| open::<T>(text, longest, domain, key);
    let signed = format!("{text}\n{}\n", sign(domain, text.as_bytes()));
    let mut all = Vec::new();
    for text in [text, &signed] {
        match read(text, domain, &public) {
            Ok(statement) => {
                let (line, signature) = text.trim_end().split_once('\n').expect("a line and its signature");
                assert_eq!(signature.to_lowercase(), sign(domain, line.as_bytes()), "nobody signed it");
                assert_eq!(serde_json::to_string(&statement).expect("written"), line, "two spellings");
                misused(|text, domain, key| read(text, domain, key).err(), text, domain);
                all.push((text.to_owned(), statement));
            }
            Err(Unsigned::Words(_)) => {
                let line = text.split('\n').next().expect("a line");
                let signature = sign(domain, line.as_bytes());
                assert!(text.to_lowercase().contains(&signature), "words of a stranger were read");
            }
            Err(Unsigned::Form) => {
                assert!(text != signed || signed.len() > longest || text.trim_end().lines().count() != 2);
            }
            Err(error) => {
                assert!(error == Unsigned::Signature && text != signed, "our own was refused: {error}");
            }
        }
    }
    all
}

/// A text that is accepted, as something else, by other keys, and with any bit of its line changed.
fn misused(refusal: impl Fn(&str, &str, &[u8; 32]) -> Option<Unsigned>, text: &str, domain: &str) {
    let public = key().verifying_key().to_bytes();
    for other in ["", "cloudtaser enforcer", list::DOMAIN, glass::DOMAIN] {
        assert_eq!(refusal(text, other, &public).is_none(), other == domain, "signed as something else");
    }
    let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
    assert_eq!(refusal(text, domain, &stranger), Some(Unsigned::Signature));
    assert_eq!(refusal(text, domain, &NO_KEY), Some(Unsigned::NoKey));
    let length = text.split('\n').next().map_or(0, str::len);
    for at in 0..length {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1 << (at % 7);
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let refusal = refusal(&changed, domain, &public);
        assert!(matches!(refusal, Some(Unsigned::Signature | Unsigned::Form)), "{at}: {refusal:?}");
    }
}

/// A list of successors: who asks stands on it, in time, and no list is used after a later one.
pub fn successors(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let key = &key().verifying_key().to_bytes();
    for (text, List { serial, successors }) in opened::<List>(text, list::DOMAIN, 64 * 1024) {
        let judged =
            |serial, program: &_, now| list::judge(&text, &list::Asked { key, serial, program, now });
        for one in &successors {
            let first = successors.iter().find(|other| other.program == one.program).expect("itself");
            let until = first.not_after;
            if let Some(last) = until.checked_sub(1) {
                assert_eq!(judged(serial, &one.program, last), Ok((serial, first.clone())));
            }
            assert!(matches!(judged(0, &one.program, until), Err(list::Refusal::Late { .. })), "too late");
            if let Some(next) = serial.checked_add(1) {
                assert_eq!(judged(next, &one.program, 0), Err(list::Refusal::Serial(next, serial)));
            }
        }
        let stranger = [0x5a; 32];
        if successors.iter().all(|one| one.program != stranger) {
            assert_eq!(judged(0, &stranger, 0), Err(list::Refusal::Unlisted(serial, stranger)));
        }
    }
}

/// A break-glass statement: good for its node, its challenge, its action and its time, and for no other.
pub fn statement(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let key = &key().verifying_key().to_bytes();
    for (text, said) in opened::<Statement>(text, glass::DOMAIN, 4096) {
        let Statement { from, until, action, challenge, .. } = said.clone();
        let node = &Sha256::digest(&said.node).into();
        let other = if action == Action::Detach { Action::Change } else { Action::Detach };
        let good = glass::Asked { key, node, challenge: &challenge, action, now: from };
        let redeemed = |asked: &_| glass::redeem(&text, asked);
        let late = |now| Err(glass::Refusal::Time(from, until, now));
        assert_eq!(redeemed(&good), if from < until { Ok(said.clone()) } else { late(from) });
        assert_eq!(redeemed(&glass::Asked { now: until, ..good }), late(until));
        if let Some(now) = from.checked_sub(1) {
            assert_eq!(redeemed(&glass::Asked { now, ..good }), late(now));
        }
        let elsewhere = redeemed(&glass::Asked { node: &[0; 32], ..good });
        assert_eq!(elsewhere, Err(glass::Refusal::Node(said.node)));
        let mut drawn = challenge;
        drawn[31] ^= 1;
        let again = redeemed(&glass::Asked { challenge: &drawn, ..good });
        assert_eq!(again, Err(glass::Refusal::Challenge(challenge, drawn)));
        let more = redeemed(&glass::Asked { action: other, ..good });
        assert_eq!(more, Err(glass::Refusal::Action(action, other)));
    }
}

/// The list of trusted programs: nothing is read out of it that a plain reading does not find, and no entry allows more than it
/// names.
pub fn trusted_list(bytes: &[u8]) {
    let path = Path::new("/etc/enforcer.toml");
    let unknown = [b"unknown = 1\n", bytes].concat();
    assert!(Trusted::of(path, Ok(&unknown)).is_err(), "an unknown word goes unseen");
    let refused = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(Trusted::of(path, Err(&refused)).is_err());
    let list = match Trusted::of(path, Ok(bytes)) {
        Ok(list) => list,
        Err(error) => return assert!(matches!(error, Void::List { .. }), "{error}"),
    };
    assert!(list.trusted.len() <= MOST);
    let text = str::from_utf8(bytes).expect("a list is text");
    let table: toml::Table = text.parse().expect("a list is a table");
    assert!(table.keys().all(|word| word == "trusted"));
    let none = Vec::new();
    let read = table.get("trusted").map_or(&none, |trusted| trusted.as_array().expect("entries"));
    assert_eq!(list.trusted.len(), read.len());
    for (entry, read) in list.trusted.iter().zip(read) {
        let read = read.as_table().expect("an entry is a table");
        assert!(read.keys().all(|word| WORDS.contains(&word.as_str())));
        let said = |word| read.get(word).and_then(toml::Value::as_str);
        assert_eq!(entry.path.to_str(), said("path"));
        assert_eq!(entry.sha256.as_deref(), said("sha256"));
        assert_eq!(entry.cgroup.as_deref().and_then(Path::to_str), said("cgroup"));
        let yes = |word| read.get(word).and_then(toml::Value::as_bool).unwrap_or(false);
        assert_eq!((entry.children, entry.loads), (yes("children"), yes("loads")));
        let named = read.get("vectors").map(|vectors| vectors.as_array().expect("names"));
        let of_node = |one: &toml::Value| {
            one.as_str().and_then(Vector::named).is_some_and(|vector| vector.guard() == Guard::Node)
        };
        assert_eq!(entry.allowed().is_ok(), named.is_none_or(|all| all.iter().all(of_node)));
        let Ok(allowed) = entry.allowed() else { continue };
        for vector in Vector::ALL {
            let named = named.is_none_or(|all| all.iter().any(|one| one.as_str() == Some(vector.row().name)));
            let allowed = allowed >> vector.number() & 1 == 1;
            assert_eq!(allowed, named && vector.guard() == Guard::Node, "{vector:?}");
        }
    }
}

/// The words of an entry.
const WORDS: [&str; 6] = ["path", "sha256", "cgroup", "vectors", "children", "loads"];

/// What is remembered of a trial: only this policy's digest confirms it, nobody is locked out for longer than one period from
/// now, and another start changes nothing.
pub fn trial(bytes: &[u8]) {
    let Some((remembered, rest)) = bytes.split_first_chunk::<LENGTH>() else { return };
    let Some((now, file)) = rest.split_first_chunk() else { return };
    let (now, file) = (u64::from_ne_bytes(*now) >> 1, str::from_utf8(file).ok());
    let period = Duration::from_mins(15);
    let told = Told { period, refuses: true, policy: [7; 32], remembered: *remembered, file, now };
    let first = Trial::begin(&told);

    let in_kernel = remembered.ends_with(&told.policy);
    let in_file = file.is_some_and(|file| file.contains(&"07".repeat(32)));
    let stands = first.clone().confirm(now + 1);
    assert!(stands != Err(Refusal::Confirmed) || in_kernel || in_file, "confirmed by nobody");
    assert!(stands != Err(Refusal::Lapsed) || in_kernel, "it ended before it began");
    assert!(
        !matches!(stands, Err(Refusal::Session | Refusal::None)),
        "who can come in cannot confirm: {stands:?}"
    );
    if !in_kernel && !in_file {
        assert_eq!(first.clone().confirm(now), Err(Refusal::Session), "a session from before");
    }

    let mut later = first.clone();
    let end = now + u64::try_from(period.as_nanos()).expect("a quarter of an hour");
    let lapsed = later.lapses(end) || stands == Err(Refusal::Lapsed);
    assert_eq!(lapsed, stands != Err(Refusal::Confirmed), "it goes on without a confirmation");
    for vector in Vector::ALL {
        let mode = later.mode(*vector, Mode::Enforce);
        let only_tells = lapsed && vector.guard() == Guard::Node;
        assert_eq!(mode, if only_tells { Mode::Detect } else { Mode::Enforce }, "{vector:?}");
    }

    for trial in [first, later] {
        let again = Told { remembered: trial.remember(), file: None, now: end, ..told };
        assert_eq!(Trial::begin(&again).remember(), trial.remember(), "another start begins it anew");
        let other = Trial::begin(&Told { policy: [8; 32], ..again });
        assert_eq!(other.clone().confirm(end), Err(Refusal::Session), "another policy's trial");
        assert_eq!(other.clone().confirm(end + 1), Ok(()));
        let without = Trial::begin(&Told { refuses: false, ..again });
        assert_eq!(without.clone().confirm(end + 1), Err(Refusal::None));
    }
}
