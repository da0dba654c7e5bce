//! A security module at work: registers, locks and answers, as `/dev/nsm` has them.
//!
//! Registers 0 to 15 are locked when an enclave starts; 16 to 31 are its own, and empty. Only locked ones stand in a
//! document. Limits and codes are those of AWS' library, and of QEMU's device where AWS does not say.

use std::time::{Duration, Instant};

use aws_lc_rs::{digest, rand};

use super::cbor::{self, Length};
use super::document::{enclave_registers, extend};
use super::request::{Request, Wishes};
use super::{Attached, DocumentBuilder, Module};

/// A running security module of an enclave.
#[derive(Clone, Debug)]
pub struct Nsm {
    module: Module,
    started: Instant,
    registers: Vec<Register>,
    fields: Length,
    fault: Fault,
    answered: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Register {
    value: Vec<u8>,
    locked: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Healthy,
    /// The connection ends in the middle of each answer.
    Half,
    /// Each answer is longer than the kernel's buffer.
    Long,
    /// The module goes away for good after so many answers.
    GoneAfter(u32),
    /// Each request is refused with this code.
    Refuse(&'static str),
    /// Each answer belongs to another question.
    Other,
    /// Each answer has a field that AWS does not name.
    UnknownField,
    /// Each answer is no CBOR.
    Garbage,
    /// Each answer takes this long.
    Slow(Duration),
}

impl Fault {
    /// What a module may refuse with.
    pub const CODES: [&'static str; 8] = [
        "InvalidArgument",
        "InvalidIndex",
        "InvalidResponse",
        "ReadOnlyIndex",
        "InvalidOperation",
        "BufferTooSmall",
        "InputTooLarge",
        "InternalError",
    ];
}

impl Nsm {
    /// A module that has just been started.
    #[must_use]
    pub fn new(module: Module) -> Self {
        let measured = enclave_registers(&module).into_iter();
        let measured = measured.map(|(_, value)| Register { value, locked: true });
        let free = std::iter::repeat_n(Register { value: vec![0; 48], locked: false }, 16);
        let registers = measured.chain(free).collect();
        let (fields, fault) = (Length::Definite, Fault::Healthy);
        Self { module, started: Instant::now(), registers, fields, fault, answered: 0 }
    }

    /// Sets a register that was measured before the start.
    #[must_use]
    pub fn pcr(mut self, index: usize, value: &[u8; 48]) -> Self {
        if let Some(register) = self.registers.get_mut(index) {
            register.value = value.to_vec();
        }
        self
    }

    /// Runs the enclave on an instance with this IAM role.
    #[must_use]
    pub fn role(mut self, arn: &str) -> Self {
        if let Some(register) = self.registers.get_mut(3) {
            register.value = extend(arn.as_bytes());
        }
        self
    }

    /// Runs the enclave in debug mode.
    #[must_use]
    pub fn debug(self) -> Self {
        [0, 1, 2, 8].into_iter().fold(self, |nsm, index| nsm.pcr(index, &[0; 48]))
    }

    /// Says where the map of a document's fields ends.
    #[must_use]
    pub const fn fields_length(mut self, length: Length) -> Self {
        self.fields = length;
        self
    }

    /// Lets something go wrong.
    #[must_use]
    pub const fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(super) const fn faulty(&self) -> Fault {
        self.fault
    }

    /// Whether the module has gone away.
    pub(super) fn gone(&self) -> bool {
        matches!(self.fault, Fault::GoneAfter(answers) if self.answered >= answers)
    }

    /// Answers a request.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        self.answered = self.answered.saturating_add(1);
        match self.fault {
            Fault::Refuse(code) => return error(code),
            Fault::Other => return cbor::text("LockPCRs"),
            Fault::Garbage => return vec![0xff; 32],
            Fault::Healthy
            | Fault::Half
            | Fault::Long
            | Fault::GoneAfter(_)
            | Fault::UnknownField
            | Fault::Slow(_) => {}
        }
        if request.len() > MAX_REQUEST {
            return error("InputTooLarge");
        }
        let answer = Request::parse(request)
            .map_err(|_unreadable| "InvalidOperation")
            .and_then(|request| self.obey(request));
        answer.unwrap_or_else(error)
    }

    fn obey(&mut self, request: Request) -> Result<Vec<u8>, &'static str> {
        match request {
            Request::DescribePcr(index) => {
                let Register { value, locked } = self.register(index)?;
                let (lock, data) = (cbor::boolean(*locked), cbor::bytes(value));
                Ok(self.named("DescribePCR", &[("lock", lock), ("data", data)]))
            }
            Request::ExtendPcr { index, data } => {
                let register = self.unlocked(index)?;
                register.value = hash(&[&register.value, &data]);
                let value = cbor::bytes(&register.value);
                Ok(self.named("ExtendPCR", &[("data", value)]))
            }
            Request::LockPcr(index) => {
                self.unlocked(index)?.locked = true;
                Ok(cbor::text("LockPCR"))
            }
            Request::LockPcrs(range) => {
                let range = self.registers.get_mut(..usize::from(range)).ok_or("InvalidIndex")?;
                for register in range {
                    register.locked = true;
                }
                Ok(cbor::text("LockPCRs"))
            }
            Request::DescribeNsm => Ok(self.described()),
            Request::Attestation(wishes) => {
                let document = wishes.on(self.document().fields_length(self.fields))?;
                Ok(self.named("Attestation", &[("document", cbor::bytes(&document.sign()))]))
            }
            Request::GetRandom => {
                let mut random = [0; RANDOM];
                rand::fill(&mut random).map_err(|_no_entropy| "InternalError")?;
                Ok(self.named("GetRandom", &[("random", cbor::bytes(&random))]))
            }
        }
    }

    /// The document's registers: the locked ones.
    fn document(&self) -> DocumentBuilder {
        let document = self.now().document().without_pcrs();
        let numbered = (0..).zip(&self.registers).filter(|(_, register)| register.locked);
        numbered.fold(document, |document, (index, register)| document.pcr(index, &register.value))
    }

    /// The module with certificates and clock of this instant.
    fn now(&self) -> Module {
        let at = self.module.now().saturating_add(self.started.elapsed().as_secs());
        self.module.clone().at(at)
    }

    fn described(&self) -> Vec<u8> {
        let locked = (0..).zip(&self.registers).filter(|(_, register)| register.locked);
        let locked: Vec<Vec<u8>> = locked.map(|(index, _)| cbor::unsigned(index)).collect();
        let registers = u64::try_from(self.registers.len()).unwrap_or(u64::MAX);
        self.named(
            "DescribeNSM",
            &[
                ("version_major", cbor::unsigned(1)),
                ("version_minor", cbor::unsigned(0)),
                ("version_patch", cbor::unsigned(0)),
                ("module_id", cbor::text(self.module.id())),
                ("max_pcrs", cbor::unsigned(registers)),
                ("locked_pcrs", cbor::array(&locked)),
                ("digest", cbor::text("SHA384")),
            ],
        )
    }

    fn register(&self, index: u16) -> Result<&Register, &'static str> {
        self.registers.get(usize::from(index)).ok_or("InvalidIndex")
    }

    fn unlocked(&mut self, index: u16) -> Result<&mut Register, &'static str> {
        let register = self.registers.get_mut(usize::from(index)).ok_or("InvalidIndex")?;
        if register.locked { Err("ReadOnlyIndex") } else { Ok(register) }
    }

    fn named(&self, name: &str, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let unknown = [("debug", cbor::boolean(true))];
        let more = if self.fault == Fault::UnknownField { &unknown[..] } else { &[] };
        named(name, &[fields, more].concat())
    }
}

impl Wishes {
    fn on(self, document: DocumentBuilder) -> Result<DocumentBuilder, &'static str> {
        let Self { user_data, nonce, public_key } = self;
        if [&user_data, &nonce, &public_key].into_iter().flatten().any(|field| field.len() > MAX_FIELD) {
            return Err("InputTooLarge");
        }
        let attached = |field: Option<Vec<u8>>| field.map_or(Attached::Null, Attached::Bytes);
        let document = document.attach_user_data(attached(user_data)).attach_nonce(attached(nonce));
        Ok(document.attach_public_key(attached(public_key)))
    }
}

/// The response to a request that can be for a document alone, which is this one.
pub(super) fn attest(document: DocumentBuilder, request: &[u8]) -> Vec<u8> {
    let wishes = match Request::parse(request) {
        Ok(Request::Attestation(wishes)) => Ok(wishes),
        Ok(_) | Err(_) => Err("InvalidOperation"),
    };
    let document = wishes.and_then(|wishes| wishes.on(document));
    let said = document.map(|document| cbor::bytes(&document.sign()));
    said.map_or_else(error, |document| named("Attestation", &[("document", document)]))
}

fn named(name: &str, fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (cbor::text(name), value.clone())).collect();
    cbor::map(Length::Definite, &[(cbor::text(name), cbor::map(Length::Definite, &fields))])
}

fn error(code: &str) -> Vec<u8> {
    cbor::map(Length::Definite, &[(cbor::text("Error"), cbor::text(code))])
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA384);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// `NSM_REQUEST_MAX_SIZE` of the kernel.
const MAX_REQUEST: usize = 0x1000;
/// As many bytes as AWS' own tool asks with.
const MAX_FIELD: usize = 1024;
/// As many bytes as a module gives at a time.
const RANDOM: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(nsm: &mut Nsm, name: &str, fields: &[(&str, Vec<u8>)]) -> String {
        hex::encode(nsm.answer(&named(name, fields)))
    }

    fn coded(code: &str) -> String {
        hex::encode(error(code))
    }

    #[test]
    fn an_enclaves_own_registers_take_data_in_until_they_are_locked() {
        let mut nsm = Nsm::new(Module::enclave(1));
        let data = ("data", cbor::bytes(b"x"));
        let value = hash(&[&[0; 48], b"x"]);
        let expected = nsm.named("ExtendPCR", &[("data", cbor::bytes(&value))]);
        let index = |index| ("index", cbor::unsigned(index));
        assert_eq!(ask(&mut nsm, "ExtendPCR", &[index(16), data.clone()]), hex::encode(expected));
        assert_eq!(ask(&mut nsm, "LockPCR", &[index(16)]), hex::encode(cbor::text("LockPCR")));
        for (name, fields) in [
            ("ExtendPCR", vec![index(16), data.clone()]),
            ("LockPCR", vec![index(16)]),
            ("ExtendPCR", vec![index(0), data.clone()]),
        ] {
            assert_eq!(ask(&mut nsm, name, &fields), coded("ReadOnlyIndex"), "{name}");
        }
        assert_eq!(ask(&mut nsm, "DescribePCR", &[index(32)]), coded("InvalidIndex"));
        assert_eq!(ask(&mut nsm, "LockPCRs", &[("range", cbor::unsigned(33))]), coded("InvalidIndex"));
        assert_eq!(ask(&mut nsm, "LockPCRs", &[("index", cbor::unsigned(3))]), coded("InvalidOperation"));
        assert_eq!(ask(&mut nsm, "Launch", &[]), coded("InvalidOperation"));
    }

    #[test]
    fn a_document_has_the_locked_registers_alone() {
        let mut nsm = Nsm::new(Module::enclave(1));
        let count = |nsm: &Nsm| {
            let document = nsm.document();
            let without = |index| document.clone().without_pcr(index).payload();
            (0..32).filter(|index| without(*index) != document.payload()).count()
        };
        assert_eq!(count(&nsm), 16);
        ask(&mut nsm, "LockPCR", &[("index", cbor::unsigned(20))]);
        assert_eq!(count(&nsm), 17);
    }

    #[test]
    fn fields_have_1024_bytes_and_requests_4096() {
        let mut nsm = Nsm::new(Module::enclave(1));
        for name in ["user_data", "nonce", "public_key"] {
            let fits = ask(&mut nsm, "Attestation", &[(name, cbor::bytes(&[1; 1024]))]);
            assert!(fits.contains("646f63756d656e74"), "{fits}");
            let over = ask(&mut nsm, "Attestation", &[(name, cbor::bytes(&[1; 1025]))]);
            assert_eq!(over, coded("InputTooLarge"));
        }
        let data = ("data", cbor::bytes(&[0; 4096]));
        let over = ask(&mut nsm, "ExtendPCR", &[("index", cbor::unsigned(16)), data]);
        assert_eq!(over, coded("InputTooLarge"));
    }
}
