//! From a request to a reply.
//!
//! The request is parsed, the hash of its nonce, purpose and key goes to the device that it asks for, and
//! what the device gives goes back with the endorsements at hand. One request at a time per device; who
//! waits too long is told that the hardware is busy.
//!
//! Untrusted: the request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attest::{Platform, Transcript};
use minicbor::bytes::ByteVec;
use protocol::agent::{BadFrame, EvidenceReply, EvidenceRequest, Failure, Reply, parse_request};
use protocol::release::is_node_login;

use crate::config::Config;
use crate::device::Device;
use crate::endorsements::{self, Shelf, Unreadable};
use crate::journal::Outcome;
use crate::slots::Slots;

/// All that it takes to answer.
#[derive(Debug)]
pub struct Answerer {
    desks: BTreeMap<Platform, Desk>,
    prefer: Platform,
    shelf: Shelf,
}

/// A device, and the one place before it.
#[derive(Debug)]
struct Desk {
    device: Box<dyn Device>,
    place: Arc<Slots>,
}

impl Answerer {
    /// Reads the endorsements; touches no device yet.
    pub fn new(config: &Config) -> Result<Self, Unreadable> {
        let mut answerer = Self {
            desks: BTreeMap::new(),
            prefer: config.prefer,
            shelf: Shelf::open(config.endorsements.clone())?,
        };
        for hardware in config.hardware.values() {
            answerer.seat(hardware.open());
        }
        Ok(answerer)
    }

    fn seat(&mut self, device: Box<dyn Device>) {
        self.desks.insert(device.platform(), Desk { device, place: Slots::new(1) });
    }

    /// Answers one request, of an operator at a terminal.
    #[must_use]
    pub fn answer(&self, request: &EvidenceRequest) -> Reply {
        self.answer_and_note(request).0
    }

    /// Answers the body of one frame.
    pub(crate) fn answer_frame(&self, body: &[u8]) -> (Reply, Outcome) {
        match parse_request(body) {
            // Whoever could have this signed with a key of their own would be the node.
            Ok(request) if is_node_login(&request.context) => {
                fail(None, DENIED, "a node's login is for the agent itself to ask".to_owned())
            }
            Ok(request) => self.answer_and_note(&request),
            Err(bad) => malformed(&bad),
        }
    }

    fn answer_and_note(&self, request: &EvidenceRequest) -> (Reply, Outcome) {
        let platform = request.platform.unwrap_or(self.prefer);
        match self.collect(platform, request) {
            Ok((evidence, detail)) => {
                let outcome = Outcome { platform: Some(platform), word: "evidence".to_owned(), detail };
                (Reply::Evidence(evidence), outcome)
            }
            Err(Failed { code, message }) => fail(Some(platform), code, message),
        }
    }

    fn collect(
        &self,
        platform: Platform,
        request: &EvidenceRequest,
    ) -> Result<(EvidenceReply, Option<String>), Failed> {
        let absent =
            || Failed { code: PLATFORM, message: format!("{platform} is not enabled on this machine") };
        let desk = self.desks.get(&platform).ok_or_else(absent)?;
        let transcript = Transcript { nonce: &request.nonce, context: &request.context, key: &request.key };
        let queue = || Failed { code: BUSY, message: format!("others wait for {platform}") };
        let place = desk.place.take(PATIENCE).ok_or_else(queue)?;
        let collected = desk.device.sign(&transcript).map_err(|fault| Failed {
            code: if fault.is_busy() { BUSY } else { HARDWARE },
            message: fault.to_string(),
        })?;
        drop(place);
        let (kept, problem) = self.shelf.current();
        let joined = endorsements::join(kept, collected.certificates, collected.evidence.len());
        let reply = EvidenceReply {
            platform,
            evidence: collected.evidence,
            certificates: joined.certificates.into_iter().map(ByteVec::from).collect(),
            revocation_lists: joined.revocation_lists.into_iter().map(ByteVec::from).collect(),
            documents: joined.documents.into_iter().map(ByteVec::from).collect(),
            pod: None,
        };
        let remarks: Vec<String> =
            collected.remark.into_iter().chain(problem.map(|problem| problem.to_string())).collect();
        Ok((reply, (!remarks.is_empty()).then(|| remarks.join("; "))))
    }
}

/// A failure on its way into a [`Reply`].
#[derive(Debug)]
struct Failed {
    code: &'static str,
    message: String,
}

/// What a frame that is not a request is answered.
pub(crate) fn malformed(bad: &BadFrame) -> (Reply, Outcome) {
    let code = match bad {
        BadFrame::Version { .. } => VERSION,
        BadFrame::Stamped => STAMPED,
        BadFrame::TooLong { .. } | BadFrame::Content(_) | BadFrame::Key { .. } | _ => MALFORMED,
    };
    fail(None, code, bad.to_string())
}

/// A failure for the caller, and the same for the journal.
pub(crate) fn fail(platform: Option<Platform>, code: &str, message: String) -> (Reply, Outcome) {
    // What a caller made up has no place in the journal; the machine's own trouble has.
    let detail = [BUSY, HARDWARE].contains(&code).then(|| message.clone());
    let outcome = Outcome { platform, word: code.to_owned(), detail };
    (Reply::Failed(Failure { code: code.to_owned(), message }), outcome)
}

/// Codes of [`Failure::code`].
pub(crate) const DENIED: &str = "agent.denied";
pub(crate) const BUSY: &str = "agent.busy";
pub(crate) const MALFORMED: &str = "agent.malformed";
const VERSION: &str = "agent.version";
const STAMPED: &str = "agent.stamped";
const PLATFORM: &str = "agent.platform";
const HARDWARE: &str = "agent.hardware";
/// How long a request waits for those before it.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use attest::crypto::AwsLcRs;
    use attest::{Kem, OfferedKey};
    use protocol::agent::{VERSION as PROTOCOL, to_frame};

    use super::*;
    use crate::device::{Collected, Fault};

    /// Keeps what it was asked to sign.
    #[derive(Clone, Debug, Default)]
    struct Notary(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Device for Notary {
        fn platform(&self) -> Platform {
            Platform::SevSnp
        }

        fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
            self.0.lock().unwrap().push(transcript.caller_data(&AwsLcRs, Platform::SevSnp));
            Ok(Collected { evidence: vec![1], certificates: Vec::new(), remark: None })
        }
    }

    fn answerer(notary: &Notary) -> Answerer {
        let shelf = Shelf::open(Vec::new()).unwrap();
        let mut answerer = Answerer { desks: BTreeMap::new(), prefer: Platform::SevSnp, shelf };
        answerer.seat(Box::new(notary.clone()));
        answerer
    }

    fn request() -> EvidenceRequest {
        let key = OfferedKey { kem: Kem::X25519, public: vec![7; 32] };
        let context = "attest-keys/release/db".to_owned();
        EvidenceRequest { version: PROTOCOL, nonce: [1; 32], context, key, platform: None }
    }

    fn body(request: &EvidenceRequest) -> Vec<u8> {
        to_frame(request).unwrap().split_off(4)
    }

    #[test]
    fn the_hardware_signs_the_transcript_and_nothing_that_a_caller_chose() {
        let notary = Notary::default();
        let request = request();
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request));
        assert!(matches!(reply, Reply::Evidence(_)));
        assert_eq!(
            outcome,
            Outcome { platform: Some(Platform::SevSnp), word: "evidence".to_owned(), detail: None }
        );
        let transcript = Transcript { nonce: &request.nonce, context: &request.context, key: &request.key };
        assert_eq!(*notary.0.lock().unwrap(), [transcript.caller_data(&AwsLcRs, Platform::SevSnp)]);
    }

    #[test]
    fn a_platform_that_is_not_enabled_is_named_and_asks_no_hardware() {
        let notary = Notary::default();
        let request = EvidenceRequest { platform: Some(Platform::Tpm2), ..request() };
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request));
        let message = "tpm2 is not enabled on this machine".to_owned();
        assert_eq!(reply, Reply::Failed(Failure { code: "agent.platform".to_owned(), message }));
        assert_eq!(outcome.detail, None);
        assert!(notary.0.lock().unwrap().is_empty());
    }

    /// Lesson L31: whoever has the hardware sign it for a key of their own logs in as this node, from anywhere.
    #[test]
    fn l31_no_caller_speaks_for_the_node() {
        let notary = Notary::default();
        let context = protocol::release::node_login_context("auth/attest", "node", "n1");
        let request = EvidenceRequest { context, ..request() };
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request));
        let message = "a node's login is for the agent itself to ask".to_owned();
        assert_eq!(reply, Reply::Failed(Failure { code: "agent.denied".to_owned(), message }));
        assert_eq!(outcome.word, "agent.denied");
        assert!(notary.0.lock().unwrap().is_empty());
    }

    #[test]
    fn every_truncation_is_malformed_and_asks_no_hardware() {
        let notary = Notary::default();
        let answerer = answerer(&notary);
        let body = body(&request());
        for cut in 0..body.len() {
            assert_eq!(answerer.answer_frame(&body[..cut]).1.word, "agent.malformed", "{cut}");
        }
        assert!(notary.0.lock().unwrap().is_empty());
    }
}
