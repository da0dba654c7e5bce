//! What each target does with its bytes, and what must hold whatever they are.
//!
//! Used twice: by the fuzz targets, and by `tests/corpus.rs`, which replays the committed corpora.

use node_agent::caller::cgroup::{Place, Root, place};
use node_agent::nitro::{Malformed, Response};

/// `/proc/PID/cgroup`: whoever is in a pod is in one that the text names, below kubelet's root or above our own, and
/// whatever a text adds below the container changes nothing.
pub fn cgroup(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for root in ["/", "/kubelet"] {
        let root = Root::parse(root).expect("a root");
        match place(text, &root) {
            Ok(Place::Pod(pod)) => {
                let spellings = [pod.uid.as_str().to_owned(), pod.uid.as_str().replace('-', "_")];
                assert!(
                    spellings.iter().any(|uid| text.contains(&format!("pod{uid}"))),
                    "a pod out of nothing"
                );
                if let [line] = text.lines().collect::<Vec<_>>().as_slice() {
                    let again = place(&format!("{line}/kubepods/x"), &root);
                    assert!(
                        matches!(again, Ok(Place::Pod(found)) if found.uid == pod.uid),
                        "names below a pod count"
                    );
                }
            }
            Ok(Place::Container(id)) => assert_eq!(id.len(), 64),
            Ok(Place::Host) => {
                let mut paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
                assert!(!paths.any(|path| path.contains("kubepods")), "kubelet's word taken for the host's");
            }
            Err(_) => {}
        }
    }
}

/// What a security module answered: a response ends where it says, and nothing behind it changes what it is.
pub fn nsm_response(bytes: &[u8]) {
    let (response, end) = match Response::parse_first(bytes) {
        Ok(first) => first,
        Err(first) => {
            assert_eq!(Response::parse(bytes), Err(first), "one reason");
            return;
        }
    };
    let whole = bytes.get(..end).expect("a response ends within its bytes");
    assert_eq!(Response::parse(whole).as_ref(), Ok(&response));
    let extra = bytes.len() - end;
    if extra > 0 {
        assert_eq!(Response::parse(bytes), Err(Malformed::Trailing { extra }));
    }
    if let Response::Attestation(content) | Response::GetRandom(content) | Response::ExtendPcr(content) =
        response
    {
        assert!(content.len() < end, "nothing is made up");
    }
}
