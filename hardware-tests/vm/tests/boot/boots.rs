//! Every boot, once, for all tests: each machine is off again before anything is judged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::thread;

use serde_json::{Value, json};
use simulator::vtpm::manufacture;
use vm::{Kit, Owner, Power, SecureBoot, Shell, System, Turn};

use crate::openbao::{HOST, OpenBao};
use crate::policy;
use crate::programs::{program, skip};

/// What came out of the machines.
pub(crate) struct Boots {
    /// Files of the run, for whoever wants to look at them afterwards.
    pub(crate) folder: PathBuf,
    /// The owner's policy.
    pub(crate) policy: String,
    /// What OpenBao's register says in the end of the node in whose name the machine asked.
    pub(crate) register: Value,
    /// The name of the attestation key.
    pub(crate) key: String,
    /// The machine as its owner wants it.
    pub(crate) good: Boot,
    /// The same machine with another command line, which its owner signed.
    pub(crate) changed: Boot,
    /// The same machine with Secure Boot off and no signature.
    pub(crate) unguarded: Boot,
    /// What firmware said of an image without a signature.
    pub(crate) unsigned: String,
}

/// What one boot gave.
pub(crate) struct Boot {
    /// The agent's evidence: a quote, and the firmware's event log.
    pub(crate) evidence: Vec<u8>,
    /// What the agent said when it joined, or why it did not; and its exit code.
    pub(crate) joined: (i32, String),
    /// The command line that the kernel says it has.
    pub(crate) command_line: String,
}

/// The boots, or nothing on a machine that proves to have no kit for them.
pub(crate) fn boots() -> Option<&'static Boots> {
    static BOOTS: LazyLock<Result<Boots, String>> = LazyLock::new(|| {
        Kit::open(std::env::var_os("CLOUDTASER_VM").map(PathBuf::from)).map(|kit| Boots::run(&kit))
    });
    BOOTS.as_ref().map_err(|why| skip("vm", why)).ok()
}

impl Boots {
    fn run(kit: &Kit) -> Self {
        let _turn = Turn::wait().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("boot");
        drop(fs::remove_dir_all(&folder));
        let tpm = folder.join("tpm");
        fs::create_dir_all(&tpm).unwrap();
        let made = manufacture(&tpm).unwrap();
        let owner = Owner::create(kit, &folder).unwrap();
        let system = System::new(kit).unwrap().program(&program("cloudtaser-node-agent")).unwrap();
        let openbao = OpenBao::start(&folder.join("openbao"));
        let system = system.library(Path::new(TPM_LIBRARY)).unwrap().file("etc/agent.toml", AGENT.as_bytes());
        let system = system.file("etc/authority.pem", &openbao.authority());
        let system = system.file("etc/join.toml", joining(openbao.tls_port).as_bytes());
        let image = system.image(COMMAND_LINE, &folder.join("good")).unwrap();
        let other = system.image(CHANGED_COMMAND_LINE, &folder.join("changed")).unwrap();
        let signed = image.sign(&owner).unwrap();
        let power = Power { secure_boot: SecureBoot::On(&owner), image: signed.path(), tpm: &tpm };

        // Beside the others: firmware is all that runs there.
        let unsigned = thread::spawn({
            let (folder, owner, image) = (folder.clone(), owner.clone(), image.clone());
            move || console_of_unsigned(&folder, &owner, &image)
        });
        let policy = policy::text(kit, &owner, &image, &signed);
        openbao.write("auth/attest/policy/own-machine", &json!({ "policy": policy }));
        openbao.write("auth/attest/role/own-machine", &role());
        let manufacturer =
            fs::read_to_string(&made.root).unwrap() + &fs::read_to_string(&made.issuer).unwrap();
        openbao.write("auth/attest/collateral/tpm-manufacturer/swtpm", &json!({ "value": manufacturer }));

        let mut key = String::new();
        let good = boot(&power, |shell| {
            key = String::from_utf8(shell.read("cloudtaser-node-agent ak create 2>/run/noise").unwrap())
                .unwrap();
        });
        let changed = boot(&Power { image: other.sign(&owner).unwrap().path(), ..power }, |_| {});
        let unguarded = boot(&Power { secure_boot: SecureBoot::Off, image: image.path(), ..power }, |_| {});
        let (key, unsigned) = (key.trim().to_owned(), unsigned.join().unwrap());
        let register = openbao.read("auth/attest/node/own-machine");
        Self { folder, policy, register, key, good, changed, unguarded, unsigned }
    }
}

fn boot(power: &Power<'_>, first: impl FnOnce(&mut Shell)) -> Boot {
    let mut machine = power.on().unwrap();
    let mut shell = machine.shell().unwrap();
    first(&mut shell);
    shell.write("/run/key", &[0x77; 32]).unwrap();
    let words = format!("--config /etc/agent.toml --nonce {NONCE} --context {PURPOSE} --key-file /run/key");
    shell.read(&format!("cloudtaser-node-agent evidence {words} -o /run/evidence")).unwrap();
    let evidence = shell.read("cat /run/evidence").unwrap();
    let joined =
        shell.run("TSS2_LOG=all+none cloudtaser-node-agent join --once --config /etc/join.toml").unwrap();
    let boot = Boot {
        joined: (joined.code, joined.text()),
        evidence,
        command_line: String::from_utf8(shell.read("cat /proc/cmdline").unwrap()).unwrap().trim().to_owned(),
    };
    machine.off(shell).unwrap();
    boot
}

fn console_of_unsigned(folder: &Path, owner: &Owner, image: &vm::Image) -> String {
    let tpm = folder.join("another-tpm");
    fs::create_dir_all(&tpm).unwrap();
    let power = Power { secure_boot: SecureBoot::On(owner), image: image.path(), tpm: &tpm };
    let mut machine = power.on().unwrap();
    machine.says("Boot0001").unwrap();
    machine.says("BdsDxe: No bootable option or device was found.").unwrap();
    machine.console()
}

pub(crate) const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 tsc=unstable";
const CHANGED_COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 tsc=unstable lockdown=none";
pub(crate) const NONCE: &str = "4242424242424242424242424242424242424242424242424242424242424242";
pub(crate) const PURPOSE: &str = "attest-keys/release/db";
/// libtss2 loads it by its name.
const TPM_LIBRARY: &str = "/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0";

/// What OpenBao lets machines have that join: names of their own, by the word of their TPM's manufacturer.
fn role() -> Value {
    json!({
        "policy": "own-machine", "token_policies": ["default"], "token_ttl_seconds": 600, "token_type": "service",
        "nodes": "first-come", "enrol": "manufacturer",
    })
}

/// The agent's configuration for joining.
fn joining(port: u16) -> String {
    let server = format!("address = \"https://{HOST}:{port}\"\nca_file = \"/etc/authority.pem\"\n");
    let join = "node = \"own-machine\"\nrole = \"own-machine\"\ncluster_id = \"prod\"\nenrol = true\n";
    format!("{AGENT}[openbao]\n{server}[join]\n{join}")
}

const AGENT: &str = "
allowed_uids = [0]
[tpm]
ak_handle = 0x81010002
pcrs = { sha256 = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15] }
";
