//! Documents that are made from the catalogue say what it says.

use enforcer_abi::{CATALOGUE, Guard};
use protocol::enforcer::Event;

const EVENTS: &str = include_str!("../../docs/enforcer-events.md");
const MARK: &str = "<!-- made from the catalogue: enforcer/tests/documents.rs -->\n";

fn table() -> String {
    let head = "| event | vector | guards | hooks, the first one first | what an attacker does |\n|---|---|---|---|---|\n";
    let mut text = head.to_owned();
    for row in CATALOGUE {
        let guards = match row.guard {
            Guard::Process => "a protected process",
            Guard::Own => "the enforcer",
            Guard::Node => "the node",
            Guard::Inside => "against a protected process itself",
        };
        let hooks: Vec<String> = row.hooks.iter().map(|hook| format!("`{hook}`")).collect();
        let (event, name, hooks, what) = (row.event, row.name, hooks.join(", "), row.what);
        text.extend([format!("| `{event}` | `{name}` | {guards} | {hooks} | {what} |\n")]);
    }
    text.push_str("\n| event of the enforcer's own | |\n|---|---|\n");
    for (event, what) in Event::OWN {
        text.extend([format!("| `{event}` | {what} |\n")]);
    }
    text
}

#[test]
fn the_table_of_events_is_the_catalogue() {
    let (_, told) = EVENTS.split_once(MARK).expect("the mark in docs/enforcer-events.md");
    let table = table();
    assert!(told == table, "docs/enforcer-events.md: expected after the mark\n{table}");
}

#[test]
fn every_field_of_an_event_is_told() {
    for field in [
        "time",
        "event",
        "vector",
        "decision",
        "severity",
        "count",
        "first",
        "tier",
        "subject.pid",
        "subject.comm",
        "subject.group",
        "object.pid",
        "subject.cgroup",
        "syscall.number",
        "detail",
        "message",
    ] {
        assert!(EVENTS.contains(&format!("`{field}`")), "{field}");
    }
}
