//! Secrets that a token reads: paths of OpenBao's API.
//!
//! Whatever answers with `data` will do: both versions of the key-value engine, database credentials, certificates. A secret
//! with versions is known by its path (`.../data/...`) and by the shape of its answer, which no other secret has by chance.
//! The answer is read into secret memory and taken apart there.
//!
//! Untrusted: the answer.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::UNIX_EPOCH;

use release_client::http::{Buffer, Request};
use release_client::json::{BadJson, Document};
use release_client::{Api, OpenBaoError, Token};

use super::error::Error;
use super::load::{Load, fit};
use super::malformed;
use crate::config::Wanted;
use crate::errand::{Of, Term};

/// A secret to read.
pub(super) struct Reading<'a> {
    pub(super) index: u16,
    pub(super) wanted: &'a Wanted,
    pub(super) path: &'a str,
    pub(super) parameters: &'a [(String, String)],
    /// The version that the keeper has already.
    pub(super) known: Option<u64>,
}

impl Reading<'_> {
    /// Reads it, with its values and its term into `load`.
    pub(super) fn read(&self, api: &Api, token: &Token, load: &mut Load) -> Result<(), Error> {
        let path = format!("/v1/{}", self.path);
        let parameters: BTreeMap<&str, &str> =
            self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let text = serde_json::to_vec(&parameters).map_err(|_impossible| Error::TooMuch)?;
        let body: &[&[u8]] = &[&text];
        let (method, body) = if parameters.is_empty() { ("GET", None) } else { ("POST", Some(body)) };
        let mut buffer = Buffer::secret()?;
        let request = Request { method, path: &path, token: Some(token.bytes()), body };
        let answer = api.ask_whatever(&request, &mut buffer).map_err(|source| self.trouble(source))?;
        if answer.status != 200 {
            return Err(self.refused(answer.status, answer.body_mut(&mut buffer)));
        }
        let malformed = || malformed(self.path);
        let mut answer = Document::parse(answer.body_mut(&mut buffer)).map_err(malformed())?;
        let found = self.found(&answer)?;
        // Before values are made plain: nothing that a value says is read as a term.
        let term = self.term(&answer, found.version).map_err(malformed())?;
        if found.version.is_none() || found.version != self.known {
            self.take(&mut answer, &found.fields, load)?;
        }
        load.term(term);
        Ok(())
    }

    /// A version that was deleted is not there (404), and says so.
    fn refused(&self, status: u16, body: &mut [u8]) -> Error {
        let error = OpenBaoError::answered(status, body);
        let version =
            Document::parse(body).and_then(|answer| answer.number(&["data", "metadata", "version"]));
        match version {
            Ok(Some(version)) if status == 404 => Error::Deleted { path: self.path.to_owned(), version },
            _ => self.trouble(error),
        }
    }

    fn trouble(&self, source: OpenBaoError) -> Error {
        Error::Path { what: format!("secret {}", self.path), source }
    }

    fn found(&self, answer: &Document<'_>) -> Result<Found, Error> {
        let no_data = || Error::NoData(self.path.to_owned());
        let data = answer.find(&["data"]).map_err(malformed(self.path))?.ok_or_else(no_data)?;
        let members = answer.members_of(&data).map_err(malformed(self.path))?;
        let mut names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        let has_versions = self.path.split('/').skip(1).any(|segment| segment == "data");
        if !has_versions || names != ["data", "metadata"] {
            return Ok(Found { fields: data, version: None });
        }
        let version = answer.number(&["data", "metadata", "version"]).map_err(malformed(self.path))?;
        match (answer.find(&["data", "data"]).map_err(malformed(self.path))?, version) {
            (Some(fields), Some(_)) => Ok(Found { fields, version }),
            (None, Some(version)) => Err(Error::Deleted { path: self.path.to_owned(), version }),
            (_, None) => Ok(Found { fields: data, version: None }),
        }
    }

    /// Each field once, however many targets want it.
    fn take(&self, answer: &mut Document<'_>, fields: &Range<usize>, load: &mut Load) -> Result<(), Error> {
        let members = answer.members_of(fields).map_err(malformed(self.path))?;
        let mut targets: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
        for (number, target) in (0..).zip(&self.wanted.targets) {
            targets.entry(&target.field).or_default().push(number);
        }
        for (field, numbers) in targets {
            let member = members.iter().find(|member| member.name == field && !answer.is_null(&member.value));
            let missing = || Error::NoField { key: self.path.to_owned(), field: field.to_owned() };
            let place = answer.plain(&member.ok_or_else(missing)?.value).map_err(malformed(self.path))?;
            let value = answer.bytes(&place);
            let of = numbers.iter().filter_map(|number| self.wanted.targets.get(usize::from(*number)));
            of.into_iter().try_for_each(|target| fit(target, value))?;
            load.value(self.index, &numbers, value)?;
        }
        Ok(())
    }

    /// What is leased ends with its lease; a certificate, which is made by a write, says itself when it does. In what is
    /// read, `expiration` is a field like any other.
    fn term(&self, answer: &Document<'_>, version: Option<u64>) -> Result<Term, BadJson> {
        let of = Of::Secret(self.index);
        let Some(lease) = answer.copied(&["lease_id"])? else {
            let expires = match self.parameters {
                [] => None,
                [..] => answer.number(&["data", "expiration"]).unwrap_or_default(),
            };
            let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
            let seconds = expires.map_or(0, |expires| expires.saturating_sub(now).max(1));
            return Ok(Term { of, lease: None, seconds, renewable: false, version });
        };
        let seconds = answer.number(&["lease_duration"])?.unwrap_or_default();
        let renewable = answer.truth(&["renewable"])?;
        Ok(Term { of, lease: Some(lease), seconds, renewable, version })
    }
}

/// Where the fields of a secret are, and which version they are of.
struct Found {
    fields: Range<usize>,
    version: Option<u64>,
}

/// Makes a lease last longer.
pub(super) fn renew(api: &Api, token: &Token, term: &Term, lease: &str) -> Result<Term, Error> {
    let what = "renewing a lease";
    let lease_text = serde_json::Value::from(lease).to_string();
    let body: &[&[u8]] = &[b"{\"lease_id\":", lease_text.as_bytes(), b"}"];
    let path = "/v1/sys/leases/renew";
    let request = Request { method: "POST", path, token: Some(token.bytes()), body: Some(body) };
    let mut buffer = Buffer::secret()?;
    let answer =
        api.ask(&request, &mut buffer).map_err(|source| Error::Path { what: what.to_owned(), source })?;
    let answer = Document::parse(answer.body_mut(&mut buffer)).map_err(malformed(what))?;
    let seconds = answer.number(&["lease_duration"]).map_err(malformed(what))?.unwrap_or_default();
    let renewable = answer.truth(&["renewable"]).map_err(malformed(what))?;
    Ok(Term { seconds, renewable, ..term.clone() })
}
