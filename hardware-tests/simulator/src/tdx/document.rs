//! A signed JSON document in the form of Intel's provisioning service: TCB info, or QE identity.
//!
//! The signature is over the exact bytes of the inner value (Intel PCS API version 4), so each change is
//! signed anew; [`Document::forged`] changes what was signed.

use super::json::{Json, Style};
use crate::der;
use crate::ecdsa::Key;

/// A document about to be signed.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    value: Json,
    style: Style,
    signer: Key,
    signature: Option<String>,
    forgeries: Vec<(String, String)>,
    envelope: Option<String>,
}

impl Document {
    pub(super) fn new(name: &str, value: Json, signer: Key) -> Self {
        Self {
            name: name.to_owned(),
            value,
            style: Style::Compact,
            signer,
            signature: None,
            forgeries: Vec::new(),
            envelope: None,
        }
    }

    /// Signs, and gives the response: `{"tcbInfo":{…},"signature":"…"}`.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let signed = self.value.write(self.style);
        let signature =
            self.signature.clone().unwrap_or_else(|| hex::encode(self.signer.sign(signed.as_bytes())));
        let shown = self.forgeries.iter().fold(signed, |text, (from, to)| text.replace(from, to));
        let form = self.envelope.as_deref().unwrap_or(r#"{"NAME":VALUE,"signature":"SIGNATURE"}"#);
        form.replace("NAME", &self.name)
            .replace("SIGNATURE", &signature)
            .replace("VALUE", &shown)
            .into_bytes()
    }

    /// Pointers to all values inside, such as `/tcbLevels/0/tcb/pcesvn`.
    #[must_use]
    pub fn pointers(&self) -> Vec<String> {
        self.value.pointers()
    }

    /// The value at a pointer.
    #[must_use]
    pub fn value(&self, pointer: &str) -> Option<Json> {
        self.value.clone().at(pointer).cloned()
    }

    /// Sets the value at a pointer; a member that is not there is added to its object.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: Json) -> Self {
        if let Some(present) = self.value.at(pointer) {
            *present = value;
            return self;
        }
        self.add(pointer, value)
    }

    /// Sets a string.
    #[must_use]
    pub fn text(self, pointer: &str, text: &str) -> Self {
        self.set(pointer, Json::text(text))
    }

    /// Sets a number.
    #[must_use]
    pub fn number(self, pointer: &str, number: u64) -> Self {
        self.set(pointer, Json::Number(number))
    }

    /// Adds a member at the end of its object, even if one of that name is there.
    #[must_use]
    pub fn add(mut self, pointer: &str, value: Json) -> Self {
        if let Some((parent, name)) = pointer.rsplit_once('/')
            && let Some(Json::Object(members)) = self.value.at(parent)
        {
            members.push((name.to_owned(), value));
        }
        self
    }

    /// Leaves out the member or the item at a pointer.
    #[must_use]
    pub fn remove(mut self, pointer: &str) -> Self {
        let Some((parent, step)) = pointer.rsplit_once('/') else {
            return self;
        };
        match (self.value.at(parent), step.parse::<usize>()) {
            (Some(Json::Object(members)), _) => members.retain(|(name, _)| name != step),
            (Some(Json::List(items)), Ok(at)) if at < items.len() => drop(items.remove(at)),
            (_, Ok(_) | Err(_)) => {}
        }
        self
    }

    /// Reverses the list or the members at a pointer.
    #[must_use]
    pub fn reverse(mut self, pointer: &str) -> Self {
        match self.value.at(pointer) {
            Some(Json::List(items)) => items.reverse(),
            Some(Json::Object(members)) => members.reverse(),
            Some(Json::Number(_) | Json::Text(_) | Json::Raw(_)) | None => {}
        }
        self
    }

    /// Repeats the item at a pointer at the end of its list.
    #[must_use]
    pub fn repeat(mut self, pointer: &str) -> Self {
        let item = self.value.at(pointer).cloned();
        if let (Some(item), Some((parent, _))) = (item, pointer.rsplit_once('/'))
            && let Some(Json::List(items)) = self.value.at(parent)
        {
            items.push(item);
        }
        self
    }

    /// Sets when it was issued, in seconds since 1970.
    #[must_use]
    pub fn issue_date(self, unix: u64) -> Self {
        self.text("/issueDate", &der::rfc3339(unix))
    }

    /// Sets until when it counts, in seconds since 1970.
    #[must_use]
    pub fn next_update(self, unix: u64) -> Self {
        self.text("/nextUpdate", &der::rfc3339(unix))
    }

    /// Sets the status of the best level.
    #[must_use]
    pub fn status(self, status: &str) -> Self {
        self.text("/tcbLevels/0/tcbStatus", status)
    }

    /// Sets the advisories of the best level.
    #[must_use]
    pub fn advisories(self, ids: &[&str]) -> Self {
        self.set("/tcbLevels/0/advisoryIDs", Json::List(ids.iter().map(|id| Json::text(id)).collect()))
    }

    /// Lays the signed text out differently.
    #[must_use]
    pub const fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Signs with another key.
    #[must_use]
    pub fn signed_by(mut self, key: Key) -> Self {
        self.signer = key;
        self
    }

    /// Writes this instead of a signature in hexadecimal.
    #[must_use]
    pub fn signature(mut self, text: &str) -> Self {
        self.signature = Some(text.to_owned());
        self
    }

    /// Changes the text after it was signed.
    #[must_use]
    pub fn forged(mut self, from: &str, to: &str) -> Self {
        self.forgeries.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Wraps the text differently: `NAME`, `VALUE` and `SIGNATURE` stand for the three parts.
    #[must_use]
    pub fn envelope(mut self, form: &str) -> Self {
        self.envelope = Some(form.to_owned());
        self
    }

    /// Calls it another name, such as `enclaveIdentity` for a TCB info.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }
}
