//! A large log of others: Go's checksum database, as it signed itself on two days.

use attest::Digest;
use attest::crypto::AwsLcRs;
use attest::log::{BadProof, Head, NoteKey, Origin, Proof, SignedCheckpoint, leaf_hash};

const KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const OLD: &str = "go.sum database tree\n51459545\nFYRTeFOvwM8VukDPO5hHtgB6Q/MuG/Dqmb0rqPkg5/o=\n\n— sum.golang.org \
                   Az3grjPB8849GsRtsBQi7XXXwg6AsZHCDXeMhK6OqQL5Zh9rbNWNdLpi+W8zulSvsDkpHcLt1aLIQpuTCC/XuAkaiQ0=\n";
const NEW: &str = "go.sum database tree\n70720073\nXgvMsA5d1x+SCWlh4+v6M7wrVH3O0fq8lKSIOYc3r4c=\n\n— sum.golang.org \
                   Az3grm5pews8rQqmUTxHDs0bPPi3lozHWBnzZZXhAR3XF+7ogIZ4av0Nh+8GW6EIHB/L8idJziAZHHs5mMYUOz0zvQw=\n";
const RECORD: &str = "golang.org/x/crypto v0.58.0 h1:COkYLr4k7nDI4r6QtMML2AfzeIswWHAJthLS6K/M/54=\n\
                      golang.org/x/crypto v0.58.0/go.mod h1:Xh+kl5A+M0gMiWDytH2Hhr5Z7WbNCpv/eB/EFgfSk+w=\n";
const INDEX: u64 = 67_555_542;

fn head(file: &str) -> Head {
    let origin = Origin::new("go.sum database tree").unwrap();
    let key = NoteKey::parse(&AwsLcRs, KEY).unwrap();
    SignedCheckpoint::parse(file.as_bytes()).unwrap().open(&AwsLcRs, &origin, &[key]).unwrap().head
}

fn proof(lines: &str) -> Proof {
    Proof(lines.lines().map(|line| line.parse::<Digest<32>>().unwrap()).collect())
}

#[test]
fn a_record_is_in_the_database_at_its_place_alone() {
    let (leaf, proof) = (leaf_hash(&AwsLcRs, RECORD.as_bytes()), proof(include_str!("sumdb/inclusion.txt")));
    assert_eq!(proof.includes(&AwsLcRs, leaf, INDEX, &head(NEW)), Ok(()));
    let elsewhere = proof.includes(&AwsLcRs, leaf, INDEX + 1, &head(NEW));
    assert!(matches!(elsewhere, Err(BadProof::Root { .. })), "{elsewhere:?}");
    let other = leaf_hash(&AwsLcRs, RECORD.replace("58", "59").as_bytes());
    let other = proof.includes(&AwsLcRs, other, INDEX, &head(NEW));
    assert!(matches!(other, Err(BadProof::Root { .. })), "{other:?}");
}

#[test]
fn the_database_grew_and_did_not_change() {
    let proof = proof(include_str!("sumdb/consistency.txt"));
    assert_eq!(proof.extends(&AwsLcRs, &head(OLD), &head(NEW)), Ok(()));
    let (old, new) = (head(NEW).size, head(OLD).size);
    assert_eq!(proof.extends(&AwsLcRs, &head(NEW), &head(OLD)), Err(BadProof::Shrunken { old, new }));
}
