//! The certificates in a Nitro document: every link, every date, every right, in whichever order.

use attest::{CannotJudge, TrustAnchors};
use simulator::nitro::{Module, Role, Vendor, aws_name};
use simulator::x509::{BasicConstraints, CertBuilder, Issuer, oid};

use crate::case::Case;
use crate::security_module::{anchors, enclave, instance, of};
use crate::silicon::NOW;

/// L26: nothing hangs on where a certificate stands, or on how often.
#[test]
fn l26_the_order_of_the_bundle_does_not_matter() {
    let bundle = module().bundle();
    let with = |bundle: Vec<Vec<u8>>| enclave(|document| document.bundle(bundle));
    for turn in 0..bundle.len() {
        let mut turned = bundle.clone();
        turned.rotate_left(turn);
        with(turned.clone()).admitted();
        turned.reverse();
        with(turned).admitted();
    }
    with(bundle[1..].to_vec()).admitted();
    with([bundle.clone(), bundle[..2].to_vec()].concat()).admitted();
    with([bundle.clone(), vec![module().certificate(Role::Leaf).der()]].concat()).admitted();
}

/// L4: a link that is not there is not passed over.
#[test]
fn l04_a_missing_link_is_refused() {
    for missing in 1..4 {
        let mut bundle = module().bundle();
        bundle.remove(missing);
        enclave(|document| document.bundle(bundle)).refused_by(&["nitro.chain.root"]);
    }
    // A link by name that did not sign.
    for role in [Role::Regional, Role::Zonal, Role::Instance] {
        let strangers = module().with_vendor(Vendor::Other).certificate(role).der();
        changed(role, strangers).refused_by(&["nitro.chain.root"]);
    }
}

/// L27: a root that the caller did not name is nobody's root, whatever it calls itself.
#[test]
fn l27_a_root_in_the_document_is_not_believed() {
    let stranger = module().with_vendor(Vendor::Other);
    for case in [of(&stranger, |document| document), of(&Module::tpm(1).with_vendor(Vendor::Other), |d| d)] {
        case.refused_by(&["nitro.chain.root", "nitro.chain.signatures"]);
        let without_root = stranger.bundle()[1..].to_vec();
        of(&stranger, |document| document.bundle(without_root)).refused_by(&["nitro.chain.signatures"]);
    }
    // The genuine root beside the stranger's chain, and the stranger's root beside the genuine chain.
    let beside = [stranger.bundle(), vec![module().bundle()[0].clone()]].concat();
    of(&stranger, |document| document.bundle(beside))
        .refused_by(&["nitro.chain.root", "nitro.chain.signatures"]);
    let beside = [module().bundle(), vec![stranger.bundle()[0].clone()]].concat();
    enclave(|document| document.bundle(beside)).refused_by(&["nitro.chain.root"]);
}

/// L18: production anchors and production policies are not reached by evidence.
#[test]
fn l18_simulated_modules_are_refused_under_the_vendors_root() {
    for case in [enclave(|document| document), instance(|document| document)] {
        let vendor = case.clone().anchors(TrustAnchors::vendor());
        vendor.refused_by(&["nitro.chain.root", "nitro.chain.signatures"]);
        case.policy(|policy| policy.without("insecure-accept-simulated-roots"))
            .refused_by(&["roots.accepted"]);
    }
    let none = TrustAnchors::insecure_simulated(&[]).unwrap();
    enclave(|document| document).anchors(none).refused_by(&["nitro.chain.root"]);
}

#[test]
fn a_certificate_outside_its_dates_is_refused() {
    for role in [Role::Regional, Role::Zonal, Role::Instance, Role::Leaf] {
        let certificate = || module().certificate(role);
        changed(role, certificate().not_before(NOW.0 + 1).der()).refused_by(&["nitro.chain.dates"]);
        changed(role, certificate().not_after(NOW.0 - 1).der()).refused_by(&["nitro.chain.dates"]);
    }
    let root = module().certificate(Role::Root);
    for root in [root.clone().not_before(NOW.0 + 1), root.not_after(NOW.0 - 1)] {
        let anchors = TrustAnchors::insecure_simulated(&[root.der()]).unwrap();
        enclave(|document| document).anchors(anchors).refused_by(&["nitro.chain.dates"]);
    }
}

#[test]
fn who_may_not_sign_certificates_is_no_authority() {
    for role in [Role::Regional, Role::Zonal, Role::Instance] {
        let certificate = || module().certificate(role);
        let no_authority = ["nitro.chain.authorities"];
        let digital_signature = certificate().key_usage([7, 0x80]).der();
        changed(role, digital_signature).refused_by(&no_authority);
        changed(role, certificate().without(oid::KEY_USAGE).der()).refused_by(&no_authority);
        let end_entity = certificate().basic_constraints(BasicConstraints::EndEntity).der();
        assert!(ids(&changed(role, end_entity)).contains(&no_authority[0].to_owned()));
        let bare = certificate().without(oid::BASIC_CONSTRAINTS).der();
        assert!(ids(&changed(role, bare)).contains(&no_authority[0].to_owned()));
    }
}

#[test]
fn a_path_longer_than_a_certificate_allows_is_refused() {
    let limited = |role: Role, limit: u64| {
        let constraints = BasicConstraints::Authority(limit);
        changed(role, module().certificate(role).basic_constraints(constraints).der())
    };
    limited(Role::Regional, 3).admitted();
    limited(Role::Regional, 1).refused_by(&["nitro.chain.path_length"]);
    limited(Role::Zonal, 0).refused_by(&["nitro.chain.path_length"]);
    let root = module().certificate(Role::Root).basic_constraints(BasicConstraints::Authority(2)).der();
    let anchors = TrustAnchors::insecure_simulated(&[root]).unwrap();
    enclave(|document| document).anchors(anchors).refused_by(&["nitro.chain.path_length"]);
}

/// Whoever has a leaf cannot make another: not by its name, not by its key.
#[test]
fn a_leaf_issues_nothing() {
    let below = Issuer { name: aws_name(Role::Leaf, "below"), key: module().key(Role::Leaf) };
    let certificate = module().certificate(Role::Leaf);
    let forged =
        certificate.clone().subject(below.name.clone()).issued_by(&module().issuer(Role::Leaf)).der();
    let bundle = [module().bundle(), vec![certificate.der()]].concat();
    let case = enclave(|document| document.certificate(forged).bundle(bundle).module_id("below"));
    case.refused_by(&["nitro.chain.authorities", "nitro.chain.path_length"]);
}

#[test]
fn the_leaf_signs_documents_and_nothing_else() {
    let certificate = || module().certificate(Role::Leaf);
    let leaf = |der: Vec<u8>| changed(Role::Leaf, der);
    leaf(certificate().without(oid::KEY_USAGE).der()).refused_by(&["nitro.leaf.usage"]);
    leaf(certificate().key_usage([6, 0x40]).der()).refused_by(&["nitro.leaf.usage"]);
    leaf(certificate().key_usage([2, 0x84]).der()).refused_by(&["nitro.leaf.usage"]);
    let authority = certificate().basic_constraints(BasicConstraints::Unlimited).key_usage([2, 0x84]);
    leaf(authority.der()).refused_by(&["nitro.leaf.usage"]);
    // The instance's own key is an authority's, and not a module's.
    let instance = module().certificate(Role::Instance).der();
    let case = enclave(|document| document.certificate(instance).signed_by(module().key(Role::Instance)));
    case.refused_by(&["nitro.leaf.usage"]);
}

/// L8: what a leaf may speak for is in its name.
#[test]
fn l08_a_leaf_speaks_for_its_own_module_only() {
    let named = |name: &str| {
        let certificate = module().certificate(Role::Leaf).subject(aws_name(Role::Leaf, name));
        changed(Role::Leaf, certificate.der())
    };
    named(module().id()).policy(|policy| policy.with("nitro.regions", r#""any""#)).admitted();
    named(&format!("{}.eu-north-1.aws", module().id())).admitted();
    for name in [
        String::new(),
        format!("{}0.eu-central-1.aws", module().id()),
        format!("x{}.eu-central-1.aws", module().id()),
        Module::enclave(2).common_name(Role::Leaf),
    ] {
        named(&name).refused_by(&["nitro.leaf.module"]);
    }
}

#[test]
fn a_critical_extension_that_is_not_understood_is_refused() {
    const ODD: &[u64] = &[1, 2, 3, 4];
    for role in [Role::Regional, Role::Zonal, Role::Instance, Role::Leaf] {
        let certificate = module().certificate(role).extension(ODD, &[5, 0]);
        changed(role, certificate.der()).admitted();
        changed(role, certificate.critical(ODD).der()).refused_by(&["nitro.chain.critical_extensions"]);
    }
}

#[test]
fn a_certificate_with_a_default_spelled_out_is_refused() {
    let leaf = module().certificate(Role::Leaf).extension(oid::BASIC_CONSTRAINTS, &[0x30, 3, 1, 1, 0]);
    changed(Role::Leaf, leaf.der()).refused_by(&["nitro.chain.encoding"]);
}

#[test]
fn a_certificate_that_does_not_parse_is_no_judgement() {
    for role in [Role::Root, Role::Regional, Role::Zonal, Role::Instance, Role::Leaf] {
        let certificate = module().certificate(role);
        let padded = [certificate.der(), vec![0; 8]].concat();
        changed(role, padded).not_judged("endorsement.padded");
        let cut = certificate.der();
        changed(role, cut[..cut.len() - 1].to_vec()).not_judged("endorsement.malformed");
        let twice = certificate.duplicate(oid::KEY_USAGE, &[3, 2, 7, 0x80]).der();
        changed(role, twice).not_judged("endorsement.malformed");
    }
}

/// A signature over another certificate, or one whose algorithm stands differently inside and outside.
#[test]
fn a_certificate_that_its_issuer_did_not_sign_is_refused() {
    for role in [Role::Zonal, Role::Instance, Role::Leaf] {
        let strangers = module().key(Role::Leaf);
        let forged = module().certificate(role).signed_by(strangers).der();
        changed(role, forged).refused_by(&["nitro.chain.root"]);
    }
    let forged = module().certificate(Role::Regional).signed_by(module().key(Role::Leaf)).der();
    changed(Role::Regional, forged).refused_by(&["nitro.chain.signatures"]);
}

/// AWS asks for no list; one that is brought and names a certificate of the path is believed all the same.
#[test]
fn a_revoked_certificate_is_refused() {
    let authorities = [Role::Root, Role::Regional, Role::Zonal, Role::Instance];
    let subjects = [Role::Regional, Role::Zonal, Role::Instance, Role::Leaf];
    for (issuer, subject) in authorities.into_iter().zip(subjects) {
        let list = module().revocation_list(issuer);
        enclave(|document| document).lists([list.der()]).admitted();
        let revoked = list.clone().revoke(&module().serial(subject));
        enclave(|document| document).lists([revoked.der()]).refused_by(&["nitro.chain.revocation"]);
        let forged =
            module().with_vendor(Vendor::Other).revocation_list(issuer).revoke(&module().serial(subject));
        enclave(|document| document).lists([forged.der()]).admitted();
    }
    enclave(|document| document).lists([vec![0x30, 0]]).not_judged("endorsement.malformed");
}

/// L23: certificates that all could be each other's issuers are not tried for ever.
#[test]
fn l23_a_bundle_that_goes_in_circles_is_given_up() {
    let name = aws_name(Role::Zonal, "circle");
    let link = |at: u64| Issuer { name: name.clone(), key: Module::enclave(at).key(Role::Leaf) };
    let issue = |at: u64, by: u64| {
        let builder = CertBuilder::new(&link(at), &link(by)).not_before(0).not_after(NOW.0 + 1);
        builder.basic_constraints(BasicConstraints::Unlimited).key_usage([1, 0x86])
    };
    // Each is signed by the one before it in the bundle, so that every search goes to the end.
    let bundle: Vec<Vec<u8>> =
        (10..18).map(|at| issue(at, if at == 10 { 17 } else { at - 1 }).der()).collect();
    let leaf = module().certificate(Role::Leaf).issuer(name.clone()).signed_by(link(17).key).der();
    let case = enclave(|document| document.certificate(leaf).bundle(bundle));
    let error = case.not_judged("input.too_much");
    assert!(matches!(error, CannotJudge::TooMuch { limit: 12, .. }), "{error}");
}

/// Another partition's hierarchy differs in its root's name.
#[test]
fn a_root_of_another_name_serves_no_document() {
    let name = aws_name(Role::Root, "aws-cn.nitro-enclaves");
    let other = Issuer { name: name.clone(), key: module().key(Role::Root) };
    let root = module().certificate(Role::Root).subject(name).issued_by(&other).der();
    let regional = module().certificate(Role::Regional).issued_by(&other).der();
    let mut bundle = module().bundle();
    bundle[0] = root;
    bundle[1] = regional;
    enclave(|document| document.bundle(bundle))
        .anchors(anchors(Vendor::Simulated))
        .refused_by(&["nitro.chain.root"]);
}

fn module() -> Module {
    Module::enclave(1)
}

/// A document with this certificate in place of the genuine one.
fn changed(role: Role, der: Vec<u8>) -> Case {
    let place = match role {
        Role::Leaf => return enclave(|document| document.certificate(der)),
        Role::Root => 0,
        Role::Regional => 1,
        Role::Zonal => 2,
        Role::Instance => 3,
    };
    let mut bundle = module().bundle();
    bundle[place] = der;
    enclave(|document| document.bundle(bundle))
}

fn ids(case: &Case) -> Vec<String> {
    crate::case::failing(&case.refused()).into_iter().map(str::to_owned).collect()
}
