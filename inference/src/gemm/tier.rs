//! Which kernel runs: the best that the processor has, or the one that is asked for.

use std::fmt;
use std::sync::OnceLock;

use tracing::warn;

/// Environment variable that forces a tier, by the names that [`Tier`] prints.
const FORCED: &str = "VOCAR_KERNELS";

/// A family of kernels, from the slowest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Plain Rust: every processor.
    Portable,
    /// x86-64 with AVX2 and FMA: 16-bit products summed in pairs, exact.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    /// x86-64 with AVX512-VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// aarch64 with the dot-product extension, Cortex-A76 and later.
    #[cfg(target_arch = "aarch64")]
    NeonDot,
}

/// A name that is no tier, or one that this processor has not got.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FORCED}={name}: this processor has {}", names())]
pub struct UnknownTier {
    name: String,
}

fn names() -> String {
    let names: Vec<String> = Tier::available().map(|tier| tier.to_string()).collect();
    names.join(", ")
}

impl Tier {
    /// The tiers of this processor, the slowest first.
    pub fn available() -> impl Iterator<Item = Tier> {
        Tier::all().iter().copied().filter(|tier| tier.supported())
    }

    /// The tier of that name.
    ///
    /// # Errors
    /// [`UnknownTier`] when there is none of this name, or the processor cannot run it.
    pub fn named(name: &str) -> Result<Tier, UnknownTier> {
        Tier::available()
            .find(|tier| tier.to_string() == name)
            .ok_or_else(|| UnknownTier {
                name: name.to_owned(),
            })
    }

    /// The fastest tier of this processor, or the one that the environment variable `VOCAR_KERNELS` names. A name that
    /// cannot be followed is reported once and otherwise ignored.
    pub fn best() -> Tier {
        static CHOSEN: OnceLock<Tier> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let forced = std::env::var(FORCED).ok().filter(|name| !name.is_empty());
            let forced = forced.and_then(|name| {
                Tier::named(&name)
                    .inspect_err(|e| warn!("{e}; the fastest of them is used"))
                    .ok()
            });
            forced.unwrap_or_else(|| Tier::available().last().unwrap_or(Tier::Portable))
        })
    }

    #[cfg(target_arch = "x86_64")]
    fn all() -> &'static [Tier] {
        &[Tier::Portable, Tier::Avx2, Tier::AvxVnni, Tier::Avx512Vnni]
    }

    #[cfg(target_arch = "aarch64")]
    fn all() -> &'static [Tier] {
        &[Tier::Portable, Tier::NeonDot]
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn all() -> &'static [Tier] {
        &[Tier::Portable]
    }

    fn supported(self) -> bool {
        match self {
            Tier::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Tier::AvxVnni => is_x86_feature_detected!("avxvnni") && Tier::Avx2.supported(),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Vnni => {
                is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && Tier::Avx2.supported()
            }
            #[cfg(target_arch = "aarch64")]
            Tier::NeonDot => std::arch::is_aarch64_feature_detected!("dotprod"),
        }
    }

    /// How activations are written for the kernel.
    pub(super) fn format(self) -> Format {
        match self {
            Tier::Portable => Format::Signed,
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => Format::Wide,
            #[cfg(target_arch = "x86_64")]
            Tier::AvxVnni | Tier::Avx512Vnni => Format::Offset,
            #[cfg(target_arch = "aarch64")]
            Tier::NeonDot => Format::Signed,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tier::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Tier::AvxVnni => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Tier::NeonDot => "neon-dot",
        })
    }
}

/// How a quantised activation q, -127 to 127, is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "for kernels of x86-64")
)]
pub(super) enum Format {
    /// One byte, q.
    Signed,
    /// One byte, q + 128: the unsigned operand of VNNI.
    Offset,
    /// Two bytes, q.
    Wide,
    /// One byte, q, filled up to whole groups of int4 weights.
    Grouped,
}

impl Format {
    /// Bytes of one value.
    pub fn width(self) -> usize {
        match self {
            Format::Signed | Format::Offset | Format::Grouped => 1,
            Format::Wide => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_found_by_the_name_it_prints() {
        for tier in Tier::available() {
            assert_eq!(Tier::named(&tier.to_string()), Ok(tier));
        }
        let refused = Tier::named("mmx").unwrap_err().to_string();
        assert!(
            refused.contains("VOCAR_KERNELS=mmx") && refused.contains("portable"),
            "{refused}"
        );
    }
}
