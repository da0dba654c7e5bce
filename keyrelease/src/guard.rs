//! The guard of a secret: which policy stands before it.
//!
//! Where nobody approves, whoever writes a key says which. Where several rule the mount, the first write says it for good,
//! also beyond a delete: otherwise one person would move a key, or a new one under its name, behind a looser policy. There
//! the guard is changed by proposal, and what the policy asks for, by a proposal of the policy.
//!
//! Trusted: the storage, and its transactions.

use openbao_plugin::{Error, Storage};

use crate::governance;
use crate::policies;
use crate::reply::bad_request;

/// What may guard a key.
#[derive(Debug)]
pub(crate) struct Guard {
    name: String,
    /// The only policy that may, where several rule.
    ruled: Option<String>,
    is_ruled: bool,
}

impl Guard {
    /// Of the key of this name, which `guarding` guards now.
    pub(crate) async fn of(transaction: &Storage, name: &str, guarding: Option<&str>) -> Result<Self, Error> {
        let is_ruled = governance::is_ruled(transaction).await?;
        let ruled = match approved(transaction, name).await? {
            _ if !is_ruled => None,
            None => guarding.map(str::to_owned),
            approved => approved,
        };
        Ok(Self { name: name.to_owned(), ruled, is_ruled })
    }

    /// The policy that guards from now on: as asked, or as it was.
    pub(crate) fn choose(&self, asked: Option<String>, guarding: Option<&str>) -> Result<String, Error> {
        match (&self.ruled, asked) {
            (Some(ruled), Some(other)) if *ruled != other => {
                let name = &self.name;
                Err(bad_request(format!(
                    "policy: {ruled:?} guards {name:?} and this mount has approvers, found {other:?}: propose the guard"
                )))
            }
            (Some(ruled), _) => Ok(ruled.clone()),
            (None, asked) => {
                let policy = asked.or_else(|| guarding.map(str::to_owned));
                policy.ok_or_else(|| bad_request("policy: expected the name of a policy"))
            }
        }
    }

    /// Whether a proposal says which policy it is.
    pub(crate) fn is_approved(&self, policy: &str) -> bool {
        self.ruled.as_deref() == Some(policy)
    }

    /// Remembers it, where several rule: in the transaction that writes or deletes the key.
    pub(crate) async fn keep(&self, transaction: &Storage, policy: &str) -> Result<(), Error> {
        if self.is_ruled {
            transaction.put(&key(&self.name), policy.as_bytes().to_vec()).await?;
        }
        Ok(())
    }
}

/// Whether this content may be stored: the name of a policy.
pub(crate) async fn fits(storage: &Storage, content: &str) -> Result<(), Error> {
    policies::is_stored(storage, content).await
}

async fn approved(storage: &Storage, name: &str) -> Result<Option<String>, Error> {
    let Some(bytes) = storage.get(&key(name)).await? else { return Ok(None) };
    let damaged = |_why| Error::Internal(format!("stored {} is damaged", key(name)));
    String::from_utf8(bytes).map(Some).map_err(damaged)
}

fn key(name: &str) -> String {
    format!("guard/{name}")
}
