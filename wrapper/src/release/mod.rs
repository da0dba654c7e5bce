//! From a configuration to secrets in secret memory: the client's side of a release.
//!
//! For each secret one round of a [`Client`], with a key of its own. All are opened side by side into one piece of secret memory, which is
//! then given to the process that will hand them over. This process ends, with its key and its TLS.
//!
//! Untrusted: the agent, the network, OpenBao's answers until they open. Trusted: what opened.

mod patience;

use protocol::release::{Refusal, Sealed};
use protocol::secret::{BadSecret, fields_of};
use release_client::{Client, Key, Keys, plaintext_len, printable};
use secretmem::Parcel;

use crate::config::{Config, Source, Target, Wanted};
use crate::say;

/// Secret memory that is about to change hands, and what lies where in it.
#[derive(Debug)]
pub struct Released {
    /// The memory.
    pub parcel: Parcel,
    /// Its length in bytes.
    pub len: usize,
    /// The variables to fill.
    pub places: Vec<Place>,
}

/// Where the value of one variable lies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The variable.
    pub variable: String,
    /// The offset of its value.
    pub start: usize,
    /// The bytes of its value.
    pub len: usize,
}

/// Has everything released that the configuration wants, or nothing.
pub fn fetch(config: &Config) -> Result<Released, Error> {
    let keys = Keys::generate(config.secrets.len())?;
    let mut sealed = Vec::with_capacity(config.secrets.len());
    for (wanted, key) in config.secrets.iter().zip(keys.each()) {
        let Source::Release { mount, key: name } = &wanted.source else {
            return Err(Error::Path);
        };
        let client = Client::new(&config.server, mount, &config.agent_socket, "cloudtaser-wrapper")?;
        let client = client.with_workload_token(config.workload_token.clone());
        let attempt = || client.ask(name, &key);
        let one = patience::patiently(
            config.patience,
            attempt,
            release_client::Error::is_transient,
            |error, wait| {
                say(format_args!("{error}; asking again in {} ms", wait.as_millis()));
            },
        )?;
        sealed.push((key, one));
    }
    open(config, &sealed)
}

fn open(config: &Config, sealed: &[(Key<'_>, Sealed)]) -> Result<Released, Error> {
    let len = sealed.iter().map(|(_, sealed)| plaintext_len(sealed)).fold(0, usize::saturating_add);
    let mut parcel = Parcel::create(len)?;
    let mut left = parcel.bytes_mut()?;
    let mut places = Vec::new();
    let mut start = 0;
    for (wanted, (key, sealed)) in config.secrets.iter().zip(sealed) {
        let opened = key.open(sealed, left)?;
        let (plaintext, rest) = left.split_at_mut_checked(opened).ok_or(BadSecret::Truncated)?;
        places.extend(places_in(plaintext, start, wanted)?);
        start = start.saturating_add(opened);
        left = rest;
    }
    Ok(Released { parcel, len, places })
}

/// Where in one opened secret the wanted fields lie; `start` is where the secret itself does.
fn places_in(plaintext: &[u8], start: usize, wanted: &Wanted) -> Result<Vec<Place>, Error> {
    let fields = fields_of(plaintext)?;
    let base = plaintext.as_ptr().addr();
    let place = |target: &Target| {
        let found = fields.iter().find(|(name, _)| *name == target.field);
        let (_, value) =
            found.ok_or_else(|| Error::NoField { key: name(&wanted.source), field: target.field.clone() })?;
        let offset = value.as_ptr().addr().saturating_sub(base);
        Ok(Place { variable: target.variable.clone(), start: start.saturating_add(offset), len: value.len() })
    };
    wanted.targets.iter().map(place).collect()
}

fn name(source: &Source) -> String {
    match source {
        Source::Release { key, .. } => key.clone(),
        Source::Path { path, .. } => path.clone(),
    }
}

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only releases are asked for so far.
    #[error("reading a path of the API is not possible yet")]
    Path,
    /// Nothing was given to us.
    #[error(transparent)]
    Ask(#[from] release_client::Error),
    /// A sealed secret that does not open.
    #[error(transparent)]
    Open(#[from] release_client::OpenError),
    /// Too little secret memory.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// What opened is not in the format of secrets.
    #[error("released secret: {0}")]
    Secret(#[from] BadSecret),
    /// A secret without a field that the map names.
    #[error("secret {key} has no field {field}")]
    NoField {
        /// The secret.
        key: String,
        /// The field.
        field: String,
    },
}

impl Error {
    /// The judgement, where there was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Ask(error) => error.refusal(),
            Self::Path | Self::Open(_) | Self::Memory(_) | Self::Secret(_) | Self::NoField { .. } => None,
        }
    }

    /// Tells everything that an operator needs, line by line.
    pub fn tell(&self) {
        say(self);
        for check in self.refusal().into_iter().flat_map(|refusal| &refusal.failing) {
            let [id, expected, found] =
                [&check.id, &check.expected, &check.found].map(|text| printable(text));
            say(format_args!("  {id}: expected {expected}, found {found}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Wanted {
        let target = |(field, name): &(&str, &str)| Target {
            field: (*field).to_owned(),
            variable: (*name).to_owned(),
            form: crate::config::Form::Value,
        };
        let source = Source::Release { mount: "attest-keys".to_owned(), key: "db".to_owned() };
        Wanted { source, targets: variables.iter().map(target).collect() }
    }

    #[test]
    fn fields_are_found_where_they_lie() {
        let secret =
            protocol::secret::encode([("password", b"s3cret".as_slice()), ("user", b"app")]).unwrap();
        let places =
            places_in(&secret, 100, &wanted(&[("user", "PGUSER"), ("password", "PGPASSWORD")])).unwrap();
        for (place, expected) in places.iter().zip(["app", "s3cret"]) {
            let start = place.start - 100;
            assert_eq!(&secret[start..start + place.len], expected.as_bytes());
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let secret = protocol::secret::encode([("user", b"app".as_slice())]).unwrap();
        let error = places_in(&secret, 0, &wanted(&[("password", "X")])).unwrap_err();
        assert_eq!(error.to_string(), "secret db has no field password");
    }
}
