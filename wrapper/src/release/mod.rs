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
use crate::errand::{List, Place};
use crate::{keeper, say};

/// Has everything released that the configuration wants, or nothing.
pub fn fetch(config: &Config) -> Result<(List, Parcel), Error> {
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

fn open(config: &Config, sealed: &[(Key<'_>, Sealed)]) -> Result<(List, Parcel), Error> {
    let len = sealed.iter().map(|(_, sealed)| plaintext_len(sealed)).fold(0, usize::saturating_add);
    let mut parcel = Parcel::create(len)?;
    let mut left = parcel.bytes_mut()?;
    let mut values = Vec::new();
    let mut start = 0;
    for (index, (wanted, (key, sealed))) in (0..).zip(config.secrets.iter().zip(sealed)) {
        let opened = key.open(sealed, left)?;
        let (plaintext, rest) = left.split_at_mut_checked(opened).ok_or(BadSecret::Truncated)?;
        values.extend(places_in(plaintext, start, (index, wanted))?);
        start = start.saturating_add(opened);
        left = rest;
    }
    Ok((List { len: offset(len), values, ..List::default() }, parcel))
}

/// Where in one opened secret the wanted fields lie; `start` is where the secret itself does.
fn places_in(plaintext: &[u8], start: usize, (index, wanted): (u16, &Wanted)) -> Result<Vec<Place>, Error> {
    let fields = fields_of(plaintext)?;
    let base = plaintext.as_ptr().addr();
    let place = |(number, target): (u16, &Target)| {
        let found = fields.iter().find(|(name, _)| *name == target.field);
        let (_, value) =
            found.ok_or_else(|| Error::NoField { key: name(&wanted.source), field: target.field.clone() })?;
        let at = start.saturating_add(value.as_ptr().addr().saturating_sub(base));
        Ok(Place { wanted: index, target: number, start: offset(at), len: offset(value.len()) })
    };
    (0..).zip(&wanted.targets).map(place).collect()
}

/// What is larger does not open: answers are far smaller.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
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

    /// Whether it may pass.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Ask(error) if error.is_transient())
    }

    /// What to exit with where there is no program yet.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ask(error) if error.refusal().is_some() => keeper::REFUSED,
            Self::Ask(error) if error.is_transient() => keeper::NOT_REACHED,
            Self::Memory(_) => keeper::UNPROTECTED,
            Self::Secret(_) | Self::NoField { .. } => keeper::UNFIT,
            Self::Path | Self::Ask(_) | Self::Open(_) => keeper::OUR_TROUBLE,
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
            places_in(&secret, 100, (3, &wanted(&[("user", "PGUSER"), ("password", "PGPASSWORD")]))).unwrap();
        for (place, (number, expected)) in places.iter().zip([(0, "app"), (1, "s3cret")]) {
            assert_eq!((place.wanted, place.target), (3, number));
            let [start, len] = [place.start - 100, place.len].map(|number| usize::try_from(number).unwrap());
            assert_eq!(&secret[start..start + len], expected.as_bytes());
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let secret = protocol::secret::encode([("user", b"app".as_slice())]).unwrap();
        let error = places_in(&secret, 0, (0, &wanted(&[("password", "X")]))).unwrap_err();
        assert_eq!(error.to_string(), "secret db has no field password");
    }
}
