//! A recipient that an auth mount vouches for.
//!
//! On the token path the evidence was judged by `auth/attest`, in another process with storage of its
//! own. What it found stands in the metadata of the caller's alias, and OpenBao says to which auth mount
//! an alias belongs. Believed is only the one mount whose accessor an operator configured: any other auth
//! method can write such metadata too.

use std::collections::BTreeMap;
use std::str::FromStr;

use attest::crypto::AwsLcRs;
use attest::log::{PolicyRef, SecretRef, Subject, Text};
use attest::{Digest, OfferedKey, Platform, Policy, UnixTime, Workload};
use openbao_plugin::{Alias, Entity};

use crate::protection::{self, Reached};
use crate::record::DecisionId;
use crate::workload::metadata;

/// A key and a span of time that the trusted auth mount vouches for.
#[derive(Debug)]
pub struct Vouched {
    key: OfferedKey,
    login: Login,
}

impl Vouched {
    /// Looks for the trusted mount's alias and compares key, policy and time; under which of the policies it was.
    pub(crate) fn find<'p>(
        entity: &Entity,
        accessor: &str,
        offered: OfferedKey,
        policies: &[&'p Policy],
        now: UnixTime,
    ) -> Result<(Self, &'p Policy), NotVouched> {
        let alias = trusted_alias(entity, accessor)?;
        let thumbprint = offered.thumbprint(&AwsLcRs).to_string();
        let said = field(alias, KEY)?;
        if said != thumbprint {
            return Err(NotVouched::Key { expected: said.to_owned(), found: thumbprint });
        }
        let said = field(alias, POLICY)?;
        let same = policies.iter().find(|policy| policy.digest().to_string() == said);
        let policy = *same.or(policies.first()).ok_or(NotVouched::NoAlias)?;
        Ok((Self::assertion(offered, Login::read(alias, policy.digest(), now)?), policy))
    }

    /// Says that the trusted auth mount vouches for this key.
    fn assertion(key: OfferedKey, login: Login) -> Self {
        Self { key, login }
    }

    pub(crate) fn key(&self) -> &OfferedKey {
        &self.key
    }

    /// The login that it rests on.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    pub(crate) fn until(&self) -> UnixTime {
        self.login.until
    }

    pub(crate) fn subject(&self) -> Vec<u8> {
        [self.login.id.0.as_slice(), &self.key.public].concat()
    }
}

/// What the latest login of a machine found, as far as it still holds.
#[derive(Debug)]
pub(crate) struct Login {
    /// Its decision.
    pub(crate) id: DecisionId,
    /// When its evidence was judged.
    pub(crate) at: UnixTime,
    /// The first second at which it no longer holds.
    pub(crate) until: UnixTime,
    /// The machine and the policy, by their names.
    pub(crate) whom: Subject,
    /// The workload that logged in, if one did.
    pub(crate) workload: Option<Workload>,
    /// What it reached, if it brought a protection report.
    pub(crate) protection: Option<Reached>,
}

impl Login {
    /// The latest login through the trusted mount, under this very policy.
    pub(crate) fn find(
        entity: &Entity,
        accessor: &str,
        policy_digest: Digest<32>,
        now: UnixTime,
    ) -> Result<Self, NotVouched> {
        Self::read(trusted_alias(entity, accessor)?, policy_digest, now)
    }

    fn read(alias: &Alias, policy_digest: Digest<32>, now: UnixTime) -> Result<Self, NotVouched> {
        let said = field(alias, POLICY)?;
        if said != policy_digest.to_string() {
            return Err(NotVouched::Policy { expected: policy_digest, found: said.to_owned() });
        }
        let time = |name| field(alias, name)?.parse().map(UnixTime).map_err(|_why| NotVouched::NoAlias);
        let (at, until) = (time(AT)?, time(UNTIL)?);
        if now >= until {
            return Err(NotVouched::Expired { until, now });
        }
        let mut id = DecisionId([0; 32]);
        hex::decode_to_slice(field(alias, DECISION)?, &mut id.0).map_err(|_why| NotVouched::NoAlias)?;
        let workload = metadata::read(&alias.metadata)?;
        let protection = protection::read(&alias.metadata);
        Ok(Self { id, at, until, whom: whom(alias)?, workload, protection })
    }

    /// Whom the entry of what rests on this login concerns.
    pub(crate) fn entry_subject(&self, secret: Option<SecretRef>) -> Subject {
        Subject { secret, valid_until: Some(self.until), ..self.whom.clone() }
    }
}

fn trusted_alias<'e>(entity: &'e Entity, accessor: &str) -> Result<&'e Alias, NotVouched> {
    if entity.disabled {
        return Err(NotVouched::Disabled);
    }
    let alias = entity.aliases.iter().find(|alias| alias.mount_accessor == accessor && !accessor.is_empty());
    let others = || entity.aliases.iter().map(|alias| alias.mount_accessor.as_str()).collect::<Vec<_>>();
    alias.ok_or_else(|| NotVouched::Mount { expected: accessor.to_owned(), found: others().join(", ") })
}

/// The claims about a machine, as an alias carries them: what is not known is empty.
pub(crate) fn claims(whom: &Subject) -> BTreeMap<String, String> {
    let policy = whom.policy.as_ref();
    [
        (PLATFORM, whom.platform.map(|platform| platform.to_string())),
        (PRODUCT, whom.product_line.as_ref().map(|product| product.as_str().to_owned())),
        (HARDWARE, whom.hardware.map(|name| name.to_string())),
        (NODE, whom.instance.map(|name| name.to_string())),
        (MEASUREMENT, whom.measurement.as_ref().map(|measurement| hex::encode(measurement.as_bytes()))),
        (POLICY_NAME, policy.map(|policy| policy.name.as_str().to_owned())),
        (POLICY_VERSION, policy.map(|policy| policy.version.to_string())),
        (POLICY, policy.map(|policy| policy.digest.to_string())),
    ]
    .map(|(key, value)| (key.to_owned(), value.unwrap_or_default()))
    .into()
}

fn whom(alias: &Alias) -> Result<Subject, NotVouched> {
    fn known<T: FromStr>(alias: &Alias, name: &str) -> Result<Option<T>, NotVouched> {
        match field(alias, name)? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_why| NotVouched::NoAlias),
        }
    }
    Ok(Subject {
        platform: Platform::named(field(alias, PLATFORM)?),
        product_line: Some(Text::fitting(field(alias, PRODUCT)?)),
        hardware: known(alias, HARDWARE)?,
        instance: known(alias, NODE)?,
        measurement: known(alias, MEASUREMENT)?,
        policy: Some(PolicyRef {
            name: Text::fitting(field(alias, POLICY_NAME)?),
            version: known(alias, POLICY_VERSION)?.ok_or(NotVouched::NoAlias)?,
            digest: known(alias, POLICY)?.ok_or(NotVouched::NoAlias)?,
        }),
        ..Subject::default()
    })
}

fn field<'a>(alias: &'a Alias, name: &str) -> Result<&'a str, NotVouched> {
    alias.metadata.get(name).map(String::as_str).ok_or(NotVouched::NoAlias)
}

/// Alias metadata: which hardware spoke.
const PLATFORM: &str = "platform";
/// Alias metadata: the product line.
const PRODUCT: &str = "product";
/// Alias metadata: the hardware's name, hex; empty where the hardware hides it.
const HARDWARE: &str = "hardware";
/// Alias metadata: the name of the guest, enclave or node, hex; empty where nothing tells it apart.
const NODE: &str = "node";
/// Alias metadata: what was measured, hex.
const MEASUREMENT: &str = "measurement";
/// Alias metadata: the name of the policy that admitted the machine.
const POLICY_NAME: &str = "policy";
/// Alias metadata: its version.
const POLICY_VERSION: &str = "policy_version";
/// Alias metadata: the thumbprint of the attested key, hex.
pub(crate) const KEY: &str = "key_thumbprint";
/// Alias metadata: SHA-256 of the policy that admitted the machine, hex.
pub(crate) const POLICY: &str = "policy_digest";
/// Alias metadata: when the evidence was judged, seconds since 1970.
pub(crate) const AT: &str = "attested_at";
/// Alias metadata: until when the admission holds, seconds since 1970.
pub(crate) const UNTIL: &str = "attested_until";
/// Alias metadata: the decision, hex.
pub(crate) const DECISION: &str = "decision";

/// Why a token's identity does not carry a release.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum NotVouched {
    /// The token did not come from the trusted auth mount.
    #[error(
        "expected a token of the auth mount that config/auth names by its accessor, {expected:?}, found logins through {found:?}"
    )]
    Mount {
        /// The trusted mount's accessor; empty where none is trusted.
        expected: String,
        /// The accessors of the mounts through which this entity logged in.
        found: String,
    },
    /// An operator disabled the entity.
    #[error("this token's entity is disabled")]
    Disabled,
    /// The alias is not what the auth mount of this plugin writes.
    #[error("expected a token of an attest auth mount, found one without its claims")]
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
    /// The workload in the alias is none.
    #[error(transparent)]
    Workload(#[from] metadata::Damaged),
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

    fn policy(version: u64) -> Policy {
        let text = include_str!("../tests/release/policy.toml").replace("VERSION", &version.to_string());
        Policy::parse(&AwsLcRs, &text).unwrap()
    }

    fn find(accessor: &str, key: u8, version: u64, now: u64) -> Result<Vouched, NotVouched> {
        let policy = policy(version);
        let found = Vouched::find(&entity("a"), accessor, offered(key), &[&policy], UnixTime(now));
        found.map(|(vouched, _)| vouched)
    }

    fn offered(byte: u8) -> OfferedKey {
        OfferedKey { kem: Kem::X25519, public: vec![byte; 32] }
    }

    fn entity(accessor: &str) -> Entity {
        let policy = PolicyRef { name: Text::fitting("prod"), version: 3, digest: policy(1).digest() };
        let whom = Subject {
            platform: Some(Platform::SevSnp),
            hardware: Some(Digest([1; 32])),
            measurement: "07".repeat(48).parse().ok(),
            policy: Some(policy),
            ..Subject::default()
        };
        let mut metadata = claims(&whom);
        metadata.extend([
            (KEY.to_owned(), offered(1).thumbprint(&AwsLcRs).to_string()),
            (AT.to_owned(), "0".to_owned()),
            (UNTIL.to_owned(), "2000".to_owned()),
            (DECISION.to_owned(), "0d".repeat(32)),
        ]);
        let alias = Alias { mount_accessor: accessor.to_owned(), name: "chip".to_owned(), metadata };
        Entity { aliases: vec![alias], ..Entity::default() }
    }

    #[test]
    fn the_same_claims_from_another_auth_mount_are_not_believed() {
        for (expected, found) in [("auth_attest_1", "a"), ("", "a")] {
            let refused = NotVouched::Mount { expected: expected.to_owned(), found: found.to_owned() };
            assert_eq!(find(expected, 1, 1, 1).unwrap_err(), refused);
        }
    }

    #[test]
    fn an_entity_that_an_operator_disabled_gets_nothing() {
        let disabled = Entity { disabled: true, ..entity("a") };
        let policy = policy(1);
        let found = Vouched::find(&disabled, "a", offered(1), &[&policy], UnixTime(1));
        assert_eq!(found.unwrap_err(), NotVouched::Disabled);
    }

    #[test]
    fn a_stolen_token_with_the_thiefs_key_is_refused() {
        assert!(matches!(find("a", 2, 1, 1).unwrap_err(), NotVouched::Key { .. }));
    }

    #[test]
    fn a_login_under_another_policy_or_too_long_ago_is_refused() {
        assert!(matches!(find("a", 1, 2, 1).unwrap_err(), NotVouched::Policy { .. }));
        let late = find("a", 1, 1, 2000).unwrap_err();
        assert_eq!(late, NotVouched::Expired { until: UnixTime(2000), now: UnixTime(2000) });
        assert!(find("a", 1, 1, 1999).is_ok());
    }

    #[test]
    fn of_several_policies_it_is_the_one_of_the_login() {
        let policies = [policy(3), policy(1), policy(2)];
        let (_, found) =
            Vouched::find(&entity("a"), "a", offered(1), &policies.each_ref(), UnixTime(1)).unwrap();
        assert_eq!(found.digest(), policies[1].digest());
        let none = Vouched::find(&entity("a"), "a", offered(1), &[], UnixTime(1)).unwrap_err();
        assert_eq!(none, NotVouched::NoAlias);
    }
}
