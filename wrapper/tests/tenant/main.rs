//! A tenant against an OpenBao with a memory of its own, and against a model of what an operator may rely on.
//!
//! Worlds are drawn at random: leases of no time and of ten years, an OpenBao that goes away, refuses and comes back, a
//! machine that sleeps. After each step the model asks what an operator would, without looking at how the tenant came to it.

#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod landlord;
mod stories;

use std::collections::BTreeMap;
use std::time::Duration;

use landlord::{Kind, Landlord};
use proptest::prelude::*;
use release_client::pace::{Moment, Uptime};
use wrapper::config::Withdrawal;
use wrapper::rotate::holding::{Bond, Grant, How, Of};
use wrapper::rotate::schedule::DISTANCE;
use wrapper::rotate::tenant::{
    Action, Event, Failure, Notice, Policy, Reason, Standing, Tenant, Values, Want,
};

/// What the world does next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The errand on its way is answered after so many milliseconds.
    Answers(u64),
    /// An answer that nobody waits for.
    Stray,
    /// Time passes; the tenant is woken whenever it wants.
    Passes(u64),
    /// The machine sleeps, and nobody is woken.
    Sleeps(u64),
    /// OpenBao goes away, or comes back.
    Turns(bool),
    /// Somebody writes another value.
    Rewrites(u16),
    /// Somebody takes something back.
    Revokes(u16),
    RevokesToken,
    /// What was taken back is given again.
    Forgives,
}

/// What an operator knows.
#[derive(Debug, Default)]
struct Model {
    /// The end of each, by OpenBao's own words, and when they were asked for.
    words: BTreeMap<Of, (Option<Uptime>, Uptime)>,
    /// The end of the token that each lease was taken out with.
    hangs: BTreeMap<Of, u64>,
    tokens: Vec<Option<Uptime>>,
    /// What the program has, and what came for it last.
    has: BTreeMap<Of, u64>,
    newest: BTreeMap<Of, u64>,
    is_away: bool,
    on_its_way: Option<(Uptime, Vec<Want>)>,
    unconfirmed: Vec<Of>,
    is_frozen: bool,
    is_over: bool,
}

struct World {
    policy: Policy,
    tenant: Tenant,
    landlord: Landlord,
    model: Model,
    now: Uptime,
    dice: u64,
    withdrawals: Vec<Reason>,
    errands: u64,
    exchanges: u64,
}

impl Model {
    fn hears(&mut self, grants: &[Grant], asked: Uptime, wants: &[Want]) {
        for grant in grants {
            let extends = wants.contains(&Want { of: grant.of, how: How::Extend });
            if grant.of == Of::Token && !extends {
                self.tokens.push(None);
            }
            let end = (!grant.lasts.is_zero()).then(|| asked.plus(grant.lasts));
            // Less than a second more is no word about an end.
            let former = self.words.get(&grant.of).and_then(|(end, _)| *end).filter(|_| extends);
            self.words.insert(grant.of, (end.or(former), asked));
            if grant.of == Of::Token
                && let Some(last) = self.tokens.last_mut()
            {
                *last = end.or(former);
            }
            if grant.bond == Bond::Lease && !extends {
                self.hangs.insert(grant.of, u64::try_from(self.tokens.len()).unwrap_or(0));
            }
            self.unconfirmed.retain(|of| *of != grant.of);
        }
    }

    /// When a value must not be used any more.
    fn end(&self, of: Of) -> Option<Uptime> {
        let token = self.hangs.get(&of).and_then(|number| usize::try_from(number.checked_sub(1)?).ok());
        let token = token.and_then(|number| self.tokens.get(number).copied().flatten());
        self.words.get(&of).and_then(|(end, _)| *end).into_iter().chain(token).min()
    }

    fn secrets(&self) -> impl Iterator<Item = Of> {
        self.words.keys().copied().filter(|of| *of != Of::Token)
    }

    /// What holds after each step.
    fn holds(&self, tenant: &Tenant, policy: &Policy, now: Uptime) {
        let runs = tenant.standing() == Standing::Holding;
        assert_eq!(runs, !self.is_frozen && !self.is_over);
        let wake = tenant.wake();
        if self.is_over {
            assert_eq!(wake, None, "what is over is over");
            return;
        }
        assert!(wake.is_none_or(|wake| wake > now), "woken at once, again and again: {wake:?} at {now:?}");
        if !runs {
            return;
        }
        let token = self.words.get(&Of::Token).map(|(_, confirmed)| *confirmed).unwrap_or_default();
        for of in self.secrets() {
            let silent = self.is_away || self.on_its_way.is_some();
            let grace = if silent { policy.grace } else { Duration::ZERO };
            assert!(self.end(of).is_none_or(|end| now < end.plus(grace)), "{of:?} outlived its end");
            let word = self.words.get(&of).map(|(_, confirmed)| *confirmed).unwrap_or_default().max(token);
            assert!(policy.max_stale.is_none_or(|max| now < word.plus(max)), "{of:?} is too old");
            let expires = self.end(of).is_some() || policy.max_stale.is_some();
            assert!(!expires || wake.is_some(), "{of:?} expires and nobody will look");
        }
        if policy.exchanges {
            assert_eq!(self.has, self.newest, "the program has what came for it");
        }
    }
}

impl World {
    fn begin(policy: Policy, kinds: BTreeMap<Of, Kind>) -> Self {
        let now = Uptime(7);
        let wants: Vec<Want> = kinds.keys().map(|of| Want { of: *of, how: How::Anew }).collect();
        let mut landlord = Landlord::new(kinds);
        let grants = landlord.answer(&wants, now).unwrap_or_default();
        let mut model = Model::default();
        model.hears(&grants, now, &wants);
        model.has = landlord.values();
        model.newest = landlord.values();
        let tenant = Tenant::new(policy, &grants, now, &Moment { now, dice: 11 });
        let mut world = Self {
            policy,
            tenant,
            landlord,
            model,
            now,
            dice: 1,
            withdrawals: Vec::new(),
            errands: 0,
            exchanges: 0,
        };
        world.happens(Event::Woke);
        world
    }

    fn happens(&mut self, event: Event) {
        // A generator of Lehmer's: as good as any dice here.
        self.dice = self.dice.wrapping_mul(0xda94_2042_e4dd_58b5).wrapping_add(1);
        let refused = event == Event::Failed(Failure::Refused) && !self.model.is_frozen;
        let was_over = self.model.is_over;
        let actions = self.tenant.step(event, &Moment { now: self.now, dice: self.dice >> 16 });
        assert!(!was_over || actions.is_empty(), "what is over is over");
        if refused && !was_over {
            assert_eq!(actions.first(), Some(&Action::Withdraw(Reason::Refused)), "a no is obeyed at once");
        }
        for (place, action) in actions.iter().enumerate() {
            self.sees(place, action);
        }
        self.model.holds(&self.tenant, &self.policy, self.now);
    }

    fn sees(&mut self, place: usize, action: &Action) {
        let model = &mut self.model;
        match action {
            Action::Withdraw(reason) => {
                assert!(place == 0 && !model.is_frozen && !model.is_over);
                match self.policy.withdrawal {
                    Withdrawal::Freeze => model.is_frozen = true,
                    Withdrawal::Kill => model.is_over = true,
                }
                model.unconfirmed = model.secrets().collect();
                self.withdrawals.push(*reason);
            }
            Action::Thaw => {
                assert!(model.is_frozen, "only what was frozen");
                assert_eq!(model.unconfirmed, [], "not before everything is confirmed");
                model.is_frozen = false;
            }
            Action::Exchange => {
                assert!(self.policy.exchanges && model.has != model.newest, "only what changed");
                model.has = model.newest.clone();
                self.exchanges += 1;
            }
            Action::Errand(wants) => self.sets_out(wants),
            Action::Abandon => {
                assert!(model.on_its_way.take().is_some());
                model.is_away = true;
            }
            Action::Tell(Notice::Away(_)) => assert!(model.is_away),
            Action::Tell(Notice::Back) => assert!(!model.is_away),
            Action::Tell(Notice::Kept) => assert!(!self.policy.exchanges),
        }
    }

    fn sets_out(&mut self, wants: &[Want]) {
        assert_eq!(self.model.on_its_way, None, "one at a time");
        assert!(!wants.is_empty());
        for want in wants {
            let is_lease = self.model.hangs.contains_key(&want.of) || want.of == Of::Token;
            if is_lease && want.how == How::Extend {
                let end = self.model.end(want.of);
                assert!(end.is_none_or(|end| self.now < end), "what has ended cannot be extended");
            }
            if want.how == How::Anew {
                let may = if want.of == Of::Token { self.policy.logs_in } else { self.policy.exchanges };
                assert!(may, "nobody could use it: {want:?}");
            }
        }
        self.model.on_its_way = Some((self.now, wants.to_vec()));
        self.errands += 1;
    }

    /// Time passes, and the tenant is woken whenever it wants. Every errand costs a distance.
    fn passes(&mut self, until: Uptime) {
        let (from, before) = (self.now, self.errands);
        let mut rounds = 0_u32;
        while let Some(wake) = self.tenant.wake().filter(|wake| *wake <= until) {
            self.now = self.now.max(wake);
            self.happens(Event::Woke);
            rounds += 1;
            if rounds > 300 {
                break;
            }
        }
        let span = u128::from(self.now.since(from) >= DISTANCE) * self.now.since(from).as_millis();
        assert!(u128::from(self.errands - before) <= span / DISTANCE.as_millis() + 1, "a busy loop");
        self.now = self.now.max(until);
        self.happens(Event::Woke);
    }

    fn answers(&mut self, latency: u64) {
        let Some((asked, wants)) = self.model.on_its_way.clone() else { return };
        // OpenBao decides somewhere between question and answer.
        let answer = self.landlord.answer(&wants, asked.plus(Duration::from_millis(latency / 2)));
        self.passes(self.now.plus(Duration::from_millis(latency)));
        if self.model.on_its_way.as_ref().is_none_or(|(since, _)| *since != asked) {
            return;
        }
        self.model.on_its_way = None;
        let Some(grants) = answer else {
            self.model.is_away = true;
            return self.happens(Event::Failed(Failure::Refused));
        };
        self.model.is_away = false;
        self.model.hears(&grants, asked, &wants);
        let mut newest = self.model.newest.clone();
        let values = self.landlord.values();
        newest.extend(wants.iter().filter_map(|want| Some((want.of, *values.get(&want.of)?))));
        let values = if newest == self.model.newest { Values::Same } else { Values::Changed };
        self.model.newest = newest;
        self.happens(Event::Brought { grants, values });
    }

    fn turn(&mut self, turn: Turn, is_away: &mut bool) {
        match turn {
            Turn::Answers(latency) if !*is_away => self.answers(latency),
            Turn::Answers(_) => {
                if self.model.on_its_way.take().is_some() {
                    self.model.is_away = true;
                    self.happens(Event::Failed(Failure::Away));
                }
            }
            Turn::Stray => {
                if self.model.on_its_way.is_none() && !self.model.is_over {
                    let grants = vec![];
                    self.happens(Event::Brought { grants, values: Values::Changed });
                    self.happens(Event::Failed(Failure::Away));
                }
            }
            Turn::Passes(time) => self.passes(self.now.plus(Duration::from_millis(time))),
            Turn::Sleeps(time) => {
                self.now = self.now.plus(Duration::from_millis(time));
                self.happens(Event::Woke);
            }
            Turn::Turns(away) => *is_away = away,
            Turn::Rewrites(which) => self.landlord.rewrite(Of::Secret(which)),
            Turn::Revokes(which) => self.landlord.revoke(Of::Secret(which)),
            Turn::RevokesToken => self.landlord.revoke(Of::Token),
            Turn::Forgives => self.landlord.forgive(),
        }
    }
}

fn lives() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 2 => Just(1_000), 1 => Just(315_360_000_000), 6 => 1_000..900_000_u64]
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => Just(Kind::Value),
        2 => lives().prop_map(|life| Kind::Release(life.max(1_000))),
        3 => (lives(), lives(), any::<bool>()).prop_map(|(ttl, max, renewable)| Kind::Lease { ttl, max, renewable }),
        1 => lives().prop_map(|life| Kind::Certificate(life.max(1_000))),
    ]
}

fn tokens() -> impl Strategy<Value = Option<Kind>> {
    let token = (lives(), lives(), any::<bool>()).prop_map(|(ttl, max, renewable)| Kind::Lease {
        ttl,
        max: max.max(ttl),
        renewable,
    });
    prop::option::of(prop_oneof![3 => token, 1 => Just(Kind::Value)])
}

fn seconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

fn policies() -> impl Strategy<Value = Policy> {
    let times = (
        prop::option::of(seconds(1..600)),
        prop_oneof![Just(Duration::ZERO), seconds(1..3600)],
        prop::option::of(seconds(1..1200)),
        seconds(1..90),
    );
    (times, any::<[bool; 3]>()).prop_map(
        |((refresh, grace, max_stale, patience), [kills, exchanges, logs_in])| {
            let withdrawal = if kills { Withdrawal::Kill } else { Withdrawal::Freeze };
            Policy { refresh, grace, max_stale, withdrawal, exchanges, logs_in, patience }
        },
    )
}

fn turns() -> impl Strategy<Value = Turn> {
    prop_oneof![
        10 => (0..3_000_u64).prop_map(Turn::Answers),
        1 => (0..200_000_u64).prop_map(Turn::Answers),
        1 => Just(Turn::Stray),
        6 => (0..400_000_u64).prop_map(Turn::Passes),
        1 => (0..90_000_000_u64).prop_map(Turn::Sleeps),
        2 => any::<bool>().prop_map(Turn::Turns),
        2 => (0..4_u16).prop_map(Turn::Rewrites),
        1 => (0..4_u16).prop_map(Turn::Revokes),
        1 => Just(Turn::RevokesToken),
        2 => Just(Turn::Forgives),
    ]
}

fn holdings(token: Option<Kind>, kinds: &[Kind]) -> BTreeMap<Of, Kind> {
    let secrets = kinds.iter().zip(0..).map(|(kind, number)| (Of::Secret(number), *kind));
    token.map(|kind| (Of::Token, kind)).into_iter().chain(secrets).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_program_outlives_its_right(
        policy in policies(),
        token in tokens(),
        kinds in prop::collection::vec(kinds(), 1..4),
        turns in prop::collection::vec(turns(), 1..100),
    ) {
        let mut world = World::begin(policy, holdings(token, &kinds));
        let mut is_away = false;
        for turn in turns {
            world.turn(turn, &mut is_away);
        }
    }

    #[test]
    fn while_openbao_answers_no_program_is_ended_and_none_holds_what_is_dead(
        policy in policies(),
        token in prop::option::of(healthy()),
        kinds in prop::collection::vec(prop_oneof![
            Just(Kind::Value),
            (20_000..900_000_u64).prop_map(Kind::Release),
            (20_000..900_000_u64).prop_map(Kind::Certificate),
            healthy(),
        ], 1..4),
        turns in prop::collection::vec((0..1_000_u64, 0..100_000_u64, 0..4_u16), 1..80),
    ) {
        let max_stale = policy.max_stale.map(|max| max.max(Duration::from_secs(20)));
        let policy = Policy { max_stale, exchanges: true, logs_in: true, patience: Duration::from_mins(1), ..policy };
        let mut world = World::begin(policy, holdings(token, &kinds));
        for (latency, time, which) in turns {
            let until = world.now.plus(Duration::from_millis(time));
            while world.now < until {
                world.answers(latency);
                if world.model.on_its_way.is_none() {
                    world.passes(world.tenant.wake().unwrap_or(until).min(until));
                }
            }
            if kinds.get(usize::from(which)).is_some_and(|kind| matches!(kind, Kind::Value)) {
                world.landlord.rewrite(Of::Secret(which));
            }
            for of in world.model.secrets() {
                prop_assert!(world.landlord.is_alive(of, world.now), "{of:?} at {:?}", world.now);
            }
        }
        prop_assert_eq!(world.withdrawals, []);
    }
}

fn healthy() -> impl Strategy<Value = Kind> {
    (20_000..900_000_u64, 1..20_u64, any::<bool>()).prop_map(|(ttl, times, renewable)| Kind::Lease {
        ttl,
        max: ttl * times,
        renewable,
    })
}
