//! What there is to know about the rule over a mount: who approves, what is open, what is exceptional.

use attest::Digest;
use openbao_plugin::{Error, Response};
use serde_json::{Value, json};

use super::emergency;
use super::founding::{described, in_force};
use super::proposals::{self, tally};
use super::steps::Desk;
use super::stored::StoredProposal;
use crate::reply;

/// Answers a read of `governance`.
pub(super) async fn show(desk: &Desk<'_>) -> Result<Response, Error> {
    let (storage, now) = (desk.host.storage(), desk.now());
    let ruling = in_force(storage).await?;
    let mut open = Vec::new();
    for (name, mut stored) in StoredProposal::all(storage).await? {
        let Ok(id) = name.parse::<Digest<32>>() else { continue };
        if now >= stored.proposal.expires {
            continue;
        }
        let counted = ruling.as_ref().map(|(approvers, _)| tally(approvers, &stored));
        // All of them together would be long; each is to be read by itself.
        stored.content.clear();
        open.push(without_content(proposals::described(id, &stored, counted.as_ref())));
    }
    let holding = emergency::holding(desk.host, now).await?;
    let emergencies = emergency::described(&holding, now);
    reply::data(&json!({
        "mount": desk.origin().await?,
        "approvers": ruling.map(|(approvers, document)| described(&approvers, &document)),
        "open": open,
        "emergencies": emergencies.get("emergencies"),
    }))
}

fn without_content(mut described: Value) -> Value {
    if let Some(fields) = described.as_object_mut() {
        fields.remove("content");
    }
    described
}
