//! What nobody uses any more is given back: leases, and a token that is ours.
//!
//! One that OpenBao does not take back ends by itself; the others are given back all the same.
//!
//! Untrusted: OpenBao's answers.

use release_client::http::{Buffer, Request};
use release_client::{Api, Token};
use secretmem::Parcel;

use super::PROGRAM;
use super::error::Error;
use crate::config::Config;
use crate::errand::List;

/// Gives back `leases`, and the token itself if it is ours. Nothing is brought.
pub(super) fn revoke(
    config: &Config,
    leases: &[String],
    is_ours: bool,
    token: Option<Token>,
) -> Result<(List, Option<Parcel>), Error> {
    let api = Api::new(&config.server, PROGRAM).map_err(release_client::Error::from)?;
    let token = token.ok_or(Error::NoToken)?;
    let mut outcome = self::leases(&api, &token, leases);
    if is_ours {
        outcome = outcome.and(self::token(&api, &token));
    }
    outcome.map(|()| (List::default(), None))
}

/// Gives back leases, each whatever became of the others.
pub(super) fn leases(api: &Api, token: &Token, leases: &[String]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for lease in leases {
        let lease = serde_json::Value::from(lease.as_str()).to_string();
        let body: &[&[u8]] = &[b"{\"lease_id\":", lease.as_bytes(), b"}"];
        outcome = outcome.and(ask(api, token, ("giving back a lease", "/v1/sys/leases/revoke"), body));
    }
    outcome
}

/// Gives back a token that is ours, and all that was leased with it.
pub(super) fn token(api: &Api, token: &Token) -> Result<(), Error> {
    ask(api, token, ("giving back the token", "/v1/auth/token/revoke-self"), &[b"{}"])
}

fn ask(api: &Api, token: &Token, (what, path): (&str, &str), body: &[&[u8]]) -> Result<(), Error> {
    let request = Request { method: "POST", path, token: Some(token.bytes()), body: Some(body) };
    let mut buffer = Buffer::secret()?;
    let answer = api.ask(&request, &mut buffer);
    answer.map(|_nothing| ()).map_err(|source| Error::Path { what: what.to_owned(), source })
}
