//! What OpenBao knows about callers and about itself.
//!
//! [`System::entity`] is how one plugin hands facts to another: an auth method puts them in the
//! metadata of an alias, and a secrets engine reads them here.
//!
//! Trusted: the host's answers.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::transport::Channel;

use crate::convert::alias;
use crate::storage::{MAX_MESSAGE, answer, checked};
use crate::wire::pb::system_view_client::SystemViewClient;
use crate::wire::{logical, pb};
use crate::{Alias, HostError};

/// OpenBao's view of itself, for one mount.
#[derive(Clone, Debug)]
pub struct System {
    client: SystemViewClient<Channel>,
}

impl System {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { client: SystemViewClient::new(channel).max_decoding_message_size(MAX_MESSAGE) }
    }

    /// The entity with this id, with its aliases; `None` if there is none.
    pub async fn entity(&self, entity_id: &str) -> Result<Option<Entity>, HostError> {
        let args = pb::EntityInfoArgs { entity_id: entity_id.to_owned() };
        let reply = answer("entity info", self.client.clone().entity_info(args).await)?;
        checked("entity info", &reply.err)?;
        Ok(reply.entity.map(entity))
    }

    /// The names of the groups that the entity belongs to.
    pub async fn groups(&self, entity_id: &str) -> Result<Vec<String>, HostError> {
        let args = pb::EntityInfoArgs { entity_id: entity_id.to_owned() };
        let reply = answer("groups for entity", self.client.clone().groups_for_entity(args).await)?;
        checked("groups for entity", &reply.err)?;
        Ok(reply.groups.into_iter().map(|group| group.name).collect())
    }

    /// Whether this node may write.
    pub async fn replication_state(&self) -> Result<ReplicationState, HostError> {
        let reply = answer("replication state", self.client.clone().replication_state(pb::Empty {}).await)?;
        Ok(ReplicationState(reply.state.cast_unsigned()))
    }

    /// How long tokens and leases live if nothing else is said.
    pub async fn default_lease_ttl(&self) -> Result<Duration, HostError> {
        let reply = answer("default lease ttl", self.client.clone().default_lease_ttl(pb::Empty {}).await)?;
        Ok(from_nanoseconds(reply.ttl))
    }

    /// The longest that tokens and leases may live.
    pub async fn max_lease_ttl(&self) -> Result<Duration, HostError> {
        let reply = answer("max lease ttl", self.client.clone().max_lease_ttl(pb::Empty {}).await)?;
        Ok(from_nanoseconds(reply.ttl))
    }

    /// Whether the mount is being removed.
    pub async fn tainted(&self) -> Result<bool, HostError> {
        Ok(answer("tainted", self.client.clone().tainted(pb::Empty {}).await)?.tainted)
    }

    /// The cluster's name and id.
    pub async fn cluster(&self) -> Result<Cluster, HostError> {
        let reply = answer("cluster info", self.client.clone().cluster_info(pb::Empty {}).await)?;
        checked("cluster info", &reply.err)?;
        Ok(Cluster { name: reply.cluster_name, id: reply.cluster_id })
    }
}

/// A caller's identity across auth mounts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entity {
    /// The id that requests carry.
    pub id: String,
    /// The name an operator sees.
    pub name: String,
    /// One for each auth mount it logged in through.
    pub aliases: Vec<Alias>,
    /// What an operator wrote about it.
    pub metadata: BTreeMap<String, String>,
    /// An operator switched it off.
    pub disabled: bool,
}

fn entity(wire: logical::Entity) -> Entity {
    Entity {
        id: wire.id,
        name: wire.name,
        aliases: wire.aliases.into_iter().map(alias).collect(),
        metadata: wire.metadata.into_iter().collect(),
        disabled: wire.disabled,
    }
}

/// OpenBao's replication state, as bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplicationState(pub u32);

impl ReplicationState {
    /// Whether this node is a standby: reads are served, writes are [`HostError::ReadOnly`].
    #[must_use]
    pub fn is_standby(self) -> bool {
        self.0 & STANDBY != 0
    }
}

/// The cluster this node belongs to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cluster {
    /// Chosen by an operator or at random.
    pub name: String,
    /// A UUID.
    pub id: String,
}

/// A span the host sent; a negative one is none.
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

/// `consts.ReplicationPerformanceStandby`, seen as 24576 on a read-enabled standby.
const STANDBY: u32 = 0x4000;
