//! Events in the words of OCSF 1.3.0: class Detection Finding (2004), with the profiles `security_control` and `container`.
//!
//! Each event is a finding of its own, created and never updated. What an attacker did stands in `evidences`, whom they did it to in
//! `resources`. What OCSF has no word for stands in `unmapped`, by the names of our own lines.
//! <https://schema.ocsf.io/1.3.0/classes/detection_finding>

use protocol::enforcer::{Decision, Event, Moment, Object, Place, Severity, Subject};
use serde_json::{Map, Value, json};

use super::outlet::Origin;

/// The version of the schema that is spoken.
pub const VERSION: &str = "1.3.0";

/// The finding that this event is; `sequence` sets it apart from all others of the same origin.
#[must_use]
pub fn finding(event: &Event, origin: &Origin, sequence: u64) -> Value {
    let (action, disposition, words) = outcome(event.decision);
    let first = event.first.unwrap_or(event.time);
    let mut finding = json!({
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": FINDINGS,
        "category_name": "Findings",
        "class_uid": DETECTION,
        "class_name": "Detection Finding",
        "type_uid": DETECTION * 100 + CREATE,
        "type_name": "Detection Finding: Create",
        "severity_id": severity(event.severity),
        "status_id": 1,
        "time": milliseconds(event.time),
        "start_time": milliseconds(first),
        "end_time": milliseconds(event.time),
        "count": event.count,
        "message": event.message,
        "is_alert": event.severity >= Severity::High,
        "action_id": action,
        "disposition_id": disposition,
        "disposition": words,
        "metadata": metadata(event, origin, sequence),
        "finding_info": {
            "uid": format!("{}-{sequence}", origin.instance),
            "title": event.event,
            "desc": event.message,
            "types": event.vector.iter().collect::<Vec<_>>(),
            "first_seen_time": milliseconds(first),
            "last_seen_time": milliseconds(event.time),
        },
        "device": {"type_id": 0, "hostname": origin.host},
        "unmapped": unmapped(event),
    });
    if let Some(subject) = &event.subject {
        put(&mut finding, "evidences", json!([evidence(event, subject)]));
    }
    if let Some(object) = &event.object {
        put(&mut finding, "resources", json!([resource(object)]));
    }
    finding
}

fn metadata(event: &Event, origin: &Origin, sequence: u64) -> Value {
    json!({
        "version": VERSION,
        "product": {"name": "CloudTaser enforcer", "vendor_name": "CloudTaser", "version": origin.version},
        "profiles": ["security_control", "container", "host"],
        "event_code": event.event,
        "sequence": sequence,
        "uid": format!("{}-{sequence}", origin.instance),
    })
}

/// `action_id`, `disposition_id` and its name.
const fn outcome(decision: Decision) -> (u8, u8, &'static str) {
    match decision {
        Decision::Denied | Decision::Killed => (2, 2, "Blocked"),
        Decision::Told => (1, 15, "Detected"),
        Decision::Allowed => (1, 1, "Allowed"),
        Decision::Notice => (0, 17, "Logged"),
    }
}

const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

fn evidence(event: &Event, subject: &Subject) -> Value {
    let mut process = json!({
        "pid": subject.pid,
        "tid": subject.tid,
        "name": subject.comm,
        "user": {"uid": subject.uid.to_string()},
    });
    if let Some(exe) = &subject.exe {
        let name = exe.rsplit('/').next().unwrap_or(exe);
        // type_id 1: a regular file.
        put(&mut process, "file", json!({"path": exe, "name": name, "type_id": 1}));
    }
    let container = container(&subject.place);
    if let Some(container) = container.clone() {
        put(&mut process, "container", container);
    }
    let mut evidence = json!({"process": process.clone(), "actor": {"process": process}});
    if let Some(container) = container {
        put(&mut evidence, "container", container);
    }
    if let Some(name) = event.syscall.as_ref().and_then(|call| call.name.as_deref()) {
        put(&mut evidence, "api", json!({"operation": name}));
    }
    evidence
}

fn container(place: &Place) -> Option<Value> {
    if place.container.is_none() && place.pod.is_none() {
        return None;
    }
    let mut found = json!({});
    if let Some(id) = &place.container {
        put(&mut found, "uid", json!(id));
    }
    if let Some(pod) = &place.pod {
        put(&mut found, "pod_uuid", json!(pod));
    }
    Some(found)
}

fn resource(object: &Object) -> Value {
    let name = match (&object.name, object.pid) {
        (Some(name), Some(pid)) => format!("{name} of process {pid}"),
        (Some(name), None) => name.clone(),
        (None, Some(pid)) => format!("process {pid}"),
        (None, None) => "node".to_owned(),
    };
    json!({"type": if object.pid.is_some() { "process" } else { "file" }, "name": name, "data": object})
}

fn unmapped(event: &Event) -> Value {
    let mut rest = json!({"decision": event.decision});
    if let Some(tier) = &event.tier {
        put(&mut rest, "tier", json!(tier));
    }
    if let Some(detail) = event.detail {
        put(&mut rest, "detail", json!(detail));
    }
    if let Some(syscall) = &event.syscall {
        put(&mut rest, "syscall", json!(syscall.number));
    }
    rest
}

fn put(into: &mut Value, name: &str, value: Value) {
    if let Some(fields) = into.as_object_mut() {
        let _before: Option<Value> = Map::insert(fields, name.to_owned(), value);
    }
}

const fn milliseconds(moment: Moment) -> u64 {
    moment.0 / 1_000_000
}

const CREATE: u32 = 1;
const FINDINGS: u32 = 2;
const DETECTION: u32 = 2004;

#[cfg(test)]
mod tests {
    use enforcer_abi::{Record, Vector};

    use super::super::event::{
        event,
        tests::{record, seen, told},
    };
    use super::*;

    fn origin() -> Origin {
        Origin { host: "node-1".to_owned(), version: "0.1.0", instance: "b00t".to_owned() }
    }

    fn found(record: Record) -> Value {
        finding(&event(&told(record), &seen()), &origin(), 7)
    }

    // What the published schema, 1.3.0, requires, with the type of each: `n` a number, `s` a text.
    // base_event: activity_id category_uid class_uid metadata severity_id time type_uid; finding: finding_info;
    // metadata: product version; product: vendor_name in 1.3; finding_info: title uid; device: type_id; file: name type_id;
    // profile security_control: action_id disposition_id; evidences: at least one; process: pid or uid.
    const REQUIRED: &[(&str, char)] = &[
        ("/activity_id", 'n'),
        ("/category_uid", 'n'),
        ("/class_uid", 'n'),
        ("/severity_id", 'n'),
        ("/time", 'n'),
        ("/type_uid", 'n'),
        ("/action_id", 'n'),
        ("/disposition_id", 'n'),
        ("/metadata/version", 's'),
        ("/metadata/product/vendor_name", 's'),
        ("/metadata/product/name", 's'),
        ("/finding_info/title", 's'),
        ("/finding_info/uid", 's'),
        ("/device/type_id", 'n'),
        ("/evidences/0/process/pid", 'n'),
        ("/evidences/0/process/file/name", 's'),
        ("/evidences/0/process/file/type_id", 'n'),
        ("/evidences/0/api/operation", 's'),
    ];

    #[test]
    fn every_vector_is_a_finding_with_all_that_the_schema_requires() {
        for vector in Vector::ALL {
            let finding = found(record(*vector));
            for (path, kind) in REQUIRED {
                let value = finding.pointer(path).unwrap_or_else(|| panic!("{path} of {finding}"));
                assert!(if *kind == 'n' { value.is_u64() } else { value.is_string() }, "{path}: {value}");
            }
            let number = |path: &str| finding.pointer(path).unwrap().as_u64().unwrap();
            assert_eq!(number("/type_uid"), number("/class_uid") * 100 + number("/activity_id"));
            assert_eq!(number("/class_uid") / 1000, number("/category_uid"));
            assert!((1..=5).contains(&number("/severity_id")));
        }
    }

    #[test]
    fn what_was_denied_is_blocked_and_what_was_told_is_detected() {
        let denied = found(record(Vector::Ptrace));
        assert_eq!((&denied["action_id"], &denied["disposition"]), (&json!(2), &json!("Blocked")));
        let told = found(Record { ruling: 1, ..record(Vector::Ptrace) });
        assert_eq!((&told["action_id"], &told["disposition"]), (&json!(1), &json!("Detected")));
    }

    #[test]
    fn subject_and_object_have_their_places() {
        let finding = found(record(Vector::Ptrace));
        assert_eq!(finding["evidences"][0]["process"]["user"]["uid"], "0");
        assert_eq!(finding["resources"][0]["data"]["pod"], "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d");
        assert_eq!(finding["finding_info"]["uid"], "b00t-7");
        assert_eq!(finding["time"], 1_795_370_819_000_u64);
    }
}
