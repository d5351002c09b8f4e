//! SHA-256, by the library that is fast where this is compiled: both give the same digests.
//!
//! The processor's own instructions are the fastest, but each is a call where nothing is optimised, and rustc optimises no
//! macro, in a release build neither: there plain arithmetic, written to be inlined always, takes half the time.

#[cfg(not(feature = "unoptimised"))]
pub(crate) use optimised::{Running, sum};
#[cfg(feature = "unoptimised")]
pub(crate) use unoptimised::{Running, sum};

#[cfg(not(feature = "unoptimised"))]
mod optimised {
    use sha2::Digest;
    pub(crate) use sha2::Sha256 as Running;

    use crate::checksum::Sum;

    pub(crate) fn sum(running: &Running) -> Sum {
        running.clone().finalize().into()
    }
}

#[cfg(feature = "unoptimised")]
mod unoptimised {
    pub(crate) use hmac_sha256::Hash as Running;

    use crate::checksum::Sum;

    pub(crate) fn sum(running: &Running) -> Sum {
        running.finalize()
    }
}
