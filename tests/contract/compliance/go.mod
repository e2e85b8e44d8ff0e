// The official suite for receivers of remote write, pinned. tests/setup/compliance.sh builds it as the module has it.
module compliance

go 1.25.0

require github.com/prometheus/complicance/remotewrite2 v0.0.0-00010101000000-000000000000

// The name in the module's own go.mod is the one above.
replace github.com/prometheus/complicance/remotewrite2 => github.com/prometheus/compliance/remotewrite/receiver v0.0.0-20260806071727-67b8327a2e93
