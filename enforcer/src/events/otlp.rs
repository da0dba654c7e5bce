//! Events as OpenTelemetry logs: a line is one `ExportLogsServiceRequest` in the JSON of OTLP 1.5.
//!
//! The enforcer does not touch the network: a collector on the machine reads the lines from a file (its `otlpjsonfile` receiver) or a
//! Unix socket. Numbers of 64 bits are texts, as protobuf's JSON has them. Attributes take the names of the semantic conventions
//! where there are some, and `cloudtaser.*` where there are none.

use protocol::enforcer::{Event, Place, Severity};
use serde_json::{Value, json};

use super::outlet::Origin;

/// The request that carries this event.
#[must_use]
pub fn request(event: &Event, origin: &Origin) -> Value {
    let (number, text) = severity(event.severity);
    json!({"resourceLogs": [{
        "resource": {"attributes": [
            word("service.name", "cloudtaser-enforcer"),
            word("service.version", origin.version),
            word("service.instance.id", &origin.instance),
            word("host.name", &origin.host),
        ]},
        "scopeLogs": [{
            "scope": {"name": "cloudtaser.enforcer", "version": origin.version},
            "logRecords": [{
                "timeUnixNano": event.time.0.to_string(),
                "observedTimeUnixNano": event.time.0.to_string(),
                "severityNumber": number,
                "severityText": text,
                "eventName": event.event,
                "body": {"stringValue": event.message},
                "attributes": attributes(event),
            }],
        }],
    }]})
}

/// `SeverityNumber` and the short name of its range.
const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Info | Severity::Low => (9, "INFO"),
        Severity::Medium => (13, "WARN"),
        Severity::High => (17, "ERROR"),
        Severity::Critical => (21, "FATAL"),
    }
}

fn attributes(event: &Event) -> Vec<Value> {
    let decision = serde_json::to_value(event.decision).unwrap_or_default();
    let mut all = vec![
        word("cloudtaser.event", &event.event),
        word("cloudtaser.decision", decision.as_str().unwrap_or_default()),
        count("cloudtaser.count", event.count),
    ];
    all.extend(event.vector.iter().map(|vector| word("cloudtaser.vector", vector)));
    all.extend(event.tier.iter().map(|tier| word("cloudtaser.tier", tier)));
    all.extend(event.first.map(|first| word("cloudtaser.first", &first.to_string())));
    all.extend(event.detail.map(|detail| count("cloudtaser.detail", detail)));
    if let Some(call) = &event.syscall {
        all.push(word("cloudtaser.syscall", call.name.as_deref().unwrap_or(&call.number.to_string())));
    }
    if let Some(subject) = &event.subject {
        all.push(count("process.pid", subject.pid.into()));
        all.push(count("thread.id", subject.tid.into()));
        all.push(word("thread.name", &subject.comm));
        all.push(word("user.id", &subject.uid.to_string()));
        all.extend(subject.exe.iter().map(|exe| word("process.executable.path", exe)));
        all.extend(subject.group.iter().map(|group| word("cloudtaser.group", group)));
        place(&mut all, "", &subject.place);
    }
    if let Some(object) = &event.object {
        all.extend(object.pid.map(|pid| count("cloudtaser.object.pid", pid.into())));
        all.extend(object.group.iter().map(|group| word("cloudtaser.object.group", group)));
        all.extend(object.name.iter().map(|name| word("cloudtaser.object.name", name)));
        place(&mut all, "cloudtaser.object.", &object.place);
    }
    all
}

fn place(all: &mut Vec<Value>, prefix: &str, place: &Place) {
    let names = [
        ("process.linux.cgroup", &place.cgroup),
        ("container.id", &place.container),
        ("k8s.pod.uid", &place.pod),
    ];
    for (name, value) in names {
        all.extend(value.iter().map(|value| word(&format!("{prefix}{name}"), value)));
    }
}

fn word(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn count(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

#[cfg(test)]
mod tests {
    use enforcer_abi::Vector;

    use super::super::event::{
        event,
        tests::{record, seen, told},
    };
    use super::*;

    #[test]
    fn a_line_is_a_request_with_one_record() {
        let origin = Origin { host: "node-1".to_owned(), version: "0.1.0", instance: "b00t".to_owned() };
        let line = request(&event(&told(record(Vector::Environ)), &seen()), &origin);
        let resource = &line["resourceLogs"][0]["resource"]["attributes"];
        assert_eq!(
            resource[0],
            json!({"key": "service.name", "value": {"stringValue": "cloudtaser-enforcer"}})
        );
        let record = &line["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], "1795370819000000000");
        assert_eq!((&record["severityNumber"], &record["eventName"]), (&json!(17), &json!("ENVIRON_READ")));
        let attributes = record["attributes"].as_array().unwrap();
        for expected in [
            json!({"key": "cloudtaser.decision", "value": {"stringValue": "denied"}}),
            json!({"key": "process.pid", "value": {"intValue": "10"}}),
            json!({"key": "process.executable.path", "value": {"stringValue": "/usr/bin/gdb"}}),
            json!({"key": "process.linux.cgroup", "value": {"stringValue": "/user.slice"}}),
            json!({
                "key": "cloudtaser.object.k8s.pod.uid",
                "value": {"stringValue": "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d"}
            }),
        ] {
            assert!(attributes.contains(&expected), "{expected} in {attributes:?}");
        }
    }
}
