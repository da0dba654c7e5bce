//! A value is changed in OpenBao: what each program gets to know of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::bench::{installed, skip};
use crate::openbao::OpenBao;

/// Writes the password at each start.
const PYTHON: &str = "import os, time
open(os.environ['SEEN'], 'a').write(os.environ['PASSWORD'] + '\\n')
time.sleep(1000)";

/// Writes the password, with the number of its own process, whenever it is another one.
const NODE: &str = "let last = '';
setInterval(() => {
  if (process.env.PASSWORD === last) return;
  last = process.env.PASSWORD;
  require('fs').appendFileSync(process.env.SEEN, process.pid + ' ' + last + '\\n');
}, 20);";

/// Writes the password whenever it is told to look; a program that a shell starts gets what is so now.
const SHELL: &str =
    "trap 'echo \"$$ $(printenv PASSWORD)\" >> $SEEN' HUP; kill -HUP $$; while :; do sleep 0.1; done";

fn pids(seen: &[String]) -> Vec<&str> {
    seen.iter().map(|line| line.split(' ').next().unwrap()).collect()
}

fn values(seen: &[String]) -> Vec<&str> {
    seen.iter().map(|line| line.split(' ').nth(1).unwrap()).collect()
}

/// Waits for so many lines.
fn lines(wrapper: &crate::openbao::Wrapper, count: usize) -> Vec<String> {
    crate::openbao::eventually(&format!("{count} lines: {}", wrapper.said()), || {
        wrapper.seen().len() >= count
    });
    wrapper.seen()
}

#[test]
fn a_program_is_started_anew_for_each_change_and_for_nothing_else() {
    let Some(bao) = OpenBao::start("a_program_is_started_anew") else { return };
    let mut wrapper = bao.wrapper("root", &[], &["python3", "-c", PYTHON]);
    wrapper.sees(&["one"]);
    bao.put("two");
    wrapper.sees(&["one", "two"]);
    // Another version with the same value is no change.
    bao.put("two");
    bao.put("three");
    wrapper.sees(&["one", "two", "three"]);
    assert!(wrapper.said().contains("a value has changed; the program is started anew"));
    assert!(wrapper.child.try_wait().unwrap().is_none());
}

#[test]
fn a_runtime_that_looks_again_sees_the_new_value_and_is_not_started_anew() {
    if !installed("node") {
        return skip("a_runtime_that_looks_again", "node", "no node");
    }
    let Some(bao) = OpenBao::start("a_runtime_that_looks_again") else { return };
    let wrapper = bao.wrapper("root", &[("CLOUDTASER_ROTATION_STRATEGY", "live")], &["node", "-e", NODE]);
    lines(&wrapper, 1);
    bao.put("two");
    let seen = lines(&wrapper, 2);
    assert_eq!((values(&seen), pids(&seen)[0]), (vec!["one", "two"], pids(&seen)[1]));
    // What has no room is not cut: it comes with a new start.
    let long = "l".repeat(20_000);
    bao.put(&long);
    let seen = lines(&wrapper, 3);
    assert_eq!(values(&seen)[2], long);
    assert_ne!(pids(&seen)[1], pids(&seen)[2]);
    wrapper.says("the new value of PASSWORD has no room in its memory; the program is started anew");
}

#[test]
fn a_runtime_that_does_not_look_again_is_started_anew_and_that_is_said() {
    let Some(bao) = OpenBao::start("a_runtime_that_does_not_look_again") else { return };
    let wrapper =
        bao.wrapper("root", &[("CLOUDTASER_ROTATION_STRATEGY", "live")], &["python3", "-c", PYTHON]);
    wrapper.sees(&["one"]);
    bao.put("two");
    wrapper.sees(&["one", "two"]);
    wrapper.says("it does not look at its environment again; the program is started anew");
}

#[test]
fn a_program_is_told_by_sighup_that_there_is_another_value() {
    let Some(bao) = OpenBao::start("a_program_is_told_by_sighup") else { return };
    let wrapper = bao.wrapper("root", &[("CLOUDTASER_ROTATION_STRATEGY", "sighup")], &["sh", "-c", SHELL]);
    assert_eq!(values(&lines(&wrapper, 1)), ["one"]);
    bao.put("two");
    let seen = lines(&wrapper, 2);
    assert_eq!((values(&seen), pids(&seen)[0]), (vec!["one", "two"], pids(&seen)[1]));
    wrapper.says("a value has changed; the program has it, and SIGHUP");
}

#[test]
fn a_hook_runs_with_the_new_value_and_again_after_it_has_failed() {
    if !installed("node") {
        return skip("a_hook_runs", "node", "no node");
    }
    let Some(bao) = OpenBao::start("a_hook_runs") else { return };
    let dir = tempfile::tempdir().unwrap();
    let hook = dir.path().join("hook");
    let text = "#!/bin/sh\n[ -e $SEEN.tried ] || { touch $SEEN.tried; exit 7; }\nprintenv PASSWORD >> $SEEN.hook\ncat /proc/$$/environ >> $SEEN.environ\n";
    fs::write(&hook, text).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let variables =
        [("CLOUDTASER_ROTATION_STRATEGY", "exec"), ("CLOUDTASER_ROTATION_HOOK", hook.to_str().unwrap())];
    let wrapper = bao.wrapper("root", &variables, &["node", "-e", NODE]);
    lines(&wrapper, 1);
    bao.put("canary-two");
    let told = wrapper.file("seen.environ");
    // It is there before anything is in it.
    let written = || fs::metadata(&told).is_ok_and(|found| found.len() > 0);
    crate::openbao::eventually("the hook has run", written);
    assert_eq!(fs::read_to_string(wrapper.file("seen.hook")).unwrap(), "canary-two\n");
    let environ = String::from_utf8_lossy(&fs::read(told).unwrap()).into_owned();
    assert!(environ.contains("PASSWORD=ctref:") && !environ.contains("canary-two"), "{environ}");
    wrapper.says("CLOUDTASER_ROTATION_HOOK ended with 7");
    let seen = lines(&wrapper, 2);
    assert_eq!((values(&seen), pids(&seen)[0]), (vec!["one", "canary-two"], pids(&seen)[1]));
}

#[test]
fn a_hook_that_is_not_there_is_told_and_the_program_goes_on() {
    if !installed("node") {
        return skip("a_hook_that_is_not_there", "node", "no node");
    }
    let Some(bao) = OpenBao::start("a_hook_that_is_not_there") else { return };
    let variables =
        [("CLOUDTASER_ROTATION_STRATEGY", "exec"), ("CLOUDTASER_ROTATION_HOOK", "/nonexistent/hook")];
    let wrapper = bao.wrapper("root", &variables, &["node", "-e", NODE]);
    lines(&wrapper, 1);
    bao.put("two");
    assert_eq!(values(&lines(&wrapper, 2)), ["one", "two"]);
    wrapper.says("CLOUDTASER_ROTATION_HOOK: starting the program: No such file or directory");
}

#[test]
fn without_a_strategy_the_program_keeps_what_it_has() {
    let Some(bao) = OpenBao::start("without_a_strategy") else { return };
    // OpenBao is to confirm the value at least every three seconds; so it is looked at.
    let variables = [("CLOUDTASER_ROTATION_STRATEGY", "none"), ("CLOUDTASER_MAX_STALE", "3")];
    let wrapper = bao.wrapper("root", &variables, &["python3", "-c", PYTHON]);
    wrapper.sees(&["one"]);
    bao.put("two");
    wrapper.says("a value has changed; the program keeps its own");
    assert_eq!(wrapper.seen(), ["one"]);
}
