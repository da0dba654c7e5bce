//! What hostile lengths cost: a length field that says "four gigabytes" makes no reader ask for more memory than
//! the bytes that came.
//!
//! A test binary of its own, because it counts every allocation of the process.
#![expect(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on fails there"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use attest::crypto::AwsLcRs;
use attest::eventlog::EventLog;
use attest::ima::ImaLog;
use attest::policy::SignedPolicy;
use attest::{Bundle, Endorsements, Evidence, Parcel, Part, Platform, Policy, parcel, snp};

/// The system's allocator, with a count of what is in use and of the most there ever was.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static TURN: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: each method hands its arguments to the system's allocator unchanged, and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = IN_USE.fetch_add(layout.size(), Ordering::SeqCst).wrapping_add(layout.size());
        MOST.fetch_max(used, Ordering::SeqCst);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: the caller keeps `dealloc`'s contract, which is the same; the block came from there.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that were in use at once while `work` ran, beyond those before it.
fn most(work: impl FnOnce()) -> usize {
    let before = IN_USE.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    work();
    MOST.load(Ordering::SeqCst).saturating_sub(before)
}

/// A way to read bytes.
type Reader = fn(&[u8]);

const READERS: [(&str, Reader); 15] = [
    ("snp_report", |bytes| drop(Evidence::parse(Platform::SevSnp, bytes))),
    ("certificate_table", |bytes| drop(snp::certificates(bytes))),
    ("tpm_quote", |bytes| drop(Evidence::parse(Platform::Tpm2, bytes))),
    ("tdx_quote", |bytes| drop(Evidence::parse(Platform::Tdx, bytes))),
    ("nitro_document", |bytes| drop(Evidence::parse(Platform::Nitro, bytes))),
    ("nitro_document", |bytes| drop(Evidence::parse(Platform::NitroTpm, bytes))),
    ("hcl_report", |bytes| drop(Evidence::parse(Platform::AzureSnp, bytes))),
    ("hcl_report", |bytes| drop(Evidence::parse(Platform::AzureTdx, bytes))),
    ("event_log", |bytes| drop(EventLog::parse_all(bytes))),
    ("ima_log", |bytes| drop(ImaLog::parse(bytes))),
    ("tcb_info", documents),
    ("qe_identity", documents),
    ("bundle", |bytes| drop(Bundle::insecure_peek(bytes, &AwsLcRs))),
    ("signed_policy", |bytes| drop(SignedPolicy::insecure_peek(bytes))),
    ("policy", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        drop(Policy::parse(&AwsLcRs, &text));
    }),
];

fn documents(bytes: &[u8]) {
    let bag = Endorsements { documents: vec![bytes.to_vec()], ..Endorsements::default() };
    drop(bag.readable());
}

/// What any reader may need beside a small multiple of its input: error texts, tables.
const CONSTANT: usize = 64 * 1024;
/// How much larger than the bytes what was read may be.
const FACTOR: usize = 64;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Every window of bytes replaced by the greatest number that fits, one after the other.
fn hostile(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let step = (bytes.len() / 400).max(1);
    (0..bytes.len()).step_by(step).flat_map(move |at| {
        [2, 4, 8].map(|width| {
            let mut changed = bytes.to_vec();
            let end = (at + width).min(changed.len());
            changed[at..end].fill(0xff);
            changed
        })
    })
}

#[test]
fn no_length_field_makes_a_reader_ask_for_more_than_came() {
    let _turn = TURN.lock().unwrap();
    for (name, read) in READERS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for input in &inputs {
            let alone = most(|| read(input));
            assert!(alone <= CONSTANT + FACTOR * input.len(), "{name}: {alone} for {} bytes", input.len());
            for changed in hostile(input) {
                let asked = most(|| read(&changed));
                let limit = CONSTANT + FACTOR * changed.len();
                assert!(asked <= limit, "{name}: {asked} bytes asked for {}", changed.len());
            }
        }
    }
}

/// Heads that claim as much as their fields can say, with nothing behind.
#[test]
fn a_claim_of_gigabytes_costs_nothing() {
    let _turn = TURN.lock().unwrap();
    let event = [&[0, 0, 0, 0, 8, 0, 0, 0][..], &[7; 20], &[0xff; 4]].concat();
    let digests =
        [&corpus("event_log").into_iter().find(|log| log.len() > 1000).unwrap()[..69], &[0; 8], &[0xff; 4]];
    let ima = [&[10, 0, 0, 0][..], &[7; 20], &[0xff; 4]].concat();
    let selections = [&[0, 0x40][..], b"\xffTCG\x80\x18", &[0; 29], &[0xff; 29]].concat();
    let part = |part, bytes: &[u8]| parcel::assemble(&[(Part::TpmQuote, &[]), (part, bytes)]);
    for (name, bytes) in [
        ("an event", event.clone()),
        ("the digests of an event", digests.concat()),
        ("an entry of an IMA list", ima.clone()),
        ("several logs", vec![0xff; 64]),
        ("a selection", selections),
        ("a parcel", vec![0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a part", vec![0xa1, 3, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a log in a parcel", part(Part::EventLog, &event)),
        ("a list in a parcel", part(Part::ImaLog, &ima)),
        (
            "CBOR nested to death",
            [vec![0xd2, 0x84, 0x40, 0xa0, 0x5a, 0, 1, 0, 0], vec![0x81; 65536]].concat(),
        ),
        (
            "maps nested to death",
            [vec![0xd2, 0x84, 0x40, 0xa0, 0x5a, 0, 1, 0, 0], vec![0xbf; 65536]].concat(),
        ),
    ] {
        for (reader, read) in READERS {
            let asked = most(|| read(&bytes));
            assert!(asked <= CONSTANT + FACTOR * bytes.len(), "{name}, read as {reader}: {asked} bytes");
        }
        let asked = most(|| drop(Parcel::parse(&bytes)));
        assert!(asked <= CONSTANT + FACTOR * bytes.len(), "{name}, read as a parcel: {asked} bytes");
    }
}

/// The largest input that is read is read within the budget: its own size, and 64 MiB at most.
#[test]
fn the_longest_log_is_read_in_place() {
    let _turn = TURN.lock().unwrap();
    let event = [&[4, 0, 0, 0, 8, 0, 0, 0][..], &[7; 20], &[0; 4]].concat();
    let log = event.repeat(EventLog::MAX_BYTES / event.len());
    let asked = most(|| drop(EventLog::parse(&log)));
    assert!(asked <= CONSTANT, "{asked} bytes for a log of {}", log.len());
    let line = [format!("10 {} ima-ng sha1:{} /x\n", "11".repeat(20), "22".repeat(20))].concat();
    let list = line.repeat(ImaLog::MAX_BYTES / line.len());
    let asked = most(|| drop(ImaLog::parse(list.as_bytes())));
    assert!(asked <= CONSTANT, "{asked} bytes for a list of {}", list.len());
}
