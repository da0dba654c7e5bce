//! Which cluster this machine belongs to, until it reboots.
//!
//! Before the first evidence, the registers that a policy pins as the cluster's (PCR 15, RTMR 3, an enclave's PCR 16) take in the cluster's name.
//! What a register took in stays, so the machine can prove itself to no other cluster before it reboots. A register that
//! holds something else already is another cluster's. Where the kernel does not tell what a register holds, a file beside
//! the socket remembers what this boot's agent did: written first, so that no register takes the name in twice.
//!
//! Untrusted: what registers and file say; a verifier believes only what the hardware signs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use attest::cluster_register;
use attest::crypto::{AwsLcRs, Hash};
use serde::{Deserialize, Serialize};

use super::clock;
use super::machine::Unclaimed;
use super::status::replace;
use crate::registers::Register;
use crate::socket::beside;

/// The cluster's claim on this machine.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) cluster: String,
    pub(super) registers: Vec<Box<dyn Register>>,
    /// Where it is remembered what this boot's agent did.
    pub(super) memory: PathBuf,
}

/// What this boot's agent did, as it is remembered.
#[derive(Debug, Eq, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    boot: String,
    cluster: String,
    registers: Vec<String>,
}

/// What a register holds.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Held {
    Nothing,
    Ours,
    Other(String),
    Untold,
}

impl Claim {
    /// Has each register take in the cluster's name, if it has not.
    pub(super) fn make(&self) -> Result<(), Unclaimed> {
        let _alone = self.lock().map_err(|why| self.unknown(&why))?;
        self.registers.iter().try_for_each(|register| self.make_in(&**register))
    }

    /// Two at once, an agent and a person who tries `join`, would have a register take the name in twice.
    fn lock(&self) -> io::Result<File> {
        let path = beside(&self.memory, ".lock");
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn make_in(&self, register: &dyn Register) -> Result<(), Unclaimed> {
        let failed = |why: &dyn std::fmt::Display| Unclaimed::Failed(format!("{}: {why}", register.name()));
        let held = || {
            let values = register.values().map_err(|fault| failed(&fault))?;
            Ok::<_, Unclaimed>(held(&values, &self.cluster))
        };
        let other = |found: String| Unclaimed::OtherCluster(format!("{} holds {found}", register.name()));
        match held()? {
            Held::Ours => return Ok(()),
            Held::Other(found) => return Err(other(found)),
            Held::Untold if self.remembers(&register.name())? => return Ok(()),
            Held::Nothing | Held::Untold => {}
        }
        self.keep(|registers| registers.push(register.name()))?;
        if let Err(fault) = register.extend(self.cluster.as_bytes()) {
            self.keep(|registers| registers.retain(|name| *name != register.name()))?;
            return Err(failed(&fault));
        }
        match held()? {
            Held::Ours | Held::Untold => Ok(()),
            Held::Nothing => Err(failed(&"holds nothing after it took in the cluster's name")),
            // Somebody was quicker.
            Held::Other(found) => Err(other(found)),
        }
    }

    fn remembers(&self, register: &str) -> Result<bool, Unclaimed> {
        Ok(self.remembered()?.iter().any(|name| name == register))
    }

    /// The registers that took this cluster's name in.
    fn remembered(&self) -> Result<Vec<String>, Unclaimed> {
        let Some(memory) = self.recall()? else { return Ok(Vec::new()) };
        if memory.cluster != self.cluster && !memory.registers.is_empty() {
            let (registers, other) = (memory.registers.join(", "), memory.cluster);
            return Err(Unclaimed::OtherCluster(format!("{registers} holds the name of cluster {other:?}")));
        }
        Ok(memory.registers)
    }

    /// Remembers something else than before.
    fn keep(&self, change: impl FnOnce(&mut Vec<String>)) -> Result<(), Unclaimed> {
        let mut registers = self.remembered()?;
        change(&mut registers);
        let boot = clock::boot().map_err(|why| self.unknown(&why))?;
        let memory = Memory { boot, cluster: self.cluster.clone(), registers };
        let text = serde_json::to_string(&memory).map_err(|why| self.unknown(&why))?;
        replace(&self.memory, &text).map_err(|why| self.unknown(&why))
    }

    /// What was remembered in this boot.
    fn recall(&self) -> Result<Option<Memory>, Unclaimed> {
        let text = match fs::read_to_string(&self.memory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|why| self.unknown(&why))?,
        };
        let memory: Memory = serde_json::from_str(&text).map_err(|why| self.unknown(&why))?;
        let boot = clock::boot().map_err(|why| self.unknown(&why))?;
        Ok(Some(memory).filter(|memory| memory.boot == boot))
    }

    fn unknown(&self, why: &dyn std::fmt::Display) -> Unclaimed {
        Unclaimed::Failed(format!("{}: {why}", self.memory.display()))
    }
}

fn held(values: &BTreeMap<Hash, Vec<u8>>, cluster: &str) -> Held {
    if values.is_empty() {
        return Held::Untold;
    }
    if values.values().all(|value| value.iter().all(|byte| *byte == 0)) {
        return Held::Nothing;
    }
    let other = values.iter().find(|(bank, value)| cluster_register(&AwsLcRs, **bank, cluster) != **value);
    other.map_or(Held::Ours, |(bank, value)| Held::Other(format!("{bank}:{}", hex::encode(value))))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use attest::Crypto as _;

    use super::*;
    use crate::device::Fault;

    /// A register of two banks that may keep its values to itself.
    #[derive(Debug, Default)]
    struct Toy {
        values: Mutex<BTreeMap<Hash, Vec<u8>>>,
        is_silent: bool,
    }

    impl Toy {
        fn new(is_silent: bool) -> Self {
            let values = [(Hash::Sha256, vec![0; 32]), (Hash::Sha384, vec![0; 48])];
            Self { values: Mutex::new(values.into()), is_silent }
        }

        fn content(&self) -> BTreeMap<Hash, Vec<u8>> {
            self.values.lock().unwrap().clone()
        }
    }

    impl Register for &'static Toy {
        fn name(&self) -> String {
            "PCR 15".to_owned()
        }

        fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault> {
            Ok(if self.is_silent { BTreeMap::new() } else { self.content() })
        }

        fn extend(&self, content: &[u8]) -> Result<(), Fault> {
            for (bank, value) in self.values.lock().unwrap().iter_mut() {
                *value = if *bank == Hash::Sha256 {
                    AwsLcRs.sha256(&[value, &AwsLcRs.sha256(&[content]).0]).0.to_vec()
                } else {
                    AwsLcRs.sha384(&[value, &AwsLcRs.sha384(&[content]).0]).0.to_vec()
                };
            }
            Ok(())
        }
    }

    fn toy(is_silent: bool) -> &'static Toy {
        Box::leak(Box::new(Toy::new(is_silent)))
    }

    fn claim(toy: &'static Toy, cluster: &str, folder: &tempfile::TempDir) -> Claim {
        let memory = folder.path().join("agent.sock.cluster");
        Claim { cluster: cluster.to_owned(), registers: vec![Box::new(toy)], memory }
    }

    #[test]
    fn a_register_takes_the_name_in_once_whether_it_tells_or_not() {
        for is_silent in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let toy = toy(is_silent);
            for _agent in 0..3 {
                claim(toy, "blue", &folder).make().unwrap();
                let expected = cluster_register(&AwsLcRs, Hash::Sha384, "blue");
                assert_eq!(toy.content()[&Hash::Sha384], expected);
                assert_eq!(toy.content()[&Hash::Sha256], cluster_register(&AwsLcRs, Hash::Sha256, "blue"));
            }
        }
    }

    #[test]
    fn a_machine_of_one_cluster_cannot_join_another_before_it_reboots() {
        let folder = tempfile::tempdir().unwrap();
        let told = toy(false);
        claim(told, "blue", &folder).make().unwrap();
        let found = hex::encode(cluster_register(&AwsLcRs, Hash::Sha256, "blue"));
        let expected = Unclaimed::OtherCluster(format!("PCR 15 holds sha256:{found}"));
        assert_eq!(claim(told, "green", &folder).make(), Err(expected));
        let folder = tempfile::tempdir().unwrap();
        let silent = toy(true);
        claim(silent, "blue", &folder).make().unwrap();
        let expected = Unclaimed::OtherCluster(r#"PCR 15 holds the name of cluster "blue""#.to_owned());
        assert_eq!(claim(silent, "green", &folder).make(), Err(expected));
    }

    #[test]
    fn a_register_that_is_new_to_the_agent_does_not_hide_what_another_took_in() {
        let folder = tempfile::tempdir().unwrap();
        let (silent, told) = (toy(true), toy(false));
        claim(silent, "blue", &folder).make().unwrap();
        let memory = folder.path().join("agent.sock.cluster");
        let registers: Vec<Box<dyn Register>> = vec![Box::new(told), Box::new(silent)];
        let both = Claim { cluster: "green".to_owned(), registers, memory };
        let expected = Unclaimed::OtherCluster(r#"PCR 15 holds the name of cluster "blue""#.to_owned());
        assert_eq!(both.make(), Err(expected));
        assert_eq!(told.content()[&Hash::Sha256], vec![0; 32]);
    }

    #[test]
    fn what_an_earlier_boot_did_says_nothing_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let silent = toy(true);
        let claim = claim(silent, "green", &folder);
        let earlier = r#"{"boot":"an earlier one","cluster":"blue","registers":["PCR 15"]}"#;
        fs::write(&claim.memory, earlier).unwrap();
        claim.make().unwrap();
        assert_eq!(silent.content()[&Hash::Sha256], cluster_register(&AwsLcRs, Hash::Sha256, "green"));
    }

    #[test]
    fn a_damaged_memory_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let silent = toy(true);
        let claim = claim(silent, "green", &folder);
        fs::write(&claim.memory, "{").unwrap();
        let Err(Unclaimed::Failed(why)) = claim.make() else { panic!("there is a claim") };
        assert!(why.contains("agent.sock.cluster"), "{why}");
        assert_eq!(silent.content()[&Hash::Sha256], vec![0; 32]);
    }
}
