//! From a configuration to secrets in secret memory: what a fetcher does on its errand.
//!
//! What is released on evidence comes sealed to a key of ours; what a token reads comes in clear, through a connection whose
//! plaintext is in secret memory alone. Either ends in one piece of secret memory, which is given to the keeper. The
//! process that did it ends, with its keys, its TLS and its parsers.
//!
//! Untrusted: the agent, the network, OpenBao's answers until they open or are read. Trusted: what the keeper sends along.

mod environment;
mod error;
mod farewell;
mod kernel;
mod load;
mod path;
mod patience;
mod session;

use std::time::{Duration, Instant};

use release_client::json::BadJson;
use release_client::{Api, Client, Key, Keys, Token};
use secretmem::{Parcel, Region};

pub use environment::take_token;
pub use error::Error;

use crate::config::{Config, Method, Source, Wanted};
use crate::errand::{Errand, List, Of, Term};
use crate::say;
use load::Load;
use path::Reading;
use session::Session;

/// What OpenBao's log shows as our name.
const PROGRAM: &str = "cloudtaser-wrapper";

/// Does one errand: everything of it, or nothing. `token` and the report of our protection are what the keeper sent along.
pub fn run(
    config: &Config,
    errand: &Errand,
    token: Option<Region>,
    report: Vec<u8>,
) -> Result<(List, Option<Parcel>), Error> {
    let report = Some(report).filter(|report| !report.is_empty());
    let token = token.map(|token| Token::keep(token.bytes())).transpose();
    let token = token.map_err(release_client::Error::from)?;
    match errand {
        Errand::Fetch => fetch(Trip::new(config, config.patience, report)?, token.as_ref()),
        // The keeper asks again; no time is spent on it here.
        Errand::Renew { terms } => renew(Trip::new(config, Duration::ZERO, report)?, terms, token),
        Errand::Revoke { leases, token: is_ours } => farewell::revoke(config, leases, *is_ours, token),
    }
}

fn fetch(trip: Trip<'_>, given: Option<&Token>) -> Result<(List, Option<Parcel>), Error> {
    trip.make(&[], |trip| {
        if trip.config.secrets.iter().any(|wanted| matches!(wanted.source, Source::Path { .. })) {
            trip.log_in(given)?;
        }
        let all: Vec<(u16, Option<u64>)> =
            (0..).zip(&trip.config.secrets).map(|(index, _)| (index, None)).collect();
        let keys = trip.gather(&all)?;
        trip.load.age(Instant::now());
        Ok(keys)
    })
}

/// The token first: the others are asked for with it. The keeper counts from when it sent us.
fn renew(mut trip: Trip<'_>, terms: &[Term], token: Option<Token>) -> Result<(List, Option<Parcel>), Error> {
    trip.token = token;
    trip.make(terms, |trip| {
        for term in terms.iter().filter(|term| term.of == Of::Token) {
            trip.renew_token(term)?;
        }
        let mut anew = Vec::new();
        for term in terms {
            match (term.of, &term.lease) {
                (Of::Token, _) => {}
                (Of::Secret(_), Some(lease)) if term.renewable => trip.renew_lease(term, lease)?,
                (Of::Secret(index), _) => anew.push((index, term.version)),
            }
        }
        trip.gather(&anew)
    })
}

/// One errand on its way.
struct Trip<'c> {
    config: &'c Config,
    api: Api,
    token: Option<Token>,
    /// Whether the token is of this errand: it was had by a login of ours.
    is_fresh: bool,
    load: Load,
    patience: Duration,
    /// How well we protect what is given to us: goes with all evidence.
    report: Option<Vec<u8>>,
}

impl<'c> Trip<'c> {
    fn new(config: &'c Config, patience: Duration, report: Option<Vec<u8>>) -> Result<Self, Error> {
        let api = Api::new(&config.server, PROGRAM).map_err(release_client::Error::from)?;
        Ok(Self { config, api, token: None, is_fresh: false, load: Load::new()?, patience, report })
    }

    /// Everything of the errand, or nothing: then what was taken out for it is given back. `known` is what the keeper has.
    fn make(
        mut self,
        known: &[Term],
        errand: impl FnOnce(&mut Self) -> Result<Option<Keys>, Error>,
    ) -> Result<(List, Option<Parcel>), Error> {
        let keys = errand(&mut self);
        let leases = self.load.leases_beside(known);
        let Self { config, api, token, is_fresh, load, .. } = self;
        keys.and_then(|keys| load.pack(keys, &config.secrets)).inspect_err(|_told_by_others| {
            let Some(token) = &token else { return };
            // With a token its leases end.
            let back =
                if is_fresh { farewell::token(&api, token) } else { farewell::leases(&api, token, &leases) };
            back.unwrap_or_else(say);
        })
    }

    fn log_in(&mut self, given: Option<&Token>) -> Result<(), Error> {
        let copy = |token: &Token| Token::keep(token.bytes()).map_err(release_client::Error::from);
        let attempt = || {
            let given = given.map(copy).transpose()?;
            Session::begin(self.config, &self.api, given, self.report.as_deref())
        };
        let Session { token, term } = patiently(self.patience, attempt)?;
        self.load.term(term);
        self.token = Some(token);
        self.is_fresh = self.config.login.method != Method::Token;
        Ok(())
    }

    fn renew_token(&mut self, term: &Term) -> Result<(), Error> {
        let token = self.token.take().ok_or(Error::NoToken)?;
        let method = &self.config.login.method;
        if !term.renewable && *method != Method::Token {
            return self.log_in(None);
        }
        if !term.renewable {
            return Err(Error::TokenEnds);
        }
        let Session { token, term } = Session::renew(&self.api, token)?;
        self.load.term(term);
        self.token = Some(token);
        Ok(())
    }

    fn renew_lease(&mut self, term: &Term, lease: &str) -> Result<(), Error> {
        let token = self.token.as_ref().ok_or(Error::NoToken)?;
        self.load.term(path::renew(&self.api, token, term, lease)?);
        Ok(())
    }

    /// Has these secrets come; beside each the version that the keeper has. The keys are for what came sealed.
    fn gather(&mut self, which: &[(u16, Option<u64>)]) -> Result<Option<Keys>, Error> {
        let of = |(index, known): &(u16, Option<u64>)| {
            self.config.secrets.get(usize::from(*index)).map(|wanted| (*index, wanted, *known))
        };
        let which: Vec<(u16, &Wanted, Option<u64>)> = which.iter().filter_map(of).collect();
        let sealed = |wanted: &Wanted| matches!(wanted.source, Source::Release { .. });
        let keys = match which.iter().filter(|(_, wanted, _)| sealed(wanted)).count() {
            0 => None,
            count => Some(Keys::generate(count)?),
        };
        let mut opening = keys.iter().flat_map(Keys::each);
        let mut client = None;
        for (index, wanted, known) in which {
            match &wanted.source {
                Source::Path { path, parameters } => {
                    self.read(&Reading { index, wanted, path, parameters, known })?;
                }
                Source::Release { mount, key: name } => {
                    let client = match &mut client {
                        Some(client) => client,
                        none => none.insert(self.client(mount)?),
                    };
                    let key = opening.next().ok_or(Error::TooMuch)?;
                    self.ask(client, (index, name), &key)?;
                }
            }
        }
        drop(opening);
        if let Some(token) = &self.token {
            self.load.token(token.bytes())?;
        }
        Ok(keys)
    }

    fn client(&self, mount: &str) -> Result<Client, Error> {
        let client = Client::new(&self.config.server, mount, &self.config.agent_socket, PROGRAM)?;
        let client = client.with_workload_token(self.config.workload_token.clone());
        Ok(client.with_protection(self.report.clone()))
    }

    /// Sealed secrets are opened in the order in which they are asked for, which is that of their keys.
    fn ask(&mut self, client: &Client, (index, name): (u16, &str), key: &Key<'_>) -> Result<(), Error> {
        let sealed = patiently(self.patience, || Ok(client.ask(name, key)?))?;
        self.load.term(Term {
            of: Of::Secret(index),
            lease: None,
            seconds: sealed.lease_seconds,
            renewable: true,
            version: Some(sealed.version),
        });
        self.load.sealed(index, sealed);
        Ok(())
    }

    fn read(&mut self, reading: &Reading<'_>) -> Result<(), Error> {
        let token = self.token.as_ref().ok_or(Error::NoToken)?;
        let (api, load) = (&self.api, &mut self.load);
        patiently(self.patience, || reading.read(api, token, load))
    }
}

fn patiently<T>(limit: Duration, attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    patience::patiently(limit, attempt, Error::is_transient, |error, wait| {
        say(format_args!("{error}; asking again in {} ms", wait.as_millis()));
    })
}

fn malformed(what: &str) -> impl Fn(BadJson) -> Error {
    move |source| Error::Malformed { what: what.to_owned(), source }
}
