//! Sends any bytes to the gateway as a request of remote write 1.0.

#![no_main]

use amp_push_gateway::wire::incoming::read_v1;
use amp_push_gateway::wire::messages::WriteRequest;
use amp_push_gateway_fuzz::remote_write::{check_error, of_message, protobuf, shown};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|input: &[u8]| {
    let Some(protobuf) = protobuf(input) else { return };
    let mut read = Vec::new();
    let result = read_v1(&protobuf, &mut |part| read.extend(shown(&part)));
    let by_prost = WriteRequest::decode(protobuf.as_slice());
    if let Err(error) = result {
        check_error(&error, &protobuf, by_prost.is_ok());
        return;
    }
    // `prost` reads exemplars, too, and may find an error in one.
    let Ok(request) = by_prost else { return };
    let series = request.timeseries.iter().map(|series| {
        let labels = series.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
        let samples = series.samples.iter().map(|sample| (sample.timestamp, sample.value.to_bits())).collect();
        let histograms = series.histograms.iter().map(of_message).collect();
        (labels, samples, histograms, series.exemplars.len())
    });
    assert_eq!(read, series.collect::<Vec<_>>());
});
