//! What this machine can prove, found out by having it prove something.
//!
//! Nothing is guessed from names that a host chose (DMI, CPU strings): each kind of hardware is asked for evidence over a
//! nonce that nobody will redeem, and what comes back must have the shape of that platform. Whether it is genuine is for
//! a verifier to say.
//!
//! Untrusted: the hardware's answers.

use std::fmt;

use attest::{Kem, OfferedKey, Platform, Transcript};
use serde::Serialize;

use crate::device::Device;

/// What came of asking one kind of hardware.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub struct Finding {
    /// Which kind.
    pub platform: Platform,
    /// Whether it gave evidence.
    pub found: bool,
    /// How much, or why there is none.
    pub why: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.found { "found" } else { "not found" };
        write!(f, "{:<10} {word:<10} {}", self.platform.name(), self.why)
    }
}

/// Asks each device over this nonce.
#[must_use]
pub fn detect(devices: &[Box<dyn Device>], nonce: &[u8; 32]) -> Vec<Finding> {
    // A key of which nobody has the private half: nothing can be sealed to it that anybody would open.
    let key = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
    let transcript = Transcript { nonce, context: CONTEXT, key: &key };
    devices.iter().map(|device| ask(device.as_ref(), &transcript)).collect()
}

fn ask(device: &dyn Device, transcript: &Transcript<'_>) -> Finding {
    let platform = device.platform();
    let collected = match device.sign(transcript) {
        Ok(collected) => collected,
        Err(fault) => return Finding { platform, found: false, why: fault.to_string() },
    };
    let length = collected.evidence.len();
    let remark = collected.remark.map_or(String::new(), |remark| format!("; {remark}"));
    match attest::parse(platform, &collected.evidence) {
        Ok(_) => {
            let certificates = collected.certificates.len();
            let why = format!("evidence of {length} bytes, {certificates} certificate(s) beside it{remark}");
            Finding { platform, found: true, why }
        }
        Err(error) => {
            Finding { platform, found: false, why: format!("{length} bytes that are no evidence: {error}") }
        }
    }
}

/// No verifier hands out challenges for this purpose.
const CONTEXT: &str = "cloudtaser-node-agent detect";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Collected, Fault};

    /// Answers every question with the same bytes, or with none.
    #[derive(Debug)]
    struct Mute(Option<Vec<u8>>);

    impl Device for Mute {
        fn platform(&self) -> Platform {
            Platform::SevSnp
        }

        fn sign(&self, _transcript: &Transcript<'_>) -> Result<Collected, Fault> {
            let gone = crate::tsm::Error::CallerData { expected: 64, found: 0 };
            let evidence = self.0.clone().ok_or(gone)?;
            Ok(Collected { evidence, certificates: Vec::new(), remark: None })
        }
    }

    #[test]
    fn what_does_not_look_like_evidence_is_not_found() {
        let devices: Vec<Box<dyn Device>> = vec![Box::new(Mute(None)), Box::new(Mute(Some(vec![1, 2, 3])))];
        let told: Vec<String> = detect(&devices, &[0; 32]).iter().map(ToString::to_string).collect();
        let [absent, garbled] = &told[..] else { panic!("{told:?}") };
        assert_eq!(absent, "sev-snp    not found  report data: expected 64 bytes, found 0");
        assert!(garbled.starts_with("sev-snp    not found  3 bytes that are no evidence: "), "{garbled}");
    }
}
