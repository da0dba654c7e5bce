//! A recipient that an auth mount vouches for.
//!
//! On the token path the evidence was judged by `auth/attest`, in another process with storage of its
//! own. What it found stands in the metadata of the caller's alias, and OpenBao says to which auth mount
//! an alias belongs. Believed is only the one mount whose accessor an operator configured: any other auth
//! method can write such metadata too.

use attest::crypto::AwsLcRs;
use attest::{Digest, OfferedKey, UnixTime};
use openbao_plugin::{Alias, Entity};

/// A key and a span of time that the trusted auth mount vouches for.
#[derive(Debug)]
pub struct Vouched {
    key: OfferedKey,
    until: UnixTime,
    decision: String,
}

impl Vouched {
    /// Looks for the trusted mount's alias and compares key, policy and time.
    pub(crate) fn find(
        entity: &Entity,
        accessor: &str,
        offered: OfferedKey,
        policy_digest: Digest<32>,
        now: UnixTime,
    ) -> Result<Self, NotVouched> {
        let alias = entity.aliases.iter().find(|alias| alias.mount_accessor == accessor);
        let alias = alias.filter(|_| !entity.disabled).ok_or(NotVouched::NoAlias)?;
        let thumbprint = offered.thumbprint(&AwsLcRs).to_string();
        let said = field(alias, KEY)?;
        if said != thumbprint {
            return Err(NotVouched::Key { expected: said.to_owned(), found: thumbprint });
        }
        let said = field(alias, POLICY)?;
        if said != policy_digest.to_string() {
            return Err(NotVouched::Policy { expected: policy_digest, found: said.to_owned() });
        }
        let until = field(alias, UNTIL)?.parse().map(UnixTime).map_err(|_why| NotVouched::NoAlias)?;
        if now >= until {
            return Err(NotVouched::Expired { until, now });
        }
        let decision = field(alias, DECISION)?.to_owned();
        Ok(Self::assertion(offered, until, decision))
    }

    /// Says that the trusted auth mount vouches for this key.
    fn assertion(key: OfferedKey, until: UnixTime, decision: String) -> Self {
        Self { key, until, decision }
    }

    pub(crate) fn key(&self) -> &OfferedKey {
        &self.key
    }

    pub(crate) fn until(&self) -> UnixTime {
        self.until
    }

    /// The login's decision.
    pub(crate) fn decision(&self) -> &str {
        &self.decision
    }

    pub(crate) fn subject(&self) -> Vec<u8> {
        [self.decision.as_bytes(), &self.key.public].concat()
    }
}

fn field<'a>(alias: &'a Alias, name: &str) -> Result<&'a str, NotVouched> {
    alias.metadata.get(name).map(String::as_str).ok_or(NotVouched::NoAlias)
}

/// Alias metadata: the thumbprint of the attested key, hex.
pub(crate) const KEY: &str = "key_thumbprint";
/// Alias metadata: SHA-256 of the policy that admitted the machine, hex.
pub(crate) const POLICY: &str = "policy_digest";
/// Alias metadata: until when the admission holds, seconds since 1970.
pub(crate) const UNTIL: &str = "attested_until";
/// Alias metadata: the decision, hex.
pub(crate) const DECISION: &str = "decision";

/// Why a token's identity does not carry a release.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotVouched {
    /// The token did not come from the trusted auth mount.
    #[error("expected a token of the configured attest auth mount, found one without its claims")]
    NoAlias,
    /// The recipient's key is not the attested one.
    #[error("recipient key: expected thumbprint {expected}, which was attested at login, found {found}")]
    Key {
        /// Attested at login.
        expected: String,
        /// In the request.
        found: String,
    },
    /// The login was judged under another policy than the key asks for.
    #[error("policy: this key asks for digest {expected}, the login was judged under {found}")]
    Policy {
        /// The key's policy.
        expected: Digest<32>,
        /// The login's policy.
        found: String,
    },
    /// The machine must be attested anew.
    #[error("attestation expired at {until}, asked at {now}")]
    Expired {
        /// The end.
        until: UnixTime,
        /// The time of the request.
        now: UnixTime,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest::Kem;
    use std::collections::BTreeMap;

    const POLICY_DIGEST: Digest<32> = Digest([9; 32]);

    fn offered(byte: u8) -> OfferedKey {
        OfferedKey { kem: Kem::X25519, public: vec![byte; 32] }
    }

    fn entity(accessor: &str) -> Entity {
        let metadata = BTreeMap::from([
            (KEY.to_owned(), offered(1).thumbprint(&AwsLcRs).to_string()),
            (POLICY.to_owned(), POLICY_DIGEST.to_string()),
            (UNTIL.to_owned(), "2000".to_owned()),
            (DECISION.to_owned(), "d".to_owned()),
        ]);
        let alias = Alias { mount_accessor: accessor.to_owned(), name: "chip".to_owned(), metadata };
        Entity { aliases: vec![alias], ..Entity::default() }
    }

    #[test]
    fn the_same_claims_from_another_auth_mount_are_not_believed() {
        let found =
            Vouched::find(&entity("auth_jwt_1"), "auth_attest_1", offered(1), POLICY_DIGEST, UnixTime(1));
        assert_eq!(found.unwrap_err(), NotVouched::NoAlias);
    }

    #[test]
    fn a_stolen_token_with_the_thiefs_key_is_refused() {
        let found = Vouched::find(&entity("a"), "a", offered(2), POLICY_DIGEST, UnixTime(1)).unwrap_err();
        assert!(matches!(found, NotVouched::Key { .. }));
    }

    #[test]
    fn a_login_under_another_policy_or_too_long_ago_is_refused() {
        let other = Vouched::find(&entity("a"), "a", offered(1), Digest([8; 32]), UnixTime(1)).unwrap_err();
        assert!(matches!(other, NotVouched::Policy { .. }));
        let late = Vouched::find(&entity("a"), "a", offered(1), POLICY_DIGEST, UnixTime(2000)).unwrap_err();
        assert_eq!(late, NotVouched::Expired { until: UnixTime(2000), now: UnixTime(2000) });
        assert!(Vouched::find(&entity("a"), "a", offered(1), POLICY_DIGEST, UnixTime(1999)).is_ok());
    }
}
