//! Products of floats for x86-64 with AVX-512.

use std::arch::x86_64::*;

use super::float::{LANES, Left, Panels, strips};
use super::strips::with_rows;

/// Rows whose sums with two panels fit into the registers.
const MOST_ROWS: usize = 12;
/// Rows whose sums with four panels do.
const FEW_ROWS: usize = 4;

/// All rows of the output: four panels at a time where the rows are few, otherwise two.
#[target_feature(enable = "avx512f")]
pub(super) fn multiply(left: Left, right: Panels, out: &mut [f32], width: usize) {
    let mut panel = 0;
    while panel < right.count {
        let rows = out.len() / width;
        let at_once = match right.count - panel {
            4.. if rows <= FEW_ROWS => 4,
            2.. => 2,
            _ => 1,
        };
        strips(rows, MOST_ROWS, |count, row| {
            let at = [row, panel];
            match at_once {
                4 => with_rows!(count, tile_of_four(left, right, at, out, width), 1, 2, 3; 4),
                2 => {
                    with_rows!(count, tile_of_two(left, right, at, out, width), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; 12);
                }
                _ => {
                    with_rows!(count, tile_of_one(left, right, at, out, width), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; 12);
                }
            }
        });
        panel += at_once;
    }
}

macro_rules! tiles {
    ($($name:ident, $panels:literal;)*) => {$(
        /// R rows, in a function of its own so that their sums stay in registers.
        #[inline(never)]
        #[target_feature(enable = "avx512f")]
        fn $name<const R: usize>(
            left: Left,
            right: Panels,
            at: [usize; 2],
            out: &mut [f32],
            width: usize,
        ) {
            tile::<R, $panels>(left, right, at, out, width);
        }
    )*};
}

tiles! { tile_of_one, 1; tile_of_two, 2; tile_of_four, 4; }

/// R rows and P panels; `at` says the first of each.
#[inline]
#[target_feature(enable = "avx512f")]
fn tile<const R: usize, const P: usize>(
    left: Left,
    right: Panels,
    [row, panel]: [usize; 2],
    out: &mut [f32],
    width: usize,
) {
    let (rows, panels) = (
        &left.values[row * left.stride..],
        &right.values[panel * right.across..],
    );
    let terms = left.segments * left.inner;
    assert!(
        terms == 0
            || rows.len() >= (R - 1) * left.stride + (left.segments - 1) * left.apart + left.inner
                && panels.len() > (P - 1) * right.across + (terms - 1) * right.apart
    );
    let mut totals = [[_mm512_setzero_ps(); P]; R];
    let mut term = 0;
    for segment in 0..left.segments {
        for value in segment * left.apart..segment * left.apart + left.inner {
            let mut factors = [_mm512_setzero_ps(); P];
            for (panel, factor) in factors.iter_mut().enumerate() {
                // SAFETY: the assertion above: there is a chunk of this term in each of P panels.
                *factor = unsafe {
                    _mm512_loadu_ps(panels.as_ptr().add(panel * right.across + term).cast())
                };
            }
            for (row, totals) in totals.iter_mut().enumerate() {
                // SAFETY: the assertion above: each of R rows has all values of all segments.
                let value =
                    unsafe { _mm512_set1_ps(*rows.as_ptr().add(row * left.stride + value)) };
                for (total, factor) in totals.iter_mut().zip(factors) {
                    *total = _mm512_fmadd_ps(value, factor, *total);
                }
            }
            term += right.apart;
        }
    }
    for (number, totals) in totals.into_iter().enumerate() {
        let start = (row + number) * width + right.first + panel * LANES;
        let target = &mut out[start..start + P * LANES];
        for (panel, total) in totals.into_iter().enumerate() {
            // SAFETY: the target holds sixteen floats for each panel.
            unsafe { _mm512_storeu_ps(target.as_mut_ptr().add(panel * LANES), total) };
        }
    }
}
