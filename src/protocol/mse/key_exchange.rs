//! The key exchange of Diffie and Hellman over 768 bits: a public key for the other end, and the secret of both.
//!
//! The powers are computed by `crypto-bigint`, in a time that does not depend on the exponent.

use std::fmt;

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U192, U768, const_monty_params};

use super::KEY_LENGTH;

/// The bytes of a secret exponent: 160 bits ("Declarations": Xa and Xb have at least 128 bits, 160 are advised).
pub(super) const EXPONENT_LENGTH: usize = 20;

/// One end of a key exchange, before the other end's public key is there.
pub(super) struct KeyExchange {
    exponent: U192,
}

impl KeyExchange {
    /// A key exchange with a secret exponent that nobody can guess.
    pub(super) fn new(exponent: [u8; EXPONENT_LENGTH]) -> Self {
        let mut wide = [0; U192::BYTES];
        wide[U192::BYTES - EXPONENT_LENGTH..].copy_from_slice(&exponent);
        Self { exponent: U192::from_be_slice(&wide) }
    }

    /// What the other end is sent, most significant byte first: G to the power of the exponent.
    pub(super) fn public_key(&self) -> [u8; KEY_LENGTH] {
        self.power(&GENERATOR)
    }

    /// What both ends compute, most significant byte first: S. `None` where the other end's public key is 0, 1, P - 1 or
    /// not less than P: then anybody could know the secret.
    pub(super) fn secret(&self, public_key: &[u8; KEY_LENGTH]) -> Option<[u8; KEY_LENGTH]> {
        let public_key = U768::from_be_slice(public_key);
        let largest = Prime::PARAMS.modulus().as_ref().wrapping_sub(&U768::ONE);
        (public_key > U768::ONE && public_key < largest).then(|| self.power(&public_key))
    }

    fn power(&self, base: &U768) -> [u8; KEY_LENGTH] {
        #[cfg(test)]
        POWERS.set(POWERS.get() + 1);
        let base = ConstMontyForm::<Prime, { U768::LIMBS }>::new(base);
        let power = base.pow_bounded_exp(&self.exponent, 8 * EXPONENT_LENGTH as u32).retrieve();
        let mut bytes = [0; KEY_LENGTH];
        bytes.copy_from_slice(power.to_be_bytes().as_ref());
        bytes
    }
}

impl fmt::Debug for KeyExchange {
    /// Without the exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyExchange")
    }
}

#[cfg(test)]
thread_local! {
    /// How many powers this thread has computed: nearly all of what a negotiation costs.
    pub(crate) static POWERS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

const_monty_params!(
    Prime,
    U768,
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b\
     302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a36210000000000090563",
    "The prime of the key exchange (\"Declarations\": P)."
);

/// The base of the powers ("Declarations": G).
const GENERATOR: U768 = U768::from_u8(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hex;

    fn exchange(first: u8) -> KeyExchange {
        KeyExchange::new(std::array::from_fn(|at| first + at as u8))
    }

    /// Computed with Python's pow.
    const PUBLIC: [&str; 2] = [
        "96e112dab29e8c5272accb9b17b26887ce54a144a4e3b697c7d159b7a817e556b0918db2b4c658e02a87f7e5fb14b18a\
         553e084cbf3dad2d30f16596ccb982d406258c61b30c5c1dae2ddc60bdbd48d79896312aad63238c39e1a633821eb693",
        "d32ae8cedd0de9ca4fe67e35626bb8c7cdb0966727d899f6a62fdb2b68817f9ddc4b684e3eb34030b8dba4e028b7cff3\
         264020340cb4eab61923cdc4e4216ba873368d83f0a38e497f1f6b4e3d2012eb91a3ee6056f966f9eae732089b6fa46e",
    ];
    const SECRET: &str = "d05ed96a95215a89b44073afe5d0b1626289ac01cff7849392948b2470b346547e944d7562a897ae86976bc389999083\
         ec09572dbdc8ed7f6a0a86a1aa42a3ca04209b72d8239890360435640643b76479ed7836f1857963fcc7cb72084c3ab4";

    #[test]
    fn powers_are_those_that_others_compute() {
        let ends = [exchange(1), exchange(101)];
        let public = ends.each_ref().map(KeyExchange::public_key);
        assert_eq!(public.each_ref().map(|key| Hex(key).to_string()), PUBLIC.map(str::to_owned));
        for (end, other) in [(0, 1), (1, 0)] {
            assert_eq!(Hex(&ends[end].secret(&public[other]).unwrap()).to_string(), SECRET);
        }
    }

    #[test]
    fn a_public_key_that_gives_the_secret_away_is_refused() {
        let prime = Prime::PARAMS.modulus().as_ref();
        let bytes = |number: U768| {
            let mut bytes = [0; KEY_LENGTH];
            bytes.copy_from_slice(number.to_be_bytes().as_ref());
            bytes
        };
        let near = |less: u8| prime.wrapping_sub(&U768::from_u8(less));
        let refused = [U768::ZERO, U768::ONE, near(1), near(0), prime.wrapping_add(&U768::ONE), U768::MAX];
        for number in refused {
            assert_eq!(exchange(1).secret(&bytes(number)), None, "{number}");
        }
        for number in [U768::from_u8(2), near(2)] {
            assert!(exchange(1).secret(&bytes(number)).is_some(), "{number}");
        }
    }
}
