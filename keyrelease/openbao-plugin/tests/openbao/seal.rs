//! A server that a plugin seals: first start, later starts, and what stands in the way of one.

use std::fs;

use crate::sealed::Machine;
use crate::server::{eventually, lives, signal};

#[test]
fn a_server_is_initialised_and_unseals_itself_at_every_start() {
    let mut machine = Machine::initialised();
    let before = machine.said("decrypted");
    machine.stop();
    machine.start();
    eventually("unsealing", || machine.is_unsealed());
    assert!(machine.said("decrypted") > before, "{}", machine.log());
    assert!(machine.log().contains("(box_colour: \"green\", builtin: false)"), "{}", machine.log());
}

#[test]
fn a_plugin_that_was_killed_is_started_again_and_the_server_unseals() {
    let mut machine = Machine::new();
    machine.start();
    let first = machine.plugin();
    signal("KILL", first);
    eventually("the plugin's end", || !lives(first));
    machine.initialise();
    assert_ne!(machine.plugin(), first);
}

#[test]
fn settings_that_are_refused_keep_the_server_from_starting_and_are_told() {
    let mut machine = Machine::new();
    machine.start_with("dir = \"/nowhere\"\n colour = \"green\"");
    machine.wait_for_end();
    let log = machine.log();
    let told = "Error configuring seal \"strongbox\": rpc error: code = InvalidArgument desc = unknown settings [\"colour\"]";
    assert!(log.contains(told), "{log}");
}

#[test]
fn a_seal_that_says_no_keeps_the_server_sealed_until_it_says_yes() {
    let mut machine = Machine::initialised();
    machine.stop();
    fs::write(machine.in_box("deny"), "").unwrap();
    machine.start();
    eventually("a refusal", || machine.said("the keeper says no") >= 1);
    assert_eq!(machine.health(), Some(503));
    fs::remove_file(machine.in_box("deny")).unwrap();
    eventually("unsealing without a hand", || machine.is_unsealed());
}

#[test]
fn a_panic_in_a_seal_is_an_error_without_its_text() {
    let mut machine = Machine::initialised();
    machine.stop();
    fs::write(machine.in_box("panic"), "").unwrap();
    machine.start();
    let plugin = machine.plugin();
    eventually("an error", || machine.said("internal error") >= 1);
    assert_eq!(machine.health(), Some(503));
    assert_eq!(machine.said("with a secret"), 0);
    assert_eq!(machine.plugin(), plugin, "the process lives on");
}

#[test]
fn what_another_key_sealed_does_not_open_and_the_server_says_so() {
    let mut machine = Machine::initialised();
    machine.stop();
    machine.add_key("1", 2);
    machine.start();
    eventually("an error", || machine.said("the ciphertext was altered, or is another key's") >= 1);
    assert_eq!(machine.health(), Some(503));
    machine.add_key("1", 1);
    eventually("unsealing", || machine.is_unsealed());
}

#[test]
fn a_key_that_is_gone_is_named() {
    let mut machine = Machine::initialised();
    machine.stop();
    machine.add_key("2", 2);
    fs::rename(machine.in_box("1"), machine.in_box("old")).unwrap();
    machine.start();
    eventually("an error", || machine.said("box/1: No such file or directory") >= 1);
    assert_eq!(machine.health(), Some(503));
}

#[test]
fn after_a_rotation_what_is_stored_moves_to_the_new_key_at_the_next_start() {
    let mut machine = Machine::initialised();
    machine.stop();
    machine.add_key("2", 2);
    machine.start();
    eventually("unsealing", || machine.is_unsealed());
    eventually("moving", || machine.said("upgrading stored keys") >= 1);
    eventually("moving", || machine.said("post-unseal setup complete") >= 2);
    machine.stop();
    // The old key is needed no more.
    fs::remove_file(machine.in_box("1")).unwrap();
    machine.start();
    eventually("unsealing", || machine.is_unsealed());
}

#[test]
fn a_plugin_ends_with_its_server() {
    let mut machine = Machine::initialised();
    let plugin = machine.plugin();
    machine.stop();
    eventually("the plugin's end", || !lives(plugin));
    assert_eq!(machine.said("failed to exit gracefully"), 0);
}
