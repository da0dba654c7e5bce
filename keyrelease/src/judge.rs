//! One judgement: a presentation taken apart, decided, and written down as a signed record.
//!
//! Work for the processor alone: a [`Job`] owns all it needs and runs on a thread of the pool.
//!
//! Trusted: the state. Untrusted: what was brought.

use std::sync::Arc;

use attest::log::{SecretRef, Subject};
use attest::node::{Endorsed, Proven};
use attest::protection::{self, Demand, Report};
use attest::workload::Presented;
use attest::{
    Bundle, CannotJudge, Challenge, Decision, Digest, Endorsements, Evidence, Known, Node, OfferedKey,
    Platform, Standing, UnixTime, parse, tpm,
};
use openbao_plugin::Error;
use protocol::release::{Base64, Bearer, Presentation};

use crate::collateral::{Bag, Candidate, Shelf, fresh};
use crate::limits::Source;
use crate::nodes::{Asking, Believed, KnownKey, Nodes};
use crate::policies::StoredPolicy;
use crate::reply::bad_request;
use crate::standing::Bars;
use crate::state::State;
use crate::verifier::{Case, Verifier};

/// What a presentation is for.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    /// What the hardware signed.
    pub(crate) context: String,
    /// The policy that judges.
    pub(crate) policy: String,
    /// What the record says was asked for.
    pub(crate) request: String,
    /// Who asks.
    pub(crate) source: Source,
    /// The secret that is asked for.
    pub(crate) secret: Option<SecretRef>,
    /// In which node's name.
    pub(crate) asking: Asking,
    /// How much protection it takes.
    pub(crate) demand: Demand,
}

/// What a judgement leaves.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    /// The signed record.
    pub(crate) signed: Vec<u8>,
    /// What the record names, with their names.
    pub(crate) objects: Vec<(Digest<32>, Vec<u8>)>,
    /// What an admitted machine brought that the store lacks.
    pub(crate) fresh: Vec<Candidate>,
    /// How the attestation key of a TPM came to be believed.
    pub(crate) enrolled: Option<KnownKey>,
}

/// One judgement, owned, for a thread of the pool.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) state: Arc<State>,
    pub(crate) bars: Arc<Bars>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) stock: Shelf,
    pub(crate) brought: Brought,
    pub(crate) purpose: Purpose,
    pub(crate) answered: bool,
    pub(crate) now: UnixTime,
}

/// What a mount knows of a machine, and of the workload that asks on it.
#[derive(Debug)]
struct Beside<'a> {
    bars: &'a Bars,
    nodes: &'a Nodes,
    asking: &'a Asking,
    endorsed: Option<Endorsed>,
    workload: Option<Presented>,
    protection: Option<protection::Presented>,
}

impl Known for Beside<'_> {
    fn standing(&self, whom: &Subject) -> Standing {
        let (workload, protection) = (self.workload.clone(), self.protection.clone());
        Standing { workload, protection, ..self.bars.standing(whom) }
    }

    fn node(&self, proven: &Proven) -> Option<Node> {
        let Asking { name, rule, .. } = self.asking;
        self.nodes.node(name.as_deref(), *rule, self.endorsed.clone(), proven)
    }

    fn endorsed(&self) -> Option<&Endorsed> {
        self.endorsed.as_ref()
    }
}

impl Job {
    /// Decides, and writes the decision down as a signed record.
    pub(crate) fn run(self) -> Result<Verdict, Error> {
        let policy = self.state.policy(&self.purpose.policy)?;
        let evidence = parse(self.brought.platform, &self.brought.evidence).map_err(bad_request)?;
        let believed = self.purpose.asking.believes(&evidence, &self.nodes, &self.state, self.now)?;
        let decision = self.decide(policy, &evidence, believed.as_ref())?;
        let fresh = if decision.is_ok() { self.fresh(&evidence) } else { Vec::new() };
        let bundle = self.bundle(policy, &decision, believed.as_ref().map(|believed| &believed.ak))?;
        let unsigned = |error: attest::BadBundle| Error::Internal(error.to_string());
        let signed = self.state.signer.sign(&bundle).map_err(unsigned)?;
        let names = self.brought.bag.names().chain([policy.policy.digest()]);
        let objects = names.zip(bundle.objects().map(<[u8]>::to_vec)).collect();
        let enrolled = believed.and_then(|believed| believed.enrolled);
        Ok(Verdict { decision, signed, objects, fresh, enrolled })
    }

    fn fresh(&self, evidence: &Evidence<'_>) -> Vec<Candidate> {
        let (bag, anchors) = (&self.brought.bag, self.verifier.anchors());
        fresh(evidence, bag, |name| self.stock.index.named(name).is_some(), anchors, self.now)
    }

    fn challenge(&self) -> Result<Challenge, Error> {
        let challenges = &self.state.challenges;
        let context = self.purpose.context.clone();
        let challenge = challenges.recognise(&self.brought.challenge, context, self.now);
        challenge.map(|challenge| Challenge { answered: self.answered, ..challenge }).map_err(bad_request)
    }

    fn decide(
        &self,
        policy: &StoredPolicy,
        evidence: &Evidence<'_>,
        believed: Option<&Believed>,
    ) -> Result<Decision, Error> {
        let enrolled = believed.map(|believed| believed.ak.clone());
        let anchors = self.verifier.anchors().clone().with_attestation_keys(enrolled);
        let anchors = anchors.with_tpm_authorities(&self.state.authorities).map_err(bad_request)?;
        let workload = self.brought.token.as_ref().map(|token| self.state.issuers.judge(token));
        let case = Case {
            evidence,
            bag: &self.brought.bag,
            anchors: &anchors,
            authorities: &self.state.authorities,
            challenge: self.challenge()?,
            offered: self.brought.offered.clone(),
            policy: &policy.policy,
            known: &Beside {
                bars: &self.bars,
                nodes: &self.nodes,
                asking: &self.purpose.asking,
                endorsed: believed.and_then(|believed| believed.endorsed.clone()),
                workload,
                protection: protection::Presented::new(
                    self.brought.protection.clone(),
                    self.purpose.demand.clone(),
                ),
            },
        };
        let judged = self.verifier.judge(case, self.now);
        if let Err(CannotJudge::MissingEndorsement(_)) = &judged {
            self.stock.note_missing(evidence, &self.brought.bag, &anchors, self.now);
        }
        judged.map_err(bad_request)
    }

    fn bundle(
        &self,
        policy: &StoredPolicy,
        decision: &Decision,
        enrolled: Option<&tpm::Name>,
    ) -> Result<Bundle, Error> {
        let (appraisal, standing) = match decision {
            Ok(admitted) => (admitted.appraisal(), admitted.standing()),
            Err(refused) => (refused.appraisal(), refused.standing()),
        };
        Ok(Bundle {
            request: self.purpose.request.clone(),
            verifier: concat!("openbao-plugin-attest ", env!("CARGO_PKG_VERSION")).to_owned(),
            platform: self.brought.platform,
            evidence: self.brought.evidence.clone(),
            endorsements: self.brought.bag.endorsements().clone(),
            attestation_keys: enrolled.into_iter().cloned().collect(),
            challenge: self.challenge()?,
            offered: self.brought.offered.clone(),
            policy: policy.text.clone(),
            standing: standing.cloned(),
            appraisal: appraisal.clone(),
        })
    }
}

/// A presentation, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Brought {
    pub(crate) platform: Platform,
    pub(crate) evidence: Vec<u8>,
    pub(crate) bag: Bag,
    /// What else it says should be in store.
    pub(crate) named: Vec<Digest<32>>,
    offered: OfferedKey,
    pub(crate) challenge: Vec<u8>,
    token: Option<Bearer>,
    protection: Option<Vec<u8>>,
}

impl Brought {
    /// Takes a presentation apart.
    pub(crate) fn from(presentation: Presentation) -> Result<Self, Error> {
        let offered = presentation.offered().map_err(bad_request)?;
        let found = presentation.evidence.0.len();
        if found > MOST_EVIDENCE {
            return Err(Error::BadRequest(format!("evidence: at most {MOST_EVIDENCE} bytes, found {found}")));
        }
        let named = named(&presentation.collateral)?;
        let protection = report(presentation.protection)?;
        let owned = |list: Vec<Base64>| list.into_iter().map(|item| item.0).collect::<Vec<_>>();
        let endorsements = Endorsements {
            certificates: owned(presentation.certificates),
            revocation_lists: owned(presentation.revocation_lists),
            documents: owned(presentation.documents),
        };
        let kinds = [&endorsements.certificates, &endorsements.revocation_lists, &endorsements.documents];
        if kinds.iter().any(|kind| kind.len() > MOST_BROUGHT) {
            return Err(Error::BadRequest(format!("endorsements: at most {MOST_BROUGHT} of a kind")));
        }
        let found = kinds.into_iter().flatten().map(Vec::len).fold(0, usize::saturating_add);
        if found > MOST_BROUGHT_BYTES {
            let limit = MOST_BROUGHT_BYTES;
            return Err(Error::BadRequest(format!("endorsements: at most {limit} bytes, found {found}")));
        }
        Ok(Self {
            platform: presentation.platform,
            evidence: presentation.evidence.0,
            bag: Bag::of(endorsements),
            named,
            offered,
            challenge: presentation.challenge.0,
            token: presentation.workload_token,
            protection,
        })
    }
}

/// The report, as it came; one that cannot be read is refused later, and on record.
fn report(came: Option<Base64>) -> Result<Option<Vec<u8>>, Error> {
    let found = came.as_ref().map_or(0, |report| report.0.len());
    if found > Report::MAX_BYTES {
        let limit = Report::MAX_BYTES;
        return Err(Error::BadRequest(format!("protection: at most {limit} bytes, found {found}")));
    }
    Ok(came.map(|report| report.0))
}

fn named(collateral: &[String]) -> Result<Vec<Digest<32>>, Error> {
    if collateral.len() > Presentation::MOST_NAMES {
        return Err(Error::BadRequest(format!("collateral: at most {} digests", Presentation::MOST_NAMES)));
    }
    let digests = collateral.iter().map(|name| name.parse());
    let digests: Result<_, attest::NotHex> = digests.collect();
    digests.map_err(|error| bad_request(format!("collateral: {error}")))
}

/// The most bytes of evidence: many times what any platform has.
const MOST_EVIDENCE: usize = 256 * 1024;
/// The most certificates, and the most lists, that a client may bring.
const MOST_BROUGHT: usize = 8;
/// The most bytes of them together. They are stored with the record, whatever they are worth.
const MOST_BROUGHT_BYTES: usize = 128 * 1024;
