//! Making the attestation key and telling its name.
//!
//! A verifier believes a quote because an operator enrolled the name of the key. The name covers the key's
//! attributes, so a key that is enrolled is a restricted one that cannot leave its TPM.

use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ak};
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, SignatureSchemeAlgorithm};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::{Hierarchy, Provision};
use tss_esapi::structures::Public;
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::{Marshall as _, UnMarshall as _};

use super::tpm::{Tpm, during};
use super::{EkKind, Error};

/// Makes a restricted ECDSA P-256 key under the endorsement key (RSA 2048, TCG's template L-1), keeps it at
/// `handle`, and gives its name. Never replaces a key. Needs an owner hierarchy without a password.
pub fn create(tcti: &TctiNameConf, handle: PersistentTpmHandle) -> Result<Vec<u8>, Error> {
    let mut tpm = Tpm::connect(tcti)?;
    if let Ok(present) = tpm.key(handle) {
        let name = hex::encode(present.name.value());
        return Err(Error::Taken { handle: handle.into(), name });
    }
    make(&mut tpm, handle)?;
    Ok(tpm.key(handle)?.name.value().to_vec())
}

/// Makes the key as [`create`] does, unless there is one at `handle`; gives its name.
pub fn ensure(tcti: &TctiNameConf, handle: PersistentTpmHandle) -> Result<Vec<u8>, Error> {
    let mut tpm = Tpm::connect(tcti)?;
    make_if_absent(&mut tpm, handle, None)?;
    Ok(tpm.key(handle)?.name.value().to_vec())
}

/// The public area (`TPMT_PUBLIC`) of the key at `handle`.
pub fn ak_public(tcti: &TctiNameConf, handle: PersistentTpmHandle) -> Result<Vec<u8>, Error> {
    let public = Tpm::connect(tcti)?.key(handle)?.public;
    public.marshall().map_err(during("marshalling the key"))
}

/// The name of the key at `handle`.
pub fn name(tcti: &TctiNameConf, handle: PersistentTpmHandle) -> Result<Vec<u8>, Error> {
    Ok(Tpm::connect(tcti)?.key(handle)?.name.value().to_vec())
}

/// By the template at an NV index, if there is one.
pub(super) fn make_if_absent(
    tpm: &mut Tpm,
    handle: PersistentTpmHandle,
    template: Option<u32>,
) -> Result<(), Error> {
    if tpm.next_handle(handle.into())? == Some(handle.into()) {
        return Ok(());
    }
    match template {
        None => make(tpm, handle),
        Some(index) => make_by_template(tpm, handle, index),
    }
}

fn make_by_template(tpm: &mut Tpm, handle: PersistentTpmHandle, index: u32) -> Result<(), Error> {
    let wrong = |found| Error::Memory { index, expected: "the template of a key", found };
    let content = tpm.read_nv(index)?.ok_or_else(|| wrong("nothing".to_owned()))?;
    let template = Public::unmarshall(&content).map_err(|error| wrong(error.to_string()))?;
    let made = tpm.context.execute_with_nullauth_session(|context| {
        context.create_primary(Hierarchy::Endorsement, template, None, None, None, None)
    });
    let key = made.map_err(during("making the attestation key"))?.key_handle;
    keep(tpm, key, handle)
}

fn make(tpm: &mut Tpm, handle: PersistentTpmHandle) -> Result<(), Error> {
    let ek = tpm.endorsement_key(EkKind::Rsa2048)?;
    let context = &mut tpm.context;
    let made = ak::create_ak_2(
        context,
        ek,
        HashingAlgorithm::Sha256,
        AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
        SignatureSchemeAlgorithm::EcDsa,
        None,
        None,
    );
    let made = made.map_err(during("making the attestation key"))?;
    let key = ak::load_ak(context, ek, None, made.out_private, made.out_public);
    let key = key.map_err(during("loading the attestation key"))?;
    keep(tpm, key, handle)
}

fn keep(tpm: &mut Tpm, key: KeyHandle, handle: PersistentTpmHandle) -> Result<(), Error> {
    let place = Persistent::Persistent(handle);
    tpm.context
        .execute_with_nullauth_session(|context| {
            context.evict_control(Provision::Owner, ObjectHandle::from(key), place)
        })
        .map_err(during("keeping the attestation key"))?;
    Ok(())
}
