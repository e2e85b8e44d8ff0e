// Pushes with prom-client. ../README.md has the arguments.
'use strict';

const client = require('prom-client');

const [verb, url, job, orders, ...pairs] = process.argv.slice(2);
const { PUSH_COMPRESSION, PUSH_USER, PUSH_PASSWORD, PUSH_WITHOUT_JOB } = process.env;

const registry = new client.Registry();
const registers = [registry];
new client.Counter({ name: 'client_orders_total', help: 'Orders taken.', labelNames: ['kind'], registers }).inc(
    { kind: 'new' }, Number(orders));
new client.Gauge({ name: 'client_temperature_celsius', help: 'Where the clients are.', registers }).set(-12.5);
const latency = new client.Histogram({
    name: 'client_latency_seconds', help: 'Time to an answer.', buckets: [0.1, 1, 5], registers });
[0.0625, 0.5, 0.5, 7].forEach((seconds) => latency.observe(seconds));
const size = new client.Summary({ name: 'client_size_bytes', help: 'Size of an order.', percentiles: [0.5], registers });
[10, 20, 30].forEach((bytes) => size.observe(bytes));

const options = {};
if (PUSH_COMPRESSION) options.headers = { 'Content-Encoding': PUSH_COMPRESSION };
if (PUSH_USER) options.auth = `${PUSH_USER}:${PUSH_PASSWORD}`;
if (PUSH_WITHOUT_JOB) options.requireJobName = false;
const gateway = new client.Pushgateway(url, options, registry);
const send = { push: gateway.push, pushadd: gateway.pushAdd, delete: gateway.delete }[verb];
send.call(gateway, { jobName: PUSH_WITHOUT_JOB ? undefined : job, groupings: Object.fromEntries(pairs.map((pair) => {
    const at = pair.indexOf('=');
    return [pair.slice(0, at), pair.slice(at + 1)];
})) }).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
});
