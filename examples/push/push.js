#!/usr/bin/env node
// Pushes what a job did, with prom-client: GATEWAY_URL=https://... [GATEWAY_USER=... GATEWAY_PASSWORD=...] node push.js
const { Gauge, Pushgateway, Registry } = require('prom-client');

const { GATEWAY_URL, GATEWAY_USER, GATEWAY_PASSWORD } = process.env;
const registry = new Registry();
const registers = [registry];
const started = performance.now();
// The job does its work here.
new Gauge({ name: 'backup_size_bytes', help: 'Size of the backup.', registers }).set(4096);
new Gauge({ name: 'backup_duration_seconds', help: 'Duration of the backup.', registers }).set((performance.now() - started) / 1000);
new Gauge({ name: 'backup_last_success_timestamp_seconds', help: 'When the backup succeeded.', registers }).setToCurrentTime();

const options = GATEWAY_USER ? { auth: `${GATEWAY_USER}:${GATEWAY_PASSWORD}` } : {};
new Pushgateway(GATEWAY_URL, options, registry).push({ jobName: 'backup', groupings: { instance: 'db-1' } });
