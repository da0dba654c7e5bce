//! The member against a model that knows only what it may promise the world.
//!
//! Worlds are drawn at random: answers, silence, changes, time that passes, agents that end. After each step the model
//! asks what a reader of the node's label would ask, without looking at how the member came to it.

#![expect(clippy::panic, reason = "a broken promise is a failed test")]

use std::time::Duration;

use node_agent::join::machine::{
    Action, Event, Left, Member, Notice, Refusal, Standing, Terms, Unclaimed, Unknown, Verdict,
};
use proptest::prelude::*;
use release_client::pace::{Moment, Uptime};

/// What the world does next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The answer to what is on its way, if something is: this one of the possible ones.
    Answer(u8, u64),
    /// An answer that nobody asked for.
    Stray(u8),
    Changed,
    /// Time passes, in milliseconds, whatever the member wanted.
    Passes(u64),
    /// Time passes until the member wants to come back.
    Sleeps,
    /// The agent ends and another one starts.
    Restarts,
}

/// What nobody may see broken.
#[derive(Debug, Default)]
struct Model {
    admitted_until: Option<Uptime>,
    refused_at: Option<Uptime>,
    told: Option<Notice>,
    on_its_way: Option<Action>,
    asked_at: Uptime,
    is_claimed: bool,
    is_lost: bool,
}

impl Model {
    /// What happened, as the world knows it.
    fn hears(&mut self, event: &Event, now: Uptime) {
        let awaited = match (&self.on_its_way, event) {
            (Some(Action::Claim), Event::Claimed(_))
            | (Some(Action::Enrol), Event::Enrolled(_))
            | (Some(Action::Attest), Event::Judged(_)) => self.on_its_way.take(),
            _ => None,
        };
        if awaited.is_none() {
            return;
        }
        match event {
            Event::Judged(Verdict::Admitted(lasts)) => {
                self.admitted_until = Some(self.asked_at.plus(*lasts));
                self.refused_at = None;
            }
            Event::Judged(Verdict::Refused(_)) => {
                self.admitted_until = None;
                self.refused_at = Some(now);
            }
            Event::Claimed(Ok(())) => self.is_claimed = true,
            Event::Claimed(Err(Unclaimed::OtherCluster(_))) => {
                self.is_lost = true;
                self.refused_at = None;
            }
            Event::Claimed(_)
            | Event::Enrolled(_)
            | Event::Judged(_)
            | Event::Woke
            | Event::Changed
            | Event::Ending => {}
        }
    }

    fn sees(&mut self, actions: &[Action], now: Uptime, terms: Terms) {
        for (place, action) in actions.iter().enumerate() {
            match action {
                Action::Publish(notice) => {
                    assert_eq!(place, 0, "the world is told first");
                    self.told = Some(notice.clone());
                }
                Action::Revoke => {}
                Action::Claim | Action::Enrol | Action::Attest => self.sets_out(action, now, terms),
            }
        }
        assert_eq!(actions.iter().filter(|action| matches!(action, Action::Publish(_))).count().max(1), 1);
    }

    fn sets_out(&mut self, action: &Action, now: Uptime, terms: Terms) {
        assert_eq!(self.on_its_way, None, "one at a time");
        assert!(!self.is_lost, "another cluster's machine asks nobody");
        if let Some(refused) = self.refused_at {
            assert!(now.since(refused) >= terms.interval, "a refused machine waits a whole interval");
        }
        match action {
            Action::Claim => {
                assert!(terms.claims && !self.is_claimed, "a register takes the name in once per boot");
            }
            Action::Enrol => assert!(terms.enrols),
            Action::Publish(_) | Action::Attest | Action::Revoke => {
                assert!(self.is_claimed || !terms.claims, "evidence of an unclaimed machine");
            }
        }
        self.on_its_way = Some(action.clone());
        self.asked_at = now;
    }

    /// What holds after each step.
    fn holds(&self, member: &Member, now: Uptime) {
        let told = self.told.as_ref().unwrap_or_else(|| panic!("the first step tells something"));
        let may = self.admitted_until.is_some_and(|until| until > now) && !self.is_lost;
        assert_eq!(told.attested, may, "{told:?} at {now:?}");
        assert_eq!(matches!(member.standing(), Standing::Attested { .. }), may);
        if self.refused_at.is_some() && !self.is_lost {
            assert_eq!(told.reason, "Refused", "a refusal stays until OpenBao takes it back");
        }
        let waits = self.on_its_way.is_some() || member.wake().is_some();
        assert_eq!(waits, !self.is_lost, "whoever is not lost goes on");
    }
}

struct World {
    terms: Terms,
    member: Member,
    model: Model,
    now: Uptime,
    dice: u64,
}

impl World {
    fn begin(terms: Terms) -> Self {
        let mut world = Self {
            terms,
            member: Member::new(terms, None),
            model: Model::default(),
            now: Uptime(7),
            dice: 1,
        };
        world.happens(Event::Woke);
        world
    }

    fn happens(&mut self, event: Event) {
        // A generator of Lehmer's: as good as any dice here.
        self.dice = self.dice.wrapping_mul(0xda94_2042_e4dd_58b5).wrapping_add(1);
        self.model.hears(&event, self.now);
        let actions = self.member.step(event, &Moment { now: self.now, dice: self.dice >> 16 });
        self.model.sees(&actions, self.now, self.terms);
        self.model.holds(&self.member, self.now);
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Answer(which, lasts) => {
                if let Some(action) = self.model.on_its_way.clone() {
                    self.happens(answer(&action, which, lasts));
                }
            }
            Turn::Stray(which) => {
                let all = [Action::Claim, Action::Enrol, Action::Attest];
                let kind = all.into_iter().nth(usize::from(which) % 3).unwrap_or(Action::Attest);
                // What is on its way has one answer, which is another turn.
                if self.model.on_its_way.as_ref() != Some(&kind) {
                    self.happens(answer(&kind, which / 3, 60_000));
                }
            }
            Turn::Changed => self.happens(Event::Changed),
            Turn::Passes(time) => {
                self.now = self.now.plus(Duration::from_millis(time));
                self.happens(Event::Woke);
            }
            Turn::Sleeps => {
                if let Some(wake) = self.member.wake() {
                    self.now = self.now.max(wake);
                    self.happens(Event::Woke);
                }
            }
            Turn::Restarts => self.restart(),
        }
    }

    /// The token of an agent that ended is gone; what it was refused is not.
    fn restart(&mut self) {
        let left = match (self.member.standing(), self.member.next_try()) {
            (Standing::Refused { since, refusal }, next) => Some(Left {
                refusal: refusal.clone(),
                since: *since,
                next_try: next.unwrap_or(self.now.plus(self.terms.interval)),
            }),
            _ => None,
        };
        let last = self.member.step(Event::Ending, &Moment { now: self.now, dice: 0 });
        if let (false, Some(Action::Publish(notice))) = (self.model.is_lost, last.first()) {
            assert!(!notice.attested && notice.reason == "AgentStopped", "{notice:?}");
        }
        assert_eq!(self.member.step(Event::Woke, &Moment { now: self.now, dice: 0 }), []);
        assert_eq!(self.member.wake(), None, "an agent that ended does nothing more");
        self.member = Member::new(self.terms, left);
        // The shell looks at the registers again; they answer at once that they have the name already.
        self.model = Model { refused_at: self.model.refused_at, ..Model::default() };
        self.happens(Event::Woke);
        assert_eq!(self.model.told.as_ref().map(|notice| notice.attested), Some(false));
    }
}

fn answer(to: &Action, which: u8, lasts: u64) -> Event {
    let why = || "nobody answers".to_owned();
    match (to, which % 8) {
        (Action::Claim, 0..=5) => Event::Claimed(Ok(())),
        (Action::Claim, 6) => Event::Claimed(Err(Unclaimed::Failed(why()))),
        (Action::Claim, _) => Event::Claimed(Err(Unclaimed::OtherCluster("PCR 15".to_owned()))),
        (Action::Enrol, 0..=5) => Event::Enrolled(Ok(())),
        (Action::Enrol, _) => Event::Enrolled(Err(why())),
        (_, 0..=3) => Event::Judged(Verdict::Admitted(Duration::from_millis(lasts))),
        (_, 4..=5) => Event::Judged(Verdict::Refused(refusal("snp.policy.debug"))),
        (_, _) => Event::Judged(Verdict::Unanswered(why())),
    }
}

fn refusal(check: &str) -> Refusal {
    Refusal { decision: "ab".repeat(32), checks: vec![check.to_owned()] }
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => (any::<u8>(), 0..900_000_u64).prop_map(|(which, lasts)| Turn::Answer(which, lasts)),
        1 => any::<u8>().prop_map(Turn::Stray),
        2 => Just(Turn::Changed),
        3 => (0..400_000_u64).prop_map(Turn::Passes),
        6 => Just(Turn::Sleeps),
        1 => Just(Turn::Restarts),
    ]
}

fn all_terms() -> impl Strategy<Value = Terms> {
    (1..600_000_u64, any::<bool>(), any::<bool>()).prop_map(|(interval, claims, enrols)| Terms {
        interval: Duration::from_millis(interval),
        claims,
        enrols,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_world_is_told_the_truth(
        terms in all_terms(),
        turns in prop::collection::vec(turns(), 1..120),
    ) {
        let mut world = World::begin(terms);
        for turn in turns {
            world.turn(turn);
        }
    }

    #[test]
    fn nothing_that_is_far_off_panics(
        interval in any::<u64>(), now in any::<u64>(), dice in any::<u64>(), lasts in any::<u64>(),
    ) {
        let terms = Terms { interval: Duration::from_millis(interval), claims: false, enrols: false };
        let mut member = Member::new(terms, None);
        let moment = Moment { now: Uptime(now), dice };
        let _notice = member.step(Event::Woke, &moment);
        let verdict = Verdict::Admitted(Duration::from_millis(lasts));
        let _actions = member.step(Event::Judged(verdict), &moment);
        let _more = member.step(Event::Changed, &Moment { now: Uptime(dice), dice: now });
    }
}

const TERMS: Terms = Terms { interval: Duration::from_mins(5), claims: true, enrols: true };

fn at(seconds: u64) -> Moment {
    Moment { now: Uptime(seconds.saturating_mul(1000)), dice: 0 }
}

fn admitted() -> Event {
    Event::Judged(Verdict::Admitted(Duration::from_mins(10)))
}

/// Claimed, enrolled and admitted at one second.
fn attested() -> Member {
    let mut member = Member::new(TERMS, None);
    let first = member.step(Event::Woke, &at(1));
    assert!(matches!(&first[..], [Action::Publish(notice), Action::Claim] if !notice.attested));
    assert_eq!(member.step(Event::Claimed(Ok(())), &at(1)), [Action::Enrol]);
    assert_eq!(member.step(Event::Enrolled(Ok(())), &at(1)), [Action::Attest]);
    let last = member.step(admitted(), &at(1));
    assert!(matches!(&last[..], [Action::Publish(notice)] if notice.attested && notice.reason == "Attested"));
    member
}

#[test]
fn a_machine_claims_and_enrols_once_and_attests_ever_after() {
    let mut member = attested();
    for _ in 0..3 {
        let now = member.wake().unwrap_or_default();
        assert_eq!(member.step(Event::Woke, &Moment { now, dice: 5 }), [Action::Attest]);
        assert_eq!(member.step(admitted(), &Moment { now, dice: 5 }), []);
    }
}

#[test]
fn a_change_is_answered_with_evidence_at_once_but_only_once_for_many() {
    let mut member = attested();
    assert_eq!(member.step(Event::Changed, &at(20)), [Action::Attest]);
    assert_eq!(member.step(Event::Changed, &at(20)), []);
    assert_eq!(member.step(Event::Changed, &at(21)), []);
    // What changed after the evidence was gathered is not in it.
    assert_eq!(member.step(admitted(), &at(21)), []);
    assert_eq!(member.wake(), Some(at(25).now));
    assert_eq!(member.step(Event::Woke, &at(25)), [Action::Attest]);
}

/// Lesson L17: a failed attester is not silently healthy again.
#[test]
fn l17_a_refused_machine_stays_refused_until_openbao_admits_it() {
    let mut member = attested();
    assert_eq!(member.step(Event::Changed, &at(20)), [Action::Attest]);
    let refused = member.step(Event::Judged(Verdict::Refused(refusal("node.boot"))), &at(21));
    let [Action::Publish(notice), Action::Revoke] = &refused[..] else { panic!("{refused:?}") };
    let message = format!("OpenBao refused this machine: node.boot (decision {})", "ab".repeat(32));
    assert_eq!((notice.attested, notice.reason, &notice.message), (false, "Refused", &message));
    assert_eq!(member.step(Event::Changed, &at(22)), []);
    assert_eq!(member.step(Event::Woke, &at(320)), []);
    assert_eq!(member.step(Event::Woke, &at(321)), [Action::Enrol]);
    assert_eq!(member.step(Event::Enrolled(Err("no".to_owned())), &at(321)), []);
    assert_eq!(member.step(Event::Woke, &at(620)), []);
    assert_eq!(member.step(Event::Woke, &at(621)), [Action::Enrol]);
    assert_eq!(member.step(Event::Enrolled(Ok(())), &at(621)), [Action::Attest]);
    let healed = member.step(admitted(), &at(622));
    assert!(matches!(&healed[..], [Action::Publish(notice)] if notice.attested));
}

#[test]
fn a_change_behind_the_evidence_of_a_refused_machine_is_not_forgotten_when_it_is_admitted() {
    let mut member = attested();
    assert_eq!(member.step(Event::Changed, &at(20)), [Action::Attest]);
    member.step(Event::Judged(Verdict::Refused(refusal("node.boot"))), &at(21));
    assert_eq!(member.step(Event::Woke, &at(321)), [Action::Enrol]);
    assert_eq!(member.step(Event::Enrolled(Ok(())), &at(321)), [Action::Attest]);
    assert_eq!(member.step(Event::Changed, &at(322)), []);
    member.step(admitted(), &at(323));
    assert_eq!(member.wake(), Some(at(326).now));
}

#[test]
fn silence_is_no_refusal_until_the_verdict_has_ended() {
    let mut member = attested();
    let mut moment = at(201);
    while moment.now < at(601).now {
        for action in member.step(Event::Woke, &moment) {
            assert_eq!(action, Action::Attest);
            let silence = Event::Judged(Verdict::Unanswered("connection refused".to_owned()));
            assert_eq!(member.step(silence, &moment), []);
        }
        moment.now = member.wake().unwrap_or_default();
    }
    let ended = member.step(Event::Woke, &at(601));
    assert!(
        matches!(&ended[..], [Action::Publish(n), ..] if !n.attested && n.reason == "VerdictEnded"),
        "{ended:?}"
    );
}

#[test]
fn a_machine_of_another_cluster_says_so_and_asks_nobody() {
    let mut member = Member::new(TERMS, None);
    member.step(Event::Woke, &at(1));
    let theirs = Event::Claimed(Err(Unclaimed::OtherCluster("PCR 15 holds abab".to_owned())));
    let told = member.step(theirs, &at(2));
    let [Action::Publish(notice)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(notice.message, "this machine belongs to another cluster until it reboots: PCR 15 holds abab");
    assert_eq!(*member.standing(), Standing::Unknown(Unknown::OtherCluster("PCR 15 holds abab".to_owned())));
    assert_eq!((member.wake(), member.step(Event::Changed, &at(900))), (None, vec![]));
}

#[test]
fn a_refusal_that_an_agent_left_behind_still_stands() {
    let left = Left { refusal: refusal("standing.failed"), since: at(1).now, next_try: at(100).now };
    let mut member = Member::new(TERMS, Some(left));
    let first = member.step(Event::Woke, &at(50));
    assert!(
        matches!(&first[..], [Action::Publish(n)] if !n.attested && n.reason == "Refused" && n.since == at(1).now)
    );
    assert_eq!(member.wake(), Some(at(100).now));
}
