//! What happens to one program, told step by step.

use std::time::Duration;

use release_client::pace::{Moment, Uptime};
use wrapper::config::Withdrawal;
use wrapper::rotate::holding::{Bond, Grant, How, Of};
use wrapper::rotate::tenant::{
    Action, Event, Failure, Notice, Policy, Reason, Standing, Tenant, Values, Want,
};

const SECRET: Of = Of::Secret(0);

const POLICY: Policy = Policy {
    refresh: Some(Duration::from_mins(5)),
    grace: Duration::ZERO,
    max_stale: None,
    withdrawal: Withdrawal::Kill,
    exchanges: true,
    logs_in: true,
    patience: Duration::from_mins(1),
};

fn at(seconds: u64) -> Moment {
    Moment { now: Uptime(seconds * 1000), dice: 0 }
}

fn grant(of: Of, bond: Bond, lasts: u64, renewable: bool) -> Grant {
    Grant { of, bond, lasts: Duration::from_secs(lasts), renewable }
}

fn lease(lasts: u64) -> Grant {
    grant(SECRET, Bond::Lease, lasts, true)
}

fn errand(of: Of, how: How) -> Action {
    Action::Errand(vec![Want { of, how }])
}

fn brought(grant: Grant, values: Values) -> Event {
    Event::Brought { grants: vec![grant], values }
}

/// Wakes the tenant when it wants; what it does then, and when.
fn next(tenant: &mut Tenant) -> (Moment, Vec<Action>) {
    let moment = Moment { now: tenant.wake().unwrap(), dice: 0 };
    (moment, tenant.step(Event::Woke, &moment))
}

#[test]
fn a_lease_is_renewed_until_its_longest_time_is_near_and_then_taken_out_anew() {
    let mut tenant = Tenant::new(POLICY, &[lease(100)], at(0).now, &at(0));
    let (moment, actions) = next(&mut tenant);
    assert_eq!((moment.now, actions), (at(60).now, vec![errand(SECRET, How::Extend)]));
    assert_eq!(tenant.step(brought(lease(100), Values::Same), &at(61)), []);
    let (moment, _) = next(&mut tenant);
    assert_eq!(moment.now, at(120).now);
    let spent = tenant.step(brought(lease(30), Values::Same), &moment);
    assert_eq!(spent, []);
    let (moment, actions) = next(&mut tenant);
    assert_eq!((moment.now, actions), (Uptime(120_500), vec![errand(SECRET, How::Anew)]));
    assert_eq!(tenant.step(brought(lease(100), Values::Changed), &moment), [Action::Exchange]);
}

#[test]
fn a_value_without_an_end_is_looked_at_again_and_exchanged_only_if_it_is_another() {
    let value = grant(SECRET, Bond::Free, 0, false);
    let mut tenant = Tenant::new(POLICY, &[value], at(0).now, &at(0));
    for (values, expected) in [(Values::Same, vec![]), (Values::Changed, vec![Action::Exchange])] {
        let before = tenant.confirmed().unwrap();
        let (moment, actions) = next(&mut tenant);
        assert_eq!(actions, [errand(SECRET, How::Extend)]);
        assert_eq!(moment.now.since(before), Duration::from_secs(270));
        assert_eq!(tenant.step(brought(value, values), &moment), expected);
    }
}

#[test]
fn silence_is_asked_again_later_and_later_and_told_once() {
    let mut tenant = Tenant::new(POLICY, &[lease(3600)], at(0).now, &at(0));
    let (mut moment, _) = next(&mut tenant);
    let mut waits = Vec::new();
    for round in 0..7 {
        let told = tenant.step(Event::Failed(Failure::Away), &moment);
        let away = Action::Tell(Notice::Away(Some(Duration::from_mins(24))));
        assert_eq!(told, if round == 0 { vec![away] } else { vec![] });
        let failed = moment.now;
        let (later, actions) = next(&mut tenant);
        assert_eq!(actions, [errand(SECRET, How::Extend)]);
        waits.push(later.now.since(failed).as_millis());
        moment = later;
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    assert_eq!(tenant.step(brought(lease(3600), Values::Same), &moment), [Action::Tell(Notice::Back)]);
}

#[test]
fn a_program_lives_through_silence_until_its_grace_has_passed_too() {
    let policy = Policy { grace: Duration::from_secs(50), ..POLICY };
    let mut tenant = Tenant::new(policy, &[lease(100)], at(0).now, &at(0));
    let (moment, _) = next(&mut tenant);
    tenant.step(Event::Failed(Failure::Away), &moment);
    let mut now = moment;
    while now.now < at(150).now {
        assert_eq!(tenant.standing(), Standing::Holding);
        tenant.step(Event::Failed(Failure::Away), &now);
        now = next(&mut tenant).0;
    }
    assert_eq!(now.now, at(150).now);
    assert_eq!(tenant.standing(), Standing::Over(Reason::Ended(SECRET)));
    assert_eq!((tenant.wake(), tenant.step(Event::Woke, &at(900))), (None, vec![]));
}

#[test]
fn a_no_ends_the_program_at_once_whatever_its_lease_says() {
    let mut tenant = Tenant::new(POLICY, &[lease(315_360_000)], at(0).now, &at(0));
    let (moment, _) = next(&mut tenant);
    let actions = tenant.step(Event::Failed(Failure::Refused), &moment);
    assert_eq!(actions, [Action::Withdraw(Reason::Refused)]);
    assert_eq!(tenant.standing(), Standing::Over(Reason::Refused));
}

#[test]
fn a_frozen_program_goes_on_when_openbao_gives_everything_anew() {
    let policy = Policy { withdrawal: Withdrawal::Freeze, ..POLICY };
    let token = grant(Of::Token, Bond::Free, 1000, true);
    let mut tenant = Tenant::new(policy, &[token, lease(100)], at(0).now, &at(0));
    let (moment, _) = next(&mut tenant);
    let actions = tenant.step(Event::Failed(Failure::Refused), &moment);
    assert_eq!(actions, [Action::Withdraw(Reason::Refused)]);
    // The lease or the token: OpenBao did not say what it refused.
    let both = [Of::Token, SECRET].map(|of| Want { of, how: How::Anew });
    let (moment, actions) = next(&mut tenant);
    assert_eq!(actions, [Action::Errand(both.to_vec())]);
    assert_eq!(tenant.step(Event::Failed(Failure::Refused), &moment), []);
    let (moment, actions) = next(&mut tenant);
    assert_eq!(actions, [Action::Errand(both.to_vec())]);
    let event = Event::Brought { grants: vec![token, lease(100)], values: Values::Changed };
    let actions = tenant.step(event, &moment);
    assert_eq!(actions, [Action::Tell(Notice::Back), Action::Exchange, Action::Thaw]);
}

#[test]
fn a_token_without_an_end_is_asked_for_nothing() {
    let policy = Policy { withdrawal: Withdrawal::Freeze, logs_in: false, ..POLICY };
    let root = grant(Of::Token, Bond::Free, 0, false);
    let value = grant(SECRET, Bond::Free, 0, false);
    let mut tenant = Tenant::new(policy, &[root, value], at(0).now, &at(0));
    let (moment, actions) = next(&mut tenant);
    assert_eq!(actions, [errand(SECRET, How::Extend)]);
    tenant.step(Event::Failed(Failure::Refused), &moment);
    let (moment, actions) = next(&mut tenant);
    assert_eq!(actions, [errand(SECRET, How::Extend)]);
    let actions = tenant.step(brought(value, Values::Same), &moment);
    assert_eq!(actions, [Action::Tell(Notice::Back), Action::Thaw]);
}

#[test]
fn a_machine_that_slept_asks_before_it_is_blamed_if_there_is_a_grace() {
    let policy = Policy { grace: Duration::from_hours(10), ..POLICY };
    for (policy, expected) in
        [(policy, vec![errand(SECRET, How::Anew)]), (POLICY, vec![Action::Withdraw(Reason::Ended(SECRET))])]
    {
        let mut tenant = Tenant::new(policy, &[lease(3600)], at(0).now, &at(0));
        assert_eq!(tenant.step(Event::Woke, &at(8 * 3600)), expected);
    }
}

#[test]
fn without_a_strategy_other_values_are_kept_back_and_told_once() {
    let policy = Policy { exchanges: false, ..POLICY };
    let release = grant(SECRET, Bond::Free, 100, true);
    let mut tenant = Tenant::new(policy, &[release], at(0).now, &at(0));
    for expected in [vec![Action::Tell(Notice::Kept)], vec![]] {
        let (moment, actions) = next(&mut tenant);
        assert_eq!(actions, [errand(SECRET, How::Extend)]);
        assert_eq!(tenant.step(brought(release, Values::Changed), &moment), expected);
    }
}

#[test]
fn without_a_strategy_a_lease_ends_when_it_cannot_be_renewed_any_more() {
    let policy = Policy { exchanges: false, ..POLICY };
    let mut tenant = Tenant::new(policy, &[grant(SECRET, Bond::Lease, 100, false)], at(0).now, &at(0));
    let (moment, actions) = next(&mut tenant);
    let ended = vec![Action::Withdraw(Reason::Ended(SECRET))];
    assert_eq!((moment.now, actions), (at(100).now, ended));
}

#[test]
fn the_end_of_a_token_that_nobody_can_replace_ends_what_hangs_on_it() {
    let policy = Policy { logs_in: false, ..POLICY };
    let token = grant(Of::Token, Bond::Free, 100, false);
    let mut tenant = Tenant::new(policy, &[token, lease(1000)], at(0).now, &at(0));
    let (moment, actions) = next(&mut tenant);
    assert_eq!((moment.now, actions), (at(100).now, vec![Action::Withdraw(Reason::Ended(Of::Token))]));
}

#[test]
fn an_errand_that_does_not_come_back_is_given_up() {
    let mut tenant = Tenant::new(POLICY, &[lease(3600)], at(0).now, &at(0));
    next(&mut tenant);
    let (_, actions) = next(&mut tenant);
    let away = Action::Tell(Notice::Away(Some(Duration::from_mins(23))));
    assert_eq!(actions, [Action::Abandon, away]);
    assert_eq!(next(&mut tenant).1, [errand(SECRET, How::Extend)]);
}
