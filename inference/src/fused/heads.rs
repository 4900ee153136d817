//! Attention as a file spells it, whatever is attended to: the nodes that cached and plain attention have in common.

use super::graph::{Net, attribute};

/// The chain from queries, keys and values in one tensor to the mixed values: Reshape to heads, Transpose, Split, scaling,
/// product with the turned keys, Add of a bias, Softmax, product with the values, Transpose, Reshape.
pub(super) struct Heads<'a> {
    pub nodes: Vec<usize>,
    /// Queries, keys and values.
    pub input: &'a String,
    pub output: &'a String,
    /// What is added before the softmax.
    pub bias: &'a String,
    /// The newest keys and values.
    pub newest: [&'a String; 2],
    /// The keys and values that are attended to.
    pub attended: [&'a String; 2],
    /// Rows as the file has them, -1 for any.
    pub rows: i64,
    pub heads: i64,
    /// Columns of a head.
    pub size: i64,
    pub scale: f32,
}

impl<'a> Heads<'a> {
    /// The chain around a softmax, if it is one.
    pub fn around(net: &'a Net, softmax: usize) -> Option<Heads<'a>> {
        let input = |number: usize, which: usize| net.node(number)?.input.get(which);
        let output = |number: usize| net.node(number)?.output.first();

        let biased = net.maker(input(softmax, 0)?, "Add")?;
        let (product, bias) = (net.maker(input(biased, 0)?, "MatMul")?, input(biased, 1)?);
        let scaled = net.maker(input(product, 0)?, "Mul")?;
        let turned_keys = net.maker(input(product, 1)?, "Transpose")?;
        let mixed = net.only_user(output(softmax)?, "MatMul")?;
        let back = net.only_user(output(mixed)?, "Transpose")?;
        let flat = net.only_user(output(back)?, "Reshape")?;
        let split = net.maker(input(scaled, 0)?, "Split")?;
        let [q, k, v] = &net.node(split)?.output[..] else {
            return None;
        };
        let turned = net.maker(input(split, 0)?, "Transpose")?;
        let reshaped = net.maker(input(turned, 0)?, "Reshape")?;
        let &[1, rows, all_heads, size] = &net.integers(input(reshaped, 1)?)?[..] else {
            return None;
        };
        let heads = all_heads / 3;
        let permutation = |number: usize| attribute(net.node(number)?, "perm");
        let axis = attribute(net.node(softmax)?, "axis")?;
        let as_wanted = [
            input(scaled, 0)? == q,
            all_heads == 3 * heads,
            net.integers(input(split, 1)?)? == [heads; 3],
            attribute(net.node(split)?, "axis")? == [1],
            permutation(turned)? == [0, 2, 1, 3] && permutation(back)? == [0, 2, 1, 3],
            permutation(turned_keys)? == [0, 1, 3, 2],
            axis == [-1] || axis == [3],
            net.integers(input(flat, 1)?)? == [1, rows, heads * size],
            // What the kernels take.
            size % 16 == 0,
        ];
        // Nothing in the chain may be needed elsewhere.
        let inner = [reshaped, scaled, turned_keys, product, biased, turned];
        let mut made = vec![q, k, v];
        for node in inner {
            made.push(output(node)?);
        }
        let once = |tensor: &&String| net.users(tensor).is_some_and(|users| users.len() == 1);
        if as_wanted.contains(&false) || !made.iter().all(once) {
            return None;
        }
        Some(Heads {
            nodes: [&inner[..], &[split, softmax, mixed, back, flat]].concat(),
            input: input(reshaped, 0)?,
            output: output(flat)?,
            bias,
            newest: [k, v],
            attended: [input(turned_keys, 0)?, input(mixed, 1)?],
            rows,
            heads,
            size,
            scale: net.float(input(scaled, 1)?)?,
        })
    }
}
