//! What `attest verify` says, to people and to programs.

use attest::{Answer as Outcome, Check, Claims, Digest, Platform, Policy, Roots, UnixTime, Verified};
use attest::{azure, nitro, snp, tdx};
use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::describe;
use crate::layout::{self, Section};

/// A judgement with all that it rests on.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) platform: Platform,
    pub(super) roots: Roots,
    pub(super) at: UnixTime,
    pub(super) stages: Vec<Stage>,
    pub(super) policy: Option<Policy>,
    pub(super) checks: Vec<Check>,
    pub(super) claims: Option<Verified<Claims>>,
    /// What is missing for a verdict, where the rest was looked at all the same.
    pub(super) undecided: Option<NotJudged>,
    /// What was done to the file.
    pub(super) note: Option<String>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Genuineness,
    Revocation,
    Binding,
    Policy,
}

/// The judgement, or why there is none, in the wanted form.
pub(super) fn answer(judged: Result<Judgement, NotJudged>, roots: Roots, format: Format) -> Answer {
    match (judged, format) {
        (Ok(judgement), Format::Text) => Answer::text(judgement.verdict(), judgement.text()),
        (Ok(judgement), Format::Json) => Answer::json(judgement.verdict(), &judgement.document()),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(why), Format::Json) => Answer::json(Verdict::NotJudged, &Document::without_verdict(roots, &why)),
    }
}

impl Judgement {
    fn verdict(&self) -> Verdict {
        match (Verdict::of(&self.checks), &self.undecided) {
            (Verdict::Accepted, Some(_)) => Verdict::NotJudged,
            (verdict, _) => verdict,
        }
    }

    fn document(&self) -> Document<'_> {
        Document {
            verdict: self.verdict(),
            platform: Some(self.platform),
            roots: self.roots,
            at: Some(self.at),
            judged: &self.stages,
            policy: self.policy.as_ref().map(PolicyName::of),
            checks: &self.checks,
            claims: self.claims.as_ref().map(Verified::claims),
            error: self.undecided.as_ref(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n", self.headline());
        for note in self.undecided.iter().map(|why| &why.message).chain(&self.note) {
            layout::line(&mut text, &layout::printable(note));
        }
        if self.undecided.is_some() {
            layout::line(&mut text, VERIFIED_ALONE);
        }
        for (stage, words) in NOT_JUDGED {
            if !self.stages.contains(&stage)
                && (stage != Stage::Revocation || super::has_lists(self.platform))
            {
                layout::line(&mut text, words);
            }
        }
        layout::line(&mut text, "");
        layout::checks(&mut text, &self.checks);
        if let Some(claims) = &self.claims {
            layout::sections(&mut text, &[essentials(claims)]);
        }
        layout::marked((self.roots == Roots::Simulated).then_some(layout::SIMULATED), &text)
    }

    fn headline(&self) -> String {
        let (platform, at) = (self.platform, self.at);
        match (self.verdict(), &self.policy) {
            (Verdict::Accepted, Some(policy)) => {
                let (name, version) = (layout::printable(policy.name()), policy.version());
                format!(
                    "ACCEPTED: genuine {platform} evidence, allowed by policy {name} version {version}, at {at}"
                )
            }
            (Verdict::Accepted, None) => {
                format!("ACCEPTED: genuine {platform} evidence, not appraised, at {at}")
            }
            (Verdict::NotJudged, _) => format!(
                "NOT JUDGED: the {platform} evidence leads to the {} root, and more is needed, at {at}",
                self.roots
            ),
            (Verdict::Refused, _) => {
                let failed = layout::count(&self.checks, Outcome::Fail);
                format!(
                    "REFUSED: {platform} evidence, {failed} of {} checks failed, at {at}",
                    self.checks.len()
                )
            }
        }
    }
}

/// The claims that a person looks for first.
fn essentials(claims: &Claims) -> Section {
    let mut section = Section::new("genuine claims");
    section.row("measurement", claims.measurement());
    section.row("caller data", hex::encode(claims.caller_data()));
    section.row("hardware", claims.hardware_id().map_or("not stated".to_owned(), hex::encode));
    hardware_essentials(&mut section, claims);
    if let Claims::Azure(claims) = claims {
        hardware_essentials(&mut section, &claims.hardware);
        azure_essentials(&mut section, claims);
    }
    if let Claims::Nitro(claims) = claims {
        nitro_essentials(&mut section, claims);
    }
    if claims.window() != attest::Window::ALWAYS {
        section.row("endorsements hold", claims.window());
    }
    section
}

fn hardware_essentials(section: &mut Section, claims: &Claims) {
    if let Claims::Snp(claims) = claims {
        snp_essentials(section, claims);
    }
    if let Claims::Tdx(claims) = claims {
        tdx_essentials(section, claims);
    }
}

/// The machine, and how the caller's bytes lead to its hardware: each arrow is a check `azure.binding.*`.
fn azure_essentials(section: &mut Section, claims: &azure::Claims) {
    let said = |name: &Option<String>| name.clone().unwrap_or_else(|| "not said".to_owned());
    section.row("virtual machine", said(&claims.runtime.vm.unique_id));
    section.row("attestation key", &claims.tpm.ak_name);
    let on_tdx = matches!(claims.hardware, Claims::Tdx(_));
    let hardware = if on_tdx {
        "report data of the TDREPORT -> TD quote"
    } else {
        "report data of the SNP report, VMPL 0"
    };
    let path = format!("caller data -> TPM quote -> attestation key -> runtime data -> {hardware} -> root");
    section.row("binding path", path);
}

fn snp_essentials(section: &mut Section, claims: &snp::Claims) {
    let product = claims.vek.product;
    section.row("signed by", format!("{} of {} ({})", claims.vek.kind, product, claims.vek.product_name));
    if let snp::HardwareBinding::Provider(name) = &claims.vek.bound_to {
        section.row("provider", name);
    }
    section.row("reported TCB", describe::tcb(claims.reported_tcb, Some(product)));
    section.row("vmpl", claims.vmpl);
}

fn tdx_essentials(section: &mut Section, claims: &tdx::Claims) {
    let (report, platform) = (&claims.report, &claims.platform);
    section.row("TCB status", platform.tcb.status);
    let advisories: Vec<&str> = platform.tcb.advisories().map(String::as_str).collect();
    section.row("advisories", if advisories.is_empty() { "none".to_owned() } else { advisories.join(", ") });
    section.row("platform model (FMSPC)", platform.pck.fmspc);
    section.row("TD attributes", report.td_attributes);
    for (index, rtmr) in report.rtmrs.iter().enumerate() {
        section.row(format!("RTMR {index}"), rtmr);
    }
    section.row("TDX module (MRSEAM)", report.mrseam);
}

fn nitro_essentials(section: &mut Section, claims: &nitro::Claims) {
    section.row("module", &claims.document.module_id);
    section.row("region", claims.signer.region.as_deref().unwrap_or("not stated"));
    section.row("made", claims.document.made());
    section.row("nonce", &claims.document.nonce);
    section.row("public key", &claims.document.public_key);
    for pcr in claims.document.pcrs.iter().filter(|pcr| pcr.value.0.iter().any(|byte| *byte != 0)) {
        section.row(format!("PCR {}", pcr.index), pcr.value);
    }
}

/// What programs read. The order of the fields is part of the look, not of the meaning.
#[derive(Serialize)]
struct Document<'a> {
    verdict: Verdict,
    platform: Option<Platform>,
    roots: Roots,
    at: Option<UnixTime>,
    judged: &'a [Stage],
    policy: Option<PolicyName<'a>>,
    checks: &'a [Check],
    claims: Option<&'a Claims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a NotJudged>,
}

impl<'a> Document<'a> {
    fn without_verdict(roots: Roots, why: &'a NotJudged) -> Self {
        Self {
            verdict: Verdict::NotJudged,
            platform: None,
            roots,
            at: None,
            judged: &[],
            policy: None,
            checks: &[],
            claims: None,
            error: Some(why),
        }
    }
}

#[derive(Serialize)]
struct PolicyName<'a> {
    name: &'a str,
    version: u64,
    digest: Digest<32>,
    expires: UnixTime,
}

impl<'a> PolicyName<'a> {
    fn of(policy: &'a Policy) -> Self {
        let (name, version) = (policy.name(), policy.version());
        Self { name, version, digest: policy.digest(), expires: policy.expires() }
    }
}

/// How far evidence without collateral was looked at.
const VERIFIED_ALONE: &str = "looked at so far: the quote's signature, the quoting enclave, the platform's \
     certificate up to the root; attest inspect says where Intel serves the rest";

/// What is said of a stage that was left out.
const NOT_JUDGED: [(Stage, &str); 3] = [
    (Stage::Policy, "not appraised: without --policy any genuine machine is accepted, debug guests included"),
    (Stage::Binding, "freshness not judged: without --nonce or --report-data this may be a replay"),
    (Stage::Revocation, "revocation not judged: the chip's keys may have been withdrawn"),
];
