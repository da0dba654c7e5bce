//! What a certificate says its key is for.
//!
//! Untrusted: every answer, until the certificate's signature was checked.

use x509_parser::extensions::ParsedExtension;

use super::Certificate;

impl Certificate<'_> {
    /// Whether the key may sign data: the key usage says digitalSignature.
    pub(crate) fn signs_data(&self) -> bool {
        matches!(self.parsed.key_usage(), Ok(Some(usage)) if usage.value.digital_signature())
    }

    /// Whether the key may receive secrets: the key usage says keyEncipherment (RSA) or keyAgreement (EC).
    pub(crate) fn receives_secrets(&self) -> bool {
        let Ok(Some(usage)) = self.parsed.key_usage() else { return false };
        usage.value.key_encipherment() || usage.value.key_agreement()
    }

    /// The dotted ids of the extended key usage; `None` without the extension.
    pub(crate) fn extended_usages(&self) -> Option<Vec<String>> {
        let found = self.parsed.extensions().iter().find(|extension| {
            // id-ce-extKeyUsage
            extension.oid.to_id_string() == "2.5.29.37"
        })?;
        let ParsedExtension::ExtendedKeyUsage(usage) = found.parsed_extension() else {
            return Some(Vec::new());
        };
        let named = [
            (usage.any, "2.5.29.37.0"),
            (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
            (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
            (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
            (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
            (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
            (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
        ];
        let named = named.into_iter().filter(|(set, _)| *set).map(|(_, id)| id.to_owned());
        Some(named.chain(usage.other.iter().map(x509_parser::der_parser::Oid::to_id_string)).collect())
    }

    /// How many authorities may stand between this one and a leaf; `None` for as many as there are.
    pub(crate) fn path_limit(&self) -> Option<usize> {
        let Ok(Some(constraints)) = self.parsed.basic_constraints() else { return Some(0) };
        constraints.value.path_len_constraint.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// The subject's organisation, or "" if it has none or several.
    pub(crate) fn organisation(&self) -> &str {
        let mut names = self.parsed.subject().iter_organization();
        match (names.next(), names.next()) {
            (Some(only), None) => only.as_str().unwrap_or(""),
            _ => "",
        }
    }

    /// The subject in words.
    pub(crate) fn subject_words(&self) -> String {
        self.parsed.subject().to_string()
    }
}
