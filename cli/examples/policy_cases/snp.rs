//! SNP machines: the chip's own key, and AWS's.

use attest::Platform;
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder, Tcb};

use crate::case::{Case, IN_ORDER, Policies, answer, instant};

pub(crate) fn cases(policies: &Policies) -> Vec<Case> {
    let mut cases = Vec::new();
    for (policy, reference, product) in [
        ("snp-genoa", "oak-containers-genoa", Product::Genoa),
        ("snp-turin", "oak-containers-turin", Product::Turin),
    ] {
        let machine = Machine {
            policy,
            chip: Chip::new(1, product),
            measurement: policies.digest(reference),
            key: Key::Vcek,
        };
        cases.extend(machine.usual());
        cases.push(machine.of_the_provider());
        cases.push(machine.of_milan());
    }
    let measurement = policies.digest("ec2-2025");
    let tcb = Tcb { microcode: 220, ..Product::Milan.current_tcb() };
    let chip = Chip::new(1, Product::Milan).with_csp_id("CN=cc-us-east-2.amazonaws.com").with_tcb(tcb);
    let ec2 = Machine { policy: "ec2-snp-vlek", chip, measurement, key: Key::Vlek };
    cases.extend(ec2.usual());
    cases.push(ec2.of_another_region());
    // No value of gke-snp is a machine's yet, so none is in order.
    let chip = Chip::new(1, Product::Milan);
    let gke = Machine { policy: "gke-snp", chip, measurement: [7; 48], key: Key::Vcek };
    let base = gke.case();
    cases.push(base.but(
        "unconfigured",
        "no guest is admitted before a reference value is put in",
        &["snp.measurement"],
    ));
    cases.push(base.saying(gke.report(ReportBuilder::debug)).but(
        "debug",
        "the host may debug this guest",
        &["snp.measurement", "snp.policy.debug"],
    ));
    cases
}

struct Machine {
    policy: &'static str,
    chip: Chip,
    measurement: [u8; 48],
    key: Key,
}

#[derive(Clone, Copy)]
enum Key {
    Vcek,
    Vlek,
}

impl Machine {
    fn usual(&self) -> Vec<Case> {
        let older = |tcb: Tcb| Tcb { snp: tcb.snp.saturating_sub(3), ..tcb };
        let old = Self { chip: self.chip.clone().with_tcb(older(self.chip.tcb())), ..*self };
        let base = self.case();
        let saying = |change: fn(ReportBuilder) -> ReportBuilder| base.saying(self.report(change));
        vec![
            base.admitted(),
            base.clone(),
            saying(ReportBuilder::debug).but("debug", "the host may debug this guest", &["snp.policy.debug"]),
            saying(|report| report.measurement([1; 48])).but(
                "another-guest",
                "another firmware, kernel or command line",
                &["snp.measurement"],
            ),
            saying(|report| report.host_data([1; 32])).but(
                "host-data",
                "the host steers the guest by data of its own",
                &["snp.host_data"],
            ),
            saying(ReportBuilder::migrate_ma).but(
                "migration-agent",
                "another guest may move this one away",
                &["snp.policy.migrate_ma"],
            ),
            old.case().but(
                "old-firmware",
                "SNP firmware of before the policy's floor",
                &["snp.tcb.reported", "snp.tcb.current", "snp.tcb.committed", "snp.tcb.launch"],
            ),
        ]
    }

    fn of_the_provider(&self) -> Case {
        let other = Self { key: Key::Vlek, chip: self.chip.clone(), ..*self };
        let about = "signed by a provider's key, which speaks for many chips";
        other.case().but("provider-key", about, &["snp.signing_key", "snp.provider"])
    }

    fn of_milan(&self) -> Case {
        let other = Self { chip: Chip::new(1, Product::Milan), ..*self };
        let about = "a line whose key seed was extracted by software";
        other.case().but(
            "milan",
            about,
            &[
                "snp.product",
                "snp.product.denied",
                "snp.tcb.reported",
                "snp.tcb.current",
                "snp.tcb.committed",
                "snp.tcb.launch",
            ],
        )
    }

    fn of_another_region(&self) -> Case {
        let chip = self.chip.clone().with_csp_id("CN=cc-eu-west-1.amazonaws.com");
        let other = Self { chip, ..*self };
        other.case().but("another-region", "a host of a region that is not listed", &["snp.provider"])
    }

    fn case(&self) -> Case {
        let endorsements = match self.key {
            Key::Vcek => vec![("vcek.der", self.chip.vcek().der()), ("ask.der", self.chip.ask().der())],
            Key::Vlek => vec![("vlek.der", self.chip.vlek().der()), ("asvk.der", self.chip.asvk().der())],
        };
        Case {
            policy: self.policy,
            name: "simulated".to_owned(),
            about: IN_ORDER.to_owned(),
            platform: "sev-snp",
            at: instant(EPOCH),
            evidence: self.report(|report| report),
            endorsements: endorsements.into_iter().chain([("ark.crl", self.chip.crl().der())]).collect(),
            roots: vec![("ark.der", self.chip.ark().der())],
            answers: true,
            failing: vec!["roots.accepted"],
            ..Case::default()
        }
    }

    fn report(&self, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Vec<u8> {
        let answer = answer(Platform::SevSnp).try_into().unwrap();
        let report = change(self.chip.report().measurement(self.measurement).report_data(answer));
        match self.key {
            Key::Vcek => report.sign(),
            Key::Vlek => report.sign_with_vlek(),
        }
    }
}
