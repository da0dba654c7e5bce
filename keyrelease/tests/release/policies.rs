//! What a policy may be in a real OpenBao.

use serde_json::json;

use crate::machine::Machine;
use crate::server::{Server, policy};

/// A module in a policy refuses in the server as it does anywhere.
#[test]
fn a_rego_module_refuses_a_release_by_its_message() {
    let server = Server::start();
    let module = "package cloudtaser\ndeny contains \"not on Saturdays\" if input.claims.vmpl == 0";
    let text = format!("{}\n[rego]\nmodule = '''{module}'''\n", policy(2));
    server.write("attest-keys/policy/simulated", &json!({ "policy": text })).ok();
    let answer = Machine::good().open(&server);
    assert_eq!(answer.failing(), ["policy.rego"]);
    assert_eq!(answer.json["data"]["failing"][0]["found"], "not on Saturdays");
    let broken = format!("{}\n[rego]\nmodule = 'package other'\n", policy(3));
    let answer = server.write("attest-keys/policy/simulated", &json!({ "policy": broken }));
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.errors().contains("rego module"), "{}", answer.errors());
}
