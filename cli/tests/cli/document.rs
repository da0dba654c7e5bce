//! A policy that admits the simulated chip, with single lines to change.

/// The policy, with each of `changes` (a line's key, the whole new line) made.
pub(crate) fn policy(changes: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = ADMITTING.lines().map(str::to_owned).collect();
    for (key, line) in changes {
        let prefix = format!("{key} =");
        let found = lines.iter_mut().find(|found| found.starts_with(&prefix)).unwrap();
        (*line).clone_into(found);
    }
    lines.join("\n")
}

const ADMITTING: &str = r#"
name = "simulated"
version = 7
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true
freshness = { verdict_seconds = 300, collateral_days = 60 }
reference = [{ id = "image", value = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", provenance = "the simulator's default" }]

[snp]
products = { any_of = ["genoa"] }
report_version = { min = 3 }
signing_key = { any_of = ["vcek"] }
chips = "any"
vmpl = { any_of = [0] }
measurement = { any_of = ["image"] }
host_data = "any"
family_id = "any"
image_id = "any"
guest_svn = { min = 0 }
id_key_digest = "any"
author_key_digest = "any"
report_id_ma = "any"
guest_policy = { abi = { min = [0, 0] }, smt = "any", migrate_ma = "clear", debug = "clear", single_socket = "any", cxl = "any", mem_aes_256_xts = "any", rapl_dis = "any", ciphertext_hiding = "any", page_swap_disable = "any" }
platform_info = { smt = "any", tsme = "any", ecc = "any", rapl_dis = "any", ciphertext_hiding = "any", alias_check_complete = "set", tio = "any", unnamed = 0 }
mitigations = { launch = { mask = 0, value = 0 }, current = { mask = 0, value = 0 } }

[snp.tcb.genoa]
reported = { bl = 10, tee = 0, snp = 25, ucode = 84 }
current = { bl = 10, tee = 0, snp = 25, ucode = 84 }
committed = { bl = 10, tee = 0, snp = 25, ucode = 84 }
launch = { bl = 10, tee = 0, snp = 25, ucode = 84 }
"#;
