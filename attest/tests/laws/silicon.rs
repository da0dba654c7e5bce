//! Cases from simulated SNP chips.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock};

use attest::{Endorsements, Platform, Revocation, TrustAnchors, UnixTime};
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, SigningKey, Vendor};

use crate::case::{Asked, Case};
use crate::document::Document;

/// When simulated evidence is judged.
pub(crate) const NOW: UnixTime = UnixTime(EPOCH);

/// A report under the chip's VCEK, changed by `change` before it is signed.
pub(crate) fn vcek_case(chip: &Chip, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Case {
    let report = change(chip.report().report_data(caller_data())).sign();
    case(chip, Kind::Vcek, report)
}

/// A report under the provider's VLEK, changed by `change` before it is signed.
pub(crate) fn vlek_case(chip: &Chip, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Case {
    let report = change(chip.report().report_data(caller_data())).sign_with_vlek();
    case(chip, Kind::Vlek, report)
}

/// Under a VLEK, from a host that does not mask its chip id.
pub(crate) fn unmasked_vlek_case(chip: &Chip) -> Case {
    let report = chip.report().report_data(caller_data()).signing_key(SigningKey::Vlek);
    case(chip, Kind::Vlek, report.sign_with_vlek_as_is())
}

/// The key that a report is signed with.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Vcek,
    Vlek,
}

fn case(chip: &Chip, kind: Kind, evidence: Vec<u8>) -> Case {
    let version = evidence[0];
    let endorsements = endorsements(chip, kind);
    let strangers = self::endorsements(&Chip::new(77, chip.product()), kind);
    Case {
        name: format!("simulated {} version {version} under {kind:?}", chip.product().name()),
        platform: Platform::SevSnp,
        evidence,
        signed: 0..attest::snp::Report::SIGNED_LEN,
        strangers: (strangers, anchors(Vendor::Simulated)),
        endorsements,
        anchors: anchors(Vendor::Simulated),
        other_anchors: anchors(Vendor::Other),
        root: root(chip.product()),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy: Document::admitting_simulated(),
    }
}

/// A chip's certificates and its root's list. They are kept: an RSA signature costs more than a test.
fn endorsements(chip: &Chip, kind: Kind) -> Endorsements {
    static KEPT: LazyLock<Mutex<HashMap<String, Endorsements>>> = LazyLock::new(Mutex::default);
    let issue = || {
        let (vek, authority) = match kind {
            Kind::Vcek => (chip.vcek(), chip.ask()),
            Kind::Vlek => (chip.vlek(), chip.asvk()),
        };
        Endorsements {
            certificates: vec![vek.der(), authority.der()],
            revocation_lists: vec![chip.crl().der()],
            ..Endorsements::default()
        }
    };
    KEPT.lock().unwrap().entry(format!("{chip:?} {kind:?}")).or_insert_with(issue).clone()
}

/// The roots of a simulated vendor, all three lines.
pub(crate) fn anchors(vendor: Vendor) -> TrustAnchors {
    static SIMULATED: OnceLock<TrustAnchors> = OnceLock::new();
    static OTHER: OnceLock<TrustAnchors> = OnceLock::new();
    let roots = || {
        let ark = |product| Chip::new(1, product).with_vendor(vendor).ark().der();
        TrustAnchors::insecure_simulated(&Product::ALL.map(ark)).unwrap()
    };
    match vendor {
        Vendor::Simulated => SIMULATED.get_or_init(roots).clone(),
        Vendor::Other => OTHER.get_or_init(roots).clone(),
    }
}

/// The root certificate of a line of the simulated vendor.
fn root(product: Product) -> Vec<u8> {
    static KEPT: LazyLock<HashMap<Product, Vec<u8>>> = LazyLock::new(|| {
        Product::ALL.into_iter().map(|product| (product, Chip::new(1, product).ark().der())).collect()
    });
    KEPT[&product].clone()
}

/// The usual answer's `REPORT_DATA`.
pub(crate) fn caller_data() -> [u8; 64] {
    Asked::usual(NOW).caller_data(Platform::SevSnp).try_into().unwrap()
}
