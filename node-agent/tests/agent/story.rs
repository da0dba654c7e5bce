//! One story on each kind of machine: it joins in its node's name, proves itself again, is refused, and comes back.
//!
//! SNP guests and TPMs have theirs in `join` and `cluster`. A machine tells here only what differs: what the agent is told
//! of it, and what a policy asks.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};

use attest::cluster_register;
use attest::crypto::{AwsLcRs, Hash};
use serde_json::{Value, json};
use simulator::azure::{self, Kind};
use simulator::nitro::{Length, Module, NitroTpm, Nsm, NsmSocket};
use simulator::td::{Files, Td};
use simulator::tdx::{EventLog, Platform};
use simulator::tsm::Mount;
use tempfile::TempDir;

use crate::harness::{Agent, skip, vtpm};
use crate::nitro_tpm::tool;
use crate::openbao::{Line, OpenBao, openbao, status_verb, status_when, today};
use crate::tdx::write_collateral;

/// A machine that runs until it is dropped.
struct Machine {
    /// As evidence has it.
    platform: &'static str,
    /// What the agent is told of it.
    config: String,
    /// The sections of a policy that admits it in cluster `CLUSTER`, whose registers hold `SHA256` and `SHA384`.
    policy: String,
    /// What refuses it in another cluster, and nothing else.
    checks: &'static [&'static str],
    /// Whether its evidence tells it from other machines on the same hardware: then what failed stays failed.
    has_instance: bool,
    /// The folder of its registers, where they are files.
    registers: PathBuf,
    _running: Box<dyn Any>,
}

impl Machine {
    /// The file that is this register.
    fn register(&self, number: usize) -> PathBuf {
        self.registers.join(format!("rtmr{number}:sha384"))
    }
}

#[test]
fn a_td_joins_proves_itself_again_is_refused_and_comes_back() {
    if let Some(machine) = td(201) {
        story(&machine);
    }
}

#[test]
fn an_enclave_joins_proves_itself_again_is_refused_and_comes_back() {
    story(&enclave());
}

#[test]
fn an_ec2_instance_joins_proves_itself_again_is_refused_and_comes_back() {
    if let Some(machine) = instance() {
        story(&machine);
    }
}

#[test]
fn an_azure_machine_with_snp_joins_proves_itself_again_is_refused_and_comes_back() {
    if let Some(machine) = azure(Kind::Snp) {
        story(&machine);
    }
}

#[test]
fn an_azure_machine_with_tdx_joins_proves_itself_again_is_refused_and_comes_back() {
    if let Some(machine) = azure(Kind::Tdx) {
        story(&machine);
    }
}

fn story(machine: &Machine) {
    let Some(openbao) = openbao() else { return };
    let name = machine.platform;
    let edition = |version, cluster| write_policy(openbao, machine, version, cluster);
    edition(1, "blue");
    openbao.node_role(name);
    let (line, guard, folder) = (Line::to(openbao), Guard::new(), TempDir::new().unwrap());
    let config = |interval: u32| {
        let rest = format!("cluster_id = \"blue\"\ninterval = {interval}\nwatch = [{:?}]", guard.path());
        machine.config.clone() + &line.config(name, name, &rest)
    };
    let mut agent = Agent::start_in(folder.path(), &config(NEVER));

    let first = status_when(folder.path(), "an admission", is_attested);
    assert_eq!((&first["node"], &first["cluster_id"]), (&json!(name), &json!("blue")));
    assert_eq!(openbao.node(name)["ids"]["platform"], json!(name));
    guard.restart();
    let second = status_when(folder.path(), "another admission", |status| {
        is_attested(status) && status["uptime"]["until"] != first["uptime"]["until"]
    });
    assert_eq!(second["uptime"]["since"], first["uptime"]["since"], "once attested, attested since then");

    edition(2, "green");
    guard.restart();
    let refused = status_when(folder.path(), "a refusal", is_refused);
    assert_eq!(refused["refusal"]["checks"], json!(machine.checks));
    assert_eq!((&refused["attested"], &refused["until"]), (&json!(false), &Value::Null));
    // A new agent, which asks each second, and to which the register says whose it is.
    agent.kill();
    let _agent = Agent::start_in(folder.path(), &config(SOON));
    let still = status_when(folder.path(), "another refusal", |status| {
        is_refused(status) && status["refusal"]["decision"] != refused["refusal"]["decision"]
    });
    let kept: &[&str] = if machine.has_instance { &["standing.failed"] } else { &[] };
    assert_eq!(still["refusal"]["checks"], json!([kept, machine.checks].concat()));
    // Somebody bars it meanwhile: the right policy alone does not bring it back.
    let bar = format!("policy={name}@3");
    openbao.revoke(&bar);
    edition(3, "blue");
    let barred = status_when(folder.path(), "the bar", |status| {
        is_refused(status) && status["refusal"]["checks"] == json!(["standing.revoked"])
    });
    for later in [still, barred] {
        assert_eq!(later["uptime"]["since"], refused["uptime"]["since"], "once refused, refused since then");
    }
    openbao.reinstate(&bar, "revoked");
    status_when(folder.path(), "an admission", is_attested);
    assert_eq!(status_verb(folder.path()).0, Some(0));
}

/// The enforcer's record of it is a fact of the evidence, and so in OpenBao's own log.
#[test]
fn that_an_operator_broke_the_glass_is_on_record_in_openbao_and_a_policy_refuses_it() {
    let (Some(openbao), Some(machine)) = (openbao(), td(202)) else { return };
    let folder = TempDir::new().unwrap();
    let [facts, enforcer, record] =
        ["facts", "enforcer.sock", "enforcer-let-go.json"].map(|name| folder.path().join(name));
    let register = machine.register(2);
    let config = format!(
        "{}facts_register = {register:?}\n[facts]\nfolder = {facts:?}\nenforcer = {enforcer:?}\n",
        machine.config
    );
    let unbroken = "facts = { \"enforcer.let_go\" = { any_of = [\"none\"] } }";
    let machine =
        Machine { platform: "glass", policy: machine.policy.replace("facts = \"any\"", unbroken), ..machine };
    write_policy(openbao, &machine, 1, "blue");
    openbao.node_role("glass");
    let line = Line::to(openbao);
    let config = config + &line.config("n-glass", "glass", "cluster_id = \"blue\"\ninterval = 1");
    let mut agent = Agent::start_in(folder.path(), &config);
    status_when(folder.path(), "an admission", is_attested);

    agent.kill();
    let told = r#"{"action":"detach","statement":"abcd","time":150,"reason":"ticket 7"}"#;
    fs::write(record, told).unwrap();
    let _agent = Agent::start_in(folder.path(), &config);
    let refused = status_when(folder.path(), "a refusal", is_refused);
    assert_eq!(refused["refusal"]["checks"], json!(["tdx.boot.facts"]));
    let verdict = openbao.verdict(refused["refusal"]["decision"].as_str().unwrap());
    let fact = b"\nenforcer.let_go=detach sha256:abcd at 150: ticket 7\n";
    assert!(verdict.windows(fact.len()).any(|found| found == fact), "the record holds no such evidence");
}

/// So far off that nothing here waits for it.
const NEVER: u32 = 86_400;
const SOON: u32 = 1;

fn is_attested(status: &Value) -> bool {
    status["attested"] == true
}

fn is_refused(status: &Value) -> bool {
    status["reason"] == "Refused"
}

/// An edition that admits this machine in this cluster, and only there.
fn write_policy(openbao: &OpenBao, machine: &Machine, version: u32, cluster: &str) {
    let value = |bank| hex::encode(cluster_register(&AwsLcRs, bank, cluster));
    let policy = [HEAD, &machine.policy]
        .concat()
        .replace("NAME", machine.platform)
        .replace("VERSION", &version.to_string())
        .replace("CLUSTER", cluster)
        .replace("SHA256", &value(Hash::Sha256))
        .replace("SHA384", &value(Hash::Sha384));
    let path = format!("auth/attest/policy/{}", machine.platform);
    openbao.write(&path, &json!({ "policy": policy }));
}

/// A file that the agent watches: a guard's socket.
struct Guard(TempDir);

impl Guard {
    fn new() -> Self {
        let guard = Self(TempDir::new().unwrap());
        fs::write(guard.path(), "first").unwrap();
        guard
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("enforcer.sock")
    }

    /// Another one in its place.
    fn restart(&self) {
        let new = self.0.path().join("new");
        fs::write(&new, "another").unwrap();
        fs::rename(new, self.path()).unwrap();
    }
}

/// Its reports, its log and its registers by FUSE; RTMR 3 takes in the cluster.
/// A TD on the machine of this number: a machine has one name in one OpenBao.
fn td(number: u64) -> Option<Machine> {
    if !Path::new("/dev/fuse").exists() {
        skip("fuse", "/dev/fuse is absent");
        return None;
    }
    let platform = Platform::new(number).at(today().0);
    let log = EventLog::production("/vmlinuz ro quiet");
    let td = Td::new(platform.quote().rtmrs(log.rtmrs())).event_log(log.encode());
    let folder = TempDir::new().unwrap();
    let make = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    };
    let mount = Mount::new(td.machine(), &make("report")).unwrap();
    let files = Files::new(&td, &make("files")).unwrap();
    let collateral = make("collateral");
    write_collateral(&platform, &collateral);
    let config = format!(
        "endorsements = [{collateral:?}]\n[tdx]\npath = {:?}\nevent_log = {:?}\nregister = {:?}\n",
        mount.path(),
        files.event_log(),
        files.register(3),
    );
    Some(Machine {
        platform: "tdx",
        config,
        policy: [TDX, "rtmr3 = { any_of = [\"sha384\"] }\n", TD_ATTRIBUTES, TD_BOOT].concat(),
        checks: &["tdx.rtmr.3", "tdx.boot.cluster"],
        has_instance: false,
        registers: files.register(3).with_file_name(""),
        _running: Box::new((mount, files, folder)),
    })
}

/// Its security module at a socket; PCR 16 takes in the cluster, and is locked.
fn enclave() -> Machine {
    let folder = TempDir::new().unwrap();
    let nsm = Nsm::new(Module::enclave(202).at(today().0)).pcr(0, &[0xa0; 48]);
    let module = NsmSocket::listen(nsm, &folder.path().join("nsm")).unwrap();
    Machine {
        platform: "nitro",
        config: format!("[nitro]\npath = {:?}\n", module.path()),
        policy: NITRO.to_owned(),
        checks: &["nitro.pcr.16"],
        has_instance: true,
        registers: PathBuf::new(),
        _running: Box::new((module, folder)),
    }
}

/// A TPM with AWS' command; PCR 15 takes in the cluster.
fn instance() -> Option<Machine> {
    drop(vtpm()?);
    let folder = TempDir::new().unwrap();
    let module = Module::tpm(204).at(today().0);
    let tpm = NitroTpm::start_in(folder.path(), &module, Length::Indefinite).unwrap();
    let boot = [4, 7, 12].map(|index| format!("{index}:sha384={}", "ab".repeat(48)));
    tool(&tpm.tcti(), "tpm2_pcrextend", &boot.each_ref().map(String::as_str));
    Some(Machine {
        platform: "nitro-tpm",
        config: format!("[nitro-tpm]\ntcti = {:?}\n", tpm.tcti()),
        policy: NITRO_TPM.to_owned(),
        checks: &["nitro-tpm.pcr.15"],
        has_instance: true,
        registers: PathBuf::new(),
        _running: Box::new((tpm, folder)),
    })
}

/// A TPM with the paravisor's key and report, and a metadata service; PCR 15 takes in the cluster.
fn azure(kind: Kind) -> Option<Machine> {
    drop(vtpm()?);
    let (seed, at) = (203, today().0);
    let folder = TempDir::new().unwrap();
    let machine = azure::Machine::start_at(folder.path(), kind, seed, azure::Fault::Healthy, at).unwrap();
    let endorsements = folder.path().join("endorsements");
    fs::create_dir(&endorsements).unwrap();
    let (platform, word, hardware) = match kind {
        Kind::Snp => {
            let list = azure::Machine::chip(seed).at(at).crl().der();
            fs::write(endorsements.join("crl.der"), list).unwrap();
            ("azure-snp", "snp", SNP.to_owned())
        }
        Kind::Tdx => {
            write_collateral(&azure::Machine::platform(seed).at(at), &endorsements);
            ("azure-tdx", "tdx", [TDX, "rtmr3 = \"any\"\n", TD_ATTRIBUTES].concat())
        }
    };
    let (tcti, imds) = (machine.tcti(), machine.metadata());
    Some(Machine {
        platform,
        config: format!(
            "endorsements = [{endorsements:?}]\n[azure]\nkind = {word:?}\ntcti = {tcti:?}\nimds = {imds:?}\n"
        ),
        policy: [AZURE, &hardware].concat(),
        checks: &["tpm.pcr.sha256.15"],
        has_instance: true,
        registers: PathBuf::new(),
        _running: Box::new((machine, folder)),
    })
}

const HEAD: &str = r#"
name = "NAME"
version = VERSION
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 300
collateral_days = 400

[[reference]]
id = "sha256"
value = "SHA256"
provenance = "the name of cluster CLUSTER, and nothing else"

[[reference]]
id = "sha384"
value = "SHA384"
provenance = "the name of cluster CLUSTER, and nothing else"

"#;

const TDX: &str = r#"
[[reference]]
id = "firmware"
value = "7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d7d"
provenance = "the simulated TD's default firmware"

[tdx]
tcb_status = { any_of = ["UpToDate"] }
advisories = "any"
tcb_evaluation_data_number = { min = 20 }
platforms = "any"
fmspc = "any"
modules = "any"
mrseam = "any"
report = { any_of = ["1.0", "1.5"] }
mrtd = { any_of = ["firmware"] }
rtmr0 = "any"
rtmr1 = "any"
rtmr2 = "any"
mrconfigid = "any"
mrowner = "any"
mrownerconfig = "any"
xfam = { mask = 0, value = 0 }
"#;

const TD_ATTRIBUTES: &str = r#"
[tdx.td_attributes]
debug = "clear"
profiling = "clear"
sept_ve_disable = "set"
migratable = "clear"
servtd_ext = "clear"
perfmon = "clear"
icssd = "any"
lass = "any"
pks = "any"
kl = "any"
tpa = "clear"
"#;

const TD_BOOT: &str = r#"
[tdx.boot]
secure_boot = "any"
exit_boot_services = "set"
firmware_version = "any"
pk = "any"
kek = "any"
db = "any"
dbx = "any"
authorities = "any"
drivers = "any"
images = "any"
owner_keys = "any"
kernel_cmdline = { by = "grub", any_of = ["/vmlinuz ro quiet"] }
uki = "any"
files = "any"
phases = "any"
ima = "any"
cluster = { any_of = ["CLUSTER"] }
facts = "any"
"#;

const NITRO: &str = r#"
[[reference]]
id = "image"
value = "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
provenance = "PCR 0 of the simulated enclave, as this test sets it"

[nitro]
pcrs = [{ index = 0, any_of = ["image"] }, { index = 16, any_of = ["sha384"] }]
role = "any"
instances = "any"
regions = "any"
public_key = "absent"
max_age_seconds = 300
"#;

const NITRO_TPM: &str = r#"
[[reference]]
id = "measured-once"
value = "73bbee246f69b6bf7824b9e7643701dad9ed70c94c9880d033c0ac87b5043d0dd70cad576882faf2f6679a22ededfea4"
provenance = "SHA-384 of 48 bytes of zero and 48 of ab: a PCR that was extended once"

[nitro-tpm]
pcrs = [
    { index = 4, any_of = ["measured-once"] },
    { index = 7, any_of = ["measured-once"] },
    { index = 12, any_of = ["measured-once"] },
    { index = 15, any_of = ["sha384"] },
]
instances = "any"
regions = "any"
public_key = "absent"
max_age_seconds = 300
"#;

const AZURE: &str = r#"
[azure]
secure_boot = "set"
tpm_enabled = "set"
console_enabled = "any"
tpm_persisted = "any"
vm_ids = "any"
root_cert_thumbprints = "any"

[tpm]
ak = { any_of = ["paravisor"] }
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [15]
pcrs = [{ bank = "sha256", index = 15, any_of = ["sha256"] }]
clock_safe = "any"
firmware_version = "any"
"#;

const SNP: &str = r#"
[[reference]]
id = "paravisor"
value = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
provenance = "the simulator's default"

[snp]
products = { any_of = ["genoa"] }
report_version = { min = 3 }
signing_key = { any_of = ["vcek"] }
chips = "any"
vmpl = { any_of = [0] }
measurement = { any_of = ["paravisor"] }
host_data = "any"
family_id = "any"
image_id = "any"
guest_svn = { min = 0 }
id_key_digest = "any"
author_key_digest = "any"
report_id_ma = "any"
guest_policy = { abi = { min = [0, 0] }, smt = "any", migrate_ma = "clear", debug = "clear", single_socket = "any", cxl = "clear", mem_aes_256_xts = "any", rapl_dis = "any", ciphertext_hiding = "any", page_swap_disable = "any" }
platform_info = { smt = "any", tsme = "any", ecc = "set", rapl_dis = "any", ciphertext_hiding = "any", alias_check_complete = "set", tio = "any" }
mitigations = { launch = { mask = 0, value = 0 }, current = { mask = 0, value = 0 } }

[snp.tcb.genoa]
reported = { bl = 10, tee = 0, snp = 25, ucode = 84 }
current = { bl = 10, tee = 0, snp = 25, ucode = 84 }
committed = { bl = 10, tee = 0, snp = 25, ucode = 84 }
launch = { bl = 10, tee = 0, snp = 25, ucode = 84 }
"#;
