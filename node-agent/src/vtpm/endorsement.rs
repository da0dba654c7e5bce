//! The endorsement key: its certificate, and the credential that only its TPM opens.
//!
//! A manufacturer puts the certificate into the TPM's memory (TCG EK Credential Profile 2.5, clause 2.2.1.4 and
//! 2.2.1.5); the key itself is made anew from the default template whenever it is needed, always the same.
//!
//! Untrusted: the certificate, which the server verifies; the credential, which the TPM refuses if it is for
//! another key.

use tss_esapi::WrapperErrorKind;
use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ek};
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, PersistentTpmHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Digest, EncryptedSecret, IdObject, Nonce, SymmetricDefinition};
use tss_esapi::tcti_ldr::TctiNameConf;

use super::Error;
use super::tpm::{Tpm, during};

/// By what a manufacturer vouches for the TPM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endorsement {
    /// Which key.
    pub kind: EkKind,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Certificates of authorities that the TPM keeps too, DER.
    pub chain: Vec<Vec<u8>>,
}

/// Which of the default templates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EkKind {
    /// L-1.
    Rsa2048,
    /// L-2.
    EccP256,
    /// H-3.
    EccP384,
}

/// The first endorsement certificate in the TPM's memory.
pub fn endorsement(tcti: &TctiNameConf) -> Result<Endorsement, Error> {
    let mut tpm = Tpm::connect(tcti)?;
    for (index, kind) in CERTIFICATES {
        if let Some(content) = tpm.read_nv(index)? {
            let certificate = first_certificate(index, &content)?.to_vec();
            return Ok(Endorsement { kind, certificate, chain: chain(&mut tpm)? });
        }
    }
    Err(Error::NoCertificate)
}

/// Has the TPM open a credential that was made for its endorsement key and for the key at `ak`:
/// `TPM2B_ID_OBJECT` and `TPM2B_ENCRYPTED_SECRET`. Gives the secret.
pub fn activate(
    tcti: &TctiNameConf,
    ak: PersistentTpmHandle,
    kind: EkKind,
    id_object: &[u8],
    encrypted_secret: &[u8],
) -> Result<Vec<u8>, Error> {
    let id_object = IdObject::try_from(sized("credential", id_object)?.to_vec());
    let id_object = id_object.map_err(during("taking the credential"))?;
    let secret = EncryptedSecret::try_from(sized("encrypted secret", encrypted_secret)?.to_vec());
    let secret = secret.map_err(during("taking the encrypted secret"))?;
    let mut tpm = Tpm::connect(tcti)?;
    let ak = tpm.key(ak)?.handle;
    let ek = tpm.endorsement_key(kind)?;
    let opened = match kind {
        EkKind::Rsa2048 | EkKind::EccP256 => tpm.activate_by_policy(ak, ek, id_object, secret)?,
        // Keys of the high range have userWithAuth and an empty password (annex B.4).
        EkKind::EccP384 => {
            let sessions = (Some(AuthSession::Password), Some(AuthSession::Password), None);
            let open =
                |context: &mut tss_esapi::Context| context.activate_credential(ak, ek, id_object, secret);
            tpm.context.execute_with_sessions(sessions, open).map_err(Error::Credential)?
        }
    };
    Ok(opened.value().to_vec())
}

impl Tpm {
    /// Makes the key from its template: always the same one, for as long as the TPM has its seed.
    pub(super) fn endorsement_key(&mut self, kind: EkKind) -> Result<KeyHandle, Error> {
        let selection = match kind {
            EkKind::Rsa2048 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
            EkKind::EccP256 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
            EkKind::EccP384 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
        };
        ek::create_ek_object_2(&mut self.context, selection, None)
            .map_err(during("making the endorsement key"))
    }

    /// Keys of the low range may be used by who may use the endorsement hierarchy (annex B.3).
    fn activate_by_policy(
        &mut self,
        ak: KeyHandle,
        ek: KeyHandle,
        id_object: IdObject,
        secret: EncryptedSecret,
    ) -> Result<Digest, Error> {
        let cipher = SymmetricDefinition::AES_128_CFB;
        let session = self
            .context
            .start_auth_session(None, None, None, SessionType::Policy, cipher, HashingAlgorithm::Sha256)
            .map_err(during(SESSION))?;
        let Some(AuthSession::PolicySession(policy)) = session else {
            let source = tss_esapi::Error::WrapperError(WrapperErrorKind::WrongValueFromTpm);
            return Err(Error::Call { call: SESSION, source });
        };
        let sessions = (Some(AuthSession::Password), session, None);
        let opened =
            self.context.execute_with_temporary_object(SessionHandle::from(policy).into(), |context, _| {
                authorise(context, policy)?;
                context.execute_with_sessions(sessions, |context| {
                    context.activate_credential(ak, ek, id_object, secret)
                })
            });
        opened.map_err(Error::Credential)
    }
}

/// `TPM2_PolicySecret` of the endorsement hierarchy, whose password is empty.
fn authorise(context: &mut tss_esapi::Context, policy: PolicySession) -> tss_esapi::Result<()> {
    let (nonce, parameters, reference) = (Nonce::default(), Digest::default(), Nonce::default());
    context
        .execute_with_nullauth_session(|context| {
            context.policy_secret(policy, AuthHandle::Endorsement, nonce, parameters, reference, None)
        })
        .map(drop)
}

/// Certificates one behind another, over consecutive indices (clause 2.2.1.5.2).
fn chain(tpm: &mut Tpm) -> Result<Vec<Vec<u8>>, Error> {
    let mut content = Vec::new();
    for index in CHAIN {
        match tpm.read_nv(index)? {
            Some(piece) if content.len() < MAX_CHAIN => content.extend(piece),
            Some(_) | None => break,
        }
    }
    let mut chain = Vec::new();
    let mut rest = content.as_slice();
    while !rest.is_empty() && !blank(rest) {
        let certificate = first_certificate(*CHAIN.start(), rest)?;
        chain.push(certificate.to_vec());
        rest = rest.get(certificate.len()..).unwrap_or_default();
    }
    Ok(chain)
}

/// The certificate at the beginning; what fills the index up behind it is no part of it.
pub(super) fn first_certificate(index: u32, content: &[u8]) -> Result<&[u8], Error> {
    let wrong = |found: String| Error::Memory { index, expected: "a certificate, DER", found };
    match x509_parser::parse_x509_certificate(content) {
        Ok((rest, _)) => {
            let length = content.len().saturating_sub(rest.len());
            content.get(..length).ok_or_else(|| wrong("nothing".to_owned()))
        }
        Err(error) => Err(wrong(format!("{} bytes: {error}", content.len()))),
    }
}

/// Memory that was never written, or erased.
fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xff)
}

/// The content of a `TPM2B`.
fn sized<'b>(what: &'static str, bytes: &'b [u8]) -> Result<&'b [u8], Error> {
    let wrong = Error::Encoding { what, found: bytes.len() };
    match bytes.split_first_chunk::<2>() {
        Some((length, content)) if usize::from(u16::from_be_bytes(*length)) == content.len() => Ok(content),
        _ => Err(wrong),
    }
}

const SESSION: &str = "starting a session";
/// In the order in which they are looked for: that of `ak create`'s parent first.
const CERTIFICATES: [(u32, EkKind); 3] =
    [(0x01c0_0002, EkKind::Rsa2048), (0x01c0_000a, EkKind::EccP256), (0x01c0_0016, EkKind::EccP384)];
/// Where a manufacturer may put the authorities.
const CHAIN: std::ops::RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;
/// A bound against a TPM that has no end.
const MAX_CHAIN: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        assert_eq!(sized("credential", &[0, 1, 7]).unwrap(), [7]);
        for wrong in [&[][..], &[0], &[0, 2, 7], &[0, 0, 7]] {
            let error = sized("credential", wrong).unwrap_err().to_string();
            let expected = "TPM: credential: expected a length of two bytes and as many bytes, found";
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_told_with_its_place() {
        let error = first_certificate(0x01c0_0002, &[0xff; 8]).unwrap_err().to_string();
        assert!(
            error.starts_with("TPM: NV index 0x01c00002: expected a certificate, DER, found 8 bytes: "),
            "{error}"
        );
    }
}
