//! Digests and fingerprints, against known ones.

use migrator_source::checksum::{Fingerprint, NotText, digest, from_hex, hex, normalise};
use proptest::prelude::*;

/// The vectors of FIPS 180-4 (and of the empty text).
#[test]
fn a_digest_is_sha_256() {
    let vectors = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ];
    for (text, expected) in vectors {
        assert_eq!(hex(&digest(text.as_bytes())), expected);
    }
}

/// What databases hold must not change with a release: computed with `printf '1\0' | cat - DIGEST… | sha256sum`.
#[test]
fn a_fingerprint_is_known() {
    let mut fingerprint = Fingerprint::default();
    assert_eq!(hex(&fingerprint.sum()), hex(&digest(b"")));
    let (one, two) = (digest(b"SELECT 1;"), digest(b"SELECT 2;"));
    fingerprint.push("1", &one);
    assert_eq!(hex(&fingerprint.sum()), hex(&digest(&[b"1\0", one.as_slice()].concat())));
    fingerprint.push("2", &two);
    assert_eq!(hex(&fingerprint.sum()), "2566feeae1e43ae80b8198a8bce196ce690c15e61422d89ddea3f5a8af525611");
}

#[test]
fn a_fingerprint_depends_on_order_version_and_digest() {
    let sum = |migrations: &[(&str, &str)]| {
        let mut fingerprint = Fingerprint::default();
        migrations.iter().for_each(|(version, text)| fingerprint.push(version, &digest(text.as_bytes())));
        fingerprint.sum()
    };
    let known = sum(&[("1", "a"), ("2", "b")]);
    assert_eq!(known, sum(&[("1", "a"), ("2", "b")]));
    let others: [&[(&str, &str)]; 7] = [
        &[("2", "b"), ("1", "a")],
        &[("1", "b"), ("2", "a")],
        &[("1", "a"), ("3", "b")],
        &[("01", "a"), ("2", "b")],
        &[("1", "a")],
        &[("1", "a"), ("2", "b"), ("3", "")],
        &[],
    ];
    for other in others {
        assert_ne!(known, sum(other), "{other:?}");
    }
}

#[test]
fn what_is_no_text_is_told_with_its_byte() {
    assert_eq!(normalise(b"a\xff"), Err(NotText::InvalidUtf8(1)));
    assert_eq!(normalise(b"a\xff\0"), Err(NotText::Nul(2)));
    assert_eq!(normalise("\u{feff}a\0".as_bytes()), Err(NotText::Nul(4)));
    assert_eq!(normalise(b"\xef\xbb"), Err(NotText::InvalidUtf8(0)));
}

#[test]
fn a_text_is_copied_only_when_it_changes() {
    use std::borrow::Cow;

    assert!(matches!(normalise(b"a\nb"), Ok(Cow::Borrowed("a\nb"))));
    assert!(matches!(normalise("\u{feff}a\nb".as_bytes()), Ok(Cow::Borrowed("a\nb"))));
    assert!(matches!(normalise(b"a\r\nb\rc\n"), Ok(Cow::Owned(text)) if text == "a\nb\rc\n"));
}

#[test]
fn only_64_digits_are_a_digest() {
    let digits = "0123456789abcdefABCDEF9876543210".repeat(2);
    let sum = from_hex(&digits).expect("64 digits");
    assert_eq!(sum[..4], [0x01, 0x23, 0x45, 0x67]);
    assert_eq!(hex(&sum), digits.to_lowercase());
    for text in ["", &digits[1..], &format!("{digits}0"), &format!("g{}", &digits[1..]), &format!("+{}", &digits[1..])]
    {
        assert_eq!(from_hex(text), None, "{text}");
    }
    assert_eq!(from_hex(&format!("é{}", &digits[2..])), None);
}

proptest! {
    #[test]
    fn hexadecimal_gives_back_the_digest(sum: [u8; 32]) {
        prop_assert_eq!(from_hex(&hex(&sum)), Some(sum));
    }

    /// However a checkout turns the line endings, the text is the same.
    #[test]
    fn line_endings_and_a_mark_do_not_count(lines in prop::collection::vec("[^\r\n\0\u{feff}]{0,8}", 0..8), crlf: Vec<bool>, mark: bool) {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        for (at, line) in lines.iter().enumerate() {
            text.push_str(line);
            text.push_str(if crlf.get(at).copied().unwrap_or_default() { "\r\n" } else { "\n" });
        }
        let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
        prop_assert_eq!(normalise(text.as_bytes()).expect("a text"), expected);
    }
}
