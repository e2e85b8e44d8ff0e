//! Encodings of numbers that [`crate::blob::codec`] does not have: integers of 128 bits, doubles without their trailing
//! zero bytes, and counts.

pub(super) use crate::blob::codec::{put_i64, put_u64, take_i64, take_u8, take_u64};

use super::number::MAX_COUNT;
use crate::blob::BlobError;
use crate::blob::codec::take_count;

/// Reads a number of parts that follow: at most `most`, and no more than bytes are left.
pub(super) fn take_len(input: &mut &[u8], most: usize, rule: &'static str) -> Result<usize, BlobError> {
    match take_count(input, 1)? {
        len if len <= most => Ok(len),
        _ => Err(BlobError::Damaged(rule)),
    }
}

/// Returns the sum of the counts of a histogram.
pub(super) fn total<'c>(counts: impl IntoIterator<Item = &'c u64>) -> Result<u64, BlobError> {
    let total = counts.into_iter().try_fold(0_u64, |total, count| total.checked_add(*count));
    let total = total.filter(|total| *total <= MAX_COUNT);
    total.ok_or(BlobError::Damaged("the counts of a histogram are 2^63 or more"))
}

pub(super) fn put_i128(out: &mut Vec<u8>, number: i128) {
    let mut zigzag = ((number << 1) ^ (number >> 127)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag.to_le_bytes()[0] | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag.to_le_bytes()[0]);
}

pub(super) fn take_i128(input: &mut &[u8]) -> Result<i128, BlobError> {
    let mut zigzag = 0;
    for shift in (0..128).step_by(7) {
        let byte = take_u8(input)?;
        let bits = u128::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            break;
        }
        zigzag |= bits << shift;
        if byte < 0x80 {
            return Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
        }
    }
    Err(BlobError::Damaged("a number has more than 128 bits"))
}

/// Writes the number of bytes up to the last one that is not 0, and these bytes: 1 byte for 0, and 3 for 0.5.
pub(super) fn put_double(out: &mut Vec<u8>, number: f64) {
    let bytes = number.to_bits().to_be_bytes();
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    out.push(len.to_le_bytes()[0]);
    out.extend_from_slice(&bytes[..len]);
}

pub(super) fn take_double(input: &mut &[u8]) -> Result<f64, BlobError> {
    let len = usize::from(take_u8(input)?);
    let mut bytes = [0; 8];
    let kept = bytes.get_mut(..len).ok_or(BlobError::Damaged("a double has more than 8 bytes"))?;
    let (first, rest) = input.split_at_checked(len).ok_or(BlobError::Damaged("the body ends inside of a double"))?;
    kept.copy_from_slice(first);
    *input = rest;
    Ok(f64::from_bits(u64::from_be_bytes(bytes)))
}

pub(super) fn take_finite(input: &mut &[u8], rule: &'static str) -> Result<f64, BlobError> {
    let number = take_double(input)?;
    if number.is_finite() { Ok(number) } else { Err(BlobError::Damaged(rule)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_small_numbers_in_few_bytes() {
        for (number, expected) in [(-64, 1), (64, 2), (i128::MIN, 19)] {
            let mut out = Vec::new();
            put_i128(&mut out, number);
            assert_eq!(out.len(), expected, "{number}");
        }
        for (number, expected) in [(0.0, 1), (-0.0, 2), (0.5, 3), (0.1, 9)] {
            let mut out = Vec::new();
            put_double(&mut out, number);
            assert_eq!(out.len(), expected, "{number}");
        }
    }

    #[test]
    fn rejects_numbers_that_are_too_long() {
        assert!(take_i128(&mut [0xFF; 30].as_slice()).is_err());
        assert!(take_i128(&mut [0xFF; 3].as_slice()).is_err());
        assert!(take_double(&mut [9; 10].as_slice()).is_err());
        assert!(take_double(&mut [8; 8].as_slice()).is_err());
        assert!(take_len(&mut [3, 1, 1].as_slice(), 3, "").is_err());
        assert_eq!(take_len(&mut [3, 1, 1, 1].as_slice(), 2, "x"), Err(BlobError::Damaged("x")));
    }

    proptest! {
        #[test]
        fn property_test_every_number_is_read_as_it_was_written(wide: i128, bits: u64) {
            let mut out = Vec::new();
            put_i128(&mut out, wide);
            put_double(&mut out, f64::from_bits(bits));
            let input = &mut out.as_slice();
            prop_assert_eq!(take_i128(input), Ok(wide));
            prop_assert_eq!(take_double(input).map(f64::to_bits), Ok(bits));
            prop_assert!(input.is_empty());
        }
    }
}
