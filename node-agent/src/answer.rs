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
use protocol::agent::{
    BadFrame, EvidenceReply, EvidenceRequest, Failure, Reply, Stamp, UNSTAMPED, VERSION as PROTOCOL,
    parse_request, stamped,
};
use protocol::release::is_node_login;

use crate::caller::cgroup::Pod;
use crate::caller::{Caller, Key};
use crate::config::{Config, Hardware};
use crate::device::Device;
use crate::endorsements::{self, Shelf, Unreadable};
use crate::journal::{EVIDENCE, Outcome};
use crate::queue::Queue;

/// All that it takes to answer.
#[derive(Debug)]
pub struct Answerer {
    desks: BTreeMap<Platform, Desk>,
    prefer: Platform,
    shelf: Shelf,
}

/// A device, and those who wait for it.
#[derive(Debug)]
struct Desk {
    device: Box<dyn Device>,
    queue: Arc<Queue>,
}

impl Answerer {
    /// Reads the endorsements; touches no device yet.
    pub fn new(config: &Config) -> Result<Self, Unreadable> {
        Self::with(config, config.hardware.values().map(Hardware::open))
    }

    /// The same, with these devices.
    pub fn with(
        config: &Config,
        devices: impl IntoIterator<Item = Box<dyn Device>>,
    ) -> Result<Self, Unreadable> {
        let shelf = Shelf::open(config.endorsements.clone())?;
        let mut answerer = Self { desks: BTreeMap::new(), prefer: config.prefer, shelf };
        for device in devices {
            answerer.seat(device);
        }
        Ok(answerer)
    }

    fn seat(&mut self, device: Box<dyn Device>) {
        self.desks.insert(device.platform(), Desk { device, queue: Arc::default() });
    }

    /// The certificates that the operator keeps.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        self.shelf.current().0.certificates
    }

    /// Answers one request, of an operator at a terminal.
    #[must_use]
    pub fn answer(&self, request: &EvidenceRequest) -> Reply {
        self.answer_and_note(request, &Asker { key: Key::User(0), pod: None }).0
    }

    /// Answers the body of one frame.
    pub(crate) fn answer_frame(&self, body: &[u8], caller: &Caller) -> (Reply, Outcome) {
        let asker = Asker { key: caller.key(), pod: caller.pod() };
        match parse_request(body) {
            // Whoever could have this signed with a key of their own would be the node.
            Ok(request) if is_node_login(&request.context) => {
                fail(None, DENIED, "a node's login is for the agent itself to ask".to_owned())
            }
            // Who does not know of stamps would present what does not verify, and not know why.
            Ok(request) if request.version == UNSTAMPED && asker.pod.is_some() => {
                malformed(&BadFrame::Version { expected: PROTOCOL, found: UNSTAMPED })
            }
            Ok(request) => self.answer_and_note(&request, &asker),
            Err(bad) => malformed(&bad),
        }
    }

    fn answer_and_note(&self, request: &EvidenceRequest, asker: &Asker<'_>) -> (Reply, Outcome) {
        let platform = request.platform.unwrap_or(self.prefer);
        match self.collect(platform, request, asker) {
            Ok((evidence, detail)) => {
                let outcome = Outcome { platform: Some(platform), word: EVIDENCE.to_owned(), detail };
                (Reply::Evidence(evidence), outcome)
            }
            Err(Failed { code, message }) => fail(Some(platform), code, message),
        }
    }

    fn collect(
        &self,
        platform: Platform,
        request: &EvidenceRequest,
        asker: &Asker<'_>,
    ) -> Result<(EvidenceReply, Option<String>), Failed> {
        let absent =
            || Failed { code: PLATFORM, message: format!("{platform} is not enabled on this machine") };
        let desk = self.desks.get(&platform).ok_or_else(absent)?;
        let context = stamped(&request.context, asker.pod.map(|pod| &pod.uid));
        let transcript = Transcript { nonce: &request.nonce, context: &context, key: &request.key };
        let queue = || Failed { code: BUSY, message: format!("others wait for {platform}") };
        let turn = desk.queue.enter(&asker.key, PATIENCE).ok_or_else(queue)?;
        let collected = desk.device.sign(&transcript).map_err(|fault| Failed {
            code: if fault.is_busy() { BUSY } else { HARDWARE },
            message: fault.to_string(),
        })?;
        drop(turn);
        let (kept, problem) = self.shelf.current();
        let joined = endorsements::join(kept, collected.certificates, collected.evidence.len());
        let reply = EvidenceReply {
            platform,
            evidence: collected.evidence,
            certificates: joined.certificates.into_iter().map(ByteVec::from).collect(),
            revocation_lists: joined.revocation_lists.into_iter().map(ByteVec::from).collect(),
            documents: joined.documents.into_iter().map(ByteVec::from).collect(),
            pod: asker.pod.map(|pod| Stamp { uid: pod.uid.clone(), container: pod.container.clone() }),
        };
        let remarks: Vec<String> =
            collected.remark.into_iter().chain(problem.map(|problem| problem.to_string())).collect();
        Ok((reply, (!remarks.is_empty()).then(|| remarks.join("; "))))
    }
}

/// In whose name something is signed.
#[derive(Debug)]
struct Asker<'a> {
    key: Key,
    pod: Option<&'a Pod>,
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
    let detail = [BUSY, CALLER, RATE, HARDWARE].contains(&code).then(|| message.clone());
    let outcome = Outcome { platform, word: code.to_owned(), detail };
    (Reply::Failed(Failure { code: code.to_owned(), message }), outcome)
}

/// Codes of [`Failure::code`].
pub(crate) const DENIED: &str = "agent.denied";
pub(crate) const CALLER: &str = "agent.caller";
pub(crate) const RATE: &str = "agent.rate";
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
    use protocol::agent::to_frame;

    use super::*;
    use crate::caller::cgroup::Place;
    use crate::caller::process::Peer;
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

    fn user() -> Caller {
        Caller::unplaced(Peer { uid: 0, pid: 1 })
    }

    fn in_pod(uid: &str) -> Caller {
        let pod = Pod { uid: uid.parse().unwrap(), container: Some("3d".repeat(32)) };
        Caller { place: Place::Pod(pod), ..user() }
    }

    fn body(request: &EvidenceRequest) -> Vec<u8> {
        to_frame(request).unwrap().split_off(4)
    }

    #[test]
    fn the_hardware_signs_the_transcript_and_nothing_that_a_caller_chose() {
        let notary = Notary::default();
        let request = request();
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request), &user());
        assert!(matches!(reply, Reply::Evidence(_)));
        assert_eq!(
            outcome,
            Outcome { platform: Some(Platform::SevSnp), word: "evidence".to_owned(), detail: None }
        );
        let transcript = Transcript { nonce: &request.nonce, context: &request.context, key: &request.key };
        assert_eq!(*notary.0.lock().unwrap(), [transcript.caller_data(&AwsLcRs, Platform::SevSnp)]);
    }

    #[test]
    fn the_hardware_signs_the_pod_that_asks_and_the_reply_names_it() {
        let notary = Notary::default();
        let request = request();
        let (reply, _) = answerer(&notary).answer_frame(&body(&request), &in_pod("7f1c"));
        let Reply::Evidence(reply) = reply else { panic!("{reply:?}") };
        let stamp = Stamp { uid: "7f1c".parse().unwrap(), container: Some("3d".repeat(32)) };
        assert_eq!(reply.pod, Some(stamp));
        let context = "attest-keys/release/db#pod=7f1c";
        assert_eq!(reply.purpose(&request.context), context);
        let transcript = Transcript { nonce: &request.nonce, context, key: &request.key };
        assert_eq!(*notary.0.lock().unwrap(), [transcript.caller_data(&AwsLcRs, Platform::SevSnp)]);
    }

    #[test]
    fn nobody_but_the_agent_stamps() {
        let notary = Notary::default();
        for caller in [user(), in_pod("7f1c")] {
            let forged =
                EvidenceRequest { context: "attest-keys/release/db#pod=8a2d".to_owned(), ..request() };
            let (reply, _) = answerer(&notary).answer_frame(&body(&forged), &caller);
            let message = "purpose: expected one without #pod=, which the agent alone writes".to_owned();
            assert_eq!(reply, Reply::Failed(Failure { code: "agent.stamped".to_owned(), message }));
        }
        assert!(notary.0.lock().unwrap().is_empty());
    }

    #[test]
    fn a_caller_who_knows_no_stamps_is_served_outside_of_pods_alone() {
        let notary = Notary::default();
        let older = body(&EvidenceRequest { version: UNSTAMPED, ..request() });
        let (reply, _) = answerer(&notary).answer_frame(&older, &in_pod("7f1c"));
        let message = "protocol version: expected 2, found 1".to_owned();
        assert_eq!(reply, Reply::Failed(Failure { code: "agent.version".to_owned(), message }));
        assert!(notary.0.lock().unwrap().is_empty());
        assert!(matches!(answerer(&notary).answer_frame(&older, &user()).0, Reply::Evidence(_)));
    }

    #[test]
    fn a_platform_that_is_not_enabled_is_named_and_asks_no_hardware() {
        let notary = Notary::default();
        let request = EvidenceRequest { platform: Some(Platform::Tpm2), ..request() };
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request), &user());
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
        let (reply, outcome) = answerer(&notary).answer_frame(&body(&request), &user());
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
            assert_eq!(answerer.answer_frame(&body[..cut], &user()).1.word, "agent.malformed", "{cut}");
        }
        assert!(notary.0.lock().unwrap().is_empty());
    }
}
