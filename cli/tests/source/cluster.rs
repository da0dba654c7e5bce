//! The chart's own configuration, run by three real servers, and looked at by the doctor.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::{documents, one, rendered};
use crate::doctor::policy;
use crate::server::{Server, certificates_for, eventually, free_port, plugin, sha256};
use crate::told::doctor;

const NAME: &str = "sovereign-openbao";

/// What a pod would have: its configuration, command and environment, moved to this machine.
struct Place {
    dir: TempDir,
    number: usize,
    ports: [u16; 2],
}

impl Place {
    /// Makes room for a server, with what the chart mounts.
    fn new(number: usize, ports: [u16; 2], authority: &TempDir, configuration: &str) -> Self {
        let place = Self { dir: TempDir::new().unwrap(), number, ports };
        for folder in ["data", "audit", "tls", "config", "plugins"] {
            fs::create_dir(place.dir.path().join(folder)).unwrap();
        }
        for (from, to) in [
            ("ca.pem", "tls/ca.crt"),
            ("server.pem", "tls/tls.crt"),
            ("server.key", "tls/tls.key"),
            ("ca.pem", "ca.pem"),
        ] {
            fs::copy(authority.path().join(from), place.dir.path().join(to)).unwrap();
        }
        fs::copy(plugin(), place.dir.path().join("plugins/openbao-plugin-attest")).unwrap();
        fs::write(place.dir.path().join("config/openbao.hcl"), place.moved(configuration)).unwrap();
        place
    }

    /// Paths into our folder, addresses to loopback. Names that certificates are held against stay.
    fn moved(&self, text: &str) -> String {
        let mut text = text
            // All servers have to name their audit devices alike, and here they share one machine.
            .replace("/openbao/audit/", "audit/")
            .replace("/openbao/", &format!("{}/", self.dir.path().display()))
            .replace("[::]", &ip(self.number))
            .replace("$(POD_NAME)", &format!("{NAME}-{}", self.number));
        for number in 0..3 {
            let name = format!("https://{NAME}-{number}.{NAME}-internal");
            text = text.replace(&name, &format!("https://{}", ip(number)));
        }
        text.replace(":8200", &format!(":{}", self.ports[0])).replace(":8201", &format!(":{}", self.ports[1]))
    }

    /// Starts the container.
    fn start(self, container: &Value) -> Server {
        let words: Vec<String> = container["command"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| self.moved(word.as_str().unwrap()))
            .collect();
        assert_eq!(words[..2], ["bao", "server"]);
        let variables = container["env"].as_array().unwrap().iter().filter(|one| one["value"].is_string());
        let variables = variables.map(|one| {
            (one["name"].as_str().unwrap().to_owned(), self.moved(one["value"].as_str().unwrap()))
        });
        // The pod has no home.
        let home = ("HOME".to_owned(), "/nonexistent".to_owned());
        let environment: Vec<(String, String)> = variables.chain([home]).collect();
        let address = format!("https://{}:{}", ip(self.number), self.ports[0]);
        Server::run(self.dir, words.into_iter().skip(2), &environment, address)
    }
}

fn ip(number: usize) -> String {
    format!("127.0.0.{}", number + 1)
}

#[test]
fn the_charts_configuration_runs_as_three_servers_that_pass_the_doctor() {
    let pinned = format!("plugins.attest.sha256={}", sha256(plugin()));
    let Some(text) = rendered("cluster", "shamir", &[&pinned]) else { return };
    let servers = cluster(&documents(&text));
    let first = &servers[0];
    first.mount_attest();
    first.write("sys/policies/acl/doctor", &json!({ "policy": policy() })).ok();
    let token = first.token(&["doctor"]);
    eventually(
        "a cluster that can lose a server",
        || first.log(),
        || {
            let state = first.call("GET", "sys/storage/raft/autopilot/state", None, &first.root).json;
            state["data"]["healthy"] == true && state["data"]["failure_tolerance"] == 1
        },
    );
    first.write("auth/token/revoke-self", &json!({})).ok();
    let plugins = first.dir.path().join("plugins").display().to_string();
    let words = ["-o", "json", "--plugin-directory", &plugins];
    let told = doctor(&first.environment(&token, &first.ca()), &words).ends(0);
    assert_eq!(told.ids("warn"), [""; 0], "{}", told.out);
    // Custodians asked nothing of the machine.
    assert_eq!(told.ids("unknown"), ["source.machine.attested"], "{}", told.out);
    assert_eq!(told.with("pass")["source.storage.voters"], "3 of 3 nodes vote");
    assert_eq!(told.json()["verdict"], "accepted");
    // Each server keeps its own log.
    for server in &servers {
        server.call("GET", "sys/mounts", None, &token).ok();
        let log = server.dir.path().join("audit/audit.log");
        eventually(
            "a line in its audit log",
            || server.log(),
            || log.metadata().is_ok_and(|log| log.len() > 0),
        );
    }
}

/// Three servers, initialised and unsealed; the first has the root token.
fn cluster(documents: &[Value]) -> Vec<Server> {
    let configuration = one(documents, "ConfigMap", NAME)["data"]["openbao.hcl"].as_str().unwrap();
    let container = &one(documents, "StatefulSet", NAME)["spec"]["template"]["spec"]["containers"][0];
    let authority = TempDir::new().unwrap();
    // The names that NOTES.txt asks for, and our addresses.
    let mut names: Vec<String> = (0..3).map(|number| format!("{NAME}-{number}.{NAME}-internal")).collect();
    names.extend((0..3).map(ip));
    certificates_for(authority.path(), &names.iter().map(String::as_str).collect::<Vec<_>>(), 90);
    let ports = [free_port(), free_port()];
    let mut servers: Vec<Server> =
        (0..3).map(|number| Place::new(number, ports, &authority, configuration).start(container)).collect();
    let shares = servers[0].initialise();
    for server in &servers[1..] {
        // It has found the first by itself when it knows that there is something to unseal.
        server.wait(503);
        server.unseal(&shares);
    }
    servers
}
