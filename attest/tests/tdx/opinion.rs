//! Second opinions: `dcap-qvl` on whole verdicts, `tdx-quote` on what stands in a quote.

use attest::{Platform, tdx};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::{QuoteVerifier, VerifiedReport};
use serde_json::value::RawValue;
use simulator::tdx::{Body, Ca, pem};

use crate::machine::{Machine, captured, captured_quotes};

#[test]
fn dcap_qvl_accepts_what_we_accept_and_says_the_same_of_it() {
    for machine in captured().into_iter().chain(simulated()) {
        let ours = machine.claims();
        let theirs = opinion(&machine).unwrap_or_else(|error| panic!("{}: {error}", machine.name));
        let tcb = &ours.platform.tcb;
        assert_eq!(as_they_say(tcb), theirs.status, "{}", machine.name);
        let mut advisories = tcb.launch.advisories.clone();
        let mut their_advisories = theirs.advisory_ids.clone();
        advisories.sort();
        their_advisories.sort();
        assert_eq!(advisories, their_advisories, "{}", machine.name);
        assert_eq!(ours.platform.pck.ppid.0.as_slice(), theirs.ppid.as_slice(), "{}", machine.name);
        same(&ours.report, theirs.report.as_td10().unwrap(), &machine.name);
        let (mine, their) = (ours.report.v15.as_ref(), theirs.report.as_td15());
        assert_eq!(mine.is_some(), their.is_some(), "{}", machine.name);
        if let (Some(mine), Some(their)) = (mine, their) {
            assert_eq!(mine.tee_tcb_svn_2.0, their.tee_tcb_svn2, "{}", machine.name);
            assert_eq!(mine.mrservicetd.0, their.mr_service_td, "{}", machine.name);
        }
    }
}

#[test]
fn what_dcap_qvl_refuses_of_a_captured_quote_we_refuse() {
    for machine in captured() {
        for at in (0..machine.quote.len()).step_by(23) {
            let mut quote = machine.quote.clone();
            quote[at] ^= 0x10;
            let changed = Machine { quote, ..machine.clone() };
            // It also refuses what is a policy's business here: attributes of the TD.
            if opinion(&changed).is_err() {
                assert!(changed.verify().is_err(), "{}: {at}", machine.name);
            }
        }
    }
}

#[test]
fn tdx_quote_reads_the_same_in_every_quote_that_it_can_read() {
    let mut read = 0;
    for (name, quote) in captured_quotes() {
        let ours = tdx::Quote::parse(&quote).unwrap();
        // It panics on quotes that are too short, and takes version 5 for TDX 1.5.
        let Ok(theirs) = tdx_quote::Quote::from_bytes(&quote) else { continue };
        let (mine, their) = (ours.report(), &theirs.body);
        assert_eq!(ours.header().version, theirs.header.version, "{name}");
        assert_eq!(ours.header().qe_vendor_id.0, theirs.header.qe_vendor_id, "{name}");
        assert_eq!(mine.tee_tcb_svn.0, their.tee_tcb_svn, "{name}");
        assert_eq!((mine.mrseam.0, mine.mrtd.0), (their.mrseam, their.mrtd), "{name}");
        assert_eq!(mine.td_attributes.0.to_le_bytes(), their.tdattributes, "{name}");
        assert_eq!(mine.xfam.0.to_le_bytes(), their.xfam, "{name}");
        let rtmrs = [their.rtmr0, their.rtmr1, their.rtmr2, their.rtmr3];
        assert_eq!(mine.rtmrs.map(|rtmr| rtmr.0), rtmrs, "{name}");
        assert_eq!(mine.report_data.0, their.reportdata, "{name}");
        assert_eq!(mine.v15.as_ref().map(|v15| v15.mrservicetd.0), their.mrservicetd, "{name}");
        let certification = theirs.qe_report_certification_data().unwrap();
        let report = ours.qe_report().unwrap();
        assert_eq!(certification.qe_report[128..160], report.mrsigner.0, "{name}");
        assert_eq!(certification.qe_authentication_data, ours.qe_auth_data(), "{name}");
        read += 1;
    }
    assert!(read == 0 || read > 8, "only {read}");
}

/// Our status, as Intel's rules have it: where what runs now is older than what was launched, they give the
/// status of the launch.
pub(crate) fn as_they_say(tcb: &tdx::TcbClaims) -> &'static str {
    use tdx::TcbStatus::{OutOfDate, OutOfDateConfigurationNeeded};
    let old = |status| [OutOfDate, OutOfDateConfigurationNeeded].contains(&status);
    let older_now = tcb.current.as_ref().is_some_and(|current| old(current.status));
    if older_now && !old(tcb.launch.status) {
        assert!(old(tcb.status), "{tcb:?}");
        return tcb.launch.status.name();
    }
    tcb.status.name()
}

/// Machines in every shape that both verifiers take.
fn simulated() -> Vec<Machine> {
    use simulator::tdx::Platform;
    let mut machines = Vec::new();
    for ca in [Ca::Platform, Ca::Processor] {
        let platform = Platform::new(7).with_ca(ca);
        for body in Body::ALL {
            for version in [4, 5] {
                if version == 4 && body != Body::Td10 {
                    continue;
                }
                let quote = platform.quote().version(version).body(body);
                machines.push(Machine::simulated(&format!("{ca:?} {body:?}"), platform.collateral(), &quote));
            }
        }
    }
    let [current, older, oldest, _] = simulator::tdx::levels();
    for level in [current, older, oldest] {
        let platform = Platform::new(8).with_tcb(level.sgx, level.pce_svn);
        for module in [[6, 1], [5, 1], [4, 1], [3, 3], [5, 0]] {
            for current in [[6, 1], [4, 1], [3, 3]] {
                let svn = |[minor, major]: [u8; 2]| {
                    let mut svn = [0; 16];
                    (svn[0], svn[1], svn[2]) = (minor, major, 4);
                    svn
                };
                let quote = platform.quote().version(5).body(Body::Td15);
                let quote = quote.tee_tcb_svn(svn(module)).tee_tcb_svn_2(svn(current));
                for enclave in [6, 4] {
                    let name = format!("{} {module:?} {current:?} {enclave}", level.status);
                    let quote = quote.clone().qe_isv_svn(enclave);
                    machines.push(Machine::simulated(&name, platform.collateral(), &quote));
                }
            }
        }
    }
    machines
}

pub(crate) fn opinion(machine: &Machine) -> Result<VerifiedReport, String> {
    let collateral = &machine.collateral;
    let signers = pem(&collateral.tcb_signing) + &pem(&collateral.root);
    let (tcb_info, tcb_info_signature) = opened(&collateral.tcb_info, "tcbInfo");
    let (qe_identity, qe_identity_signature) = opened(&collateral.qe_identity, "enclaveIdentity");
    let given = QuoteCollateralV3 {
        pck_crl_issuer_chain: pem(&collateral.ca) + &pem(&collateral.root),
        root_ca_crl: collateral.root_crl.clone(),
        pck_crl: collateral.pck_crl.clone(),
        tcb_info_issuer_chain: signers.clone(),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: signers,
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    };
    let verifier = QuoteVerifier::new(collateral.root.clone());
    verifier.verify(&machine.quote, &given, machine.at).map_err(|error| format!("{error:#}"))
}

/// The signed text and the signature of a response.
fn opened(response: &[u8], name: &str) -> (String, Vec<u8>) {
    let members: std::collections::BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(response).unwrap();
    let signature: String = serde_json::from_str(members["signature"].get()).unwrap();
    (members[name].get().to_owned(), hex::decode(signature).unwrap())
}

fn same(ours: &tdx::TdReport, theirs: &dcap_qvl::quote::TDReport10, name: &str) {
    assert_eq!(ours.tee_tcb_svn.0, theirs.tee_tcb_svn, "{name}");
    assert_eq!((ours.mrseam.0, ours.mrsignerseam.0), (theirs.mr_seam, theirs.mr_signer_seam), "{name}");
    assert_eq!(ours.seam_attributes.0, theirs.seam_attributes, "{name}");
    assert_eq!(ours.td_attributes.0.to_le_bytes(), theirs.td_attributes, "{name}");
    assert_eq!(ours.xfam.0.to_le_bytes(), theirs.xfam, "{name}");
    assert_eq!((ours.mrtd.0, ours.mrconfigid.0), (theirs.mr_td, theirs.mr_config_id), "{name}");
    assert_eq!((ours.mrowner.0, ours.mrownerconfig.0), (theirs.mr_owner, theirs.mr_owner_config), "{name}");
    let rtmrs = [theirs.rt_mr0, theirs.rt_mr1, theirs.rt_mr2, theirs.rt_mr3];
    assert_eq!(ours.rtmrs.map(|rtmr| rtmr.0), rtmrs, "{name}");
    assert_eq!(ours.report_data.0, theirs.report_data, "{name}");
}

#[test]
fn the_release_path_refuses_what_follows_a_quote_though_dcap_qvl_does_not() {
    for machine in simulated().into_iter().take(1) {
        let longer = Machine { quote: [&machine.quote[..], &[0; 70]].concat(), ..machine.clone() };
        assert!(opinion(&longer).is_ok());
        assert!(attest::parse(Platform::Tdx, &longer.quote).is_err());
    }
}
