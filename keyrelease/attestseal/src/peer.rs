//! The key from another OpenBao: asked for anew at every operation, and forgotten after it.
//!
//! One operation is one release: a fresh key pair, a challenge of the peer, evidence of this machine's
//! agent, the sealed keys opened into secret memory, one of them used. The secret has a field `kek.<n>`
//! for each version; the newest encrypts, the one that a ciphertext names decrypts.
//!
//! Trusted: the peer's word on the key, once it opened with ours. Untrusted: the network, the agent, the
//! id in a stored ciphertext.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use openbao_plugin::{Blob, Plaintext, SealError, log};
use protocol::release::Refusal;
use protocol::secret::{BadSecret, Field, fields_of, kek_number};
use release_client::{Client, Error as Unreleased, Keys, OpenBaoError, OpenError, plaintext_len, printable};
use secretmem::Region;

use crate::config::PeerConfig;
use crate::wrap::{self, KEY, unwrap, wrap};

/// A peer and the key that it keeps for us.
#[derive(Debug)]
pub struct Peer {
    client: Client,
    config: PeerConfig,
    /// The number of the key that encrypted last.
    used: Mutex<Option<u32>>,
}

impl Peer {
    /// Reads the certificates that vouch for the peer; asks nobody.
    pub fn new(config: PeerConfig) -> Result<Self, Error> {
        let client = Client::new(&config.server, &config.mount, &config.agent_socket, PROGRAM)?;
        Ok(Self { client, config, used: Mutex::default() })
    }

    pub(crate) fn description(&self) -> BTreeMap<String, String> {
        let PeerConfig { server, mount, key, .. } = &self.config;
        let words =
            [("source", "peer"), ("peer_address", &server.address), ("peer_mount", mount), ("peer_key", key)];
        words.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    pub(crate) fn key_id(&self) -> String {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.map(|number| self.id(number)).unwrap_or_default()
    }

    /// Whether the peer releases a key to this machine today.
    pub(crate) fn init(&self) -> Result<(), SealError> {
        Ok(self.with_key(Which::Newest, |_, _| Ok(()))?)
    }

    pub(crate) fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Blob, SealError> {
        let (number, blob) = self.with_key(Which::Newest, |key, number| {
            Ok((number, wrap(key, &self.id(number), plaintext, aad)?))
        })?;
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
        Ok(blob)
    }

    pub(crate) fn decrypt(&self, blob: &Blob, aad: &[u8]) -> Result<Plaintext, SealError> {
        let number = self.number(&blob.key_id)?;
        Ok(self.with_key(Which::Number(number), |key, _| Ok(unwrap(key, blob, aad)?))?)
    }

    /// `peer:KEY:NUMBER`.
    fn id(&self, number: u32) -> String {
        format!("peer:{}:{number}", self.config.key)
    }

    fn number(&self, id: &str) -> Result<u32, Error> {
        let number = id.rsplit_once(':').and_then(|(_, digits)| kek_number(&format!("kek.{digits}")));
        let ours = number.filter(|number| self.id(*number) == id);
        ours.ok_or_else(|| Error::OtherKey { expected: self.config.key.clone(), found: printable(id) })
    }

    /// Has the keys released, and does `work` with one of them. All are wiped when it returns.
    fn with_key<T>(
        &self,
        which: Which,
        work: impl FnOnce(&[u8], u32) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let keys = Keys::generate(1)?;
        let key = keys.each().next().ok_or(Error::NoKey)?;
        let sealed = self.client.ask(&self.config.key, &key)?;
        let mut opened = Region::create(plaintext_len(&sealed).max(1))?;
        let len = key.open(&sealed, opened.bytes_mut()?)?;
        let fields = fields_of(opened.bytes().get(..len).unwrap_or_default())?;
        let (number, text) = which.of(&fields)?;
        let mut kek = Region::create(KEY)?;
        hex::decode_to_slice(text, kek.bytes_mut()?).map_err(|_why| Error::Digits(number))?;
        let (decision, number_text) = (printable(&sealed.decision), number);
        log::info("key released by peer", &[("decision", &decision), ("key", &number_text)]);
        work(kek.bytes(), number)
    }
}

/// Which of the keys that the peer keeps.
#[derive(Clone, Copy, Debug)]
enum Which {
    Newest,
    Number(u32),
}

impl Which {
    fn of<'f>(self, fields: &[Field<'f>]) -> Result<(u32, &'f [u8]), Error> {
        let mut keys = fields.iter().filter_map(|(name, value)| Some((kek_number(name)?, *value)));
        match self {
            Self::Newest => keys.max_by_key(|(number, _)| *number).ok_or(Error::NoKey),
            Self::Number(wanted) => keys.find(|(number, _)| *number == wanted).ok_or(Error::Gone(wanted)),
        }
    }
}

/// What the peer's log shows as our name.
const PROGRAM: &str = "openbao-plugin-attestseal";

/// Why the peer's key did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer gave nothing.
    #[error("{}", told(.0))]
    Unreleased(#[from] Unreleased),
    /// What it gave does not open.
    #[error("answer of the peer: {0}")]
    Open(#[from] OpenError),
    /// What opened is not a secret.
    #[error("key of the peer: {0}")]
    Secret(#[from] BadSecret),
    /// No secret memory.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// The secret has no key in it.
    #[error("key of the peer: expected a field kek.<n>, found none: make one with `keys/<name>/rotate`")]
    NoKey,
    /// The key that a ciphertext names is not there.
    #[error("key of the peer: kek.{0}, under which this was encrypted, is not there any more")]
    Gone(u32),
    /// A key that is not one.
    #[error("key of the peer: kek.{0} is not 64 hex digits")]
    Digits(u32),
    /// A ciphertext of another seal.
    #[error("stored ciphertext: expected key id peer:{expected}:<n>, found {found:?}")]
    OtherKey {
        /// Our key.
        expected: String,
        /// The id that is stored.
        found: String,
    },
    /// The cipher says no.
    #[error(transparent)]
    Cipher(#[from] wrap::Error),
}

impl From<Error> for SealError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Unreleased(error) if error.refusal().is_some() => Self::Denied(text),
            Error::Unreleased(error) if error.is_transient() => Self::Unavailable(text),
            Error::OtherKey { .. } | Error::Cipher(_) => Self::Invalid(text),
            Error::Unreleased(_)
            | Error::Open(_)
            | Error::Secret(_)
            | Error::Memory(_)
            | Error::NoKey
            | Error::Gone(_)
            | Error::Digits(_) => Self::Internal(text),
        }
    }
}

/// The words for an operator: who said no, and why.
fn told(error: &Unreleased) -> String {
    match error {
        Unreleased::OpenBao(OpenBaoError::Refused(refusal)) => refused(refusal),
        Unreleased::OpenBao(OpenBaoError::Unreachable(why)) => format!("peer unreachable: {why}"),
        Unreleased::OpenBao(OpenBaoError::Answered { status: 503, errors }) if errors.contains("sealed") => {
            "peer sealed: it must be unsealed first".to_owned()
        }
        Unreleased::OpenBao(_) | Unreleased::Nonce(_) => format!("peer: {error}"),
        Unreleased::Agent(_) | Unreleased::Workload(_) => error.to_string(),
    }
}

fn refused(refusal: &Refusal) -> String {
    let check = |check: &protocol::release::RefusedCheck| {
        let [id, expected, found] = [&check.id, &check.expected, &check.found].map(|text| printable(text));
        format!("{id} (expected {expected}, found {found})")
    };
    let failing: Vec<String> = refusal.failing.iter().take(MOST_TOLD).map(check).collect();
    let more = refusal.failing.len().saturating_sub(failing.len());
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("refused by peer: {}{more}; decision {}", failing.join("; "), printable(&refusal.decision))
}

/// Failing checks in one line of a log.
const MOST_TOLD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::release::RefusedCheck;

    fn refusal(count: usize) -> Refusal {
        let check = RefusedCheck {
            id: "snp.policy.debug".to_owned(),
            expected: "off".to_owned(),
            found: "on\u{1b}".to_owned(),
        };
        Refusal { decision: "abab".to_owned(), failing: vec![check; count] }
    }

    #[test]
    fn a_refusal_names_its_checks_and_its_decision() {
        let told = refused(&refusal(1));
        assert_eq!(told, "refused by peer: snp.policy.debug (expected off, found on?); decision abab");
        assert!(refused(&refusal(23)).contains("; and 3 more; decision abab"));
    }

    #[test]
    fn the_newest_key_encrypts_and_the_named_one_decrypts() {
        let fields = [("kek.10", b"ten".as_slice()), ("kek.2", b"two"), ("kek.02", b"no"), ("other", b"no")];
        assert_eq!(Which::Newest.of(&fields).unwrap(), (10, b"ten".as_slice()));
        assert_eq!(Which::Number(2).of(&fields).unwrap(), (2, b"two".as_slice()));
        assert!(matches!(Which::Number(3).of(&fields), Err(Error::Gone(3))));
        assert!(matches!(Which::Newest.of(&fields[2..]), Err(Error::NoKey)));
    }

    #[test]
    fn an_unreachable_a_sealed_and_an_unwilling_peer_are_told_apart() {
        let unreachable = OpenBaoError::Unreachable("connection refused".to_owned());
        let sealed = OpenBaoError::Answered { status: 503, errors: "Vault is sealed".to_owned() };
        let unmounted = OpenBaoError::Answered { status: 404, errors: "no handler".to_owned() };
        let seal_error = |error: OpenBaoError| SealError::from(Error::from(Unreleased::from(error)));
        assert_eq!(
            seal_error(unreachable),
            SealError::Unavailable("peer unreachable: connection refused".to_owned())
        );
        assert_eq!(
            seal_error(sealed),
            SealError::Unavailable("peer sealed: it must be unsealed first".to_owned())
        );
        assert_eq!(
            seal_error(unmounted),
            SealError::Internal("peer: OpenBao answered 404: no handler".to_owned())
        );
        assert!(matches!(seal_error(OpenBaoError::Refused(refusal(1))), SealError::Denied(_)));
    }
}
