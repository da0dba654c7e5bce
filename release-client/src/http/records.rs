//! TLS 1.3's records, once rustls has shaken hands.
//!
//! rustls keeps what it decrypts in ordinary memory until it is asked for, and frees it as it is. So the traffic keys are
//! taken over when the handshake is done (as for the kernel's TLS), and records are opened from the ciphertext straight into
//! the caller's buffer (RFC 8446 §5), sealed straight from where the plaintext lies.
//!
//! Trusted: the keys, which the verified handshake agreed on. Untrusted: every record, until its tag has been checked.

use std::fmt;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets};

use super::Error;
use super::buffer::Buffer;

/// RFC 8446 §5.1: type, version, length.
pub(super) const HEADER: usize = 5;
/// RFC 8446 §5.1: the most plaintext of a record.
const PLAINTEXT: usize = 1 << 14;
/// RFC 8446 §5.2: the most that a record may be longer than its plaintext.
const EXPANSION: usize = 256;
const TAG: usize = 16;

/// RFC 8446 §B.1.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// RFC 8446 §B.3.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// RFC 8446 §4.6.3: an update that asks for none in return.
const OWN_KEY_UPDATE: [u8; 5] = [KEY_UPDATE, 0, 0, 1, 0];

/// Both directions of a connection.
pub(super) struct Records {
    out: Direction,
    into: Direction,
    kernel: KernelConnection<ClientConnectionData>,
    /// A peer that wants new keys of ours gets them before the next record.
    update_wanted: bool,
}

/// What came with a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrived {
    /// So many bytes, at the end of the buffer.
    Bytes(usize),
    /// The peer says that there will be no more.
    End,
}

struct Direction {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    sequence: u64,
}

impl Records {
    pub(super) fn new(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
    ) -> Result<Self, Error> {
        let ExtractedSecrets { tx, rx } = secrets;
        Ok(Self { out: Direction::new(tx)?, into: Direction::new(rx)?, kernel, update_wanted: false })
    }

    /// Appends the records of `plaintext` to `ciphertext`.
    pub(super) fn seal(&mut self, plaintext: &[u8], ciphertext: &mut Vec<u8>) -> Result<(), Error> {
        if std::mem::take(&mut self.update_wanted) {
            self.out.seal(&OWN_KEY_UPDATE, HANDSHAKE, ciphertext)?;
            self.out = Direction::new(self.kernel.update_tx_secret().map_err(Error::tls)?)?;
        }
        plaintext.chunks(PLAINTEXT).try_for_each(|part| self.out.seal(part, APPLICATION_DATA, ciphertext))
    }

    /// Says that we are done.
    pub(super) fn close(&mut self, ciphertext: &mut Vec<u8>) -> Result<(), Error> {
        // RFC 8446 §6.1: warning, close_notify.
        self.out.seal(&[1, 0], ALERT, ciphertext)
    }

    /// Opens one whole record, header and all, behind what `buffer` holds.
    pub(super) fn open(&mut self, record: &[u8], buffer: &mut Buffer) -> Result<Arrived, Error> {
        let (header, body) =
            record.split_at_checked(HEADER).ok_or(Error::Record("a record without a header"))?;
        if header.first() != Some(&APPLICATION_DATA) {
            return Err(Error::Record("a record in clear"));
        }
        let place = buffer.room(body.len().saturating_sub(TAG))?;
        let opened = self.into.open(header, body, place)?;
        let (kind, len) = inner(place, opened)?;
        match kind {
            APPLICATION_DATA => {
                buffer.keep(len);
                Ok(Arrived::Bytes(len))
            }
            ALERT => alert(place.get(..len).unwrap_or_default()),
            HANDSHAKE => {
                let messages = place.get(..len).unwrap_or_default().to_vec();
                self.after_handshake(&messages)?;
                Ok(Arrived::Bytes(0))
            }
            _ => Err(Error::Record("a record of an unknown type")),
        }
    }

    /// RFC 8446 §4.6: tickets, which are not kept, and new keys.
    fn after_handshake(&mut self, mut messages: &[u8]) -> Result<(), Error> {
        while let [kind, high, middle, low, rest @ ..] = messages {
            let len = u32::from_be_bytes([0, *high, *middle, *low]);
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let (message, rest) =
                rest.split_at_checked(len).ok_or(Error::Record("a handshake message in several records"))?;
            match (*kind, message, rest) {
                (NEW_SESSION_TICKET, ..) => {}
                (KEY_UPDATE, [wanted @ (0 | 1)], []) => {
                    self.into = Direction::new(self.kernel.update_rx_secret().map_err(Error::tls)?)?;
                    self.update_wanted |= *wanted == 1;
                }
                _ => return Err(Error::Record("an unexpected handshake message")),
            }
            messages = rest;
        }
        if messages.is_empty() {
            Ok(())
        } else {
            Err(Error::Record("a handshake message in several records"))
        }
    }
}

impl Direction {
    fn new((sequence, secrets): (u64, ConnectionTrafficSecrets)) -> Result<Self, Error> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&aead::CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::Record("a cipher suite that was not offered")),
        };
        let unusable = Error::Record("unusable traffic keys");
        let Ok(iv) = iv.as_ref().try_into() else { return Err(unusable) };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_why| unusable)?;
        Ok(Self { key: LessSafeKey::new(key), iv, sequence })
    }

    /// RFC 8446 §5.3: the sequence number, to the left padded with zeros, xor the IV.
    fn nonce(&mut self) -> Result<Nonce, Error> {
        let mut nonce = self.iv;
        let number = self.sequence.to_be_bytes();
        for (byte, number) in nonce.iter_mut().rev().zip(number.iter().rev()) {
            *byte ^= number;
        }
        self.sequence =
            self.sequence.checked_add(1).ok_or(Error::Record("more records than a key is good for"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }

    fn seal(&mut self, plaintext: &[u8], kind: u8, ciphertext: &mut Vec<u8>) -> Result<(), Error> {
        let body = plaintext.len().saturating_add(1).saturating_add(TAG);
        let [high, low] =
            u16::try_from(body).map_err(|_why| Error::Record("a record too long"))?.to_be_bytes();
        let header = [APPLICATION_DATA, 3, 3, high, low];
        let start = ciphertext.len().saturating_add(HEADER);
        ciphertext.extend(header);
        ciphertext.resize(start.saturating_add(body), 0);
        let place = ciphertext.get_mut(start..).unwrap_or_default();
        let unsealed = Error::Record("a record that cannot be sealed");
        let Some((text, end)) = place.split_at_mut_checked(plaintext.len()) else { return Err(unsealed) };
        let nonce = self.nonce()?;
        let sealed =
            self.key.seal_out_of_place_scatter(nonce, Aad::from(header), plaintext, text, &[kind], end);
        sealed.map_err(|_why| unsealed)
    }

    /// Into exactly as many bytes as `body` has without its tag.
    fn open(&mut self, header: &[u8], body: &[u8], place: &mut [u8]) -> Result<usize, Error> {
        let nonce = self.nonce()?;
        let (text, tag) = body
            .split_at_checked(body.len().saturating_sub(TAG))
            .ok_or(Error::Record("a record shorter than its tag"))?;
        let place = place.get_mut(..text.len()).ok_or(Error::Record("a record longer than its place"))?;
        let opened = self.key.open_separate_gather(nonce, Aad::from(header), text, tag, place);
        opened.map_err(|_one_answer_for_all| Error::Record("a record that does not open"))?;
        Ok(text.len())
    }
}

/// The length of the whole record that begins with this header.
pub(super) fn length(header: [u8; HEADER]) -> Result<usize, Error> {
    let [_, _, _, high, low] = header;
    let body = usize::from(u16::from_be_bytes([high, low]));
    if body > PLAINTEXT.saturating_add(EXPANSION) || body < TAG {
        return Err(Error::Record("a record of a length that none has"));
    }
    Ok(body.saturating_add(HEADER))
}

/// RFC 8446 §5.2: content, its type, and zeros.
fn inner(place: &[u8], len: usize) -> Result<(u8, usize), Error> {
    let text = place.get(..len).unwrap_or_default();
    let at = text.iter().rposition(|byte| *byte != 0).ok_or(Error::Record("a record without a type"))?;
    if at > PLAINTEXT {
        return Err(Error::Record("a record of a length that none has"));
    }
    text.get(at).map(|kind| (*kind, at)).ok_or(Error::Record("a record without a type"))
}

/// RFC 8446 §6: only `close_notify` is a way to end.
fn alert(content: &[u8]) -> Result<Arrived, Error> {
    match content {
        [_, 0] => Ok(Arrived::End),
        [_, code] => Err(Error::Alert(*code)),
        _ => Err(Error::Record("a malformed alert")),
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} out, {} in)", self.out.sequence, self.into.sequence)
    }
}
