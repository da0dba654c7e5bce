//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use attest::crypto::{AwsLcRs, Hash, RustCrypto};
use attest::eventlog::{Boot, EventLog, Layout};
use attest::ima::ImaLog;
use attest::log::{
    self, Entry, Frontier, Level, NoteKey, Recall, Selector, SignedCheckpoint, SignedNote, Tail, Tile, Width,
};
use attest::oaep::RsaKey;
use attest::policy::SignedPolicy;
use attest::{
    Bundle, Endorsements, Evidence, Platform, Policy, Revocation, TrustAnchors, UnixTime, snp, tdx, tpm,
};

const NOW: UnixTime = UnixTime(1_795_000_000);

/// A quote, judged with its own key enrolled: what is believed of it is what was signed.
pub fn tpm_quote(bytes: &[u8]) {
    let Ok(quote) = tpm::Quote::parse(bytes) else { return };
    assert_eq!(quote.bytes(), bytes);
    let anchors = TrustAnchors::vendor().with_attestation_keys([quote.ak_name(&AwsLcRs)]);
    let [first, second] = PROVIDERS.map(|crypto| {
        let evidence = Evidence::Tpm(quote.clone());
        let bag = Endorsements::default();
        let prepared = bag.prepare(crypto, &evidence, &anchors, Revocation::Required, NOW)?;
        evidence.verify(crypto, &prepared, NOW)
    });
    assert_eq!(first.is_ok(), second.is_ok(), "the providers disagree");
    if let Ok(claims) = first {
        let attest::Claims::Tpm(claims) = claims.claims() else { unreachable!("claims of another platform") };
        let values: Vec<_> = claims.pcrs.iter().map(|pcr| (pcr.bank, pcr.index)).collect();
        assert!(values.is_empty() || values == claims.selected().collect::<Vec<_>>());
    }
}

/// An RSA key: what is read of it is in it, and nothing else is.
pub fn rsa_key(bytes: &[u8]) {
    let Ok(key) = RsaKey::parse(bytes) else { return };
    let digits = key.modulus.len().saturating_add(key.exponent.len());
    assert!((26..=38).contains(&bytes.len().saturating_sub(digits)), "bytes that nobody read");
    assert!(key.bits() > 0 && key.bits() <= key.modulus.len().saturating_mul(8));
    assert!(key.exponent.first().is_some_and(|first| *first > 0), "a leading zero");
}

/// A report: it has one length, and without certificates no verdict.
pub fn snp_report(bytes: &[u8]) {
    let Ok(evidence) = Evidence::parse(Platform::SevSnp, bytes) else { return };
    assert_eq!(evidence.bytes(), bytes);
    let bag = Endorsements::default();
    let prepared = bag.prepare(&AwsLcRs, &evidence, &TrustAnchors::vendor(), Revocation::Required, NOW);
    assert!(prepared.is_err(), "no certificate was given");
}

/// A document of the Nitro security module, judged with the first root of its own bundle: what is believed of it
/// is what was signed.
pub fn nitro_document(bytes: &[u8]) {
    let parse = |platform| Evidence::parse(platform, bytes);
    let (enclave, instance) = (parse(Platform::Nitro), parse(Platform::NitroTpm));
    assert!(enclave.is_err() || instance.is_err(), "one document of both kinds");
    let Ok(evidence) = enclave.or(instance) else { return };
    assert_eq!(evidence.bytes(), bytes);
    assert_eq!(Platform::recognise(bytes), Some(evidence.platform()));
    let Evidence::Nitro(document) = &evidence else { unreachable!("evidence of another platform") };
    let fields = document.fields();
    assert!((1..=32).contains(&fields.pcrs.len()));
    let own = document.certificates().skip(1).take(1).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let anchors = TrustAnchors::insecure_simulated(&own).unwrap_or_else(|_none| TrustAnchors::vendor());
    let now = fields.made();
    let providers: [&dyn attest::Crypto; 2] = [&AwsLcRs, &RustCrypto];
    let [first, second] = providers.map(|crypto| {
        let bag = Endorsements::default();
        let prepared = bag.prepare(crypto, &evidence, &anchors, Revocation::Required, now)?;
        evidence.verify(crypto, &prepared, now)
    });
    assert_eq!(first.is_ok(), second.is_ok(), "the providers disagree");
    if let Ok(claims) = first {
        assert!(claims.window().contains(now));
    }
}

/// A host's certificate table: what comes out is bounded by the rows there may be and the bytes there are.
pub fn certificate_table(bytes: &[u8]) {
    let Ok(found) = snp::certificates(bytes) else { return };
    assert!(found.revocation_lists.is_empty());
    let rows = Endorsements::MAX_ITEMS.saturating_add(1);
    assert!(found.certificates.len() <= rows.saturating_mul(Endorsements::MAX_ITEMS));
    let total: usize = found.certificates.iter().map(Vec::len).sum();
    assert!(total <= rows.saturating_mul(bytes.len()));
}

/// A policy: whatever parses has a name, a version and a section for a platform.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(policy) = Policy::parse(&AwsLcRs, text) else { return };
    assert!(!policy.name().is_empty() && policy.version() > 0);
    let sections = ["snp", "tpm", "tdx", "nitro", "azure"];
    assert!(sections.iter().any(|section| text.contains(section)));
    assert!(Policy::problems(&AwsLcRs, text).is_empty());
    let again = policy.succeeds(Some(&policy.edition()), UnixTime(0));
    assert!(again.is_ok() || policy.expires() == UnixTime(0));
}

/// A signed policy: without its author's key it does not open, and what is in it is a text.
pub fn signed_policy(bytes: &[u8]) {
    assert!(SignedPolicy::open(bytes, &[], &AwsLcRs).is_err(), "no key was given");
    let Ok(text) = SignedPolicy::insecure_peek(bytes) else { return };
    assert!(SignedPolicy::looks_signed(bytes) && SignedPolicy::signer_of(bytes).is_ok());
    policy(text.as_bytes());
}

/// A TD quote: it has one length, and without Intel's collateral no verdict. What it brings by itself is judged
/// alike by both libraries.
pub fn tdx_quote(bytes: &[u8]) {
    let Ok(quote) = tdx::Quote::parse(bytes) else { return };
    assert_eq!(quote.bytes(), bytes);
    if !attest::parcel::Parcel::looks_like(bytes) {
        assert_eq!(tdx::Quote::length(bytes), Ok(bytes.len()));
    }
    let (bag, anchors) = (Endorsements::default(), TrustAnchors::vendor());
    let providers: [&dyn attest::Crypto; 2] = [&AwsLcRs, &RustCrypto];
    let [first, second] =
        providers.map(|crypto| tdx::verify_quote_chain(&quote, &bag, crypto, &anchors, NOW).is_ok());
    assert_eq!(first, second, "the providers disagree");
    for der in quote.certificates().unwrap_or_default() {
        drop(tdx::PckClaims::unverified(&der));
    }
    let evidence = Evidence::Tdx(quote);
    let prepared = bag.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, NOW);
    assert!(prepared.is_err(), "no collateral was given");
}

/// A TCB info: what can be read is an object with one signed member, and nobody signed it.
pub fn tcb_info(bytes: &[u8]) {
    document(bytes, &["\"tcbInfo\"", "\"enclaveIdentity\""]);
}

/// A QE identity: likewise.
pub fn qe_identity(bytes: &[u8]) {
    document(bytes, &["\"enclaveIdentity\"", "\"tcbInfo\""]);
}

fn document(bytes: &[u8], names: &[&str]) {
    let bag = Endorsements { documents: vec![bytes.to_vec()], ..Endorsements::default() };
    if bag.readable().is_ok() {
        // A key may be written with escapes.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        assert!(text.contains('\\') || names.iter().any(|name| text.contains(name)));
    }
    let verified = tdx::verify_collateral(&bag, &AwsLcRs, &TrustAnchors::vendor(), NOW);
    assert!(verified.is_err(), "no signer was given");
}

/// An evidence bundle: its payload has one encoding, and replaying it never panics.
pub fn bundle(bytes: &[u8]) {
    assert!(Bundle::open(bytes, &[], &AwsLcRs).is_err(), "no key was given");
    let Ok(bundle) = Bundle::insecure_peek(bytes, &AwsLcRs) else { return };
    assert!(bundle.record(&AwsLcRs).is_ok());
    let replay = || bundle.replay(&AwsLcRs, &TrustAnchors::vendor()).map_err(|error| error.to_string());
    assert_eq!(replay(), replay());
}

/// An event log: both providers replay it alike, and nothing is claimed but what its own replay proves.
pub fn event_log(bytes: &[u8]) {
    let Ok(logs) = EventLog::parse_all(bytes) else { return };
    for log in logs {
        assert_eq!(log.events().count(), log.count());
        for (layout, bank) in [Layout::Tpm, Layout::Cc]
            .into_iter()
            .flat_map(|layout| log.banks().into_iter().map(move |bank| (layout, bank)))
        {
            let replays = PROVIDERS.map(|crypto| {
                log.replay(crypto, layout, bank).map(|replay| replay.touched().collect::<Vec<_>>())
            });
            assert_eq!(replays.first(), replays.last(), "the providers disagree");
            let Some(Ok(values)) = replays.first() else { continue };
            let quoted: Vec<_> = values.iter().map(|(index, value)| (*index, value.as_bytes())).collect();
            let boot = Boot::proved(&AwsLcRs, &log, layout, bank, &quoted);
            let Ok(boot) = boot else { unreachable!("it was replayed to these values") };
            let programs = [boot.images.len(), boot.drivers.len(), boot.authorities.len()];
            let loaded = [boot.command_lines.len(), boot.sections.len(), boot.opaque.len()];
            let told: usize = programs.into_iter().chain(loaded).sum();
            assert!(told <= log.count(), "more was told than measured");
        }
    }
}

/// An IMA list: both providers replay it alike.
pub fn ima_log(bytes: &[u8]) {
    let Ok(list) = ImaLog::parse(bytes) else { return };
    assert_eq!(list.entries().count(), list.count());
    let [first, second] = PROVIDERS.map(|crypto| list.replay(crypto, Hash::Sha256));
    assert_eq!(first, second, "the providers disagree");
}

const PROVIDERS: [&dyn attest::Crypto; 2] = [&AwsLcRs, &RustCrypto];

/// A paravisor's report, alone and in a parcel with a quote: without certificates there is no verdict.
pub fn hcl_report(bytes: &[u8]) {
    let Ok(hcl) = attest::azure::Hcl::parse(bytes) else { return };
    assert_eq!(hcl.report_data().len(), 64);
    assert!(hcl.runtime_data().len() < bytes.len());
    let quote = tpm::assemble(&[0xff, 0x54, 0x43, 0x47, 0x80, 0x17], &[0, 0x14, 0, 0x0b, 0, 0], &AREA, &[]);
    let parts = [(attest::Part::TpmQuote, quote.as_slice()), (attest::Part::HclReport, bytes)];
    let parcel = attest::parcel::assemble(&parts);
    let Ok(evidence) = Evidence::parse(Platform::AzureSnp, &parcel) else { return };
    let Evidence::Azure(composite) = &evidence else { unreachable!("evidence of another platform") };
    assert!(attest::azure::verify_path(composite, &AwsLcRs, NOW).is_err(), "what was signed is no quote");
    let bag = Endorsements::default();
    let prepared = bag.prepare(&AwsLcRs, &evidence, &TrustAnchors::vendor(), Revocation::Required, NOW);
    assert!(prepared.is_err(), "no certificate was given");
}

/// An ECDSA key on P-256 without coordinates.
const AREA: [u8; 24] =
    [0, 0x23, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 0, 0, 0];

/// An entry of a release log: it has one encoding, and is read alike wherever it stands.
pub fn log_entry(bytes: &[u8]) {
    let Ok(entry) = Entry::decode(bytes) else {
        assert!(Tail::after(&AwsLcRs, bytes).is_err());
        return;
    };
    assert_eq!(entry.encode().as_deref(), Ok(bytes));
    assert!(bytes.len() <= Entry::MAX_BYTES);
    // At most the very first entry of a log follows nothing.
    let first = { Tail::EMPTY }.accept(&AwsLcRs, &entry, bytes).is_ok();
    assert!(!first || entry.index == 0);
    let mut recall = Recall::of(Selector::Platform(Platform::SevSnp));
    recall.see(&entry);
    assert!(recall.report().decisions.len() <= 1);
}

/// A bundle of entries, a tile of hashes, the right edge of a tree and a path: what can be read is written alike.
pub fn log_tile(bytes: &[u8]) {
    if let Ok(entries) = log::entries(bytes) {
        assert!(entries.len() <= Width::FULL.count());
        assert_eq!(log::bundle(entries.iter().copied()).as_deref(), Some(bytes));
        let cut = Tile { level: Level::Entries, index: 0, width: Width::FULL };
        assert_eq!(log::cut(bytes, cut).as_deref(), Ok(bytes));
    }
    if let Some(width) = Width::new(u64::try_from(bytes.len() / 32).unwrap_or(0))
        && let Ok(hashes) = log::hashes_from(bytes, width)
    {
        assert_eq!(log::hashes(&hashes), bytes);
    }
    if let Ok(frontier) = Frontier::from_bytes(bytes) {
        assert_eq!(frontier.to_bytes(), bytes);
    }
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(tile) = Tile::parse(text) {
        assert_eq!(tile.path(), text);
    }
}

/// A signed checkpoint, or a verifier key: nobody signed it, and what can be read is written alike.
pub fn log_checkpoint(bytes: &[u8]) {
    if let Ok(key) = NoteKey::parse(&AwsLcRs, std::str::from_utf8(bytes).unwrap_or_default()) {
        assert_eq!(key.to_text(&AwsLcRs).as_bytes(), bytes);
    }
    let Ok(signed) = SignedCheckpoint::parse(bytes) else { return };
    let checkpoint = signed.insecure_peek();
    assert!(signed.note().text().starts_with(&checkpoint.to_text()), "extensions come last");
    assert!(signed.note().names().len() <= SignedNote::MAX_SIGNATURES);
    assert!(signed.open(&AwsLcRs, &checkpoint.origin, &[]).is_err(), "no key was given");
}
