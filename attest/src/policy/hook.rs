//! The section `[rego]`: a veto that a policy's author writes in Rego.
//!
//! The module is of package `cloudtaser` and defines a set `deny`. It sees what was asked and found
//! (`input.claims`, `input.checks`, `input.policy`) after everything else was asked, and each message in `deny`
//! is a failing check `policy.rego`, which no waiver reaches. It cannot admit what the typed document refuses.
//! What goes wrong in it denies: an error, another type, too much work. There is no clock, no random source and
//! no network in it, so that a replay gives the same bytes.
//!
//! Trusted: the module. It is a part of the policy; its budget guards against mistakes.

// A span of time in the interpreter's interface; there is no clock behind it.
use core::time::Duration;
use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use regorus::utils::limits::{ExecutionTimerConfig, TimeSource, set_time_source};
use regorus::{Engine, Value};
use serde::Serialize;

use crate::Claims;
use crate::check::{Check, Checks};

/// A module that was compiled once; every appraisal runs a copy of the prepared engine.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    engine: Engine,
}

/// What the module sees as `input`.
#[derive(Serialize)]
pub(super) struct Input<'a> {
    pub(super) claims: &'a Claims,
    pub(super) checks: &'a [Check],
    pub(super) policy: About<'a>,
}

/// `input.policy`.
#[derive(Serialize)]
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) version: u64,
}

impl Hook {
    /// Compiles a module, and runs it once on nothing: what is wrong with it is said when the policy is parsed.
    pub(super) fn compile(module: &str) -> Result<Self, String> {
        if let Some(banned) = BANNED.iter().find(|banned| module.contains(**banned)) {
            return Err(format!("{banned} is not available"));
        }
        let fuel_is_ours = *FUEL_GAUGE.get_or_init(|| set_time_source(&Fuel).is_ok());
        if !fuel_is_ours {
            return Err("the interpreter's clock belongs to another part of this program".to_owned());
        }
        let mut engine = Engine::new();
        engine.set_gather_prints(true);
        engine.set_execution_timer_config(ExecutionTimerConfig { limit: LIMIT, check_interval: INTERVAL });
        let package =
            engine.add_policy(NAME.to_owned(), module.to_owned()).map_err(|error| first_line(&error))?;
        if package != PACKAGE {
            return Err(format!("expected package cloudtaser, found {package}"));
        }
        engine.set_input(Value::new_object());
        let found = engine.eval_rule(RULE.to_owned()).map_err(|error| first_line(&error))?;
        messages(&found)?;
        Ok(Self { engine })
    }

    /// Asks the module; each of its messages is a failing check.
    pub(super) fn ask(&self, input: &Input<'_>, checks: &mut Checks) {
        match self.run(input) {
            Ok(messages) if messages.is_empty() => {
                checks.ask("policy.rego", true, EXPECTED, "none");
            }
            Ok(messages) => {
                for message in messages {
                    checks.ask("policy.rego", false, EXPECTED, message);
                }
            }
            Err(why) => {
                checks.ask("policy.rego", false, EXPECTED, format!("no answer: {why}"));
            }
        }
    }

    fn run(&self, input: &Input<'_>) -> Result<Vec<String>, String> {
        let input = serde_json::to_value(input).map_err(|error| error.to_string())?;
        let mut engine = self.engine.clone();
        engine.set_input(Value::from(input));
        let found = engine.eval_rule(RULE.to_owned()).map_err(|error| first_line(&error))?;
        messages(&found)
    }
}

/// The messages of a set, in its order, which is that of their texts.
fn messages(found: &Value) -> Result<Vec<String>, String> {
    let Ok(set) = found.as_set() else { return Err("deny is not a set".to_owned()) };
    let texts =
        set.iter().map(|message| message.as_string().map(|text| text.chars().take(MAX_MESSAGE).collect()));
    let texts: Vec<String> =
        texts.collect::<Result<_, _>>().map_err(|_why| "deny holds what is no text".to_owned())?;
    if texts.len() > MAX_MESSAGES {
        return Err(format!("deny holds more than {MAX_MESSAGES} messages"));
    }
    Ok(texts)
}

/// The interpreter's words, without the picture of the source that it draws.
fn first_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    if text.contains("exceeded time limit") {
        return "more work than the budget allows".to_owned();
    }
    let mut said = text.lines().map(str::trim).filter(|line| line.starts_with("error:"));
    let line = said.next_back().or_else(|| text.lines().next()).unwrap_or_default();
    line.chars().take(MAX_MESSAGE).collect()
}

/// What the interpreter takes for a clock: it moves on by one with each look, and the interpreter looks once in
/// [`INTERVAL`] steps. So the same work on the same input always ends at the same step, on any machine.
struct Fuel;

thread_local! {
    static BURNT: Cell<u64> = const { Cell::new(0) };
}

impl TimeSource for Fuel {
    fn now(&self) -> Option<Duration> {
        let burnt = BURNT.with(|burnt| burnt.replace(burnt.get().wrapping_add(1)));
        Some(Duration::from_nanos(burnt))
    }
}

static FUEL_GAUGE: OnceLock<bool> = OnceLock::new();

/// Steps between two looks at the fuel.
const INTERVAL: NonZeroU32 = match NonZeroU32::new(64) {
    Some(steps) => steps,
    None => NonZeroU32::MIN,
};
/// Looks that one appraisal may take: with [`INTERVAL`], 128,000 steps.
const LIMIT: Duration = Duration::from_micros(2);

const NAME: &str = "policy";
const PACKAGE: &str = "data.cloudtaser";
const RULE: &str = "data.cloudtaser.deny";
const EXPECTED: &str = "no objection by the policy's module";
const MAX_MESSAGES: usize = 32;
const MAX_MESSAGE: usize = 400;
/// Built-in functions of which one call can take all memory. Those of the clock, the network and the random source
/// are not compiled in.
const BANNED: [&str; 2] = ["numbers.range", "bits.lsh"];
