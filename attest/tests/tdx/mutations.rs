//! Every change that Intel could sign, before both verifiers: where both accept they say the same, and where
//! only one does the reason is known.

use attest::tdx;
use simulator::tdx::{Body, Collateral, Document, Json, Platform, QuoteBuilder, SgxExtensions, levels};

use crate::machine::Machine;
use crate::opinion::{as_they_say, opinion};

/// Other values than a document has: of the same type, of another, none.
const OTHERS: [&str; 8] =
    ["0", "1", "255", "256", r#""OutOfDate""#, r#""Revoked""#, r#""2026-11-22T00:00:00Z""#, "null"];

/// Where we accept and `dcap-qvl` does not: what it wants of TDX 1.0 even from later modules, and a module
/// version that no module has.
const ONLY_OURS: [&str; 3] = ["/tdxModule left out", "/tdxModule = null", "/isvsvn = 256"];

/// Where `dcap-qvl` accepts and we do not: what it does not read, or would read in a later version.
const ONLY_THEIRS: [&str; 4] = [
    "malformed endorsement document of Intel",
    "tdx.tcb_info.version",
    "tdx.tcb_info.type",
    "tdx.qe_identity.version",
];

#[test]
fn a_changed_tcb_info_leads_both_verifiers_to_the_same_status() {
    let platform = Platform::new(1);
    let mutants = mutants(&platform.tcb_info(), |tcb_info| Collateral { tcb_info, ..platform.collateral() });
    let tally = compare(mutants, &platform.quote().body(Body::Td15));
    assert!(tally.both > 150 && tally.neither > 150, "{tally:#?}");
}

#[test]
fn a_changed_qe_identity_leads_both_verifiers_to_the_same_status() {
    let platform = Platform::new(1);
    let identity = platform.qe_identity();
    let mutants = mutants(&identity, |qe_identity| Collateral { qe_identity, ..platform.collateral() });
    let tally = compare(mutants, &platform.quote().qe_isv_svn(4));
    assert!(tally.both > 20 && tally.neither > 50, "{tally:#?}");
}

#[test]
fn a_changed_platform_leads_both_verifiers_to_the_same_status() {
    let platform = Platform::new(1);
    let mut changes: Vec<(String, SgxExtensions)> = Vec::new();
    let _original = platform.pck_with(|all| {
        for svn in [0, 1, 2, 3, 4, 5, 13, 14, 255] {
            changes.extend((1..=16).map(|at| (format!("component {at}: {svn}"), component(&all, at, svn))));
            changes.push((format!("PCE SVN {svn}"), all.clone().pce_svn(svn.into())));
        }
        changes.extend((1..=7).map(|arc| (format!("without {arc}"), all.clone().without(arc))));
        all
    });
    let mut tally = Tally::default();
    for (name, extensions) in changes {
        let pck = platform.pck_with(|_| extensions).der();
        let chain = [pck, platform.ca().der(), platform.root().der()];
        let quote = platform.quote().chain(&chain);
        tally.count(&Machine::simulated(&name, platform.collateral(), &quote));
    }
    tally.holds();
    assert!(tally.both > 50 && tally.neither > 20, "{tally:#?}");
}

/// Changes a component in both places: `dcap-qvl` reads the raw CPUSVN, Intel's library and we the components.
fn component(all: &SgxExtensions, number: u8, svn: u8) -> SgxExtensions {
    let [mut level, ..] = levels();
    level.sgx[usize::from(number) - 1] = svn;
    let raw = [&[4, 16][..], &level.sgx].concat();
    all.clone().component(number.into(), svn.into()).tcb_member(18, &raw)
}

/// Who agreed with whom.
#[derive(Debug, Default)]
struct Tally {
    both: usize,
    neither: usize,
    ours: Vec<String>,
    theirs: Vec<String>,
}

impl Tally {
    fn count(&mut self, machine: &Machine) {
        match (machine.verify(), opinion(machine)) {
            (Ok(ours), Ok(theirs)) => {
                let attest::Claims::Tdx(claims) = ours.claims() else { panic!("not TDX") };
                same(claims, &theirs.status, &theirs.advisory_ids, &machine.name);
                self.both += 1;
            }
            (Err(_), Err(_)) => self.neither += 1,
            (Ok(_), Err(error)) => self.ours.push(format!("{}: {error}", machine.name)),
            (Err(error), Ok(_)) => self.theirs.push(format!("{}: {error}", machine.name)),
        }
    }

    /// Where only one accepted, the reason is known.
    #[track_caller]
    fn holds(&self) {
        for (found, known) in [(&self.ours, &ONLY_OURS[..]), (&self.theirs, &ONLY_THEIRS)] {
            for line in found {
                assert!(known.iter().any(|reason| line.contains(reason)), "{line}");
            }
        }
    }
}

fn same(claims: &tdx::Claims, status: &str, advisories: &[String], name: &str) {
    let tcb = &claims.platform.tcb;
    assert_eq!(as_they_say(tcb), status, "{name}");
    let sorted = |advisories: &[String]| {
        let mut advisories = advisories.to_vec();
        advisories.sort();
        advisories
    };
    assert_eq!(sorted(&tcb.launch.advisories), sorted(advisories), "{name}");
}

/// Each value of a document left out, reversed, and replaced by each of the others, signed anew. Levels stay in
/// their order: where Intel's library sorts them, and so do we, `dcap-qvl` takes them as they come.
fn mutants(document: &Document, place: impl Fn(Vec<u8>) -> Collateral) -> Vec<(String, Collateral)> {
    let mut mutants = Vec::new();
    for pointer in document.pointers() {
        // Two of sixteen components stand for all, and some levels for others.
        let stands = |at: &str| pointer.contains(&format!("components/{at}"));
        let idle = ["/tcbLevels/2", "/tdxModuleIdentities/0/"].iter().any(|part| pointer.starts_with(part));
        if idle || pointer.contains("components/") && !(stands("0") || stands("2")) {
            continue;
        }
        mutants.push((format!("{pointer} left out"), document.clone().remove(&pointer)));
        mutants.push((format!("{pointer} reversed"), document.clone().reverse(&pointer)));
        for other in OTHERS {
            let changed = document.clone().set(&pointer, Json::Raw(other.to_owned()));
            mutants.push((format!("{pointer} = {other}"), changed));
        }
    }
    let in_order = mutants.into_iter().filter(|(_, document)| in_order(document));
    in_order.map(|(name, document)| (name, place(document.json()))).collect()
}

/// Whether every list of levels goes down.
fn in_order(document: &Document) -> bool {
    let lists = ["/tcbLevels", "/tdxModuleIdentities/0/tcbLevels", "/tdxModuleIdentities/1/tcbLevels"];
    lists.iter().all(|list| {
        let ranks: Vec<Vec<u64>> =
            (0..4).map_while(|at| rank(document, &format!("{list}/{at}/tcb"))).collect();
        ranks.is_sorted_by(|higher, lower| higher >= lower)
    })
}

/// What a level asks for, in the order in which it is compared.
fn rank(document: &Document, tcb: &str) -> Option<Vec<u64>> {
    document.value(tcb)?;
    let number = |pointer: String| match document.value(&pointer) {
        Some(Json::Number(number)) => number,
        Some(Json::Raw(text)) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let components = |kind: &str| -> Vec<u64> {
        (0..16).map(|at| number(format!("{tcb}/{kind}tcbcomponents/{at}/svn"))).collect()
    };
    let own = [number(format!("{tcb}/isvsvn")), number(format!("{tcb}/pcesvn"))];
    Some([components("sgx"), own.to_vec(), components("tdx")].concat())
}

fn compare(mutants: Vec<(String, Collateral)>, quote: &QuoteBuilder) -> Tally {
    let mut tally = Tally::default();
    for (name, collateral) in mutants {
        tally.count(&Machine::simulated(&name, collateral, quote));
    }
    tally.holds();
    tally
}
