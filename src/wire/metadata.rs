//! Encodes metadata of metric families as a separate `WriteRequest`.

use super::varint::{framed, varint};
use crate::model::MetricType;
use bytes::Bytes;

// Keys of the fields: (number << 3) | wire type.
const METADATA: u8 = 0x1A; // WriteRequest.metadata = 3
const TYPE: u8 = 0x08; // MetricMetadata.type = 1, an enum
const FAMILY: u8 = 0x12; // MetricMetadata.metric_family_name = 2
const HELP: u8 = 0x22; // MetricMetadata.help = 4
const UNIT: u8 = 0x2A; // MetricMetadata.unit = 5

/// The metadata of one metric family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Metadata<'a> {
    /// Its name.
    pub family: &'a str,
    pub metric_type: MetricType,
    pub help: &'a str,
    pub unit: &'a str,
}

/// Returns the snappy block of a request that holds metadata and no samples. Returns `None` only if snappy refuses the input, which it
/// does above 4 GiB.
pub fn metadata(families: &[Metadata<'_>]) -> Option<Bytes> {
    let mut protobuf = Vec::new();
    for family in families {
        protobuf.push(METADATA);
        varint(len(family), &mut protobuf);
        write(family, &mut protobuf);
    }
    snap::raw::Encoder::new().compress_vec(&protobuf).ok().map(Bytes::from)
}

fn len(Metadata { family, metric_type, help, unit }: &Metadata<'_>) -> usize {
    let text = |text: &str| if text.is_empty() { 0 } else { framed(text.len()) };
    let of_type = if *metric_type as u8 == 0 { 0 } else { 2 };
    of_type + text(family) + text(help) + text(unit)
}

fn write(Metadata { family, metric_type, help, unit }: &Metadata<'_>, out: &mut Vec<u8>) {
    if *metric_type as u8 != 0 {
        out.extend_from_slice(&[TYPE, *metric_type as u8]);
    }
    for (key, text) in [(FAMILY, family), (HELP, help), (UNIT, unit)] {
        if !text.is_empty() {
            out.push(key);
            varint(text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
    }
}
