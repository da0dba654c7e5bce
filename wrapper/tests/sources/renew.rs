//! Errands after the first: what is renewed, what is had anew, and what counts as withdrawn. Without a keeper.

use std::ffi::OsString;

use secretmem::Region;
use serde_json::json;
use wrapper::config::{Config, RawConfig};
use wrapper::errand::{Errand, List, Of, Term};
use wrapper::fetch::{self, Error};

use super::bao::Bao;
use super::postgres::Postgres;
use super::{bao, skip};

struct Errands {
    config: Config,
    token: String,
}

/// What a fetcher brought: the list, and the values in the order of their targets.
struct Brought {
    list: List,
    values: Vec<String>,
}

impl Errands {
    fn new(bao: &Bao, paths: &str, map: &str, token: &str) -> Self {
        let address = format!("https://127.0.0.1:{}", bao.port);
        let environment = [
            ("VAULT_ADDR", address.as_str()),
            ("VAULT_CACERT", bao.authority().to_str().unwrap()),
            ("VAULT_AUTH_METHOD", "token"),
            ("CLOUDTASER_SECRET_PATHS", paths),
            ("CLOUDTASER_ENV_MAP", map),
            ("CLOUDTASER_RELEASE_TIMEOUT", "1"),
        ]
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let config = RawConfig::new(environment, [OsString::from("true")]).try_into().unwrap();
        Self { config, token: token.to_owned() }
    }

    fn go(&self, errand: &Errand) -> Result<Brought, Error> {
        let mut token = Region::create(self.token.len()).unwrap();
        token.bytes_mut().unwrap().copy_from_slice(self.token.as_bytes());
        let (mut list, parcel) = fetch::run(&self.config, errand, Some(token), Vec::new())?;
        let mut parcel = parcel.unwrap();
        let bytes = parcel.bytes_mut().unwrap();
        let text = |start: u32, len: u32| {
            let (start, len) = (usize::try_from(start).unwrap(), usize::try_from(len).unwrap());
            String::from_utf8(bytes.iter().skip(start).take(len).copied().collect()).unwrap()
        };
        let held = list.token.unwrap();
        assert_eq!(text(held.start, held.len), self.token, "the token comes back, for the next errand");
        list.values.sort_unstable_by_key(|place| (place.wanted, place.target));
        let values = list.values.iter().map(|place| text(place.start, place.len)).collect();
        Ok(Brought { list, values })
    }

    fn fetch(&self) -> Brought {
        self.go(&Errand::Fetch).unwrap()
    }

    fn renew(&self, terms: &[Term]) -> Result<Brought, Error> {
        self.go(&Errand::Renew { terms: terms.to_vec() })
    }
}

impl Brought {
    fn term(&self, of: Of) -> Term {
        self.list.terms.iter().find(|term| term.of == of).unwrap().clone()
    }
}

fn refused(outcome: Result<Brought, Error>) -> (bool, bool, String) {
    let error = outcome.map(|brought| brought.values).unwrap_err();
    let setback = error.setback();
    (setback.refused, setback.transient, error.to_string())
}

#[test]
fn a_secret_with_versions_is_brought_again_when_it_has_another() {
    let name = "a_secret_with_versions_is_brought_again_when_it_has_another";
    let Some(bao) = bao(name) else { return };
    bao.put("secret/data/versions", &json!({ "data": { "a": "one" } }));
    let errands = Errands::new(bao, "secret/data/versions", "a=A", "root");
    let first = errands.fetch();
    let term = first.term(Of::Secret(0));
    assert_eq!(
        (first.values.as_slice(), term.version, term.seconds),
        (["one".to_owned()].as_slice(), Some(1), 0)
    );
    let same = errands.renew(std::slice::from_ref(&term)).unwrap();
    assert_eq!((same.values.as_slice(), same.list.terms), ([].as_slice(), vec![term.clone()]));
    bao.put("secret/data/versions", &json!({ "data": { "a": "two" } }));
    let other = errands.renew(&[term]).unwrap();
    assert_eq!((other.values, other.list.terms[0].version), (vec!["two".to_owned()], Some(2)));
    bao.say(&["kv", "metadata", "delete", "-mount=secret", "versions"]);
    let (gone, transient, told) = refused(errands.renew(&other.list.terms));
    assert!(gone && !transient, "{told}");
}

#[test]
fn a_token_is_renewed_until_it_is_revoked() {
    let Some(bao) = bao("a_token_is_renewed_until_it_is_revoked") else { return };
    bao.put("kv1/tokens", &json!({ "a": "x" }));
    let token = bao.say(&["token", "create", "-field=token", "-policy=root", "-ttl=100s", "-renewable"]);
    let errands = Errands::new(bao, "kv1/tokens", "a=A", token.trim());
    let term = errands.fetch().term(Of::Token);
    assert!(term.renewable && (1..=100).contains(&term.seconds), "{term:?}");
    let renewed = errands.renew(std::slice::from_ref(&term)).unwrap();
    assert!(renewed.values.is_empty() && renewed.term(Of::Token).seconds >= 99, "{:?}", renewed.list.terms);
    let (ends, _, told) = refused(errands.renew(&[Term { renewable: false, ..term.clone() }]));
    assert_eq!(
        (ends, told.as_str()),
        (true, "the token has come to its end, and VAULT_AUTH_METHOD token has no other")
    );
    bao.say(&["token", "revoke", token.trim()]);
    let (gone, transient, told) = refused(errands.renew(&[term]));
    assert!(gone && !transient && told.starts_with("renewing the token: OpenBao answered 403: "), "{told}");
}

#[test]
fn who_is_away_has_withdrawn_nothing() {
    let Some(mut bao) = Bao::start() else { return skip("who_is_away_has_withdrawn_nothing", "bao") };
    bao.put("kv1/away", &json!({ "a": "x" }));
    let errands = Errands::new(&bao, "kv1/away", "a=A", "root");
    let terms = errands.fetch().list.terms;
    bao.seal();
    let (gone, transient, told) = refused(errands.renew(&terms[1..]));
    assert!(!gone && transient, "{told}");
    bao.end();
    let (gone, transient, told) = refused(errands.renew(&terms[1..]));
    assert!(!gone && transient && told.contains("Connection refused"), "{told}");
}

#[test]
fn credentials_of_a_database_are_leased_renewed_and_withdrawn() {
    let name = "credentials_of_a_database_are_leased_renewed_and_withdrawn";
    let Some(bao) = bao(name) else { return };
    let Some(postgres) = Postgres::start() else { return skip(name, "postgres") };
    bao.say(&["secrets", "enable", "database"]);
    let url = format!("postgresql://root@127.0.0.1:{}/postgres?sslmode=disable", postgres.port);
    bao.put(
        "database/config/shop",
        &json!({ "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "connection_url": url }),
    );
    let create = "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
    let role =
        json!({ "db_name": "shop", "creation_statements": [create], "default_ttl": "60s", "max_ttl": "10m" });
    bao.put("database/roles/app", &role);
    let errands = Errands::new(bao, "database/creds/app", "username=U,password=P", "root");

    let first = errands.fetch();
    let term = first.term(Of::Secret(0));
    assert!(term.renewable && term.seconds == 60, "{term:?}");
    assert!(term.lease.as_ref().unwrap().starts_with("database/creds/app/"), "{term:?}");
    let [user, password] = first.values.as_slice() else { panic!("{}", first.values.len()) };
    assert_eq!(postgres.asked(user, password, "select current_user").as_ref(), Some(user));

    let renewed = errands.renew(std::slice::from_ref(&term)).unwrap();
    assert_eq!((renewed.values.len(), &renewed.list.terms[0].lease), (0, &term.lease));
    let anew = errands.renew(&[Term { renewable: false, ..term.clone() }]).unwrap();
    assert_ne!(anew.list.terms[0].lease, term.lease);
    assert_ne!(anew.values[0], *user);
    assert_eq!(postgres.asked(&anew.values[0], &anew.values[1], "select 1").as_deref(), Some("1"));

    bao.say(&["lease", "revoke", term.lease.as_deref().unwrap()]);
    let (gone, transient, told) = refused(errands.renew(&[term]));
    assert_eq!(
        (gone, transient, told.as_str()),
        (true, false, "renewing a lease: OpenBao answered 400: lease not found")
    );
    assert_eq!(postgres.asked(user, password, "select 1"), None);
}
