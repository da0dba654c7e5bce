//! The page that `metrics` answers with.

use openbao_plugin::{Error, Host, Response};

use super::text::{Page, Type, seconds};
use super::{Metrics, PerPlatform, Step, stored, value};
use crate::mount::Mount;

/// Answers `metrics`.
pub(crate) async fn read(mount: &Mount, host: &Host) -> Result<Response, Error> {
    let mut page = Page::default();
    mount.metrics.write(&mut page);
    mount.write_state(&mut page);
    stored::write(&mut page, mount, host).await?;
    Ok(Response::raw(200, "text/plain; version=0.0.4; charset=utf-8", page.into_bytes()))
}

impl Metrics {
    fn write(&self, page: &mut Page) {
        page.metric("cloudtaser_build_info", Type::Gauge, "The version of the plugin.");
        page.sample("cloudtaser_build_info", &[("version", env!("CARGO_PKG_VERSION"))], &1);
        page.metric("cloudtaser_start_time_seconds", Type::Gauge, "When the counters began at zero.");
        page.sample("cloudtaser_start_time_seconds", &[], &self.started.0);
        self.write_decisions(page);
        self.write_refusals(page);
        let help = "Time of each step of a decision: wait for the processor, judge, commit the record, seal.";
        page.metric("cloudtaser_step_seconds", Type::Histogram, help);
        for (step, histogram) in &self.steps {
            page.histogram("cloudtaser_step_seconds", &[("step", Step::name(*step))], histogram, seconds);
        }
    }

    fn write_decisions(&self, page: &mut Page) {
        page.metric("cloudtaser_challenges_total", Type::Counter, "Challenges drawn.");
        page.sample("cloudtaser_challenges_total", &[], &value(&self.challenges));
        let help = "Decisions on evidence: admitted and refused ones are on record, unjudged ones could not be judged.";
        let name = "cloudtaser_decisions_total";
        page.metric(name, Type::Counter, help);
        let outcomes: [(&str, &PerPlatform); 3] =
            [("admitted", &self.admitted), ("refused", &self.refused), ("unjudged", &self.unjudged)];
        for (outcome, platforms) in outcomes {
            for (platform, count) in platforms.iter() {
                page.sample(name, &[("outcome", outcome), ("platform", platform)], &count);
            }
        }
        page.metric(
            "cloudtaser_token_releases_total",
            Type::Counter,
            "Releases to holders of attested tokens.",
        );
        page.sample("cloudtaser_token_releases_total", &[], &value(&self.token_releases));
    }

    fn write_refusals(&self, page: &mut Page) {
        page.metric("cloudtaser_failing_checks_total", Type::Counter, "Refusals by the checks that failed.");
        for (check, counter) in &self.failing {
            page.sample("cloudtaser_failing_checks_total", &[("check", check)], &value(counter));
        }
        page.metric("cloudtaser_limited_total", Type::Counter, "Requests that a limit turned away.");
        for (limit, (counter, _)) in &self.limited {
            page.sample("cloudtaser_limited_total", &[("limit", limit)], &value(counter));
        }
    }
}

impl Mount {
    fn write_state(&self, page: &mut Page) {
        page.metric("cloudtaser_waiting", Type::Gauge, "Requests of all mounts that wait for the processor.");
        page.sample("cloudtaser_waiting", &[], &self.turns.waiting());
        page.metric("cloudtaser_sources", Type::Gauge, "Addresses that are remembered.");
        page.sample("cloudtaser_sources", &[], &self.limits.sources());
        page.metric("cloudtaser_log_batch_size", Type::Histogram, "Decisions in one commit of the log.");
        let batches = &self.log.batches.0;
        page.histogram("cloudtaser_log_batch_size", &[], batches, |size| size.to_string());
    }
}
