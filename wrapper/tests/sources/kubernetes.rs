//! A pod logs in with the token of its service account. What Kubernetes says of a token is said by a server that says it of
//! every token.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::bao::Slow;
use super::{CANARY, bao, errors, says, scan};

fn reviewer() -> String {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", door.local_addr().unwrap());
    thread::spawn(move || {
        door.incoming().for_each(|line| review(line.unwrap()));
    });
    address
}

fn review(line: TcpStream) {
    let mut line = BufReader::new(line);
    let (mut header, mut len) = (String::new(), 0);
    while line.read_line(&mut header).unwrap() > 2 {
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
        header.clear();
    }
    line.read_exact(&mut vec![0; len]).unwrap();
    let user = json!({ "username": "system:serviceaccount:shop:app", "uid": "u1", "groups": ["system:serviceaccounts"] });
    let status = json!({ "authenticated": true, "user": user });
    let kind = json!({ "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status });
    let body = kind.to_string();
    let head = format!(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    line.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
}

fn token(canary: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = r#"{"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:shop:app","exp":4102444800,"iat":1700000000,"nbf":1700000000,
        "kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"app","uid":"u1"}}}"#;
    format!("{}.{}.{canary}", part(r#"{"alg":"RS256","kid":"k"}"#), part(claims))
}

#[test]
fn a_pod_logs_in_with_its_token_and_root_finds_neither_it_nor_openbaos() {
    let name = "a_pod_logs_in_with_its_token_and_root_finds_neither_it_nor_openbaos";
    let Some(bao) = bao(name) else { return };
    bao.put("kv1/pod", &json!({ "a": CANARY, "b": "x".repeat(9_000) }));
    bao.say(&["auth", "enable", "kubernetes"]);
    let host = format!("kubernetes_host={}", reviewer());
    let authority = format!("kubernetes_ca_cert=@{}", bao.authority().display());
    bao.say(&["write", "auth/kubernetes/config", &host, &authority, "token_reviewer_jwt=x.y.z"]);
    let policy = bao.dir.path().join("policy.hcl");
    fs::write(&policy, "path \"kv1/pod\" { capabilities = [\"read\"] }").unwrap();
    bao.say(&["policy", "write", "pod", policy.to_str().unwrap()]);
    let names = ["bound_service_account_names=app", "bound_service_account_namespaces=shop"];
    bao.say(&["write", "auth/kubernetes/role/app", names[0], names[1], "policies=pod", "ttl=1h"]);

    let signature = "Y2FuYXJ5LWp3dC1zaWduYXR1cmUtNDI";
    let file = bao.dir.path().join("jwt");
    fs::write(&file, token(signature)).unwrap();
    let slow = Slow::before(bao.port);
    let mut command = bao.wrapper("kv1/pod", "a=A", &["perl", "-e", "print $ENV{A}"]);
    command.env("VAULT_AUTH_METHOD", "kubernetes").env_remove("VAULT_TOKEN").env("VAULT_AUTH_ROLE", "app");
    command.env("CLOUDTASER_KUBERNETES_TOKEN_FILE", &file);
    command.env("VAULT_ADDR", format!("https://127.0.0.1:{}", slow.port));
    let wrapper = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut looks = 0;
    while slow.waits.recv_timeout(Duration::from_secs(30)).is_ok() {
        thread::sleep(Duration::from_millis(20));
        for member in scan::family(wrapper.id(), "cloudtaser-wrapper") {
            for secret in [signature, CANARY] {
                assert_eq!(scan::places_of(member, secret), Vec::<String>::new(), "{secret}");
            }
        }
        looks += 1;
        slow.let_through(1_000);
    }
    assert_eq!(says(&wrapper.wait_with_output().unwrap()), CANARY);
    assert!(looks > 8, "{looks}");

    let mut stranger = bao.wrapper("kv1/pod", "a=A", &["echo", "started"]);
    stranger.env("VAULT_AUTH_METHOD", "kubernetes").env("VAULT_AUTH_ROLE", "other");
    let output = stranger.env("CLOUDTASER_KUBERNETES_TOKEN_FILE", &file).output().unwrap();
    let told = errors(&output);
    let expected =
        "logging in at auth/kubernetes as role other: OpenBao answered 400: invalid role name \"other\"";
    assert!(told.contains(expected), "{told}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));

    // Who logs in and then lacks a secret leaves no token behind, however often it is started.
    let tokens = || bao.run(&["list", "sys/leases/lookup/auth/kubernetes/login"]).status.code();
    bao.say(&["write", "auth/kubernetes/login", "role=app", &format!("jwt=@{}", file.display())]);
    assert_eq!(tokens(), Some(0), "one that nobody gave back is seen");
    bao.say(&["lease", "revoke", "-sync", "-prefix", "auth/kubernetes/login"]);
    let mut lacking = bao.wrapper("kv1/pod,kv1/none", "a=A;a=B", &["echo", "started"]);
    lacking.env("VAULT_AUTH_METHOD", "kubernetes").env_remove("VAULT_TOKEN").env("VAULT_AUTH_ROLE", "app");
    let output = lacking.env("CLOUDTASER_KUBERNETES_TOKEN_FILE", &file).output().unwrap();
    assert!(errors(&output).contains("secret kv1/none: OpenBao answered 403"), "{}", errors(&output));
    assert_eq!((output.status.code(), tokens()), (Some(1), Some(2)));
}
