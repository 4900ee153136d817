//! Rows in strips, as many as a kernel takes at once.

use super::{Rows, part};

/// The rows of one call of a kernel: their bytes and where their sums go.
pub(super) struct Strip<'a, T> {
    pub rows: &'a [u8],
    /// Bytes of a row.
    pub stride: usize,
    pub sums: &'a mut [T],
    /// Channels of a row of sums.
    pub width: usize,
    /// For int4 weights, from the first of these rows on: see [`Rows::corrections`].
    corrections: &'a [i32],
    /// From the corrections of a group to those of the next.
    all_rows: usize,
}

impl<T> Strip<'_, T> {
    /// What to add to the sums of R rows with a group of int4 weights, as [`Rows::corrections`] has it.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        allow(dead_code, reason = "weights that are multiplied as signed need none")
    )]
    #[inline(always)]
    pub fn corrections<const R: usize>(&self, group: usize) -> &[i32; R] {
        part(self.corrections, group * self.all_rows)
    }
}

/// Cuts the rows into strips of at most `most` and calls `kernel` with the number of rows in each.
pub(super) fn strips<T>(
    rows: &Rows,
    width: usize,
    sums: &mut [T],
    most: usize,
    mut kernel: impl FnMut(usize, Strip<T>),
) {
    let stride = rows.stride();
    let strips = rows
        .bytes()
        .chunks(most * stride)
        .zip(sums.chunks_mut(most * width));
    for (number, (bytes, sums)) in strips.enumerate() {
        let count = bytes.len() / stride;
        let strip = Strip {
            rows: bytes,
            stride,
            sums,
            width,
            corrections: rows.corrections().get(number * most..).unwrap_or_default(),
            all_rows: rows.count(),
        };
        kernel(count, strip);
    }
}

/// Calls a kernel with as many rows as a strip has, up to the most it takes.
macro_rules! with_rows {
    ($count:expr, $kernel:ident $arguments:tt, $($rows:literal),*; $most:literal) => {
        match $count {
            $($rows => $kernel::<$rows> $arguments,)*
            _ => $kernel::<$most> $arguments,
        }
    };
}
pub(super) use with_rows;
