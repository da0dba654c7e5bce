//! `node/<name>`: the register, as operators see it.
//!
//! A write expects a machine under a name, whatever was bound to it before; a delete forgets it, and whoever comes next is
//! the first. Who may do either is decided by OpenBao's policies.
//!
//! Trusted: the operator.

use std::sync::Arc;

use attest::node::Ids;
use openbao_plugin::{Error, Host, Operation, Response};
use serde_json::{Map, Value};

use super::register::{Binding, Nodes};
use super::stored::StoredNode;
use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// Answers `node/…`.
pub(crate) async fn answer(
    mount: &Mount,
    host: &Host,
    operation: Operation,
    name: &str,
    body: Map<String, Value>,
) -> Result<Option<Response>, Error> {
    let storage = host.storage();
    match (operation, name) {
        (Operation::List, "") => Ok(Some(Response::keys(storage.list(StoredNode::FOLDER).await?))),
        (Operation::Read, name) => {
            let Some(bytes) = storage.get(&StoredNode::key(name)).await? else { return Ok(None) };
            reply::data(&StoredNode::decode(name, &bytes)?.shown()).map(Some)
        }
        (Operation::Update, name) => {
            let ids = expected(reply::body(body)?)?;
            let node = StoredNode::new(ids, mount.now());
            change(mount, host, reply::node_name(name)?, Some(node)).await
        }
        (Operation::Delete, name) => change(mount, host, reply::node_name(name)?, None).await,
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Writes what is to become of a node, again if a login was faster.
async fn change(
    mount: &Mount,
    host: &Host,
    name: &str,
    node: Option<StoredNode>,
) -> Result<Option<Response>, Error> {
    for _ in 0..ATTEMPTS {
        let nodes = mount.nodes(host).await?;
        if let Some(node) = &node {
            nodes.room(name)?;
            if let Some(other) = nodes.holder(name, node) {
                return Err(bad_request(format!("{}: node {} has it", other.id, other.name)));
            }
        }
        let binding = nodes.replace(name, node.clone())?;
        if stored(mount, host, &nodes, binding).await? {
            return Ok(None);
        }
    }
    Err(Error::Coded { status: 409, message: "another writer was faster".to_owned() })
}

/// Stores a change, if what it rests on is in storage still; else the register is read anew.
async fn stored(mount: &Mount, host: &Host, nodes: &Arc<Nodes>, binding: Binding) -> Result<bool, Error> {
    let transaction = host.transaction().await?;
    for (key, bytes) in &binding.rests_on {
        if transaction.get(key).await? != *bytes {
            mount.forget_nodes();
            return Ok(false);
        }
    }
    for (key, bytes) in &binding.puts {
        transaction.put(key, bytes.clone()).await?;
    }
    for key in &binding.deletes {
        transaction.delete(key).await?;
    }
    let Err(why) = mount.commit(transaction).await else {
        mount.follow(nodes, binding);
        return Ok(true);
    };
    mount.forget_nodes();
    if is_conflict(&why) { Ok(false) } else { Err(why) }
}

fn is_conflict(why: &Error) -> bool {
    matches!(why, Error::Coded { status: 409, .. })
}

/// What an operator expects: at least one id, each in its one spelling.
fn expected(mut ids: Ids) -> Result<Ids, Error> {
    let lengths: [(&str, &mut Option<String>, &[usize]); 3] = [
        ("chip_id", &mut ids.chip_id, &[16, 64]),
        ("platform_instance_id", &mut ids.platform_instance_id, &[16]),
        ("ak", &mut ids.ak, &[22, 32, 34, 50, 66]),
    ];
    for (name, value, lengths) in lengths {
        let Some(text) = value else { continue };
        let bytes = hex::decode(&*text).ok().filter(|bytes| lengths.contains(&bytes.len()));
        let expected = format!("{name}: expected the hex of {lengths:?} bytes");
        *text = hex::encode(bytes.ok_or_else(|| bad_request(expected))?);
    }
    let plain = |id: &String| !id.is_empty() && id.len() <= 128 && id.chars().all(|c| c.is_ascii_graphic());
    if !ids.instance_id.as_ref().is_none_or(plain) {
        return Err(bad_request("instance_id: expected 1 to 128 printable characters without spaces"));
    }
    if ids.is_empty() {
        return Err(bad_request(
            "node: expected chip_id, platform_instance_id, ek, ak or instance_id: what tells its machine from others",
        ));
    }
    Ok(ids)
}

/// How often a change is tried again because a login was faster.
const ATTEMPTS: u32 = 8;
