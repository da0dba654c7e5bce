//! What is told: to a person as text, to programs as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::latency::Latency;
use crate::laws::Law;

/// Everything that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The hardware.
    pub platform: &'static str,
    /// Whether the roots were not the vendor's.
    pub simulated: bool,
    /// Whether no revocation list was asked for.
    pub revocation_waived: bool,
    /// The length of the evidence.
    pub evidence_bytes: usize,
    /// The laws, in order.
    pub laws: Vec<Law>,
    /// As a caller of the agent sees it.
    pub round_trip: Latency,
    /// As the agent's journal says it, in whole milliseconds: nearly all of it is the device.
    pub in_agent: Latency,
}

impl Report {
    /// Whether every law holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.laws.iter().all(|law| law.holds)
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}: {} bytes of evidence", self.platform, self.evidence_bytes);
        text.push_str(if self.simulated { ", SIMULATED ROOTS\n" } else { ", under the vendor's roots\n" });
        if self.revocation_waived {
            text.push_str("no revocation list was asked for\n");
        }
        for Law { text: law, holds, seen } in &self.laws {
            let word = if *holds { "holds " } else { "BROKEN" };
            // Writing to a String does not fail.
            let _written = writeln!(text, "{word}  {law}: {seen}");
        }
        let _written = writeln!(text, "round trip  {}", self.round_trip);
        let _written = writeln!(text, "in agent    {}", self.in_agent);
        text
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::write(folder.join("report.txt"), self.text())?;
        fs::write(folder.join("report.json"), serde_json::to_vec_pretty(self)?)?;
        Ok(())
    }
}
