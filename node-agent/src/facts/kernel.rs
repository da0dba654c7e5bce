//! What the running kernel says: release, command line, security modules, lockdown.
//!
//! Trusted: the kernel.

use super::Told;

pub(super) fn tell(told: &mut Told<'_>) {
    plain(told, "kernel.release", "proc/sys/kernel/osrelease");
    plain(told, "kernel.cmdline", "proc/cmdline");
    modules(told);
    lockdown(told);
    switch(told, "module.sig_enforce", "sys/module/module/parameters/sig_enforce");
    switch(told, "secretmem", "sys/module/secretmem/parameters/enable");
}

fn plain(told: &mut Told<'_>, name: &str, path: &str) {
    match told.text(path) {
        Ok(text) => told.say(name, &text),
        Err(why) => told.unknown(name, &why),
    }
}

/// The security modules in the order in which they are asked, and whether BPF programs are among them.
fn modules(told: &mut Told<'_>) {
    match told.text("sys/kernel/security/lsm") {
        Ok(order) => {
            told.say("lsm", &order);
            told.say_flag("lsm.bpf", order.split(',').any(|module| module == "bpf"));
        }
        Err(why) => ["lsm", "lsm.bpf"].into_iter().for_each(|name| told.unknown(name, &why)),
    }
}

/// The kernel lists all levels and puts the one that holds in brackets.
fn lockdown(told: &mut Told<'_>) {
    let level = told.text("sys/kernel/security/lockdown").and_then(|text| {
        let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        inside
            .map(|(level, _)| level.to_owned())
            .ok_or(format!("expected a level in brackets, found {text:?}"))
    });
    match level {
        Ok(level) => told.say("lockdown", &level),
        Err(why) => told.unknown("lockdown", &why),
    }
}

/// A parameter of a module: `Y` or `N`.
fn switch(told: &mut Told<'_>, name: &str, path: &str) {
    match told.text(path).as_deref() {
        Ok("Y" | "1") => told.say_flag(name, true),
        Ok("N" | "0") => told.say_flag(name, false),
        Ok(other) => told.unknown(name, &format!("/{path}: expected Y or N, found {other:?}")),
        Err(why) => told.unknown(name, why),
    }
}
