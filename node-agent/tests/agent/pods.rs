//! Callers in pods: known by their cgroup, stamped by the agent, and unable to speak for another.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::AwsLcRs;
use attest::{Challenge, Stale};
use nix::sys::signal::{Signal, kill};
use protocol::agent::{EvidenceRequest, Reply, UNSTAMPED, to_frame};

use crate::cgroups::{CONTAINER, Cgroup, answered};
use crate::harness::{Agent, Guest, NOW, challenge, own_uid, request, skip, verified};

const A: &str = "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d";
const B: &str = "7b0c3f44-91aa-4d0e-8f6b-2a5d1c9e7f30";
const PODS: &str = "[pods]\n[snp]\npath = \"/sys/kernel/no-such-interface\"\n";

/// An agent that knows pods, and whose hardware fails each request.
fn agent(uids: &str, rest: &str) -> Agent {
    Agent::start_for(uids, &format!("{rest}\n{PODS}"))
}

#[test]
fn the_hardware_signs_which_pod_asks_whatever_user_it_is() {
    let (Some(guest), Some(a), Some(b)) = (Guest::start(|machine| machine), Cgroup::pod(), Cgroup::pod())
    else {
        return;
    };
    let config = guest.config();
    let agent = Agent::start_for("[]", &config.replace("[snp]", "[pods]\n[snp]"));
    let asked = request(1, None);
    for (pod, uid, other) in [(&a, &a.uid, &b.uid), (&b, &b.uid, &a.uid)] {
        let reply = pod.evidence(&agent, &asked);
        let stamp = reply.pod.as_ref().unwrap();
        assert_eq!((stamp.uid.as_str(), stamp.container.as_deref()), (uid.as_str(), Some(CONTAINER)));
        let claims = verified(&reply, &guest.anchors());
        let redeem = |context: String| {
            let challenge = Challenge { context, ..challenge(&asked) };
            challenge.redeem(&AwsLcRs, asked.key.clone(), &claims, NOW).map(|_| ())
        };
        assert_eq!(redeem(format!("{}#pod={uid}", asked.context)), Ok(()));
        for lie in [format!("{}#pod={other}", asked.context), asked.context.clone()] {
            assert_eq!(redeem(lie), Err(Stale::NotBound));
        }
    }
    agent.journal_with(&format!(" pod={} container={CONTAINER} platform=sev-snp outcome=evidence", a.uid));
}

#[test]
fn no_pod_asks_in_the_name_of_another() {
    let Some(a) = Cgroup::pod() else { return };
    let agent = agent("[]", "");
    for context in [format!("attest-keys/release/db#pod={B}"), format!("x#pod={A}#pod={B}")] {
        let failure = a.failure(&agent, &EvidenceRequest { context, ..request(1, None) });
        let expected = "purpose: expected one without #pod=, which the agent alone writes";
        assert_eq!((&*failure.code, &*failure.message), ("agent.stamped", expected));
    }
    let older = EvidenceRequest { version: UNSTAMPED, ..request(1, None) };
    let failure = a.failure(&agent, &older);
    assert_eq!(
        (&*failure.code, &*failure.message),
        ("agent.version", "protocol version: expected 2, found 1")
    );
    assert_eq!(a.failure(&agent, &request(1, None)).code, "agent.hardware");
}

#[test]
fn a_process_of_the_host_is_served_by_its_user_and_can_name_no_pod() {
    let agent = agent(&format!("[{}]", own_uid()), "");
    assert_eq!(agent.failure(&request(1, None)).code, "agent.hardware");
    let context = format!("attest-keys/release/db#pod={A}");
    assert_eq!(agent.failure(&EvidenceRequest { context, ..request(1, None) }).code, "agent.stamped");
    let older = EvidenceRequest { version: UNSTAMPED, ..request(1, None) };
    assert_eq!(agent.failure(&older).code, "agent.hardware");
    let elsewhere = Agent::start_for("[]", PODS);
    assert_eq!(elsewhere.failure(&request(1, None)).code, "agent.denied");
}

/// Somebody who may make cgroups, below those that they were given.
#[test]
fn kubelets_names_in_another_place_make_no_pod_and_no_process_of_the_host() {
    let Some(liar) = Cgroup::below("session-of-somebody/kubepods.slice/kubepods-pod") else { return };
    let agent = agent(&format!("[{}]", own_uid()), "");
    let failure = liar.failure(&agent, &request(1, None));
    assert_eq!(failure.code, "agent.caller");
    let expected = "it is not known whether a pod asks: cgroup: expected a pod's below pods.cgroup_root";
    assert!(failure.message.starts_with(expected), "{failure:?}");
    agent.journal_with("outcome=agent.caller");
}

#[test]
fn an_agent_that_does_not_see_its_callers_refuses_them_and_says_what_it_lacks() {
    let apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !Command::new(apart[0]).args(&apart[1..]).arg("true").status().is_ok_and(|status| status.success()) {
        return skip("unshare", "no pid namespaces can be made here");
    }
    let agent = Agent::start_by(&apart, &format!("[{}]", own_uid()), PODS);
    let failure = agent.failure(&request(1, None));
    let expected = "it is not known whether a pod asks: the caller's process is not visible here: expected the host's pid \
                    namespace (hostPID: true)";
    assert_eq!((&*failure.code, &*failure.message), ("agent.caller", expected));
    agent.journal_with("pid=0 platform=- outcome=agent.caller");
}

/// Its number may be another process's by the time that it is looked up.
#[test]
fn a_caller_who_has_ended_is_nobody_though_a_child_holds_the_line() {
    let Some(a) = Cgroup::pod() else { return };
    let agent = agent("[]", "");
    kill(agent.pid(), Signal::SIGSTOP).unwrap();
    // The child tells that its parent is gone, and asks on the parent's line.
    let script = "import os,socket,sys,time
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); parent=os.getpid()
if os.fork(): os._exit(0)
while os.getppid()==parent: time.sleep(0.01)
os.kill(int(sys.argv[2]),18); s.sendall(sys.stdin.buffer.read())
while True:
    part=s.recv(65536)
    if not part: break
    sys.stdout.buffer.write(part)";
    let mut orphan = a.command("python3");
    orphan.args(["-c", script]).arg(agent.socket()).arg(agent.pid().to_string());
    let Reply::Failed(failure) = answered(&mut orphan, &to_frame(&request(1, None)).unwrap()) else {
        panic!("there is evidence")
    };
    let expected = "it is not known whether a pod asks: the process that connected has ended";
    assert_eq!((&*failure.code, &*failure.message), ("agent.caller", expected));
}

#[test]
fn a_pod_that_holds_all_it_can_and_says_nothing_keeps_out_no_other() {
    let (Some(a), Some(b)) = (Cgroup::pod(), Cgroup::pod()) else { return };
    let agent = agent(&format!("[{}]", own_uid()), "max_connections = 8");
    let silent = a.silent(&agent, 40);
    let failure = a.failure(&agent, &request(1, None));
    let expected = "too many requests of one caller at once: at most 2";
    assert_eq!((&*failure.code, &*failure.message), ("agent.busy", expected));
    assert_eq!(b.failure(&agent, &request(1, None)).code, "agent.hardware");
    assert_eq!(agent.failure(&request(1, None)).code, "agent.hardware");
    drop(silent);
}

#[test]
fn a_pod_that_floods_is_held_to_its_pace_and_others_to_theirs() {
    let (Some(a), Some(b)) = (Cgroup::pod(), Cgroup::pod()) else { return };
    let agent = agent("[]", "requests_per_second = 1\nrequests_burst = 5");
    let flood = a.flood(&agent);
    agent.journal_with("outcome=agent.rate");
    let codes: Vec<String> = (0..3).map(|_| a.failure(&agent, &request(1, None)).code).collect();
    assert!(codes.iter().any(|code| code == "agent.rate"), "{codes:?}");
    for _ in 0..5 {
        assert_eq!(b.failure(&agent, &request(1, None)).code, "agent.hardware");
    }
    let lines = agent.journal().matches("outcome=agent.rate").count();
    assert!(lines < 100, "{lines} lines");
    drop(flood);
    let patience = Instant::now();
    while a.failure(&agent, &request(1, None)).code != "agent.hardware" {
        thread::sleep(Duration::from_millis(500));
        assert!(patience.elapsed() < Duration::from_secs(30), "{}", agent.journal());
    }
}
