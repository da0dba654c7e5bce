//! What is stored, measured when somebody asks: the log, the bars, the rule, the collateral.
//!
//! The same on every node of a cluster, as far as a standby has followed.
//!
//! Trusted: the storage.

use attest::Cause;
use attest::collateral::Kind;
use openbao_plugin::{Error, Host};

use super::text::{Page, Type};
use crate::governance;
use crate::log;
use crate::mount::Mount;

/// Writes all of it.
pub(super) async fn write(page: &mut Page, mount: &Mount, host: &Host) -> Result<(), Error> {
    write_log(page, mount, host).await?;
    write_bars(page, mount, host).await?;
    write_rule(page, mount, host).await?;
    write_collateral(page, mount, host).await
}

async fn write_log(page: &mut Page, mount: &Mount, host: &Host) -> Result<(), Error> {
    let end = log::end(host).await?;
    page.metric("cloudtaser_log_entries", Type::Gauge, "Entries of the release log, in storage.");
    page.sample("cloudtaser_log_entries", &[], &end.as_ref().map_or(0, |end| end.size));
    let help = "Seconds since the last entry of the release log; absent while it has none.";
    page.metric("cloudtaser_log_head_age_seconds", Type::Gauge, help);
    if let Some(end) = end {
        page.sample("cloudtaser_log_head_age_seconds", &[], &mount.now().since(end.clock));
    }
    Ok(())
}

async fn write_bars(page: &mut Page, mount: &Mount, host: &Host) -> Result<(), Error> {
    let help = "Selectors that bar machines: revoked by somebody, or failed by their own evidence.";
    page.metric("cloudtaser_bars", Type::Gauge, help);
    let bars = mount.bars(host).await?;
    for (cause, label) in [(Cause::Revoked, "revoked"), (Cause::Failed, "failed")] {
        page.sample("cloudtaser_bars", &[("cause", label)], &bars.count(cause));
    }
    Ok(())
}

async fn write_rule(page: &mut Page, mount: &Mount, host: &Host) -> Result<(), Error> {
    page.metric("cloudtaser_open_proposals", Type::Gauge, "Changes that wait for approvals.");
    page.sample("cloudtaser_open_proposals", &[], &governance::open_proposals(host, mount.now()).await?);
    page.metric("cloudtaser_emergencies", Type::Gauge, "Emergencies that hold instead of what was approved.");
    let now = mount.now();
    let state = mount.state(host).await?;
    let holding = state.emergencies.iter().filter(|stored| stored.holds(now)).count();
    page.sample("cloudtaser_emergencies", &[], &holding);
    Ok(())
}

async fn write_collateral(page: &mut Page, mount: &Mount, host: &Host) -> Result<(), Error> {
    let help =
        "Seconds until the first object of a kind in the collateral store ends; absent where there is none.";
    page.metric("cloudtaser_collateral_seconds_left", Type::Gauge, help);
    let (index, now) = (mount.collateral.index(host).await?, mount.now());
    for kind in Kind::ALL {
        if let Some(until) = index.of(kind).map(|entry| entry.until).min() {
            page.sample("cloudtaser_collateral_seconds_left", &[("kind", kind.name())], &until.since(now));
        }
    }
    Ok(())
}
