//! A second opinion: the `sev` crate, wherever it accepts what we accept.

use attest::crypto::AwsLcRs;
use attest::{Claims, Evidence, snp};
use sev::certs::snp::{Chain, Verifiable};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;
use simulator::snp::{Chip, Product};

use crate::captures;
use crate::case::Case;
use crate::silicon::{vcek_case, vlek_case};

#[test]
fn sev_accepts_what_is_genuine_and_reads_the_same_in_it() {
    let mut cases = captures::snp_reports();
    for product in Product::ALL {
        for version in [2, 3, 4, 5] {
            let chip = Chip::new(1, product);
            cases.push(vcek_case(&chip, |report| report.version(version)));
            // Without CPUID and without a chip id `sev` cannot tell the line.
            if version > 2 {
                cases.push(vlek_case(&chip, |report| report.version(version)));
            }
        }
    }
    for case in cases {
        let ours = claims(&case).unwrap_or_else(|| panic!("{}", case.name));
        let theirs = opinion(&case).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        same(&ours, &theirs, &case.name);
    }
}

#[test]
fn what_sev_refuses_we_refuse() {
    let chip = Chip::new(1, Product::Genoa);
    let other = Chip::new(2, Product::Genoa);
    let spoilt = [
        vcek_case(&chip, |report| report).evidence(|bytes| bytes[0x90] ^= 1),
        vcek_case(&chip, |report| report).evidence(|bytes| bytes[0x2a0] ^= 1),
        vcek_case(&chip, |report| report).vek(other.chain().vcek),
        vcek_case(&chip, |report| report).authority(chip.chain().asvk),
    ];
    for case in spoilt {
        assert!(opinion(&case).is_err() && claims(&case).is_none(), "{}", case.name);
    }
}

fn claims(case: &Case) -> Option<snp::Claims> {
    let evidence = Evidence::parse(case.platform, &case.evidence).ok()?;
    let prepared = case.prepare(&AwsLcRs, &evidence).ok()?;
    let verified = evidence.verify(&AwsLcRs, &prepared, case.now).ok()?;
    let Claims::Snp(claims) = verified.claims() else { panic!("not SNP") };
    Some(*claims.clone())
}

fn opinion(case: &Case) -> Result<AttestationReport, String> {
    let [vek, intermediate] = case.endorsements.certificates.as_slice() else { panic!("{}", case.name) };
    let chain = Chain::from_der(&case.root, intermediate, vek).map_err(|error| error.to_string())?;
    let report = AttestationReport::from_bytes(&case.evidence).map_err(|error| error.to_string())?;
    (&chain, &report).verify().map_err(|error| error.to_string())?;
    Ok(report)
}

fn same(ours: &snp::Claims, theirs: &AttestationReport, name: &str) {
    assert_eq!(
        (ours.version, ours.guest_svn, ours.vmpl),
        (theirs.version, theirs.guest_svn, theirs.vmpl),
        "{name}"
    );
    assert_eq!(ours.policy.0, theirs.policy.0, "{name}");
    assert_eq!(ours.platform_info.0, theirs.plat_info.0, "{name}");
    assert_eq!(ours.key_info.0, theirs.key_info.0, "{name}");
    let (major, minor) = ours.policy.abi();
    assert_eq!(
        (major.into(), minor.into()),
        (theirs.policy.abi_major(), theirs.policy.abi_minor()),
        "{name}"
    );
    assert_eq!(ours.policy.bit(19), theirs.policy.debug_allowed(), "{name}");
    assert_eq!(ours.report_data.0[..], theirs.report_data[..], "{name}");
    assert_eq!(ours.measurement.0[..], theirs.measurement[..], "{name}");
    assert_eq!(ours.host_data.0[..], theirs.host_data[..], "{name}");
    assert_eq!(ours.id_key_digest.0[..], theirs.id_key_digest[..], "{name}");
    assert_eq!(ours.author_key_digest.0[..], theirs.author_key_digest[..], "{name}");
    assert_eq!(ours.report_id.0[..], theirs.report_id[..], "{name}");
    assert_eq!(ours.report_id_ma.0[..], theirs.report_id_ma[..], "{name}");
    assert_eq!(ours.chip_id.0[..], theirs.chip_id[..], "{name}");
    // Without CPUID `sev` cannot know Turin's layout.
    if ours.version > 2 {
        for (mine, their) in [
            (ours.reported_tcb, &theirs.reported_tcb),
            (ours.current_tcb, &theirs.current_tcb),
            (ours.committed_tcb, &theirs.committed_tcb),
            (ours.launch_tcb, &theirs.launch_tcb),
        ] {
            let parts = mine.parts(ours.vek.product);
            assert_eq!((parts.fmc, parts.bl, parts.tee), (their.fmc, their.bootloader, their.tee), "{name}");
            assert_eq!((parts.snp, parts.ucode), (their.snp, their.microcode), "{name}");
        }
    }
    let firmware = ours.current_firmware;
    let current = (theirs.current.major, theirs.current.minor, theirs.current.build);
    assert_eq!((firmware.major, firmware.minor, firmware.build), current, "{name}");
}
