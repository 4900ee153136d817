//! Rows that become columns.

use crate::gemm::part;

/// Side of the squares that are turned at once.
const SIDE: usize = 4;

/// A matrix inside an array: rows of so many columns, `stride` from the start of one to that of the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    /// From the first value of the first row on.
    pub values: &'a [f32],
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Matrix<'_> {
    /// Writes its columns as rows of `out`, `stride` from the start of one to that of the next.
    ///
    /// # Panics
    /// When an array is too short.
    pub fn turn(&self, out: &mut [f32], stride: usize) {
        let square = |size: usize| size / SIDE * SIDE;
        let (rows, columns) = (square(self.rows), square(self.columns));
        for row in (0..rows).step_by(SIDE) {
            for column in (0..columns).step_by(SIDE) {
                self.turn_square(row, column, out, stride);
            }
        }
        for column in columns..self.columns {
            self.turn_column(column, 0..rows, out, stride);
        }
        for column in 0..self.columns {
            self.turn_column(column, rows..self.rows, out, stride);
        }
    }

    #[inline(always)]
    fn turn_square(&self, row: usize, column: usize, out: &mut [f32], stride: usize) {
        let square: [&[f32; SIDE]; SIDE] =
            std::array::from_fn(|n| part(self.values, (row + n) * self.stride + column));
        for n in 0..SIDE {
            let target = &mut out[(column + n) * stride + row..][..SIDE];
            target.copy_from_slice(&square.map(|values| values[n]));
        }
    }

    #[inline(always)]
    fn turn_column(
        &self,
        column: usize,
        rows: std::ops::Range<usize>,
        out: &mut [f32],
        stride: usize,
    ) {
        for row in rows {
            out[column * stride + row] = self.values[row * self.stride + column];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_becomes_a_row_and_nothing_else_is_written(
            rows in 0usize..20,
            columns in 1usize..20,
            gap in 0usize..4,
            more in 0usize..4,
        ) {
            let (stride, out_stride) = (columns + gap, rows + more);
            let values: Vec<f32> = (0..rows * stride).map(|n| n as f32).collect();
            let mut found = vec![-1.0; columns * out_stride];
            Matrix { values: &values, stride, rows, columns }.turn(&mut found, out_stride);
            for (column, found) in found.chunks(out_stride.max(1)).enumerate() {
                let wanted = (0..rows).map(|row| (row * stride + column) as f32);
                let wanted: Vec<f32> = wanted.chain(std::iter::repeat_n(-1.0, more)).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
