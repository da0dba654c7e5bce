//! Nodes: one name, one machine, one start at a time.
//!
//! A verifier may keep a register of its nodes. A machine that asks in a node's name has to be the one that the name is
//! registered to, registered under no other name, and not in a start that a later one replaced. What the register holds
//! of this name and this machine comes as [`Node`]; it is decided here, so that a replay decides it again.
//!
//! Trusted: the register, as much as the policy is, and the claims. Untrusted: the name, until the machine was compared.

mod ids;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::check::Checks;
use crate::{Digest, tpm};

pub use ids::{Boot, Clock, Ids};

/// What is known of the name in which a machine asks.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Node {
    /// The name. `None`: it asks in none.
    #[n(0)]
    pub name: Option<String>,
    /// Who may ask.
    #[n(1)]
    pub rule: Rule,
    /// What the register has under the name.
    #[n(2)]
    pub entry: Option<Entry>,
    /// Under which other names ids of this machine are registered.
    #[n(3)]
    pub others: Vec<Other>,
    /// Whether this start was replaced by a later one.
    #[n(4)]
    pub replaced: bool,
    /// The TPM of the attestation key, as its manufacturer's certificate proved it.
    #[n(5)]
    pub endorsed: Option<Endorsed>,
}

/// Which machines may ask.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Rule {
    /// Any. A name that is registered is its machine's all the same.
    #[n(0)]
    #[default]
    Any,
    /// Those that an operator wrote into the register.
    #[n(1)]
    Registered,
    /// Those, and under a free name whichever comes first; it is the name's from then on.
    #[n(2)]
    FirstCome,
}

/// What a register has under a name.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Entry {
    /// What the machine has to prove.
    #[n(0)]
    pub ids: Ids,
    /// The latest start that was admitted.
    #[n(1)]
    pub boot: Option<Boot>,
    /// Whether an operator wrote it. If not, whoever came first did.
    #[n(2)]
    pub written: bool,
}

/// An id of the machine, and the other name that has it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Other {
    /// Which id.
    #[n(0)]
    pub id: String,
    /// Whose it is.
    #[n(1)]
    pub name: String,
}

/// An attestation key, and the endorsement key of the TPM that proved to hold it.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Endorsed {
    #[n(0)]
    ak: ByteVec,
    #[n(1)]
    ek: Digest<32>,
}

impl Endorsed {
    /// This key is in that TPM.
    #[must_use]
    pub fn new(ak: &tpm::Name, ek: Digest<32>) -> Self {
        Self { ak: ak.as_bytes().to_vec().into(), ek }
    }

    /// The endorsement key behind the key of this name, if it is this one.
    #[must_use]
    pub fn of(&self, ak: &tpm::Name) -> Option<Digest<32>> {
        (self.ak.as_slice() == ak.as_bytes()).then_some(self.ek)
    }
}

/// What a machine proved, for those who keep a register.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proven {
    /// Which machine it is.
    pub ids: Ids,
    /// In which start.
    pub boot: Boot,
}

impl Node {
    /// The checks on a machine that proved this.
    pub(crate) fn ask(&self, proven: &Proven, checks: &mut Checks) {
        self.known(checks);
        let same = self.machine(&proven.ids, checks);
        // Counters of two machines say nothing of each other.
        if let Some(latest) = self.entry.as_ref().and_then(|entry| entry.boot.as_ref()).filter(|_| same) {
            self.boot(latest, &proven.boot, checks);
        }
    }

    fn known(&self, checks: &mut Checks) {
        let written = self.entry.as_ref().map(|entry| entry.written);
        let (expected, known) = match self.rule {
            Rule::Any => ("any machine", true),
            Rule::Registered => {
                ("a name that an operator registered, signed with the purpose", written == Some(true))
            }
            Rule::FirstCome => ("a name, signed with the purpose", self.name.is_some()),
        };
        let found = match (&self.name, written) {
            (None, _) => "no name".to_owned(),
            (Some(name), None) => format!("{name}, which is not registered"),
            (Some(name), Some(false)) => format!("{name}, which its machine took"),
            (Some(name), Some(true)) => format!("{name}, which is registered"),
        };
        checks.ask("node.known", known, expected, found);
    }

    fn machine(&self, ids: &Ids, checks: &mut Checks) -> bool {
        let entry = self.entry.as_ref().map(|entry| &entry.ids);
        let expected = entry.filter(|ids| !ids.is_empty()).map_or_else(
            || "a machine that proves which one it is, and has no other name".to_owned(),
            |ids| format!("{}, under no other name", ids.words()),
        );
        let mut faults = entry.map(|entry| entry.differences(ids)).unwrap_or_default();
        // Nothing is to be remembered of whom nobody could recognise.
        if ids.is_empty() && self.rule != Rule::Any {
            faults.push("nothing that tells it from others".to_owned());
        }
        faults.extend(self.others.iter().map(|other| format!("{} of node {}", other.id, other.name)));
        let found = if faults.is_empty() { ids.words() } else { faults.join("; ") };
        checks.ask("node.machine", faults.is_empty(), expected, found)
    }

    fn boot(&self, latest: &Boot, found: &Boot, checks: &mut Checks) {
        let launched = latest.launch.is_none() || found.launch.is_some();
        // A reset counts more than the clock, which may then begin earlier: TPM 2.0 Part 1, clause 36.
        let forward = latest.clock.is_none_or(|latest| found.clock.is_some_and(|clock| clock >= latest));
        let good = launched && forward && !self.replaced;
        let expected = format!("this start or a later one: {}", latest.words());
        let found =
            if self.replaced { format!("{}, which was replaced", found.words()) } else { found.words() };
        checks.ask("node.boot", good, expected, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;

    fn chip(id: &str) -> Ids {
        Ids { chip_id: Some(id.to_owned()), ..Ids::default() }
    }

    fn clock(resets: u32, restarts: u32, milliseconds: u64) -> Boot {
        Boot { launch: None, clock: Some(Clock { resets, restarts, milliseconds }) }
    }

    fn node(rule: Rule, entry: Option<Entry>) -> Node {
        let (name, others) = (Some("n1".to_owned()), Vec::new());
        Node { name, rule, entry, others, replaced: false, endorsed: None }
    }

    fn failing(node: &Node, ids: Ids, boot: Boot) -> Vec<String> {
        let mut checks = Checks::default();
        node.ask(&Proven { ids, boot }, &mut checks);
        let failed = checks.into_vec().into_iter().filter(|check| check.verdict == Answer::Fail);
        failed.map(|check| format!("{}: {}", check.id, check.found)).collect()
    }

    #[test]
    fn a_name_is_known_as_the_rule_asks() {
        let entry = || Some(Entry { ids: chip("aa"), boot: None, written: true });
        let taken = || entry().map(|entry| Entry { written: false, ..entry });
        let nameless = |rule| Node { name: None, ..node(rule, None) };
        for (node, expected) in [
            (node(Rule::Any, None), vec![]),
            (node(Rule::Registered, entry()), vec![]),
            (node(Rule::FirstCome, None), vec![]),
            (node(Rule::Registered, None), vec!["node.known: n1, which is not registered"]),
            (node(Rule::Registered, taken()), vec!["node.known: n1, which its machine took"]),
            (node(Rule::FirstCome, taken()), vec![]),
            (nameless(Rule::Registered), vec!["node.known: no name"]),
            (nameless(Rule::FirstCome), vec!["node.known: no name"]),
            (nameless(Rule::Any), vec![]),
        ] {
            assert_eq!(failing(&node, chip("aa"), Boot::default()), expected, "{node:?}");
        }
    }

    #[test]
    fn another_machine_is_told_by_each_of_its_ids() {
        let ids = Ids { instance_id: Some("i-1".to_owned()), ..chip("aa") };
        let node = node(Rule::Registered, Some(Entry { ids, boot: None, written: true }));
        let found = failing(&node, chip("bb"), Boot::default());
        assert_eq!(found, ["node.machine: chip_id bb; no instance_id"]);
        let others = vec![Other { id: "chip_id".to_owned(), name: "n2".to_owned() }];
        let elsewhere = Node { others, ..self::node(Rule::FirstCome, None) };
        assert_eq!(failing(&elsewhere, chip("aa"), Boot::default()), ["node.machine: chip_id of node n2"]);
        let masked = self::node(Rule::FirstCome, None);
        let found = failing(&masked, Ids::default(), Boot::default());
        assert_eq!(found, ["node.machine: nothing that tells it from others"]);
    }

    #[test]
    fn l15_another_attestation_key_is_taken_only_of_the_same_tpm() {
        let tpm = |ek: Option<u8>, ak: &str| Ids {
            ek: ek.map(|byte| Digest([byte; 32])),
            ak: Some(ak.to_owned()),
            ..Ids::default()
        };
        let entry = Some(Entry { ids: tpm(Some(1), "k1"), boot: None, written: true });
        let node = node(Rule::Registered, entry);
        assert!(failing(&node, tpm(Some(1), "k2"), Boot::default()).is_empty());
        let without = failing(&node, tpm(None, "k2"), Boot::default());
        assert_eq!(without, ["node.machine: no ek; ak k2"]);
        let other = failing(&node, tpm(Some(2), "k1"), Boot::default());
        assert_eq!(other, [format!("node.machine: ek {}", Digest([2; 32]))]);
    }

    #[test]
    fn counters_go_forward_and_a_reset_weighs_more_than_the_clock() {
        let entry = Entry { ids: chip("aa"), boot: Some(clock(5, 1, 1000)), written: true };
        let node = node(Rule::Registered, Some(entry));
        for good in [clock(5, 1, 1000), clock(5, 1, 1001), clock(5, 2, 7), clock(6, 0, 7)] {
            assert!(failing(&node, chip("aa"), good.clone()).is_empty(), "{good:?}");
        }
        for (bad, found) in [
            (clock(5, 1, 999), "reset 5, restart 1, clock 999 ms"),
            (clock(5, 0, 2000), "reset 5, restart 0, clock 2000 ms"),
            (clock(4, 9, 2000), "reset 4, restart 9, clock 2000 ms"),
            (Boot::default(), "nothing that tells starts apart"),
        ] {
            assert_eq!(failing(&node, chip("aa"), bad), [format!("node.boot: {found}")]);
        }
    }

    #[test]
    fn a_start_that_was_replaced_does_not_come_back_and_one_that_hides_itself_is_none() {
        let launch = |id: &str| Boot { launch: Some(id.to_owned()), clock: None };
        let entry = Entry { ids: chip("aa"), boot: Some(launch("r2")), written: true };
        let current = node(Rule::Registered, Some(entry));
        assert!(failing(&current, chip("aa"), launch("r3")).is_empty());
        let hidden = failing(&current, chip("aa"), Boot::default());
        assert_eq!(hidden, ["node.boot: nothing that tells starts apart"]);
        let replaced = Node { replaced: true, ..current };
        let found = failing(&replaced, chip("aa"), launch("r1"));
        assert_eq!(found, ["node.boot: launch r1, which was replaced"]);
    }
}
