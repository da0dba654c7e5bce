//! A recall: what was released to a chip, a measurement, a policy's machines, and until when does it hold?
//!
//! [`Recall`] is shown every entry in order. An entry is selected by its own facts, or because it rests on a decision
//! that was. The report is the same for the same log, in a fixed order.
//!
//! Trusted: the entries, once [`super::Audit`] is through with their log. What a machine did with a secret that it
//! was given, no log knows.

use std::collections::BTreeMap;

use super::entry::{Entry, Kind};
use super::names::{DecisionId, SaltedName};
use super::report::{Exposed, Granted, Recipient, Released, Report, Secret, Selected};
use super::selector::Selector;

/// A recall on its way.
#[derive(Clone, Debug)]
pub struct Recall {
    selector: Selector,
    /// Which decisions were selected, and for which machine.
    decisions: BTreeMap<DecisionId, Recipient>,
    report: Report,
    recipients: BTreeMap<Recipient, Granted>,
    secrets: BTreeMap<SaltedName, Exposed>,
}

impl Recall {
    /// A recall of what `selector` selects.
    #[must_use]
    pub fn of(selector: Selector) -> Self {
        let report = Report { selector: selector.to_string(), ..Report::default() };
        let (recipients, secrets) = (BTreeMap::new(), BTreeMap::new());
        Self { selector, decisions: BTreeMap::new(), report, recipients, secrets }
    }

    /// Looks at the next entry.
    pub fn see(&mut self, entry: &Entry) {
        let event = &entry.event;
        count(&mut self.report.entries);
        let rests_on = event.under.and_then(|under| self.decisions.get(&under)).cloned();
        if rests_on.is_none() && !self.selector.selects(&event.subject) {
            return;
        }
        match event.kind {
            Kind::Refusal => return count(&mut self.report.refusals),
            Kind::Admission | Kind::TokenRelease | Kind::Seal | Kind::Renewal | Kind::Emergency => {}
            Kind::Revocation | Kind::Reinstatement | Kind::Governance | Kind::CollateralImport => return,
        }
        let own = Recipient::of(&event.subject);
        let machine = if own == Recipient::default() { rests_on.unwrap_or(own) } else { own };
        self.decisions.insert(event.decision, machine.clone());
        self.grant(entry, machine);
    }

    fn grant(&mut self, entry: &Entry, machine: Recipient) {
        let (event, subject) = (&entry.event, &entry.event.subject);
        if event.kind == Kind::Admission {
            count(&mut self.report.admissions);
        }
        if event.kind == Kind::Renewal {
            count(&mut self.report.renewals);
        }
        self.report.valid_until = self.report.valid_until.max(subject.valid_until);
        let granted = self.recipients.entry(machine).or_default();
        granted.valid_until = granted.valid_until.max(subject.valid_until);
        granted.last = Some(event.at);
        granted.first = granted.first.or(Some(event.at));
        granted.policies.extend(subject.policy.clone());
        if let Some(secret) = &subject.secret {
            count(&mut self.report.releases);
            count(&mut granted.releases);
            granted.secrets.insert(secret.clone());
            let exposed = self.secrets.entry(secret.name).or_default();
            count(&mut exposed.releases);
            exposed.versions.insert(secret.version);
            exposed.valid_until = exposed.valid_until.max(subject.valid_until);
        }
        self.report.decisions.push(Selected {
            index: entry.index,
            at: event.at,
            kind: event.kind,
            decision: event.decision,
            request: event.request.clone(),
            secret: subject.secret.clone(),
            valid_until: subject.valid_until,
        });
    }

    /// What came out.
    #[must_use]
    pub fn report(self) -> Report {
        let recipients = self.recipients.into_iter();
        let recipients = recipients.map(|(recipient, granted)| Released { recipient, granted }).collect();
        let secrets = self.secrets.into_iter().map(|(name, exposed)| Secret { name, exposed }).collect();
        Report { recipients, secrets, ..self.report }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
