//! Who may come after an enforcer, and by whose word one lets go: through the program, as an operator uses it.

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use vm::{Enforcer, Guest};

use crate::machine::ready;
use crate::staying::{FMOD_RET, LSM, attack_steadily, refused, stop_attacking};

#[test]
fn another_version_takes_over_under_attack_if_an_operator_signed_for_it() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(FMOD_RET);
    // A second mount of the folder of copies, and another version, are there before anybody minds.
    guest
        .read(
            "mkdir -p /var/lib/cloudtaser /run/again && mount --bind /var/lib/cloudtaser /run/again
             mkdir /run/new && cp /bin/cloudtaser-enforcer /run/new/cloudtaser-enforcer
             echo another >> /run/new/cloudtaser-enforcer",
        )
        .unwrap();
    let words = words();
    let run = |guest: &mut Guest, program: &str| {
        Enforcer { program, words: &words, ..Enforcer::default() }.start(guest)
    };
    run(&mut guest, "cloudtaser-enforcer start").unwrap();
    let first = running(&mut guest);
    attack_steadily(&mut guest);

    let [old, new] = ["/bin/cloudtaser-enforcer", "/run/new/cloudtaser-enforcer"]
        .map(|program| sha256(&mut guest, program));
    let unlisted = run(&mut guest, "/run/new/cloudtaser-enforcer start").unwrap_err().to_string();
    let copy = format!("/var/lib/cloudtaser/enforcer/{new}/cloudtaser-enforcer");
    let expected = format!(
        "the enforcer before this one does not let it take over: {copy}: /run/successors: No such file or directory (os error 2)"
    );
    assert!(unlisted.contains(&expected), "{unlisted}");
    let object = sha256(&mut guest, "/lib/cloudtaser/enforcer.o");
    put(&mut guest, "/run/successors", &signed(SUCCESSORS, &list(1, &old, &object)));
    let unlisted = run(&mut guest, "/run/new/cloudtaser-enforcer start").unwrap_err().to_string();
    let expected = format!("{copy}: expected a program on list 1 of successors, found SHA-256 {new}");
    assert!(unlisted.contains(&expected), "{unlisted}");
    assert_eq!(running(&mut guest), first);

    put(&mut guest, "/run/successors", &signed(SUCCESSORS, &list(2, &new, &object)));
    let said = run(&mut guest, "/run/new/cloudtaser-enforcer start").unwrap();
    let expected = format!(
        "/var/lib/cloudtaser/enforcer/{old}/cloudtaser-enforcer lets this program take over, as version 2"
    );
    assert!(said.contains(&expected), "{said}");
    // The old one stands by, as nobody in particular: whoever runs containers may end it.
    guest.read(&format!("kill -TERM {first}; sleep 1; ! [ -e /proc/{first}/exe ]")).unwrap();
    let second = running(&mut guest);
    assert_ne!(first, second);

    // A container that is made anew sees the same copy through another mount. Its program is known, and nobody is asked for a list.
    guest.read("rm /run/successors").unwrap();
    let said = run(&mut guest, "/run/new/cloudtaser-enforcer start --copies /run/again/enforcer").unwrap();
    assert!(said.contains("took over from 1 before"), "{said}");
    guest.read(&format!("kill -TERM {second}; sleep 1")).unwrap();
    assert_ne!(running(&mut guest), second);
    // The version before is nobody by now, and the list that named it is void.
    put(&mut guest, "/run/successors", &signed(SUCCESSORS, &list(1, &old, &object)));
    let back = run(&mut guest, "cloudtaser-enforcer start").unwrap_err().to_string();
    let expected = "expected a list of successors with a number of at least 2, found 1";
    assert!(back.contains(expected), "{back}");

    let count = stop_attacking(&mut guest);
    assert_eq!(count["got"], 0, "{count}");
    assert!(count["stopped"].as_u64() > Some(10), "{count}");
}

#[test]
fn the_glass_is_broken_once() {
    let Some(ready) = ready() else { return };
    let mut guest = ready.boot(LSM);
    let words = words();
    let run = |guest: &mut Guest| {
        Enforcer { program: "cloudtaser-enforcer start", words: &words, ..Enforcer::default() }.start(guest)
    };
    run(&mut guest).unwrap();
    let victim = attack_steadily(&mut guest);
    let copy = format!(
        "/var/lib/cloudtaser/enforcer/{}/cloudtaser-enforcer",
        sha256(&mut guest, "/bin/cloudtaser-enforcer")
    );
    let statement = guest.read(&format!("{copy} challenge --action detach --reason 'ticket 7'")).unwrap();
    let statement = statement.trim_end();

    let detach = format!("{copy} detach --break-glass /run/statement --record /run/released");
    put(&mut guest, "/run/statement", &signed(SUCCESSORS, statement));
    let said = guest.run(&detach).unwrap();
    assert!(
        said.text().contains("break-glass: the signature is not by the key that was given"),
        "{}",
        said.text()
    );
    let read = guest.run(&format!("cat /proc/{victim}/environ")).unwrap();
    assert_eq!((read.code, refused(&read.text())), (1, true), "{}", read.text());

    put(&mut guest, "/run/statement", &broken(statement));
    assert_eq!(guest.run(&detach).unwrap().text(), "");
    // Who still runs sees within seconds that its pins have gone, and holds nothing any more.
    guest
        .read(&format!(
            "times=0; until cat /proc/{victim}/environ >/dev/null; do
               sleep 0.5; times=$((times+1)); [ $times -lt 60 ] || exit 1
             done"
        ))
        .unwrap();
    for path in ["/run/released", "/run/cloudtaser/enforcer-let-go.json"] {
        let record: Value = serde_json::from_str(&guest.read(&format!("cat {path}")).unwrap()).unwrap();
        assert!(record.to_string().contains("ticket 7"), "{record}");
    }
    stop_attacking(&mut guest);

    run(&mut guest).unwrap();
    let said = guest.run(&detach).unwrap();
    assert_ne!(said.code, 0);
    assert!(
        said.text().contains("it was used already, or is for another start of the machine"),
        "{}",
        said.text()
    );
}

/// What is signed as a statement of break-glass.
pub(crate) fn broken(statement: &str) -> String {
    signed(GLASS, statement)
}

/// By whom, hexadecimal.
pub(crate) fn signer() -> String {
    hex::encode(key().verifying_key().to_bytes())
}

/// What both versions are told.
fn words() -> String {
    let key = signer();
    format!(
        "--break-glass-key {key} --upgrade-key {key} --successors /run/successors --when-replaced stand-by"
    )
}

/// The process that is the enforcer: what others read of it is closed.
fn running(guest: &mut Guest) -> String {
    let said = guest
        .read(
            "for f in $(grep -ls cloudtaser-enfo /proc/[0-9]*/comm); do
               p=${f%/comm}; cat $p/cmdline >/dev/null 2>&1 || echo ${p#/proc/}
             done | sort -n",
        )
        .unwrap();
    said.split_whitespace().next().unwrap_or_default().to_owned()
}

fn sha256(guest: &mut Guest, path: &str) -> String {
    guest.read(&format!("sha256sum {path}")).unwrap().split(' ').next().unwrap().to_owned()
}

pub(crate) fn put(guest: &mut Guest, path: &str, text: &str) {
    guest.read(&format!("cat > {path} <<'END'\n{text}\nEND")).unwrap();
}

fn list(serial: u64, program: &str, object: &str) -> String {
    // The fields in their order: a map would sort them.
    let not_after = json!(4_000_000_000_u64);
    format!(
        r#"{{"serial":{serial},"successors":[{{"version":"2","program":"{program}","object":"{object}","not_after":{not_after}}}]}}"#
    )
}

fn signed(about: &str, line: &str) -> String {
    let signature = key().sign(format!("{about}{line}").as_bytes());
    format!("{line}\n{}", hex::encode(signature.to_bytes()))
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

const SUCCESSORS: &str = "cloudtaser enforcer successors v1\n";
const GLASS: &str = "cloudtaser enforcer break-glass v1\n";
