//! The register in memory: nodes by name, and by whatever tells their machines apart.
//!
//! It says what is known of a name and a machine ([`Nodes::node`], which [`attest::Node`] judges), and what an admission
//! binds ([`Nodes::admission`]). Two that join at once may have read the same register: beside each node there is a key for each
//! of its ids, with all who hold it. Whoever binds writes these keys, and rests on what they were; so of two that bind one name
//! or one id, wherever they run, one is judged again.
//!
//! Trusted: the storage. Untrusted: names, until the machine was compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use attest::crypto::AwsLcRs;
use attest::node::{Endorsed, Entry, Ids, Other, Proven, Rule};
use attest::{Admitted, Crypto, Node, UnixTime, tpm};
use openbao_plugin::{Error, Storage};

use super::stored::{KnownKey, StoredNode};
use crate::log::Draft;
use crate::record::{DecisionId, LedgerError};

/// All nodes of a mount.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    nodes: HashMap<String, Held>,
    /// Who holds an id, by its name and value.
    holders: HashMap<Id, BTreeSet<String>>,
}

/// A node, with its bytes in storage.
#[derive(Clone, Debug)]
struct Held {
    node: StoredNode,
    bytes: Vec<u8>,
}

type Id = (&'static str, String);

/// What an admission or an operator changes, as the storage has to have it.
#[derive(Debug, Default)]
pub(crate) struct Binding {
    pub(super) puts: Vec<(String, Vec<u8>)>,
    pub(super) deletes: Vec<String>,
    pub(super) rests_on: Vec<(String, Option<Vec<u8>>)>,
    name: String,
    held: Option<Held>,
}

impl Binding {
    /// Stored in the same breath as the admission.
    pub(crate) fn onto(&self, mut draft: Draft) -> Draft {
        draft.puts.extend(self.puts.iter().cloned());
        draft.deletes.extend(self.deletes.iter().cloned());
        draft.rests_on.extend(self.rests_on.iter().cloned());
        draft
    }
}

impl Nodes {
    pub(crate) async fn load(storage: &Storage) -> Result<Self, Error> {
        let mut index = Index::default();
        for name in storage.list(StoredNode::FOLDER).await? {
            // It may be deleted while it is read.
            let Some(bytes) = storage.get(&StoredNode::key(&name)).await? else { continue };
            let node = StoredNode::decode(&name, &bytes)?;
            index.set(&name, Some(Held { node, bytes }));
        }
        Ok(Self { index: RwLock::new(index) })
    }

    /// What is known of the name in which this machine asks; `None` if nobody asked for one.
    pub(crate) fn node(
        &self,
        name: Option<&str>,
        rule: Rule,
        endorsed: Option<Endorsed>,
        proven: &Proven,
    ) -> Option<Node> {
        if name.is_none() && rule == Rule::Any {
            return None;
        }
        Some(self.read().node(name, rule, endorsed, proven))
    }

    /// How the attestation key of this name came to be believed, and the endorsement key behind it.
    pub(crate) fn enrolled(&self, ak: &tpm::Name) -> Option<(KnownKey, Endorsed)> {
        let index = self.read();
        let names = index.holders.get(&("ak", ak.to_string()))?;
        let node = &index.nodes.get(names.first()?)?.node;
        let enrolled = node.enrolled.clone().filter(|enrolled| enrolled.ak.as_slice() == ak.as_bytes())?;
        Some((enrolled, Endorsed::new(ak, node.ids.ek?)))
    }

    /// What a judgement on this name rests on.
    pub(crate) fn ground(&self, name: &str) -> (String, Option<Vec<u8>>) {
        (StoredNode::key(name), self.read().nodes.get(name).map(|held| held.bytes.clone()))
    }

    /// Whether there is room for this name.
    pub(crate) fn room(&self, name: &str) -> Result<(), Error> {
        let nodes = &self.read().nodes;
        if nodes.contains_key(name) || nodes.len() < MOST_NODES {
            return Ok(());
        }
        Err(Error::BadRequest(format!("node: at most {MOST_NODES} in the register")))
    }

    /// What changes with this admission: nothing where no name was given, or any machine may have it.
    pub(crate) fn admission(
        &self,
        admitted: &Admitted,
        enrolled: Option<KnownKey>,
        id: DecisionId,
        now: UnixTime,
    ) -> Result<Option<Binding>, LedgerError> {
        let (Some(name), Some(judged)) = (registered(admitted), judged(admitted)) else { return Ok(None) };
        self.room(name)?;
        let (index, proven) = (self.read(), admitted.proven());
        // Another may have joined since this was judged; what the storage has is compared with what is here now.
        if index.node(Some(name), judged.rule, judged.endorsed.clone(), proven) != *judged {
            return Err(LedgerError::Changed);
        }
        let node = index.nodes.get(name).map(|held| held.node.clone());
        let mut node = node.unwrap_or_else(|| StoredNode::new(Ids::default(), now));
        node.ids = std::mem::take(&mut node.ids).with(&proven.ids);
        node.started(&proven.boot);
        node.enrolled = enrolled.or(node.enrolled);
        node.seen = Some(now);
        node.decision = Some(id.to_string());
        Ok(Some(index.binding(name, Some(node))?))
    }

    /// What changes when an operator writes this of a node, or deletes it.
    pub(super) fn replace(&self, name: &str, node: Option<StoredNode>) -> Result<Binding, Error> {
        self.read().binding(name, node)
    }

    /// The other name that has an id of these, if there is one. Those who share a chip say so, each with its id.
    pub(super) fn holder(&self, name: &str, node: &StoredNode) -> Option<Other> {
        let proven = Proven { ids: node.ids.clone(), ..Proven::default() };
        self.read().others(Some(name), Some(node), &proven).into_iter().next()
    }

    /// Follows what was stored.
    pub(crate) fn apply(&self, binding: Binding) {
        self.index.write().unwrap_or_else(PoisonError::into_inner).set(&binding.name, binding.held);
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name in the register under which a machine was admitted.
pub(crate) fn registered(admitted: &Admitted) -> Option<&str> {
    let node = judged(admitted)?;
    let name = node.name.as_deref()?;
    (node.rule != Rule::Any || node.entry.is_some()).then_some(name)
}

/// What the register said when it was judged.
fn judged(admitted: &Admitted) -> Option<&Node> {
    admitted.standing()?.node.as_ref()
}

impl Index {
    fn node(&self, name: Option<&str>, rule: Rule, endorsed: Option<Endorsed>, proven: &Proven) -> Node {
        let held = name.and_then(|name| self.nodes.get(name)).map(|held| &held.node);
        let entry = held.map(|node| Entry {
            ids: node.ids.clone(),
            boot: node.boot.clone(),
            written: !node.expected.is_empty(),
        });
        let replaced = held.is_some_and(|node| {
            proven.boot.launch.as_ref().is_some_and(|launch| node.former.contains(launch))
        });
        let others = self.others(name, held, proven);
        Node { name: name.map(str::to_owned), rule, entry, others, replaced, endorsed }
    }

    /// Under which other names ids of this machine stand. An id that many machines may prove, and that stands under this name too, is
    /// no fault: only an operator writes it a second time.
    fn others(&self, name: Option<&str>, held: Option<&StoredNode>, proven: &Proven) -> Vec<Other> {
        let own: Vec<Id> = held.iter().flat_map(|node| node.ids.named()).collect();
        let ids = proven.ids.named().filter(|id| !(proven.ids.shares(id.0) && own.contains(id)));
        let launch = proven.boot.launch.iter().map(|launch| (LAUNCH, launch.clone()));
        let mut others = Vec::new();
        for id in ids.chain(launch) {
            let holders = self.holders.get(&id).into_iter().flatten();
            let elsewhere = holders.filter(|holder| Some(holder.as_str()) != name);
            others.extend(elsewhere.map(|holder| Other { id: id.0.to_owned(), name: holder.clone() }));
        }
        others.truncate(MOST_OTHERS);
        others
    }

    fn set(&mut self, name: &str, held: Option<Held>) {
        let earlier = match held {
            Some(held) => {
                let ids = ids(&held.node);
                let earlier = self.nodes.insert(name.to_owned(), held);
                for id in ids {
                    self.holders.entry(id).or_default().insert(name.to_owned());
                }
                earlier
            }
            None => self.nodes.remove(name),
        };
        let now: BTreeSet<Id> = self.nodes.get(name).map(|held| ids(&held.node)).unwrap_or_default();
        for id in earlier.map(|held| ids(&held.node)).unwrap_or_default().difference(&now) {
            if let Some(holders) = self.holders.get_mut(id) {
                holders.remove(name);
                if holders.is_empty() {
                    self.holders.remove(id);
                }
            }
        }
    }

    fn binding(&self, name: &str, node: Option<StoredNode>) -> Result<Binding, Error> {
        let earlier = self.nodes.get(name);
        let key = StoredNode::key(name);
        let mut binding = Binding { name: name.to_owned(), ..Binding::default() };
        binding.rests_on.push((key.clone(), earlier.map(|held| held.bytes.clone())));
        let (was, is) = (earlier.map(|held| &held.node), node.as_ref());
        for id in moved(was, is) {
            let (before, mut after) = (self.listed(&id), self.listed(&id));
            after.remove(name);
            if let Some(node) = is.filter(|node| durable(node).contains(&id)) {
                after.insert(name.to_owned(), node.launch().unwrap_or_default().to_owned());
            }
            binding.rests_on.push((id_key(&id), encoded(&before)?));
            match encoded(&after)? {
                Some(bytes) => binding.puts.push((id_key(&id), bytes)),
                None => binding.deletes.push(id_key(&id)),
            }
        }
        match node {
            Some(node) => {
                let bytes = node.encode()?;
                binding.puts.push((key, bytes.clone()));
                binding.held = Some(Held { node, bytes });
            }
            None => binding.deletes.push(key),
        }
        Ok(binding)
    }

    /// Who holds an id, each with its launch: as the storage has it.
    fn listed(&self, id: &Id) -> BTreeMap<String, String> {
        let names = self.holders.get(id).into_iter().flatten();
        let launch = |name: &String| {
            let held = self.nodes.get(name)?;
            Some((name.clone(), held.node.launch().unwrap_or_default().to_owned()))
        };
        names.filter_map(launch).collect()
    }
}

/// The ids whose holders change: gained, lost, or all of them where another launch begins.
fn moved(was: Option<&StoredNode>, is: Option<&StoredNode>) -> BTreeSet<Id> {
    let (before, after) = (was.map(durable).unwrap_or_default(), is.map(durable).unwrap_or_default());
    if was.and_then(StoredNode::launch) == is.and_then(StoredNode::launch) {
        before.symmetric_difference(&after).cloned().collect()
    } else {
        before.union(&after).cloned().collect()
    }
}

fn durable(node: &StoredNode) -> BTreeSet<Id> {
    node.ids.named().collect()
}

/// And its launches, the former ones too: who was replaced under one name is not taken under another.
fn ids(node: &StoredNode) -> BTreeSet<Id> {
    let launches = node.former.iter().map(String::as_str).chain(node.launch());
    node.ids.named().chain(launches.map(|launch| (LAUNCH, launch.to_owned()))).collect()
}

/// Where the holders of an id are.
fn id_key((name, value): &Id) -> String {
    format!("{HOLDERS}{}", AwsLcRs.sha256(&[name.as_bytes(), b"\0", value.as_bytes()]))
}

fn encoded(holders: &BTreeMap<String, String>) -> Result<Option<Vec<u8>>, Error> {
    if holders.is_empty() {
        return Ok(None);
    }
    minicbor::to_vec(holders).map(Some).map_err(|why| Error::Internal(format!("holders: {why}")))
}

/// Where the holders of ids are.
pub(super) const HOLDERS: &str = "node-id/";
const LAUNCH: &str = "launch";
/// All of them are kept in memory: about a kilobyte each, and some ten where a node was launched often.
const MOST_NODES: usize = 50_000;
/// The most that one refusal names.
const MOST_OTHERS: usize = 8;
