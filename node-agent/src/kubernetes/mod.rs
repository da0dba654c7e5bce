//! What the cluster is told of this machine: a label, a condition and a taint of its Node.
//!
//! [`Node::post`] brings the Node to what a [`Notice`] says, one change at a time, and reads after each what
//! is there (`plan` decides which comes next): the taint is put up before all else and taken away after all
//! else, so that a failure in the middle leaves the machine closed. [`Board`] does that in the background
//! until it has succeeded, and looks now and then that nobody undid it.
//!
//! All of this steers the scheduler and informs people. It protects no secret: that is the verdict's part.
//!
//! Trusted: the configuration, the token's file, the notice. Untrusted: the API server's answers, which
//! can at most have us put this Node's marks where they should not be.

mod api;
mod board;
mod plan;

use std::path::PathBuf;
use std::time::Duration;

use attest::UnixTime;

use api::Api;
pub use api::Error;
pub use board::{Board, State};

/// How this machine's Node is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The API server: `https://host:port`.
    pub server: String,
    /// The Node's name.
    pub node: String,
    /// A file with our token; read again for each notice, because it changes within the hour.
    pub token: PathBuf,
    /// A PEM file with the authority over the API server's certificate.
    pub authority: PathBuf,
    /// What becomes of pods that are here when the machine is not attested.
    pub pods: Pods,
    /// The longest that one request takes.
    pub patience: Duration,
    /// How often a Node is looked at that says what it should.
    pub watch: Duration,
}

/// What becomes of pods that are on a machine that is not attested.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pods {
    /// They stay; none comes.
    Stay,
    /// They have to go once it is refused, unless they tolerate it.
    Leave,
}

/// What there is to say of this machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// How it stands.
    pub standing: Standing,
    /// Why, as one word in upper camel case.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
    /// When this was found.
    pub at: UnixTime,
}

/// How this machine stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Its evidence was judged and is good.
    Attested,
    /// Its evidence was judged and is not good, or never was judged.
    Refused,
    /// What was found is too old to say, and nothing newer can be had.
    Unknown,
}

/// This machine's Node.
#[derive(Clone, Debug)]
pub struct Node {
    settings: Settings,
}

impl Node {
    /// The Node that `settings` name. Asks nobody, but the token and the authority must be there.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        Api::new(settings).map(drop)?;
        Ok(Self { settings: settings.clone() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.node
    }

    /// Brings the Node to what `notice` says. What others put there stays as they put it.
    pub fn post(&self, notice: &Notice) -> Result<(), Error> {
        // Made anew each time: token and authority are files that change.
        let api = Api::new(&self.settings)?;
        let mut node = api.read()?;
        for _ in 0..STEPS {
            let Some(change) = plan::next(&node, notice, self.settings.pods) else { return Ok(()) };
            node = match api.change(&change) {
                Err(Error::Conflict) => api.read()?,
                other => other?,
            };
        }
        Err(Error::Unsettled { steps: STEPS })
    }
}

/// The label: `true` or `false`.
pub const LABEL: &str = "cloudtaser.io/attested";
/// The condition's type.
pub const CONDITION: &str = "cloudtaser.io/Attested";
/// The taint's key, without a value.
pub const TAINT: &str = "cloudtaser.io/not-attested";

/// Two changes suffice; each time that somebody else is quicker costs one more.
const STEPS: usize = 12;
