//! The laws of evidence, put to the hardware of a real machine through the unchanged agent.
//!
//! [`run`] starts the agent, asks it over its socket, puts every law to what comes back, times it, and
//! writes a report and vectors. Simulated hardware goes the same way, so that a test here proves every line but the
//! device.
//!
//! Trusted: the command line, the roots. Untrusted: the agent, and all that the hardware says.
#![forbid(unsafe_code)]

mod agent;
mod config;
mod latency;
mod laws;
mod report;
mod vectors;

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use attest::crypto::AwsLcRs;
use attest::{TrustAnchors, UnixTime};

use agent::{Agent, Asked};
pub use config::Arguments;
pub use latency::Latency;
pub use laws::Law;
use laws::Verifier;
pub use report::Report;

/// Asks, judges, times, and writes everything into the folder.
pub fn run(arguments: &Arguments, now: UnixTime) -> Result<Report> {
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    let agent = Agent::start(arguments)?;
    let verifier = Verifier::new(arguments.revocation(), anchors(arguments, &agent)?, now);
    let first = agent.ask().context("the first request")?;
    vectors::write(&arguments.out, &first, now)?;
    if let Err(why) = verifier.claims(&first) {
        bail!(
            "{}: the evidence is kept in {}, but does not verify: {why}",
            arguments.platform,
            arguments.out.display()
        );
    }
    let mut laws = laws::of_one(&verifier, &first);
    laws.push(laws::two_differ(&first, &agent.ask().context("the second request")?));
    laws.push(laws::of_many(&verifier, &agent.ask_at_once(CONCURRENT)));
    let report = Report {
        platform: arguments.platform.name(),
        simulated: !arguments.insecure_trust_root.is_empty(),
        revocation_waived: arguments.insecure_no_revocation,
        evidence_bytes: first.reply.evidence.len(),
        laws,
        round_trip: time(&agent, arguments.requests)?,
        in_agent: agent.own_times(),
    };
    report.write(&arguments.out)?;
    Ok(report)
}

fn anchors(arguments: &Arguments, agent: &Agent) -> Result<TrustAnchors> {
    let roots = arguments.insecure_trust_root.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let anchors =
        if roots.is_empty() { TrustAnchors::vendor() } else { TrustAnchors::insecure_simulated(&roots)? };
    let keys = agent.attestation_key.iter().map(|name| name.parse()).collect::<Result<Vec<_>, _>>()?;
    Ok(anchors.with_attestation_keys(keys))
}

fn time(agent: &Agent, requests: u32) -> Result<Latency> {
    let mut times = Vec::new();
    for _ in 0..requests {
        let begin = Instant::now();
        let _evidence: Asked = agent.ask()?;
        times.push(begin.elapsed());
    }
    Ok(Latency::of(times))
}

/// How many ask at the same time.
const CONCURRENT: u8 = 8;
/// The cryptography of every verifier here.
const CRYPTO: &AwsLcRs = &AwsLcRs;
