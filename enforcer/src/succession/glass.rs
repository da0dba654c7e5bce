//! Break-glass: what an operator signs so that the enforcer lets go, or takes another policy.
//!
//! A statement names one node, one life of its kernel and one act there, by the challenge that the enforcer drew and keeps in
//! its own memory; beside that what shall be done, and until when. A challenge is honoured once: so a statement cannot be used
//! elsewhere, after a restart of the machine, again, or by turning the clock back.
//!
//! Trusted: the key, the node, the challenge and the time as arguments. Untrusted: the statement.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::succession::signed::{self, Unsigned};

/// What a signature is about, so that it is good for nothing else.
pub const DOMAIN: &str = "cloudtaser enforcer break-glass v1\n";
/// The longest statement with its signature.
const LONGEST: usize = 4096;

/// What shall be done.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The enforcer lets go of everything.
    Detach,
    /// It goes on with another policy.
    Change,
}

/// What is signed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The node's name.
    pub node: String,
    /// The enforcer's challenge.
    #[serde(with = "signed::digest")]
    pub challenge: [u8; 32],
    /// What shall be done there.
    pub action: Action,
    /// The first second at which it is good (Unix time).
    pub from: u64,
    /// The first second at which it is no longer.
    pub until: u64,
    /// Why, for those who read the record.
    pub reason: String,
}

/// Why nothing is let go.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody signed it who may.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// Another node's.
    #[error(
        "the statement is for node {0}, and this one was called otherwise when something was enforced first"
    )]
    Node(String),
    /// Another boot's, or used up.
    #[error(
        "the statement answers challenge {}, here it is {}: it was used already, or is for another start of the machine",
        hex::encode(.0), hex::encode(.1)
    )]
    Challenge([u8; 32], [u8; 32]),
    /// Another action's.
    #[error("the statement is for {0:?}, asked for {1:?}")]
    Action(Action, Action),
    /// Too early, or too late.
    #[error("the statement is good from {0} until {1}, now is {2}")]
    Time(u64, u64, u64),
}

/// What is asked, and where and when.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The key; zeros: there is none.
    pub key: &'a [u8; 32],
    /// SHA-256 of the name of this node.
    pub node: &'a [u8; 32],
    /// What was drawn here, and not answered yet.
    pub challenge: &'a [u8; 32],
    /// What shall be done.
    pub action: Action,
    /// Now (Unix time).
    pub now: u64,
}

/// The statement of these two lines, if it is good for what is asked.
pub fn redeem(text: &str, asked: &Asked<'_>) -> Result<Statement, Refusal> {
    let statement: Statement = signed::open(text, LONGEST, DOMAIN, asked.key)?;
    if Sha256::digest(&statement.node).as_slice() != asked.node {
        return Err(Refusal::Node(statement.node));
    }
    if &statement.challenge != asked.challenge {
        return Err(Refusal::Challenge(statement.challenge, *asked.challenge));
    }
    if statement.action != asked.action {
        return Err(Refusal::Action(statement.action, asked.action));
    }
    if asked.now < statement.from || asked.now >= statement.until {
        return Err(Refusal::Time(statement.from, statement.until, asked.now));
    }
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::succession::signed::tests::{key, sign};

    const CHALLENGE: [u8; 32] = [0xab; 32];

    fn statement() -> Statement {
        Statement {
            node: "n1".into(),
            challenge: CHALLENGE,
            action: Action::Detach,
            from: 100,
            until: 200,
            reason: "ticket 7".into(),
        }
    }

    fn called(node: &str) -> [u8; 32] {
        Sha256::digest(node).into()
    }

    fn redeemed(node: &str, challenge: [u8; 32], action: Action, now: u64) -> Result<Statement, Refusal> {
        let (key, challenge) = (&key().verifying_key().to_bytes(), &challenge);
        let (text, node) = (sign(DOMAIN, &serde_json::to_string(&statement()).unwrap()), &called(node));
        redeem(&text, &Asked { key, node, challenge, action, now })
    }

    #[test]
    fn a_statement_is_good_on_its_node_for_its_action_in_its_time() {
        assert_eq!(redeemed("n1", CHALLENGE, Action::Detach, 100), Ok(statement()));
        assert_eq!(redeemed("n2", CHALLENGE, Action::Detach, 100), Err(Refusal::Node("n1".into())));
        assert_eq!(
            redeemed("n1", CHALLENGE, Action::Change, 100),
            Err(Refusal::Action(Action::Detach, Action::Change))
        );
        for now in [99, 200] {
            assert_eq!(redeemed("n1", CHALLENGE, Action::Detach, now), Err(Refusal::Time(100, 200, now)));
        }
    }

    #[test]
    fn a_statement_for_another_start_of_the_machine_is_refused_within_its_time() {
        let refusal = redeemed("n1", [0xcd; 32], Action::Detach, 150).unwrap_err();
        assert_eq!(refusal, Refusal::Challenge(CHALLENGE, [0xcd; 32]));
        assert_eq!(
            refusal.to_string(),
            format!(
                "the statement answers challenge {}, here it is {}: it was used already, or is for another start of the \
                 machine",
                "ab".repeat(32),
                "cd".repeat(32)
            )
        );
    }

    #[test]
    fn a_challenge_is_written_in_one_way() {
        let text = serde_json::to_string(&statement()).unwrap();
        let expected = format!(
            r#"{{"node":"n1","challenge":"{}","action":"detach","from":100,"until":200,"reason":"ticket 7"}}"#,
            "ab".repeat(32)
        );
        assert_eq!(text, expected);
        let upper = sign(DOMAIN, &text.replace("abab", "ABAB"));
        let asked = Asked {
            key: &key().verifying_key().to_bytes(),
            node: &called("n1"),
            challenge: &CHALLENGE,
            action: Action::Detach,
            now: 150,
        };
        assert!(matches!(redeem(&upper, &asked), Err(Refusal::Unsigned(Unsigned::Words(_)))));
    }
}
