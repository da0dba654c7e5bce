//! Cases from simulated SNP chips.

use attest::{Endorsements, Platform, Revocation, TrustAnchors, UnixTime};
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, Vendor};

use crate::case::{Asked, Case};
use crate::document::Document;

/// When simulated evidence is judged.
pub(crate) const NOW: UnixTime = UnixTime(EPOCH);

/// A report under the chip's VCEK, changed by `change` before it is signed.
pub(crate) fn vcek_case(chip: &Chip, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Case {
    let chain = chip.chain();
    let report = change(chip.report().report_data(caller_data())).sign();
    case(chip, "VCEK", report, vec![chain.vcek, chain.ask])
}

/// A report under the provider's VLEK, changed by `change` before it is signed.
pub(crate) fn vlek_case(chip: &Chip, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Case {
    let chain = chip.chain();
    let report = change(chip.report().report_data(caller_data())).sign_with_vlek();
    case(chip, "VLEK", report, vec![chain.vlek, chain.asvk])
}

fn case(chip: &Chip, kind: &str, evidence: Vec<u8>, certificates: Vec<Vec<u8>>) -> Case {
    let version = evidence[0];
    let stranger = Chip::new(77, chip.product()).chain();
    let others = if kind == "VCEK" { [stranger.vcek, stranger.ask] } else { [stranger.vlek, stranger.asvk] };
    let revocation_lists = vec![chip.crl().der()];
    Case {
        name: format!("simulated {} version {version} under {kind}", chip.product().name()),
        platform: Platform::SevSnp,
        evidence,
        signed: 0..attest::snp::Report::SIGNED_LEN,
        strangers: Endorsements { certificates: others.into(), revocation_lists: revocation_lists.clone() },
        endorsements: Endorsements { certificates, revocation_lists },
        anchors: anchors(Vendor::Simulated),
        other_anchors: anchors(Vendor::Other),
        revocation: Revocation::Required,
        now: NOW,
        asked: Asked::usual(NOW),
        policy: Document::admitting_simulated(),
    }
}

/// The roots of a simulated vendor, all three lines.
pub(crate) fn anchors(vendor: Vendor) -> TrustAnchors {
    let ark = |product| Chip::new(1, product).with_vendor(vendor).ark().der();
    TrustAnchors::insecure_simulated(&Product::ALL.map(ark)).unwrap()
}

/// The usual answer's REPORT_DATA.
pub(crate) fn caller_data() -> [u8; 64] {
    Asked::usual(NOW).caller_data(Platform::SevSnp).try_into().unwrap()
}
