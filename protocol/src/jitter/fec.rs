//! Does an Opus packet carry a copy of the frame before it?

/// Whether in-band error correction is present (RFC 6716, sections 3.1 and 4.2.3): the first SILK frame's
/// LBRR flag, which follows its one to three voice activity flags.
pub fn has_fec(payload: &[u8]) -> bool {
    let Some((&toc, rest)) = payload.split_first() else { return false };
    let config = toc >> 3;
    // 16 and above are CELT alone; stereo packets are never sent to us.
    if config >= 16 || toc & 0b100 != 0 {
        return false;
    }
    // Code 0 alone: one Opus frame a packet, which is all that the encoder makes up to 60 ms.
    if toc & 0b11 != 0 {
        return false;
    }
    let silk_frames = if config < 12 { [1, 1, 2, 3][usize::from(config & 3)] } else { 1 };
    rest.first().is_some_and(|first| first >> (7 - silk_frames) & 1 == 1)
}
