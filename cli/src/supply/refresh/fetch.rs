//! Fetching: one request at a time, capped in size and time, patient with services that ask for it.
//!
//! A host that failed for good is left alone for the rest of the round. What a round brought home is asked for
//! conditionally in the next one.
//!
//! Untrusted: every answer.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attest::collateral::Want;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::pace;
use super::source::{Place, Question, Shape, Source, objects};
use crate::{input, layout};

/// Asks sources.
pub(crate) struct Fetcher<'a> {
    pub(crate) agent: ureq::Agent,
    /// Waits.
    pub(crate) sleep: &'a dyn Fn(Duration),
    /// Draws 0 to 1000.
    pub(crate) chance: &'a dyn Fn() -> u16,
    /// How long a round may wait for services altogether.
    pub(crate) patience: Duration,
    /// Hosts that gave up, and why.
    pub(crate) down: HashMap<String, String>,
    /// What each URL said of its state, as of the last round that came home.
    pub(crate) known: HashMap<String, State>,
    /// The same of this round.
    pub(crate) found: HashMap<String, State>,
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("patience", &self.patience)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}

/// What a service says of the state of a resource.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    etag: Option<String>,
    modified: Option<String>,
}

/// What one request came to.
enum Answer {
    /// A body, with the header that was asked for.
    Body(Vec<u8>, Option<String>),
    /// Nothing newer.
    Unchanged,
    /// No such thing.
    Absent,
    /// Ask again, perhaps after this time.
    Later(String, Option<Duration>),
    /// No.
    Failed(String),
}

impl Fetcher<'_> {
    /// The objects that answer a want, of the first source that has it. Nothing if there is nothing newer.
    pub(crate) fn fetch(
        &mut self,
        sources: &[Source],
        want: &Want,
        stored: Stored,
    ) -> Result<Vec<(Vec<u8>, String)>, String> {
        let mut problems = Vec::new();
        for source in sources {
            let Some(question) = source.question(want) else { continue };
            match self.ask(&question, stored) {
                Ok(found) => {
                    let origin = question.place.to_string();
                    return Ok(found.into_iter().map(|object| (object, origin.clone())).collect());
                }
                Err(problem) => problems.push(format!("{}: {problem}", source.name())),
            }
        }
        let problem =
            if problems.is_empty() { "no source has such things".to_owned() } else { problems.join("; ") };
        Err(layout::printable(&format!("{} {}: {problem}", want.kind, want.key)))
    }

    fn ask(&mut self, question: &Question, stored: Stored) -> Result<Vec<Vec<u8>>, String> {
        let url = match &question.place {
            Place::File(path) => return file(path).and_then(|body| objects(question.shape, body, None)),
            Place::Url(url) => url,
        };
        let host = host(url);
        if let Some(why) = self.down.get(&host) {
            return Err(why.clone());
        }
        let header = match question.shape {
            Shape::WithChain(name) => Some(name),
            Shape::Bare | Shape::Pem | Shape::MaybeHex => None,
        };
        let mut failures: u32 = 0;
        loop {
            match self.get(url, header, stored) {
                Answer::Body(body, chain) => return objects(question.shape, body, chain.as_deref()),
                Answer::Unchanged => return Ok(Vec::new()),
                Answer::Absent => return Err("it has none".to_owned()),
                Answer::Failed(why) => return Err(why),
                Answer::Later(why, asked) => {
                    failures = failures.saturating_add(1);
                    if let Err(why) = self.wait(failures, asked, &why) {
                        self.down.insert(host, why.clone());
                        return Err(why);
                    }
                }
            }
        }
    }

    /// Waits as long as it must, if the patience for this round is enough.
    fn wait(&mut self, failures: u32, asked: Option<Duration>, why: &str) -> Result<(), String> {
        let wait = pace::wait(failures, asked, (self.chance)());
        if failures >= MOST_ATTEMPTS {
            return Err(format!("{why}, {failures} times"));
        }
        let Some(left) = self.patience.checked_sub(wait) else {
            return Err(format!("{why}; to wait {} s more is too long for this round", wait.as_secs()));
        };
        self.patience = left;
        (self.sleep)(wait);
        Ok(())
    }

    fn get(&mut self, url: &str, header: Option<&str>, stored: Stored) -> Answer {
        let mut request = self.agent.get(url);
        if let (Stored::Yes, Some(state)) = (stored, self.known.get(url)) {
            if let Some(etag) = &state.etag {
                request = request.header("If-None-Match", etag);
            }
            if let Some(modified) = &state.modified {
                request = request.header("If-Modified-Since", modified);
            }
        }
        let mut answer = match request.call() {
            Ok(answer) => answer,
            Err(error) => return Answer::Later(error.to_string(), None),
        };
        let text =
            |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let state = State { etag: text("ETag"), modified: text("Last-Modified") };
        let (chain, asked) = (header.and_then(text), text("Retry-After"));
        let status = answer.status().as_u16();
        match status {
            200 => match answer.body_mut().with_config().limit(MAX_BODY).read_to_vec() {
                Ok(body) => {
                    self.found.insert(url.to_owned(), state);
                    Answer::Body(body, chain)
                }
                Err(ureq::Error::BodyExceedsLimit(limit)) => {
                    Answer::Failed(format!("answered more than {limit} bytes"))
                }
                Err(error) => Answer::Later(error.to_string(), None),
            },
            304 => Answer::Unchanged,
            404 => Answer::Absent,
            408 | 425 | 429 | 500..=599 => {
                Answer::Later(format!("answered {status}"), asked.as_deref().and_then(pace::asked))
            }
            _ => Answer::Failed(format!("answered {status}")),
        }
    }
}

/// Whether the store has an edition of it: only then may a source answer that nothing changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stored {
    Yes,
    No,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A client for vendors' services: no redirects, no proxy, these authorities.
pub(crate) fn agent(authorities: Vec<Certificate<'static>>) -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
    let tls = tls.root_certs(RootCerts::Specific(Arc::new(authorities))).build();
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .user_agent("cloudtaser")
        .tls_config(tls)
        .build();
    config.new_agent()
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    if !path.is_file() {
        return Err("it has none".to_owned());
    }
    let limit = usize::try_from(MAX_BODY).unwrap_or(usize::MAX);
    input::read(path, limit).map_err(|why| why.message)
}

/// Scheme, host and port.
fn host(url: &str) -> String {
    url.split('/').take(3).collect::<Vec<_>>().join("/")
}

const MAX_BODY: u64 = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Requests for one thing.
const MOST_ATTEMPTS: u32 = 4;
