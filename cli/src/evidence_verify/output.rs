//! What `evidence verify` says, to people and to programs.

use attest::{Bundle, Check, Digest, Platform, Roots, UnixTime};
use serde::Serialize;

use super::today::{Holds, Today};
use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;
use crate::{describe, layout};

/// What came out of an audit.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) signer: Digest<32>,
    pub(super) authenticated: bool,
    pub(super) roots: Roots,
    pub(super) checks: Vec<Check>,
    pub(super) differences: Vec<Difference>,
    /// Only if its signature holds, or nobody asked.
    pub(super) bundle: Option<Bundle>,
    pub(super) today: Option<Today>,
}

/// One point in which the recorded and the replayed appraisal differ.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) what: String,
    pub(super) recorded: String,
    pub(super) replayed: String,
}

impl Difference {
    /// A check of which at least one side exists.
    pub(super) fn of(check: &Check, recorded: Option<&Check>, replayed: Option<&Check>) -> Self {
        let words = |side: Option<&Check>| match side {
            Some(check) => {
                let word = match check.verdict {
                    attest::Answer::Pass => "pass",
                    attest::Answer::Fail => "fail",
                    attest::Answer::Waived => "waived",
                };
                format!("{word}: expected {}, found {}", check.expected, check.found)
            }
            None => "not asked".to_owned(),
        };
        Self { what: check.id.clone(), recorded: words(recorded), replayed: words(replayed) }
    }
}

/// The audit, or why there is none, in the wanted form.
pub(super) fn answer(audit: Result<Audit, NotJudged>, roots: Roots, format: Format) -> Answer {
    match (audit, format) {
        (Ok(audit), Format::Text) => Answer::text(audit.verdict(), audit.text()),
        (Ok(audit), Format::Json) => Answer::json(audit.verdict(), &audit.document()),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(why), Format::Json) => Answer::json(Verdict::NotJudged, &Document::without_verdict(roots, why)),
    }
}

impl Audit {
    fn verdict(&self) -> Verdict {
        Verdict::of(&self.checks)
    }

    fn document(&self) -> Document<'_> {
        Document {
            verdict: self.verdict(),
            roots: self.roots,
            signer: Some(self.signer),
            authenticated: self.authenticated,
            checks: &self.checks,
            differences: &self.differences,
            decision: self.bundle.as_ref().map(Decision::of),
            today: self.today.as_ref(),
            error: None,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.headline());
        layout::checks(&mut text, &self.checks);
        for difference in &self.differences {
            layout::line(&mut text, &format!("differs {}", layout::printable(&difference.what)));
            layout::line(
                &mut text,
                &format!("        recorded  {}", layout::printable(&difference.recorded)),
            );
            layout::line(
                &mut text,
                &format!("        replayed  {}", layout::printable(&difference.replayed)),
            );
        }
        if let Some(bundle) = &self.bundle {
            layout::sections(&mut text, &[describe::decision(bundle)]);
            layout::line(&mut text, "");
            layout::checks(&mut text, &bundle.appraisal.checks);
        }
        if let Some(today) = &self.today {
            say_today(&mut text, today);
        }
        layout::marked(self.mark().as_deref(), &text)
    }

    fn headline(&self) -> String {
        let decided = self.bundle.as_ref().map(|bundle| bundle.appraisal.admits());
        let decided = if decided == Some(true) { "admitted" } else { "refused" };
        match (self.verdict(), &self.bundle) {
            (Verdict::Accepted, _) if self.authenticated => {
                format!(
                    "ACCEPTED: verifier key {} signed, and \"{decided}\" is reproduced byte for byte",
                    self.signer
                )
            }
            (Verdict::Accepted, _) => {
                format!("REPRODUCED: \"{decided}\" comes out again, whoever wrote it down")
            }
            (Verdict::Refused | Verdict::NotJudged, None) => {
                "REFUSED: no pinned verifier signed this".to_owned()
            }
            (Verdict::Refused | Verdict::NotJudged, Some(_)) => {
                format!("REFUSED: the recorded decision \"{decided}\" is not what comes out")
            }
        }
    }

    fn mark(&self) -> Option<String> {
        let recorded = self.bundle.as_ref().map(|bundle| bundle.appraisal.roots);
        let simulated = self.roots == Roots::Simulated || recorded == Some(Roots::Simulated);
        let unknown = self.bundle.is_some() && !self.authenticated;
        let marks = [(unknown, ANYBODY), (simulated, layout::SIMULATED)];
        let marks: Vec<&str> = marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect();
        (!marks.is_empty()).then(|| marks.join("\n"))
    }
}

fn say_today(text: &mut String, today: &Today) {
    let at = today.at;
    layout::line(text, "");
    match (today.verdict, today.since.is_empty()) {
        (Holds::Admitted, _) => {
            layout::line(text, &format!("today, {at}: nothing stands against it but a fresh challenge"));
        }
        (Holds::Refused, true) => layout::line(text, &format!("today, {at}: refused as then")),
        (Holds::Refused, false) => {
            layout::line(text, &format!("today, {at}: would be refused, because since then:"));
            let since = today.checks.iter().filter(|check| today.since.contains(&check.id));
            for check in since {
                let (id, expected, found) = (&check.id, &check.expected, &check.found);
                layout::line(
                    text,
                    &layout::printable(&format!("  {id}: expected {expected}, found {found}")),
                );
            }
        }
        (Holds::NotJudged, _) => {
            let why = today.error.as_ref().map_or("", |error| error.message.as_str());
            layout::line(text, &layout::printable(&format!("today, {at}: not judged: {why}")));
        }
    }
}

/// What programs read.
#[derive(Serialize)]
struct Document<'a> {
    verdict: Verdict,
    roots: Roots,
    signer: Option<Digest<32>>,
    authenticated: bool,
    checks: &'a [Check],
    differences: &'a [Difference],
    decision: Option<Decision<'a>>,
    today: Option<&'a Today>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<NotJudged>,
}

impl Document<'_> {
    fn without_verdict(roots: Roots, why: NotJudged) -> Self {
        let (signer, decision, today) = (None, None, None);
        let (checks, differences) = (&[][..], &[][..]);
        let (verdict, authenticated, error) = (Verdict::NotJudged, false, Some(why));
        Self { verdict, roots, signer, authenticated, checks, differences, decision, today, error }
    }
}

/// The decision as it was recorded.
#[derive(Serialize)]
struct Decision<'a> {
    verdict: Holds,
    request: &'a str,
    verifier: &'a str,
    platform: Platform,
    roots: Roots,
    at: UnixTime,
    valid_until: UnixTime,
    policy: &'a str,
    policy_version: u64,
    policy_digest: Digest<32>,
    checks: &'a [Check],
}

impl<'a> Decision<'a> {
    fn of(bundle: &'a Bundle) -> Self {
        let appraisal = &bundle.appraisal;
        Self {
            verdict: if appraisal.admits() { Holds::Admitted } else { Holds::Refused },
            request: &bundle.request,
            verifier: &bundle.verifier,
            platform: appraisal.platform,
            roots: appraisal.roots,
            at: appraisal.at,
            valid_until: appraisal.valid_until,
            policy: &appraisal.policy,
            policy_version: appraisal.policy_version,
            policy_digest: appraisal.policy_digest,
            checks: &appraisal.checks,
        }
    }
}

const ANYBODY: &str = "UNAUTHENTICATED: no signature was checked, anybody may have written this";
