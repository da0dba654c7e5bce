//! Trust domains.

use simulator::tdx::{Body, EPOCH, Platform, QuoteBuilder, levels};

use crate::case::{Case, IN_ORDER, Policies, answer, instant};

pub(crate) fn cases(policies: &Policies) -> Vec<Case> {
    let zero = [0; 48];
    let mut config = zero;
    let text =
        "0151ed70bddb5f12574176b37e3f53bbfc4ba15c33cbddc2d03d90b6de14596cc0000000000000000000000000000000";
    hex::decode_to_slice(text, &mut config).unwrap();
    let of = |id: &str| policies.digest(id);
    let dstack = Domain {
        policy: "tdx",
        body: Body::Td15Ex,
        svn: 15,
        mrtd: of("dstack-mrtd"),
        rtmrs: ["dstack-rtmr0", "dstack-rtmr1", "dstack-rtmr2", "dstack-rtmr3"].map(of),
        config,
        xfam: 0x602e7,
    };
    let gke = Domain {
        policy: "gke-tdx",
        body: Body::Td15,
        svn: 6,
        mrtd: of("cos-113-mrtd"),
        rtmrs: [[9; 48], of("cos-113-rtmr1"), of("cos-113-rtmr2"), of("cos-113-rtmr3")],
        config: zero,
        xfam: 0x600e7,
    };
    [dstack, gke].iter().flat_map(Domain::cases).collect()
}

struct Domain {
    policy: &'static str,
    body: Body,
    svn: u8,
    mrtd: [u8; 48],
    rtmrs: [[u8; 48]; 4],
    config: [u8; 48],
    xfam: u64,
}

impl Domain {
    fn cases(&self) -> Vec<Case> {
        let platform = Platform::new(1);
        let [_, out_of_date, ..] = levels();
        let old = Platform::new(1).with_tcb(out_of_date.sgx, out_of_date.pce_svn);
        let base = self.case(&platform);
        let saying = |change: fn(QuoteBuilder) -> QuoteBuilder| base.saying(self.quote(&platform, change));
        vec![
            base.admitted(),
            base.clone(),
            saying(QuoteBuilder::debug).but("debug", "the host may debug this TD", &["tdx.attributes.debug"]),
            saying(|quote| quote.mrtd([1; 48])).but(
                "another-firmware",
                "another virtual firmware",
                &["tdx.mrtd"],
            ),
            saying(|quote| quote.rtmr(2, [1; 48])).but(
                "another-command-line",
                "what was booted is not what was measured",
                &["tdx.rtmr.2"],
            ),
            saying(|quote| quote.td_attributes(0)).but(
                "sept-ve",
                "the host can make the guest handle faults on its private memory",
                &["tdx.attributes.sept_ve_disable"],
            ),
            saying(|quote| quote.mr_service_td([1; 48])).but(
                "service-td",
                "another TD may read this one's state",
                &["tdx.mrservicetd"],
            ),
            base.saying(self.quote(&old, |quote| quote)).but(
                "out-of-date",
                "a machine with known weaknesses, by Intel's list",
                &["tdx.tcb.status"],
            ),
        ]
    }

    fn case(&self, platform: &Platform) -> Case {
        let collateral = platform.collateral();
        Case {
            policy: self.policy,
            name: "simulated".to_owned(),
            about: IN_ORDER.to_owned(),
            platform: "tdx",
            at: instant(EPOCH),
            evidence: self.quote(platform, |quote| quote),
            endorsements: vec![
                ("tcb_info.json", collateral.tcb_info),
                ("qe_identity.json", collateral.qe_identity),
                ("tcb_signing.der", collateral.tcb_signing),
                ("root.crl", collateral.root_crl),
                ("pck.crl", collateral.pck_crl),
            ],
            roots: vec![("root.der", collateral.root)],
            answers: true,
            failing: vec!["roots.accepted"],
            ..Case::default()
        }
    }

    fn quote(&self, platform: &Platform, change: impl FnOnce(QuoteBuilder) -> QuoteBuilder) -> Vec<u8> {
        let mut svn = [0; 16];
        svn[..3].copy_from_slice(&[self.svn, 1, 4]);
        let quote = platform.quote().version(5).body(self.body).tee_tcb_svn(svn).tee_tcb_svn_2(svn);
        let quote = quote.mrtd(self.mrtd).rtmrs(self.rtmrs).mr_config_id(self.config).xfam(self.xfam);
        change(quote.report_data(answer(attest::Platform::Tdx).try_into().unwrap())).sign()
    }
}
