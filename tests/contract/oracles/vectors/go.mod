// The test vectors of OpenMetrics, as the module has them. tests/setup/oracles.sh copies them into tests/.env.
module vectors

go 1.25.0

require github.com/prometheus/OpenMetrics v1.0.1-0.20250131122238-3bb328ab04d2
