//! What is to be changed at the Node next.
//!
//! Compares the Node with the notice and names one change, or none when all is as it should be. Good news:
//! the condition first, then label and taint. Any other: label and taint first. The two go
//! in one request, so that nobody sees one without the other.
//!
//! `spec.taints` is one value for Kubernetes: whoever writes it writes all of it. Ours therefore names the
//! version that it was made of, and is refused if that is no longer the newest.
//!
//! Trusted: the notice. Untrusted: the Node as the API server shows it; what is not ours is handed back unread.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{CONDITION, LABEL, Notice, Pods, Standing, TAINT};

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// Label and taint: a JSON merge patch (RFC 7386) of the Node.
    Marks(Value),
    /// The condition: a strategic merge patch of its status, where conditions are told apart by their type.
    Condition(Value),
}

/// The part of a Node that matters here.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Found {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Spec {
    /// Whole, with what this version does not know.
    taints: Option<Vec<Map<String, Value>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Status {
    conditions: Option<Vec<Condition>>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
    last_transition_time: Option<String>,
    last_heartbeat_time: Option<String>,
}

/// The next change.
pub(super) fn next(node: &Found, notice: &Notice, pods: Pods) -> Option<Change> {
    match notice.standing {
        Standing::Attested => condition(node, notice).or_else(|| marks(node, notice, pods)),
        Standing::Refused | Standing::Unknown => {
            marks(node, notice, pods).or_else(|| condition(node, notice))
        }
    }
}

fn marks(node: &Found, notice: &Notice, pods: Pods) -> Option<Change> {
    let label = if notice.standing == Standing::Attested { "true" } else { "false" };
    let labelled = node.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL));
    let found = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let wanted = taints(found, notice, pods);
    if labelled.is_some_and(|found| found == label) && found == wanted {
        return None;
    }
    Some(Change::Marks(json!({
        "metadata": {"resourceVersion": node.metadata.resource_version, "labels": {LABEL: label}},
        "spec": {"taints": wanted},
    })))
}

/// Those of others as they are; of ours those that should be there, kept if they are.
fn taints(found: &[Map<String, Value>], notice: &Notice, pods: Pods) -> Vec<Map<String, Value>> {
    let effects: &[&str] = match (notice.standing, pods) {
        (Standing::Attested, _) => &[],
        (Standing::Refused, Pods::Leave) => &BOTH,
        // Silence drives nobody away, or an OpenBao that is down would empty every machine; nor does it call them back.
        (Standing::Unknown, Pods::Leave) if found.iter().any(|one| is_ours(one) && has(one, EVICTS)) => &BOTH,
        (Standing::Refused | Standing::Unknown, _) => &["NoSchedule"],
    };
    let stays =
        |taint: &&Map<String, Value>| !is_ours(taint) || effects.iter().any(|effect| has(taint, effect));
    let mut wanted: Vec<_> = found.iter().filter(stays).cloned().collect();
    for effect in effects {
        if !wanted.iter().any(|taint| is_ours(taint) && has(taint, effect)) {
            let taint = [("key", TAINT.into()), ("effect", (*effect).into()), added(notice)];
            wanted.extend([taint.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()]);
        }
    }
    wanted
}

fn is_ours(taint: &Map<String, Value>) -> bool {
    taint.get("key").is_some_and(|key| key == TAINT)
}

fn has(taint: &Map<String, Value>, effect: &str) -> bool {
    taint.get("effect").is_some_and(|one| one == effect)
}

fn added(notice: &Notice) -> (&'static str, Value) {
    ("timeAdded", notice.at.to_string().into())
}

fn condition(node: &Found, notice: &Notice) -> Option<Change> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let found = conditions.and_then(|all| all.iter().find(|one| one.kind == CONDITION));
    let status = match notice.standing {
        Standing::Attested => "True",
        Standing::Refused => "False",
        Standing::Unknown => "Unknown",
    };
    let at = Some(notice.at.to_string());
    // Kubernetes' API conventions: it moves when the status changes, and with nothing else.
    let since = found.filter(|found| found.status == status).map(|found| found.last_transition_time.clone());
    let wanted = Condition {
        kind: CONDITION.to_owned(),
        status: status.to_owned(),
        reason: Some(notice.reason.clone()),
        message: Some(cut(&notice.message)),
        last_transition_time: since.flatten().or_else(|| at.clone()),
        last_heartbeat_time: at,
    };
    if found == Some(&wanted) {
        return None;
    }
    Some(Change::Condition(json!({"status": {"conditions": [{
        "type": wanted.kind,
        "status": wanted.status,
        "reason": wanted.reason,
        "message": wanted.message,
        "lastTransitionTime": wanted.last_transition_time,
        "lastHeartbeatTime": wanted.last_heartbeat_time,
    }]}})))
}

/// A message that a terminal shows as it is, of a length that people read.
fn cut(message: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    message.chars().take(MAX_MESSAGE).map(shown).collect()
}

const MAX_MESSAGE: usize = 1024;
/// The effect that drives away who is there.
const EVICTS: &str = "NoExecute";
const BOTH: [&str; 2] = ["NoSchedule", EVICTS];

#[cfg(test)]
mod tests {
    use attest::UnixTime;

    use super::*;

    fn notice(standing: Standing, at: u64) -> Notice {
        Notice { standing, reason: "EvidenceJudged".to_owned(), message: "m".to_owned(), at: UnixTime(at) }
    }

    fn node(text: &Value) -> Found {
        serde_json::from_value(text.clone()).unwrap()
    }

    fn bare() -> Value {
        json!({"metadata": {"name": "n", "resourceVersion": "7"}})
    }

    #[test]
    fn bad_news_close_the_node_before_they_explain_it() {
        for standing in [Standing::Refused, Standing::Unknown] {
            let change = next(&node(&bare()), &notice(standing, 0), Pods::Stay);
            let expected = json!({
                "metadata": {"resourceVersion": "7", "labels": {"cloudtaser.io/attested": "false"}},
                "spec": {"taints": [{
                    "key": "cloudtaser.io/not-attested", "effect": "NoSchedule", "timeAdded": "1970-01-01T00:00:00Z",
                }]},
            });
            assert_eq!(change, Some(Change::Marks(expected)));
        }
    }

    #[test]
    fn good_news_are_explained_before_they_open_the_node() {
        let change = next(&node(&bare()), &notice(Standing::Attested, 60), Pods::Stay);
        let expected = json!({"status": {"conditions": [{
            "type": "cloudtaser.io/Attested", "status": "True", "reason": "EvidenceJudged", "message": "m",
            "lastTransitionTime": "1970-01-01T00:01:00Z", "lastHeartbeatTime": "1970-01-01T00:01:00Z",
        }]}});
        assert_eq!(change, Some(Change::Condition(expected)));
    }

    #[test]
    fn the_time_of_transition_moves_with_the_status_alone() {
        let with = |status: &str| {
            node(&json!({
                "metadata": {"resourceVersion": "7", "labels": {"cloudtaser.io/attested": "true"}},
                "status": {"conditions": [{"type": "cloudtaser.io/Attested", "status": status,
                    "lastTransitionTime": "1970-01-01T00:00:01Z"}]},
            }))
        };
        for (status, since) in [("True", "1970-01-01T00:00:01Z"), ("Unknown", "1970-01-01T00:00:09Z")] {
            let change = next(&with(status), &notice(Standing::Attested, 9), Pods::Stay);
            let Some(Change::Condition(patch)) = change else { panic!("{change:?}") };
            let condition = &patch["status"]["conditions"][0];
            assert_eq!(condition["lastTransitionTime"], since);
            assert_eq!(condition["lastHeartbeatTime"], "1970-01-01T00:00:09Z");
        }
    }

    #[test]
    fn taints_of_others_are_handed_back_as_they_are() {
        let others = json!([{"key": "other", "value": "v", "effect": "NoExecute", "later": {"field": 1}}]);
        let mut tainted = bare();
        tainted["spec"] = json!({"taints": others});
        let closed = next(&node(&tainted), &notice(Standing::Refused, 0), Pods::Leave);
        let Some(Change::Marks(patch)) = closed else { panic!("{closed:?}") };
        let taints = patch["spec"]["taints"].as_array().unwrap();
        assert_eq!(taints[0], others[0]);
        let effects: Vec<_> = taints.iter().map(|taint| taint["effect"].as_str().unwrap()).collect();
        assert_eq!(effects, ["NoExecute", "NoSchedule", "NoExecute"]);

        tainted["spec"] = json!({"taints": taints});
        let open = marks(&node(&tainted), &notice(Standing::Attested, 0), Pods::Leave);
        let Some(Change::Marks(patch)) = open else { panic!("{open:?}") };
        assert_eq!(patch["spec"]["taints"], others);
    }

    /// Else an agent's restart would empty its machine, and an OpenBao that is down every machine, its own too.
    #[test]
    fn silence_drives_no_pods_away_and_calls_none_back() {
        let effects = |found: &[Map<String, Value>]| {
            let wanted = taints(found, &notice(Standing::Unknown, 0), Pods::Leave);
            wanted.iter().map(|taint| taint["effect"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(effects(&[]), ["NoSchedule"]);
        let refused = taints(&[], &notice(Standing::Refused, 0), Pods::Leave);
        assert_eq!(effects(&refused), ["NoSchedule", "NoExecute"]);
        let mut other = refused[1].clone();
        other.insert("key".to_owned(), "other".into());
        assert_eq!(effects(&[other]), ["NoExecute", "NoSchedule"]);
    }

    #[test]
    fn a_taint_that_the_kubelet_put_there_is_ours_and_goes_whatever_its_effect() {
        let mut started = bare();
        started["spec"] = json!({"taints": [{"key": TAINT, "value": "boot", "effect": "PreferNoSchedule"}]});
        let open = marks(&node(&started), &notice(Standing::Attested, 0), Pods::Stay);
        let Some(Change::Marks(patch)) = open else { panic!("{open:?}") };
        assert_eq!(patch["spec"]["taints"], json!([]));
    }

    #[test]
    fn a_node_that_is_as_it_should_be_is_left_alone() {
        let refused = notice(Standing::Refused, 5);
        let settled = json!({
            "metadata": {"resourceVersion": "8", "labels": {LABEL: "false"}},
            "spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": CONDITION, "status": "False", "reason": "EvidenceJudged", "message": "m",
                "lastTransitionTime": "1970-01-01T00:00:01Z", "lastHeartbeatTime": "1970-01-01T00:00:05Z"}]},
        });
        assert_eq!(next(&node(&settled), &refused, Pods::Stay), None);
        let more = next(&node(&settled), &refused, Pods::Leave);
        assert!(matches!(more, Some(Change::Marks(_))), "{more:?}");
    }

    #[test]
    fn a_message_is_cut_and_holds_no_control_characters() {
        assert_eq!(cut("a\u{1b}[31m\n"), "a?[31m?");
        assert_eq!(cut(&"x".repeat(5000)).len(), 1024);
    }
}
