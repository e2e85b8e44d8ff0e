//! Numbers and texts in the body of a blob. Integers are varints of 7 bits a byte, signed ones in zigzag. Doubles are their
//! 8 bytes.
//!
//! A function that begins with `take` reads from the front of its input. It returns an error if the input is too short.

use super::BlobError;

type Read<T> = Result<T, BlobError>;

const ENDS: BlobError = BlobError::Damaged("the body ends inside of a value");

pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
    out.push(value as u8);
}

pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Writes a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub fn take_u8(input: &mut &[u8]) -> Read<u8> {
    let (first, rest) = input.split_first().ok_or(ENDS)?;
    *input = rest;
    Ok(*first)
}

#[inline]
pub fn take_u64(input: &mut &[u8]) -> Read<u64> {
    match input {
        [byte @ ..0x80, rest @ ..] => {
            let value = u64::from(*byte);
            *input = rest;
            Ok(value)
        }
        _ => take_long_u64(input),
    }
}

fn take_long_u64(input: &mut &[u8]) -> Read<u64> {
    let mut value = 0;
    for (i, &byte) in input.iter().enumerate().take(10) {
        // The tenth byte has room for one bit.
        if i == 9 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *input = &input[i + 1..];
            return Ok(value);
        }
    }
    Err(if input.len() < 10 { ENDS } else { BlobError::Damaged("a number has more than 64 bits") })
}

pub fn take_i64(input: &mut &[u8]) -> Read<i64> {
    let zigzag = take_u64(input)?;
    Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

pub fn take_u32(input: &mut &[u8]) -> Read<u32> {
    u32::try_from(take_u64(input)?).map_err(|_| BlobError::Damaged("a number has more than 32 bits"))
}

pub fn take_f64(input: &mut &[u8]) -> Read<f64> {
    take_array(input).map(|bytes| f64::from_bits(u64::from_le_bytes(bytes)))
}

pub fn take_array<const N: usize>(input: &mut &[u8]) -> Read<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk::<N>().ok_or(ENDS)?;
    *input = rest;
    Ok(*bytes)
}

/// Reads a number of elements that take at least `each` bytes in the rest of the input: memory for so many may be reserved.
pub fn take_count(input: &mut &[u8], each: usize) -> Read<usize> {
    let count = usize::try_from(take_u64(input)?).map_err(|_| ENDS)?;
    if count.checked_mul(each).is_none_or(|bytes| bytes > input.len()) {
        return Err(BlobError::Damaged("a count is larger than the rest of the body"));
    }
    Ok(count)
}

/// Reads a length and so many bytes.
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Read<&'a [u8]> {
    let len = take_count(input, 1)?;
    let (bytes, rest) = input.split_at_checked(len).ok_or(ENDS)?;
    *input = rest;
    Ok(bytes)
}

pub fn take_text<'a>(input: &mut &'a [u8]) -> Read<&'a str> {
    std::str::from_utf8(take_bytes(input)?).map_err(|_| BlobError::Damaged("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn says_what_is_wrong_with_a_number() {
        let mut long: &[u8] = &[0xff; 10];
        assert_eq!(take_u64(&mut long), Err(BlobError::Damaged("a number has more than 64 bits")));
        let mut short: &[u8] = &[0xff];
        assert_eq!(take_u64(&mut short), Err(ENDS));
        let mut count: &[u8] = &[3, 1, 2];
        assert_eq!(take_count(&mut count, 1), Err(BlobError::Damaged("a count is larger than the rest of the body")));
        let mut wide: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x10];
        assert!(take_u32(&mut wide).is_err());
        let mut text: &[u8] = &[1, 0xff];
        assert!(take_text(&mut text).is_err());
    }

    proptest! {
        #[test]
        fn property_test_values_are_read_as_they_were_written(a in any::<u64>(), b in any::<i64>(), c in any::<f64>(), d in ".{0,20}") {
            let mut out = Vec::new();
            put_u64(&mut out, a);
            put_i64(&mut out, b);
            put_f64(&mut out, c);
            put_bytes(&mut out, d.as_bytes());
            let mut input = out.as_slice();
            prop_assert_eq!(take_u64(&mut input), Ok(a));
            prop_assert_eq!(take_i64(&mut input), Ok(b));
            prop_assert_eq!(take_f64(&mut input).map(f64::to_bits), Ok(c.to_bits()));
            prop_assert_eq!(take_text(&mut input), Ok(d.as_str()));
            prop_assert!(input.is_empty());
        }
    }
}
