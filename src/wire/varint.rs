//! Lengths and varints of protobuf.

use prost::encoding::encoded_len_varint;

pub(super) use prost::encoding::encode_varint as write_varint;

/// Writes a length. Nearly all take one byte.
pub(super) fn varint(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(short @ ..0x80) => out.push(short),
        _ => write_varint(len as u64, out),
    }
}

/// Returns the length of a length-delimited field: key of one byte, length, contents.
pub(super) fn framed(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}
