//! The client's mask: four bytes that each payload byte is combined with, in turn (RFC 6455, 5.3).

/// Removes `mask` from `payload`, whose first byte meets the mask's first.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::unmask;

    #[test]
    fn every_length_is_unmasked_byte_by_byte() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..70_u8 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked: Vec<u8> = plain.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            unmask(&mut masked, mask);
            assert_eq!(masked, plain);
        }
    }
}
