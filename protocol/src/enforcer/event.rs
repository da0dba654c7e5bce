//! An event of the enforcer: one access, or several that are alike, that the policy is against; or a word about the enforcer itself.
//!
//! A line of the event log, a [`super::Said::Event`], and the rows of `docs/enforcer-events.md` are this type. A field
//! is there or is not; none changes its meaning, and new ones come at the end.
//!
//! Untrusted: whatever the subject chose, such as its name and the name of what it reached for. Where it stands as text, control
//! characters are gone; it is still somebody's text.

use std::fmt;

use attest::UnixTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An event.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When: of several, the last.
    pub time: Moment,
    /// Its name: of the catalogue, or one of [`Event::OWN`].
    pub event: String,
    /// The vector's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vector: Option<String>,
    /// What came of it.
    pub decision: Decision,
    /// How bad that is.
    pub severity: Severity,
    /// How many accesses it stands for. Sums over all events are exact.
    pub count: u64,
    /// When the first of several was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// How strong the hook is that saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// To whom or to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// The system call that it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<Syscall>,
    /// What the hook has to say more: a device number, a command, a count of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<u64>,
    /// For people.
    pub message: String,
}

impl Event {
    /// Records that the ring buffer had no room for: `count` of them.
    pub const LOST: &'static str = "EVENTS_LOST";
    /// Events that a slow watcher was not sent: `count` of them.
    pub const WATCHER_LOST: &'static str = "WATCHER_LOST";
    /// Programs stand in the kernel.
    pub const STARTED: &'static str = "ENFORCER_STARTED";
    /// The enforcer ends; what is pinned goes on.
    pub const STOPPED: &'static str = "ENFORCER_STOPPED";
    /// A defence that was proved is not any more, or the other way round.
    pub const MATRIX_CHANGED: &'static str = "MATRIX_CHANGED";
    /// An administrator confirmed the node's guards.
    pub const GUARDS_CONFIRMED: &'static str = "NODE_GUARDS_CONFIRMED";
    /// Nobody did in time: they only tell.
    pub const GUARDS_LAPSED: &'static str = "NODE_GUARDS_LAPSED";
    /// A table of the kernel's side is nearly full.
    pub const TABLE_FULL: &'static str = "TABLE_FULL";
    /// A process is protected from now on.
    pub const PROTECTED: &'static str = "PROTECTED";
    /// It was looked at after it had executed itself anew, and nothing was wrong.
    pub const CONFIRMED: &'static str = "CONFIRMED";
    /// A process asked for something, and was refused.
    pub const NOT_PROTECTED: &'static str = "NOT_PROTECTED";
    /// A protected group has nobody left.
    pub const GROUP_ENDED: &'static str = "GROUP_ENDED";
    /// Words of the enforcer about itself.
    pub const OWN: &'static [(&'static str, &'static str)] = &[
        (Self::STARTED, "programs stand in the kernel"),
        (Self::STOPPED, "the enforcer ends; what is pinned goes on"),
        (Self::MATRIX_CHANGED, "a defence that was proved is not any more, or is again"),
        (Self::PROTECTED, "a process is protected from now on"),
        (Self::CONFIRMED, "it was looked at after it had executed itself anew, and nothing was wrong"),
        (Self::NOT_PROTECTED, "a process asked for something, and was refused"),
        (Self::GROUP_ENDED, "a protected group has nobody left"),
        (Self::GUARDS_CONFIRMED, "an administrator confirmed the node's guards"),
        (Self::GUARDS_LAPSED, "nobody confirmed the node's guards in time: they only tell"),
        (Self::TABLE_FULL, "a table in which protected processes are known is nearly full"),
        (Self::LOST, "records that the ring buffer had no room for: `count` of them"),
        (Self::WATCHER_LOST, "events that this slow watcher was not sent: `count` of them"),
    ];
}

/// What came of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was refused before it happened.
    Denied,
    /// Whoever did it was killed.
    Killed,
    /// It was let through, and is told.
    Told,
    /// It was within the policy, and is told because everything is.
    Allowed,
    /// Nobody asked for anything: a word of the enforcer's.
    Notice,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Nothing to do.
    Info,
    /// To be looked at some day.
    Low,
    /// To be looked at.
    Medium,
    /// An attack that was stopped, as a rule.
    High,
    /// A way to a secret that nothing stopped.
    Critical,
}

/// Who did it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The process, in the first name space.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The user.
    pub uid: u32,
    /// The name that the thread goes by, of its own choice.
    pub comm: String,
    /// The program, as far as it was still there to be asked: after the fact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Its group, if it is protected itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Where it lives.
    #[serde(flatten)]
    pub place: Place,
}

/// To whom or to what it was done.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The process, in the first name space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name of a file, a module, a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it lives.
    #[serde(flatten)]
    pub place: Place,
}

/// Where a process lives.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The path of its control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// The id that the runtime gave its container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The unique id that Kubernetes gave its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
}

/// A system call.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Syscall {
    /// Its number on this machine.
    pub number: i32,
    /// Its name, if it is one of those that lead here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An instant, in nanoseconds since 1970. As text: RFC 3339 in UTC with nine places, so that texts sort as instants do.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(pub u64);

impl Moment {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (seconds, fraction) = text.strip_suffix('Z')?.split_once('.')?;
        let seconds = UnixTime::parse(&format!("{seconds}Z")).ok()?.0;
        if fraction.len() != 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        seconds.checked_mul(SECOND)?.checked_add(fraction.parse().ok()?).map(Self)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UnixTime(self.0 / SECOND).to_string();
        write!(f, "{}.{:09}Z", whole.strip_suffix('Z').unwrap_or(&whole), self.0 % SECOND)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = &"an instant such as 2026-11-22T18:00:00.000000000Z";
        Self::parse(&text).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), expected))
    }
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_a_text_and_back() {
        let moment = Moment(1_795_370_814_000_000_120);
        assert_eq!(moment.to_string(), "2026-11-22T18:06:54.000000120Z");
        assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
        for odd in ["", "2026-11-22T18:06:54Z", "2026-11-22T18:06:54.12Z", "2026-11-22T18:06:54.00000012+Z"] {
            assert_eq!(Moment::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_written_and_what_is_unknown_is_refused() {
        let event = Event {
            time: Moment(0),
            event: Event::LOST.to_owned(),
            vector: None,
            decision: Decision::Notice,
            severity: Severity::Medium,
            count: 3,
            first: None,
            tier: None,
            subject: None,
            object: None,
            syscall: None,
            detail: None,
            message: "3 records".to_owned(),
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"1970-01-01T00:00:00.000000000Z\",\"event\":\"EVENTS_LOST\",\"decision\":\"notice\",\
             \"severity\":\"medium\",\"count\":3,\"message\":\"3 records\"}"
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        let other = text.replace("\"count\"", "\"counts\"");
        assert!(
            serde_json::from_str::<Event>(&other)
                .unwrap_err()
                .to_string()
                .starts_with("unknown field `counts`")
        );
    }
}
