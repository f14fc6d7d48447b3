//! Where a key belongs: murmur2 as Java's clients compute it, which most estates partition by.

/// The partition of `key` among `partitions`, as Java's default partitioner and librdkafka's `murmur2_random` say.
///
/// # Panics
/// If there are no partitions.
#[must_use]
pub fn partition_of(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    // Java masks the sign bit instead of taking the absolute value.
    i32::try_from(murmur2(key) & 0x7fff_ffff).unwrap_or(0) % partitions
}

fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (n, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * n);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::{murmur2, partition_of};

    /// Values that Kafka's own tests expect of its Java implementation.
    #[test]
    fn the_hash_is_javas() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
        assert_eq!(partition_of(b"21", 4), (-973_932_308_i32 & 0x7fff_ffff) % 4);
    }
}
