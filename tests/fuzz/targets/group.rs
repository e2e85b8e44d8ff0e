//! Reads any bytes as the item of a pushed group, with and without its checksum: what is read is written again as it was.

#![no_main]

use amp_push_gateway::blob::BlobError;
use amp_push_gateway::model::Timestamp;
use amp_push_gateway::push_group::{Group, PushMode, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(body) = unpack(input) {
        let _any = Group::decode(&body);
    }
    let mut group = match Group::decode(input) {
        Ok(group) => group,
        Err(error) => return assert!(matches!(error, BlobError::Damaged(_))),
    };
    let Ok(item) = group.encode() else { return };
    let body = unpack(&item).expect("own bytes");
    let mut read = Group::decode(&body).expect("own bytes");
    // Texts of NaN are the same, and NaN itself is not.
    assert_eq!(format!("{group:?}"), format!("{read:?}"));
    let now = Timestamp(1_800_000_000_000);
    let before = read.ended(None, now).len();
    read.push(PushMode::Replace, Vec::new(), now, None);
    assert!(read.families().is_empty() && read.is_exposed(now));
    assert!(read.delete(now) && !read.is_exposed(now));
    assert!(before == 0 || !read.is_empty());
});
