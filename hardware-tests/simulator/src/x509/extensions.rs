//! Extensions, in the order in which they were set: of certificates, of lists, of entries in lists.

use crate::der::{self, Oid};

/// The extensions of one structure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extensions(Vec<Extension>);

#[derive(Clone, Debug)]
struct Extension {
    oid: Oid,
    critical: Critical,
    value: Vec<u8>,
}

/// What an extension says of its weight.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Critical {
    Yes,
    No,
    /// `FALSE` written out, which DER forbids for a default.
    NoExplicit,
}

impl Extensions {
    /// Only this one.
    pub(crate) fn of(oid: Oid, critical: Critical, value: Vec<u8>) -> Self {
        Self(vec![Extension { oid, critical, value }])
    }

    /// Sets the value (the content of the OCTET STRING), in place or at the end; its weight stays.
    pub(crate) fn set(&mut self, oid: Oid, value: &[u8]) {
        match self.0.iter_mut().find(|present| present.oid == oid) {
            Some(present) => value.clone_into(&mut present.value),
            None => self.push(oid, value),
        }
    }

    /// Sets value and weight, in place or at the end.
    pub(crate) fn put(&mut self, oid: Oid, critical: Critical, value: &[u8]) {
        self.set(oid, value);
        self.mark(oid, critical);
    }

    /// Adds one, also a second of its kind.
    pub(crate) fn push(&mut self, oid: Oid, value: &[u8]) {
        self.0.push(Extension { oid, critical: Critical::No, value: value.to_vec() });
    }

    /// Sets the weight of those of a kind.
    pub(crate) fn mark(&mut self, oid: Oid, critical: Critical) {
        self.0
            .iter_mut()
            .filter(|present| present.oid == oid)
            .for_each(|present| present.critical = critical);
    }

    /// Writes out that those are not critical that are not.
    pub(crate) fn write_defaults(&mut self) {
        let defaults = self.0.iter_mut().filter(|present| present.critical == Critical::No);
        defaults.for_each(|present| present.critical = Critical::NoExplicit);
    }

    /// Leaves a kind out.
    pub(crate) fn remove(&mut self, oid: Oid) {
        self.0.retain(|present| present.oid != oid);
    }

    /// The SEQUENCE of them.
    pub(crate) fn der(&self) -> Vec<u8> {
        der::sequence(&self.0.iter().map(Extension::der).collect::<Vec<_>>())
    }

    /// The same, if there are any.
    pub(crate) fn der_if_any(&self) -> Option<Vec<u8>> {
        (!self.0.is_empty()).then(|| self.der())
    }
}

impl Extension {
    fn der(&self) -> Vec<u8> {
        let critical = match self.critical {
            Critical::Yes => der::boolean_true(),
            Critical::No => Vec::new(),
            Critical::NoExplicit => der::tlv(0x01, &[0]),
        };
        der::sequence(&[der::oid(self.oid), critical, der::octet_string(&self.value)])
    }
}
