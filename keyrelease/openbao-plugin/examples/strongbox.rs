//! A seal with its key in a file, for the tests: AES-256-GCM, and a few faults on request.
//!
//! Never use it: whoever reads the file opens everything.

#![expect(clippy::print_stdout, reason = "an example that misbehaves")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use openbao_plugin::{Blob, Plaintext, Seal, SealError, SealPlugin, log, serve_seal};

fn main() -> ExitCode {
    serve_seal(SealPlugin::new("v0.1.0", |settings| Strongbox::new(&settings)).sensitive(&["combination"]))
}

/// Keys are files `DIR/1`, `DIR/2`, ...; the highest is the current one.
struct Strongbox {
    dir: PathBuf,
    used: Mutex<Option<String>>,
}

impl Strongbox {
    fn new(settings: &BTreeMap<String, String>) -> Result<Self, String> {
        println!("a line that must not reach the host");
        let known = |name: &String| ["dir", "combination"].contains(&name.as_str());
        let unknown: Vec<_> = settings.keys().filter(|name| !known(name)).collect();
        if !unknown.is_empty() {
            return Err(format!("unknown settings {unknown:?}"));
        }
        let dir = settings.get("dir").ok_or("dir: not set")?;
        Ok(Self { dir: dir.into(), used: Mutex::default() })
    }

    fn current(&self) -> Result<String, SealError> {
        let files =
            std::fs::read_dir(&self.dir).map_err(|error| SealError::Unavailable(error.to_string()))?;
        let names = files.flatten().filter_map(|file| file.file_name().to_str()?.parse::<u32>().ok());
        let newest = names.max().ok_or_else(|| SealError::Unavailable("the box has no key".to_owned()))?;
        Ok(newest.to_string())
    }

    fn key(&self, id: &str) -> Result<RandomizedNonceKey, SealError> {
        self.misbehave()?;
        let bytes = read(&self.dir.join(id))?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes)
            .map_err(|_why| SealError::Internal(format!("key {id} is not 32 bytes")))
    }

    fn misbehave(&self) -> Result<(), SealError> {
        if self.dir.join("deny").exists() {
            return Err(SealError::Denied("the keeper says no".to_owned()));
        }
        assert!(!self.dir.join("panic").exists(), "with a secret in it");
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SealError> {
    std::fs::read(path).map_err(|error| SealError::Invalid(format!("{}: {error}", path.display())))
}

impl Seal for Strongbox {
    fn kind(&self) -> &'static str {
        "strongbox"
    }

    fn description(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("box_colour".to_owned(), "green".to_owned())])
    }

    fn init(&self) -> Result<(), SealError> {
        self.current().and_then(|id| self.key(&id)).map(drop)
    }

    fn key_id(&self) -> Result<String, SealError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(used.unwrap_or_default())
    }

    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Blob, SealError> {
        let key_id = self.current()?;
        let key = self.key(&key_id)?;
        let mut ciphertext = plaintext.to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(aad), &mut ciphertext)
            .map_err(|_why| SealError::Internal("not encrypted".to_owned()))?;
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(key_id.clone());
        log::info("encrypted", &[("key_id", &key_id)]);
        Ok(Blob { key_id, iv: nonce.as_ref().to_vec(), wrapped_key: Vec::new(), ciphertext })
    }

    fn decrypt(&self, blob: &Blob, aad: &[u8]) -> Result<Plaintext, SealError> {
        let key = self.key(&blob.key_id)?;
        let altered = || SealError::Invalid("the ciphertext was altered, or is another key's".to_owned());
        let nonce: [u8; NONCE_LEN] = blob.iv.as_slice().try_into().map_err(|_why| altered())?;
        let mut text = blob.ciphertext.clone();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_in_place(nonce, Aad::from(aad), &mut text).map_err(|_why| altered())?;
        log::info("decrypted", &[("key_id", &blob.key_id)]);
        Ok(Plaintext(opened.to_vec()))
    }
}
