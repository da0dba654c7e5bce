//! The service that answers for all configured seals: finds the one, and asks it on a thread of the pool.
//!
//! `SetConfig` makes a seal and gives it an id; every other call names that id. When a plugin was started
//! again its ids are gone: the answer "not found" makes the host configure anew and repeat its call.
//! So that code is kept for this one thing.
//!
//! Trusted: the host. Untrusted: the seal's temper, and the ciphertexts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Request as Call, Response as Answer, Status};
use zeroize::Zeroizing;

use crate::pool::Pool;
use crate::wire::metadata::metadata_server::Metadata;
use crate::wire::metadata::{GetRequest, GetResponse};
use crate::wire::pb;
use crate::wire::pb::wrapper_server::Wrapper;
use crate::{Blob, Error, Plaintext, Seal, SealError, log};

/// All seals in this process.
pub(crate) struct Service<F, S> {
    factory: Arc<F>,
    pool: Arc<Pool>,
    sensitive: Vec<String>,
    seals: Mutex<HashMap<String, Arc<S>>>,
}

impl<F, S> Service<F, S>
where
    F: Fn(BTreeMap<String, String>) -> Result<S, String> + Send + Sync + 'static,
    S: Seal,
{
    pub(crate) fn new(factory: F, pool: Arc<Pool>, sensitive: Vec<String>) -> Arc<Self> {
        Arc::new(Self { factory: Arc::new(factory), pool, sensitive, seals: Mutex::default() })
    }

    /// Does `work` with the seal of this id, where it may wait.
    async fn with<T, W>(&self, id: &str, work: W) -> Result<Answer<T>, Status>
    where
        T: Send + 'static,
        W: FnOnce(&S) -> Result<T, SealError> + Send + 'static,
    {
        let seal =
            self.find(id).ok_or_else(|| Status::not_found(format!("no seal {id:?} in this process")))?;
        let done = self.pool.run(move |_| work(&seal)).await.map_err(|error| unasked(&error))?;
        done.map(Answer::new).map_err(|error| status(&error))
    }

    fn find(&self, id: &str) -> Option<Arc<S>> {
        self.seals.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn keep(&self, seal: S) -> Result<String, Status> {
        let id = random_id()?;
        let mut seals = self.seals.lock().unwrap_or_else(PoisonError::into_inner);
        drop(seals.insert(id.clone(), Arc::new(seal)));
        Ok(id)
    }

    async fn configure(&self, settings: BTreeMap<String, String>) -> Result<S, Status> {
        let factory = Arc::clone(&self.factory);
        let made = self.pool.run(move |_| factory(settings)).await.map_err(|error| unasked(&error))?;
        made.map_err(Status::invalid_argument)
    }
}

#[tonic::async_trait]
impl<F, S> Wrapper for Service<F, S>
where
    F: Fn(BTreeMap<String, String>) -> Result<S, String> + Send + Sync + 'static,
    S: Seal,
{
    async fn set_config(
        &self,
        call: Call<pb::SetConfigRequest>,
    ) -> Result<Answer<pb::SetConfigResponse>, Status> {
        let settings = call.into_inner().options.unwrap_or_default().with_config_map;
        let seal = self.configure(settings.into_iter().collect()).await?;
        let metadata = seal.description().into_iter().collect();
        let wrapper_id = self.keep(seal)?;
        let wrapper_config = Some(pb::WrapperConfig { metadata });
        Ok(Answer::new(pb::SetConfigResponse { wrapper_id, wrapper_config }))
    }

    async fn r#type(&self, call: Call<pb::TypeRequest>) -> Result<Answer<pb::TypeResponse>, Status> {
        let id = call.into_inner().wrapper_id;
        self.with(&id, |seal| Ok(pb::TypeResponse { r#type: seal.kind().to_owned() })).await
    }

    async fn key_id(&self, call: Call<pb::KeyIdRequest>) -> Result<Answer<pb::KeyIdResponse>, Status> {
        let id = call.into_inner().wrapper_id;
        self.with(&id, |seal| seal.key_id().map(|key_id| pb::KeyIdResponse { key_id })).await
    }

    async fn encrypt(&self, call: Call<pb::EncryptRequest>) -> Result<Answer<pb::EncryptResponse>, Status> {
        let pb::EncryptRequest { wrapper_id, plaintext, options } = call.into_inner();
        let (plaintext, aad) = (Zeroizing::new(plaintext), options.unwrap_or_default().with_aad);
        let work = move |seal: &S| {
            let ciphertext = seal.encrypt(&plaintext, &aad).map(Some)?.map(blob_info);
            Ok(pb::EncryptResponse { ciphertext })
        };
        self.with(&wrapper_id, work).await
    }

    async fn decrypt(&self, call: Call<pb::DecryptRequest>) -> Result<Answer<pb::DecryptResponse>, Status> {
        let pb::DecryptRequest { wrapper_id, ciphertext, options } = call.into_inner();
        let blob = ciphertext.map(blob).ok_or_else(|| Status::invalid_argument("no ciphertext"))?;
        let aad = options.unwrap_or_default().with_aad;
        let work = move |seal: &S| {
            let Plaintext(bytes) = &mut seal.decrypt(&blob, &aad)?;
            Ok(pb::DecryptResponse { plaintext: std::mem::take(bytes) })
        };
        self.with(&wrapper_id, work).await
    }

    async fn init(&self, call: Call<pb::InitRequest>) -> Result<Answer<pb::InitResponse>, Status> {
        self.with(&call.into_inner().wrapper_id, |seal| seal.init().map(|()| pb::InitResponse {})).await
    }

    async fn finalize(
        &self,
        call: Call<pb::FinalizeRequest>,
    ) -> Result<Answer<pb::FinalizeResponse>, Status> {
        let id = call.into_inner().wrapper_id;
        let removed = self.seals.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if removed.is_none() {
            log::debug("seal put away that was not there", &[]);
        }
        Ok(Answer::new(pb::FinalizeResponse {}))
    }
}

#[tonic::async_trait]
impl<F, S> Metadata for Service<F, S>
where
    F: Fn(BTreeMap<String, String>) -> Result<S, String> + Send + Sync + 'static,
    S: Seal,
{
    async fn get(&self, _call: Call<GetRequest>) -> Result<Answer<GetResponse>, Status> {
        let names = self.sensitive.clone();
        Ok(Answer::new(GetResponse { sensitive_kms_fields: names.clone(), sensitive_key_fields: names }))
    }
}

fn blob_info(blob: Blob) -> pb::BlobInfo {
    let Blob { key_id, iv, wrapped_key, ciphertext } = blob;
    pb::BlobInfo { ciphertext, iv, key_info: Some(pb::KeyInfo { mechanism: 0, key_id, wrapped_key }) }
}

fn blob(info: pb::BlobInfo) -> Blob {
    let pb::KeyInfo { key_id, wrapped_key, .. } = info.key_info.unwrap_or_default();
    Blob { key_id, iv: info.iv, wrapped_key, ciphertext: info.ciphertext }
}

fn status(error: &SealError) -> Status {
    let text = error.to_string();
    match error {
        SealError::Denied(_) => Status::permission_denied(text),
        SealError::Unavailable(_) => Status::failed_precondition(text),
        SealError::Invalid(_) => Status::invalid_argument(text),
        SealError::Internal(_) => Status::internal(text),
    }
}

/// The pool is full, or the seal panicked.
fn unasked(error: &Error) -> Status {
    Status::resource_exhausted(error.to_string())
}

/// Unknown to whoever cannot ask: a host of another process finds no seal of ours by chance.
fn random_id() -> Result<String, Status> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| Status::internal("no random bytes"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
