//! One piece of evidence with all that it is judged by.

use attest::crypto::AwsLcRs;
use attest::{
    Answer, Appraisal, CannotJudge, Challenge, Context, Crypto, Endorsements, Evidence, Kem, OfferedKey,
    Platform, Policy, Prepared, Question, Revocation, Transcript, TrustAnchors, UnixTime, Unverified, decide,
};

use crate::document::Document;

/// Evidence and what it is judged by. As made, it is genuine; a test spoils one thing.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) evidence: Vec<u8>,
    /// The bytes of the evidence that the hardware's signature covers.
    pub(crate) signed: std::ops::Range<usize>,
    pub(crate) endorsements: Endorsements,
    /// Endorsements and anchors that vouch for another machine, which is as good.
    pub(crate) strangers: (Endorsements, TrustAnchors),
    pub(crate) anchors: TrustAnchors,
    /// Anchors that do not vouch for this machine.
    pub(crate) other_anchors: TrustAnchors,
    /// The root certificate behind an SNP chain.
    pub(crate) root: Vec<u8>,
    pub(crate) revocation: Revocation,
    pub(crate) now: UnixTime,
    pub(crate) asked: Asked,
    pub(crate) policy: Document,
}

/// A challenge with the key that is offered in answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) nonce: [u8; 32],
    pub(crate) context: String,
    pub(crate) key: OfferedKey,
    pub(crate) expires: UnixTime,
    pub(crate) answered: bool,
}

/// What came out.
#[derive(Debug)]
pub(crate) enum Outcome {
    Admitted(Appraisal),
    Refused(Appraisal),
    NotJudged(CannotJudge),
}

impl Asked {
    /// The challenge that simulated evidence answers.
    pub(crate) fn usual(now: UnixTime) -> Self {
        let key = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
        let (context, expires) = ("release/db".to_owned(), now.plus(120));
        Self { nonce: [7; 32], context, key, expires, answered: false }
    }

    /// What the hardware is to sign.
    pub(crate) fn caller_data(&self, platform: Platform) -> Vec<u8> {
        let transcript = Transcript { nonce: &self.nonce, context: &self.context, key: &self.key };
        transcript.caller_data(&AwsLcRs, platform)
    }

    pub(crate) fn challenge(&self) -> Challenge {
        let Self { nonce, expires, answered, .. } = *self;
        Challenge { nonce, context: self.context.clone(), expires, answered }
    }
}

impl Case {
    /// Judges under the server's crypto provider.
    pub(crate) fn judge(&self) -> Outcome {
        self.judge_with(&AwsLcRs)
    }

    pub(crate) fn judge_with(&self, crypto: &dyn Crypto) -> Outcome {
        let policy = Policy::parse(crypto, &self.policy.text()).unwrap();
        let evidence = match attest::parse(self.platform, &self.evidence) {
            Ok(evidence) => evidence,
            Err(error) => return Outcome::NotJudged(error),
        };
        let prepared = self.prepare(crypto, &evidence);
        let question = Question {
            evidence: &evidence,
            challenge: self.asked.challenge(),
            offered: self.asked.key.clone(),
        };
        let context = Context { crypto, policy: &policy, standing: None };
        match decide(question, prepared.as_ref(), context, self.now) {
            Ok(Ok(admitted)) => {
                assert_eq!(admitted.key(), &self.asked.key);
                Outcome::Admitted(admitted.appraisal().clone())
            }
            Ok(Err(refused)) => Outcome::Refused(refused.appraisal().clone()),
            Err(error) => Outcome::NotJudged(error),
        }
    }

    pub(crate) fn prepare(
        &self,
        crypto: &dyn Crypto,
        evidence: &Evidence<'_>,
    ) -> Result<Prepared, Unverified> {
        self.endorsements.prepare(crypto, evidence, &self.anchors, self.revocation, self.now)
    }

    /// Whether chain and signature hold, whatever a policy thinks.
    pub(crate) fn verifies(&self, crypto: &dyn Crypto) -> bool {
        let Ok(evidence) = Evidence::parse(self.platform, &self.evidence) else { return false };
        let Ok(prepared) = self.prepare(crypto, &evidence) else { return false };
        evidence.verify(crypto, &prepared, self.now).is_ok()
    }

    /// Asserts admission and gives the record.
    #[track_caller]
    pub(crate) fn admitted(&self) -> Appraisal {
        let outcome = self.judge();
        let Outcome::Admitted(appraisal) = outcome else { panic!("{}: {outcome:#?}", self.name) };
        appraisal
    }

    /// Asserts a refusal, whatever the reasons.
    #[track_caller]
    pub(crate) fn refused(&self) -> Appraisal {
        let outcome = self.judge();
        let Outcome::Refused(appraisal) = outcome else { panic!("{}: {outcome:#?}", self.name) };
        appraisal
    }

    /// Asserts a refusal by exactly these checks.
    #[track_caller]
    pub(crate) fn refused_by(&self, ids: &[&str]) -> Appraisal {
        let appraisal = self.refused();
        assert_eq!(failing(&appraisal), ids, "{}: {appraisal:#?}", self.name);
        appraisal
    }

    /// Asserts that there was no verdict, for the reason with this code.
    #[track_caller]
    pub(crate) fn not_judged(&self, code: &str) -> CannotJudge {
        let outcome = self.judge();
        let Outcome::NotJudged(error) = outcome else { panic!("{}: {outcome:#?}", self.name) };
        assert_eq!(error.code(), code, "{}: {error}", self.name);
        error
    }

    pub(crate) fn at(mut self, now: UnixTime) -> Self {
        self.now = now;
        self
    }

    /// Another VEK certificate in place of the genuine one.
    pub(crate) fn vek(mut self, der: Vec<u8>) -> Self {
        self.endorsements.certificates[0] = der;
        self
    }

    /// Another intermediate in place of the genuine one.
    pub(crate) fn authority(mut self, der: Vec<u8>) -> Self {
        self.endorsements.certificates[1] = der;
        self
    }

    /// One more certificate.
    pub(crate) fn bring(mut self, der: Vec<u8>) -> Self {
        self.endorsements.certificates.push(der);
        self
    }

    /// These revocation lists in place of the genuine one.
    pub(crate) fn lists<const N: usize>(mut self, lists: [Vec<u8>; N]) -> Self {
        self.endorsements.revocation_lists = lists.into();
        self
    }

    pub(crate) fn anchors(mut self, anchors: TrustAnchors) -> Self {
        self.anchors = anchors;
        self
    }

    pub(crate) fn evidence(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.evidence);
        self
    }

    pub(crate) fn policy(mut self, change: impl FnOnce(Document) -> Document) -> Self {
        self.policy = change(self.policy);
        self
    }
}

/// The ids of the checks that failed, in order.
pub(crate) fn failing(appraisal: &Appraisal) -> Vec<&str> {
    appraisal.checks.iter().filter(|c| c.verdict == Answer::Fail).map(|check| check.id.as_str()).collect()
}
