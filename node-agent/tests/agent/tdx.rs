//! Intel TDX, through the kernel's interfaces: the new one, and those before it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use attest::{Claims, Evidence, Platform, TrustAnchors};
use node_agent::registers::Register as _;
use node_agent::tsm::Rtmr;
use simulator::snp::{Chip, Product};
use simulator::td::{Files, Quoting, QuotingFault, Td};
use simulator::tdx::{self, EventLog};
use simulator::tsm::{Fault, Machine, Mount};
use tempfile::TempDir;

use crate::harness::{Agent, NOW, challenge, request, skip, verified};

/// A TD with all its interfaces, and the operator's copy of Intel's collateral.
struct Guest {
    platform: tdx::Platform,
    mount: Mount,
    files: Files,
    quoting: Quoting,
    directory: TempDir,
}

impl Guest {
    fn start(fault: Fault) -> Option<Self> {
        Self::start_with(fault, QuotingFault::Healthy)
    }

    fn start_with(fault: Fault, quoting: QuotingFault) -> Option<Self> {
        Self::present(|machine| machine.fault(fault), quoting)
    }

    fn present(fault: impl FnOnce(Machine) -> Machine, quoting: QuotingFault) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() {
            skip("fuse", "/dev/fuse is absent");
            return None;
        }
        let platform = tdx::Platform::new(1);
        let log = EventLog::production("/vmlinuz ro quiet");
        let td = Td::new(platform.quote().rtmrs(log.rtmrs())).event_log(log.encode());
        let directory = TempDir::new().unwrap();
        let folder = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let mount = Mount::new(fault(td.machine()), &folder("report")).unwrap();
        let files = Files::new(&td, &folder("files")).unwrap();
        let quoting = Quoting::listen(&td, quoting, &directory.path().join("qgs")).unwrap();
        write_collateral(&platform, &folder("collateral"));
        Some(Self { platform, mount, files, quoting, directory })
    }

    fn collateral(&self) -> PathBuf {
        self.directory.path().join("collateral")
    }

    fn config(&self) -> String {
        self.config_with_log(&self.files.event_log())
    }

    fn config_with_log(&self, log: &Path) -> String {
        format!(
            "endorsements = [{:?}]\n[tdx]\npath = {:?}\ndevice = {:?}\nquoting = {:?}\nevent_log = {log:?}\n",
            self.collateral(),
            self.mount.path(),
            self.files.device(),
            self.quoting.address(),
        )
    }

    fn anchors(&self) -> TrustAnchors {
        TrustAnchors::insecure_simulated(&[self.platform.root().der()]).unwrap()
    }

    fn claims(&self, agent: &Agent) -> attest::tdx::Claims {
        let asked = request(1, None);
        let reply = agent.evidence(&asked);
        assert_eq!(reply.platform, Platform::Tdx);
        let claims = verified(&reply, &self.anchors());
        challenge(&asked).redeem(&AwsLcRs, asked.key, &claims, NOW).unwrap();
        let Claims::Tdx(claims) = claims.claims() else { panic!("{claims:?}") };
        claims.as_ref().clone()
    }

    fn leftovers(&self) -> usize {
        fs::read_dir(self.mount.path()).unwrap().count()
    }
}

pub(crate) fn write_collateral(platform: &tdx::Platform, folder: &Path) {
    let collateral = platform.collateral();
    for (name, content) in [
        ("tcb-signing.der", &collateral.tcb_signing),
        ("root-crl.der", &collateral.root_crl),
        ("pck-crl.der", &collateral.pck_crl),
        ("tcb-info.json", &collateral.tcb_info),
        ("qe-identity.json", &collateral.qe_identity),
    ] {
        fs::write(folder.join(name), content).unwrap();
    }
}

#[test]
fn a_quote_comes_with_the_log_that_its_registers_prove() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let agent = Agent::start(&guest.config());
    let boot = guest.claims(&agent).boot.unwrap();
    assert!(
        boot.command_lines.iter().any(|line| line.text.as_deref() == Some("/vmlinuz ro quiet")),
        "{boot:?}"
    );
    assert_eq!(guest.leftovers(), 0);
    assert!(!agent.journal().contains("detail"), "{}", agent.journal());
}

#[test]
fn what_is_added_to_rtmr_3_is_in_the_next_quote_and_stays() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let agent = Agent::start(&guest.config());
    let register = Rtmr::new(3, guest.files.register(3));
    let before = guest.claims(&agent).report.rtmrs[3].0;
    register.extend(b"cluster").unwrap();
    let added = AwsLcRs.sha384(&[b"cluster"]).0;
    let expected = AwsLcRs.sha384(&[&before, &added]).0;
    assert_eq!(register.values().unwrap(), BTreeMap::from([(Hash::Sha384, expected.to_vec())]));
    assert_eq!(guest.claims(&agent).report.rtmrs[3].0, expected);
    assert_eq!(register.name(), "RTMR 3");
}

#[test]
fn a_register_that_is_not_there_or_belongs_to_the_firmware_is_told_as_such() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let absent = Rtmr::new(3, "/sys/devices/no-such-register".into());
    assert_eq!(absent.values().unwrap(), BTreeMap::new());
    let error = absent.extend(b"cluster").unwrap_err().to_string();
    assert!(
        error.starts_with("no run-time register at /sys/devices/no-such-register: Linux 6.16 has it"),
        "{error}"
    );
    let other = Rtmr::new(3, guest.files.event_log());
    let error = other.values().unwrap_err().to_string();
    assert!(error.contains("expected a value of 48 bytes, found"), "{error}");
}

#[test]
fn a_log_that_cannot_be_had_is_remarked_on_and_the_quote_goes_out_alone() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let path = guest.directory.path().join("log");
    let long = vec![0; 192 * 1024 + 1];
    let cases = [
        (None, "without an event log: ", "No such file or directory"),
        (Some(&b"not a log"[..]), "without an event log: ", "log: "),
        (Some(&[]), "without an event log: ", "log: empty"),
        (Some(&long), "without an event log: ", "log: expected at most 196608 bytes, found more"),
    ];
    for (content, head, problem) in cases {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        let agent = Agent::start(&guest.config_with_log(&path));
        assert!(guest.claims(&agent).boot.is_none(), "{problem}");
        let journal = agent.journal_with(head);
        assert!(journal.contains("outcome=evidence") && journal.contains(problem), "{problem}: {journal}");
    }
}

#[test]
fn a_log_of_another_machine_goes_out_and_is_for_the_verifier_to_refuse() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let path = guest.directory.path().join("log");
    fs::write(&path, EventLog::production("/vmlinuz init=/bin/sh").encode()).unwrap();
    let agent = Agent::start(&guest.config_with_log(&path));
    let reply = agent.evidence(&request(1, None));
    assert!(attest::Parcel::looks_like(&reply.evidence));
    Evidence::parse(Platform::Tdx, &reply.evidence).unwrap();
}

#[test]
fn what_passes_is_tried_again_until_there_is_a_quote() {
    for passing in [Fault::Busy, Fault::Interrupted, Fault::GenerationRace] {
        let faulty = |machine: Machine| machine.passing_fault(passing, 3);
        let Some(guest) = Guest::present(faulty, QuotingFault::Healthy) else { return };
        let agent = Agent::start(&guest.config());
        assert!(guest.claims(&agent).boot.is_some(), "{passing:?}");
        assert_eq!(guest.leftovers(), 0, "{passing:?}");
    }
}

#[test]
fn what_does_not_pass_is_told_and_leaves_nothing_behind() {
    let cases = [
        (Fault::TimedOut, "agent.hardware", "the host's quoting service did not answer in time"),
        (Fault::GoneAfter(0), "agent.hardware", "the report provider is gone: is tdx-guest still loaded?"),
        (Fault::Busy, "agent.busy", "the host's report buffer is busy"),
        (Fault::GenerationRace, "agent.hardware", "report generation: expected 1, found \"2\""),
        (Fault::Denied, "agent.hardware", "mkdir PATH: may the agent's user do this?"),
    ];
    let at = [
        (Fault::Empty, "outblob: empty; the host gave no report"),
        (Fault::TooLarge, "outblob: the report is larger than this kernel can hold"),
    ];
    for (fault, code, message) in cases {
        let Some(guest) = Guest::start(fault) else { return };
        let agent = Agent::start(&guest.config());
        let failure = agent.failure(&request(1, None));
        let message = message.replace("PATH", &guest.mount.path().display().to_string());
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.message.starts_with(&message), "{failure:?}");
        assert_eq!(guest.leftovers(), 0, "{fault:?}");
    }
    for (fault, message) in at {
        let Some(guest) = Guest::start(fault) else { return };
        let agent = Agent::start(&guest.config());
        let failure = agent.failure(&request(1, None));
        assert!(failure.code == "agent.hardware" && failure.message.contains(message), "{failure:?}");
        assert_eq!(guest.leftovers(), 0, "{fault:?}");
    }
}

#[test]
fn after_a_quote_that_came_too_late_the_host_still_owns_the_buffer() {
    let Some(guest) = Guest::start(Fault::TimedOut) else { return };
    let agent = Agent::start(&guest.config());
    assert_eq!(agent.failure(&request(1, None)).code, "agent.hardware");
    assert_eq!(agent.failure(&request(2, None)).code, "agent.busy");
}

#[test]
fn a_driver_that_goes_away_takes_nothing_from_other_callers() {
    let Some(guest) = Guest::start(Fault::GoneAfter(1)) else { return };
    let chip = Chip::new(1, Product::Genoa);
    let folder = TempDir::new().unwrap();
    let snp = Mount::new(Machine::new(&chip), folder.path()).unwrap();
    let agent =
        Agent::start(&format!("prefer = \"tdx\"\n{}[snp]\npath = {:?}\n", guest.config(), snp.path()));
    assert!(guest.claims(&agent).boot.is_some());
    let failure = agent.failure(&request(2, None));
    assert!(failure.message.starts_with("the report provider is gone"), "{failure:?}");
    assert_eq!(agent.evidence(&request(3, Some(Platform::SevSnp))).platform, Platform::SevSnp);
}

#[test]
fn a_section_for_other_hardware_names_the_right_one() {
    let Some(guest) = Guest::start(Fault::Healthy) else { return };
    let chip = Chip::new(1, Product::Genoa);
    let folder = TempDir::new().unwrap();
    let snp = Mount::new(Machine::new(&chip), folder.path()).unwrap();
    let told = |section: &str, reports: &Path| {
        let agent = Agent::start(&format!("[{section}]\npath = {reports:?}\n"));
        agent.failure(&request(1, None)).message
    };
    let expected = "report provider: expected sev_guest, found \"tdx_guest\": this is a TDX guest, use [tdx]";
    assert_eq!(told("snp", guest.mount.path()), expected);
    let expected =
        "report provider: expected tdx_guest, found \"sev_guest\": this is a SEV-SNP guest, use [snp]";
    assert_eq!(told("tdx", snp.path()), expected);
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn a_kernel_without_the_interface_is_asked_by_its_device_and_the_hosts_quoting_service() {
    let Some(guest) = Guest::start(Fault::NoProvider) else { return };
    let agent = Agent::start(&guest.config());
    let before = guest.claims(&agent).report.rtmrs[3].0;
    Rtmr::new(3, guest.files.register(3)).extend(b"cluster").unwrap();
    assert_ne!(guest.claims(&agent).report.rtmrs[3].0, before);
}

#[test]
fn a_quoting_service_that_fails_is_told_as_such() {
    let cases = [
        (QuotingFault::Refused(0x0001_2001), "quoting service: refused with error 0x12001"),
        (QuotingFault::HangsUp, "quoting service at unix:"),
        (QuotingFault::Garbled, "quoting service: expected the length of the message, found"),
    ];
    for (fault, message) in cases {
        let Some(guest) = Guest::start_with(Fault::NoProvider, fault) else { return };
        let agent = Agent::start(&guest.config());
        let failure = agent.failure(&request(1, None));
        assert!(failure.code == "agent.hardware" && failure.message.starts_with(message), "{failure:?}");
    }
}

#[test]
fn where_there_is_neither_interface_nor_device_both_are_told() {
    let agent = Agent::start("[tdx]\npath = \"/sys/no-such-interface\"\ndevice = \"/dev/no-such-guest\"\n");
    let failure = agent.failure(&request(1, None));
    let absent = "No such file or directory (os error 2)";
    let expected = format!(
        "no report provider at /sys/no-such-interface: load tdx-guest and mount configfs ({absent}); \
         /dev/no-such-guest: {absent}"
    );
    assert_eq!((&*failure.code, failure.message), ("agent.hardware", expected));
}

#[test]
fn a_device_of_another_kind_is_told_as_such() {
    let Some(guest) = Guest::start(Fault::NoProvider) else { return };
    let config = guest.config().replace("/tdx_guest\"", "/CCEL\"");
    let failure = Agent::start(&config).failure(&request(1, None));
    assert_eq!(failure.code, "agent.hardware");
}
