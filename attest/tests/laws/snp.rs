//! Every field, bit and window of SNP evidence.

use simulator::snp::{Chip, Product};

use crate::silicon::{vcek_case, vlek_case};

#[test]
fn a_report_of_every_line_and_version_is_admitted_under_vcek_and_vlek() {
    for product in Product::ALL {
        for version in [2, 3, 4, 5] {
            let chip = Chip::new(1, product);
            vcek_case(&chip, |report| report.version(version)).admitted();
            vlek_case(&chip, |report| report.version(version)).admitted();
        }
    }
}
