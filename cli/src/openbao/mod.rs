//! A running OpenBao, as every verb that is pointed at one speaks with it.
//!
//! [`settings`] are the words of the environment and the command line, [`client`] asks and tells, [`seen`] is what comes
//! of a question.
//!
//! Trusted: the environment and the command line. Untrusted: every answer; it is capped in size and time.

mod client;
mod mount;
mod seen;
mod settings;
mod token;

use std::time::Duration;

use crate::answer::NotJudged;

pub(crate) use client::{Certificates, Client, Unreachable, authorities};
pub(crate) use mount::mount;
pub(crate) use seen::{Seen, Unseen};
pub(crate) use settings::{Address, Authority, RawSettings, Settings};
pub(crate) use token::token;

/// Which server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Server {
    /// The server
    #[arg(
        long,
        value_name = "URL",
        help = "The server, such as https://bao.example:8200; otherwise BAO_ADDR names it"
    )]
    address: Option<String>,
    /// The namespace
    #[arg(
        long,
        value_name = "NAMESPACE",
        help = "The namespace; otherwise BAO_NAMESPACE names it, or it is the root namespace"
    )]
    namespace: Option<String>,
}

impl Server {
    /// What the words and the environment say together.
    pub(crate) fn settings(&self) -> Result<Settings, NotJudged> {
        let raw = RawSettings {
            environment: std::env::vars_os().collect(),
            address: self.address.clone(),
            namespace: self.namespace.clone(),
        };
        Settings::try_from(raw).map_err(|error| NotJudged::new("source.settings", error.to_string()))
    }

    /// A client of the server, with the caller's token; each answer may take so long.
    pub(crate) fn connect(&self, patience: Duration) -> Result<Client, NotJudged> {
        let settings = self.settings()?;
        let token = token(&settings.token)?;
        Ok(Client::new(&settings, &Certificates::read(&settings)?, token, patience))
    }
}
