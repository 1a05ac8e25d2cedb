//! Any bytes, cut anywhere: no panic, no memory beyond the limit, and the cuts change nothing.
#![no_main]

use doorbell_gateway::ws::{ReadLimits, Reader};
use libfuzzer_sys::fuzz_target;

const LIMITS: ReadLimits = ReadLimits { message_bytes_max: 4096, fragments_max: 64 };

/// What came out, as text: events, then the violation if there was one.
fn read(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut reader = Reader::new(LIMITS);
    let mut seen = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        let mut chunk = chunk.to_vec();
        let mut input = chunk.as_mut_slice();
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => seen.push(format!("{event:?}")),
                Ok(None) => break,
                Err(violation) => seen.push(format!("{violation:?}")),
            }
        }
        assert!(input.is_empty());
    }
    seen
}

fuzz_target!(|data: (u8, &[u8])| {
    let (piece, bytes) = data;
    let whole = read(bytes, bytes.len());
    assert_eq!(whole, read(bytes, usize::from(piece)));
    assert!(whole.iter().all(|event| event.len() <= 8 * LIMITS.message_bytes_max));
});
