//! Normalised text, digests, and the fingerprint of an ordered set of migrations.
//!
//! Other tools hash raw bytes, so a CRLF checkout of an LF file is "modified"; here a byte order mark, the kind of line
//! ending, and newlines at the end of a script change neither the digest nor what is executed.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};

use sha2::{Digest, Sha384};

use crate::sha_256::{self, Running};

/// A SHA-256 digest.
pub type Sum = [u8; 32];

/// Why bytes are not the text of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotText {
    /// The byte at this offset is not part of valid UTF-8.
    InvalidUtf8(usize),
    /// There is a NUL at this byte offset; no database client carries it.
    Nul(usize),
}

/// Returns the text of a script: UTF-8 without a byte order mark and with LF line endings.
///
/// # Errors
/// When the bytes are not UTF-8 or hold a NUL.
pub fn normalise(bytes: &[u8]) -> Result<Cow<'_, str>, NotText> {
    // The macro runs unoptimised, where the first of the two is a hundred times as fast as the second.
    if bytes.contains(&0) {
        return Err(NotText::Nul(bytes.iter().take_while(|byte| **byte != 0).count()));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| NotText::InvalidUtf8(error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // As above: a search for two characters is slow there.
    let has_crlf = text.as_bytes().contains(&b'\r') && text.contains("\r\n");
    Ok(if has_crlf { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) })
}

/// The digest of a text.
pub fn digest(text: &[u8]) -> Sum {
    let mut running = Running::new();
    running.update(text);
    sha_256::sum(&running)
}

/// The digest of a migration's script. Newlines at its end, which editors add and take away, are no part of it.
pub fn of_script(text: &str) -> Sum {
    digest(text.trim_end_matches('\n').as_bytes())
}

/// The SHA-384 digest of a text, which sqlx records.
pub fn digest_384(text: &[u8]) -> [u8; 48] {
    Sha384::digest(text).into()
}

/// The digest of all that a reader gives, in memory that does not grow with it.
///
/// # Errors
/// When it cannot be read.
pub fn digest_of(reader: &mut impl Read) -> io::Result<Sum> {
    let (mut sum, mut buffer) = (Running::new(), vec![0; 64 * 1024]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(sha_256::sum(&sum)),
            Ok(read) => sum.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The fingerprint of an ordered list of migrations, over exactly what decides a state: order, version, up checksum.
///
/// It can be read after each migration, so that a database carries the fingerprint of what was applied to it so far.
///
/// The digest is SHA-256 over `version 0x00 checksum` of each migration in order.
#[derive(Clone, Default)]
pub struct Fingerprint(Running);

impl Fingerprint {
    /// Adds the next migration: its version in the layout's canonical form and the digest of its up script.
    pub fn push(&mut self, version: &str, checksum: &Sum) {
        self.0.update(version.as_bytes());
        self.0.update([0]);
        self.0.update(checksum);
    }

    /// The fingerprint of what was pushed so far.
    pub fn sum(&self) -> Sum {
        sha_256::sum(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", hex(&self.sum()))
    }
}

/// Lowercase hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0xf)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(*byte));
    }
    text
}

/// Reads 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<Sum> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut sum = [0; 32];
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(sum)
}
