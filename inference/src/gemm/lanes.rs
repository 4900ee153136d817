//! Loops over floats in arrays of a fixed length, which become whole vectors. A loop over a slice would be unrolled to several
//! vectors at a time, and rows as short as ours would then fall to its scalar rest; over sixteen of our arrays it would gather
//! and scatter value by value. [`opaque`] keeps the compiler from both.

/// Sixteen values: a vector of AVX-512, two of AVX2.
const WIDE: usize = 16;
/// Eight values, for what is left.
const NARROW: usize = 8;

/// Values that are computed a few at a time.
pub(crate) trait Source {
    /// N values from `at` on.
    fn values<const N: usize>(&self, at: usize) -> [f32; N];
}

/// The same number, which the compiler cannot know. It costs nothing, where `std::hint::black_box` would have all that is in
/// memory read again.
#[inline(always)]
#[allow(unused_mut, reason = "processors whose vectors are not known keep it")]
fn opaque(mut number: usize) -> usize {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: there is no instruction in it.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) number, options(nomem, nostack, preserves_flags));
    }
    number
}

/// Writes the values of a source, the first of which is number nought.
#[inline(always)]
pub(crate) fn fill(out: &mut [f32], source: &impl Source) {
    let (wide, rest) = out.as_chunks_mut::<WIDE>();
    let mut at = 0;
    for out in wide {
        *out = source.values(opaque(at));
        at += WIDE;
    }
    let (narrow, rest) = rest.as_chunks_mut::<NARROW>();
    for out in narrow {
        *out = source.values(at);
        at += NARROW;
    }
    for out in rest {
        [*out] = source.values(at);
        at += 1;
    }
}

/// Replaces each value.
#[inline(always)]
pub(crate) fn map(values: &mut [f32], of: impl Fn(f32) -> f32) {
    let (wide, rest) = values.as_chunks_mut::<WIDE>();
    for chunk in wide {
        *chunk = each(*chunk, &of);
    }
    let (narrow, rest) = rest.as_chunks_mut::<NARROW>();
    for chunk in narrow {
        *chunk = each(*chunk, &of);
    }
    for value in rest {
        *value = of(*value);
    }
}

/// The same for an array.
#[inline(always)]
pub(crate) fn each<const N: usize>(mut values: [f32; N], of: impl Fn(f32) -> f32) -> [f32; N] {
    for value in &mut values {
        *value = of(*value);
    }
    values
}

/// N elements from `at` on.
///
/// # Panics
/// When there are fewer.
#[inline(always)]
pub(crate) fn part<T, const N: usize>(values: &[T], at: usize) -> &[T; N] {
    values[at..].first_chunk().expect("elements for each lane")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Count;

    impl Source for Count {
        fn values<const N: usize>(&self, at: usize) -> [f32; N] {
            std::array::from_fn(|lane| (at + lane) as f32)
        }
    }

    #[test]
    fn every_value_is_written_once_at_any_length() {
        for length in 0..70 {
            let mut found = vec![-1.0; length];
            fill(&mut found, &Count);
            let wanted: Vec<f32> = (0..length).map(|n| n as f32).collect();
            assert_eq!(found, wanted);
            map(&mut found, |value| 2.0 * value);
            let wanted: Vec<f32> = (0..length).map(|n| 2.0 * n as f32).collect();
            assert_eq!(found, wanted);
        }
    }
}
