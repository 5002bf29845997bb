//! Bytes cut into pieces, as a network or a pipe would: at places that the bytes themselves decide,
//! so that a finding is one file and nothing else.

/// Everything at once.
pub(super) fn whole(bytes: &[u8]) -> Vec<&[u8]> {
    vec![bytes]
}

/// Byte by byte.
pub(super) fn single(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.chunks(1).collect()
}

/// A few pieces of any length, empty ones among them; another `turn` cuts elsewhere.
pub(super) fn some(bytes: &[u8], turn: u64) -> Vec<&[u8]> {
    let mut state = hash(bytes) ^ turn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut places: Vec<usize> = (0..4).map(|_| below(&mut state, bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut start = 0;
    let pieces = places.into_iter().map(|end| {
        let piece = &bytes[start..end];
        start = end;
        piece
    });
    pieces.collect()
}

/// FNV-1a: short, and the same everywhere.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The next number below a bound, by splitmix64.
fn below(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) % bound as u64) as usize
}
