//! An event as a line for people: when, how bad, what, who, to whom.

use protocol::enforcer::{Decision, Event, Object, Place, Severity, Subject};

use crate::layout::printable;

/// The line, without its end.
pub(super) fn row(event: &Event) -> String {
    let time = event.time.to_string();
    // The time of day, in UTC with milliseconds; the day is in the JSON.
    let time = time.get(11..23).unwrap_or(&time);
    let mut words = vec![
        time.to_owned(),
        format!("{:8}", severity(event.severity)),
        format!("{:18}", printable(&event.event)),
        format!("{:7}", decision(event.decision)),
    ];
    if event.count > 1 {
        words.push(format!("x{}", event.count));
    }
    match (&event.subject, &event.object) {
        (None, None) => words.push(printable(&event.message)),
        (subject, object) => {
            words.extend(subject.as_ref().map(who));
            words.extend(object.as_ref().map(|object| format!("-> {}", whom(object))));
        }
    }
    if let Some(call) = &event.syscall {
        words.push(format!("by {}", printable(call.name.as_deref().unwrap_or(&call.number.to_string()))));
    }
    words.join("  ").trim_end().to_owned()
}

fn who(subject: &Subject) -> String {
    let exe = subject.exe.as_deref().map(|exe| format!(" {}", printable(exe))).unwrap_or_default();
    let Subject { pid, uid, comm, place, .. } = subject;
    format!("{}[{pid}]{exe} uid {uid}{}", printable(comm), home(place))
}

fn whom(object: &Object) -> String {
    let pid = object.pid.map(|pid| format!("process {pid}"));
    let name = object.name.as_deref().map(printable);
    let what: Vec<String> = pid.into_iter().chain(name).collect();
    let what = if what.is_empty() { "a protected group".to_owned() } else { what.join(" ") };
    format!("{what}{}", home(&object.place))
}

fn home(place: &Place) -> String {
    let pod = place.pod.as_deref().map(|pod| format!(" pod {}", printable(pod)));
    // As many letters as people use.
    let container =
        place.container.as_deref().map(|id| format!(" container {}", printable(id.get(..12).unwrap_or(id))));
    [pod, container].into_iter().flatten().collect()
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "CRITICAL",
    }
}

const fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Denied => "denied",
        Decision::Killed => "killed",
        Decision::Told => "TOLD",
        Decision::Allowed => "allowed",
        Decision::Notice => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_how_bad_what_who_and_to_whom() {
        let event: Event = serde_json::from_str(
            r#"{"time":"2026-11-22T18:06:59.123456789Z","event":"PROCMEM_READ","vector":"proc-mem","decision":"denied",
            "severity":"high","count":104,"first":"2026-11-22T18:06:50.000000000Z","tier":"lsm",
            "subject":{"pid":10,"tid":11,"uid":0,"comm":"gd\u001bb","exe":"/usr/bin/gdb","cgroup":"/user.slice"},
            "object":{"pid":20,"group":"0abc","pod":"0f6d","container":"3d3d3d3d3d3d3d3d"},
            "syscall":{"number":257,"name":"openat"},"message":"m"}"#,
        )
        .unwrap();
        assert_eq!(
            row(&event),
            "18:06:59.123  high      PROCMEM_READ        denied   x104  gd\\u{1b}b[10] /usr/bin/gdb uid 0  \
             -> process 20 pod 0f6d container 3d3d3d3d3d3d  by openat"
        );
    }

    #[test]
    fn a_word_of_the_enforcers_own_is_its_message() {
        let event: Event = serde_json::from_str(
            r#"{"time":"2026-11-22T18:06:59.000000000Z","event":"EVENTS_LOST","decision":"notice","severity":"high","count":3,"message":"3 records were lost"}"#,
        )
        .unwrap();
        assert_eq!(
            row(&event),
            "18:06:59.000  high      EVENTS_LOST                  x3  3 records were lost"
        );
    }
}
