import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const here = join(__dirname, '..');
const text = (...path: string[]) => readFileSync(join(here, ...path), 'utf8');

test('API.md is generated from the sources', () => {
  const folder = mkdtempSync(join(tmpdir(), 'docgen-'));
  try {
    execFileSync(join(here, 'node_modules', '.bin', 'jsii-docgen'), ['--output', join(folder, 'API.md')], { cwd: here, stdio: 'pipe' });
    assert.ok(readFileSync(join(folder, 'API.md'), 'utf8') === text('API.md'), 'run: npm run docgen');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every prop is optional, and documents its meaning and its default', () => {
  const { types } = JSON.parse(text('.jsii'));
  for (const name of ['PrometheusPushGatewayProps', 'IotRuleProps', 'HttpDoorProps', 'StateProps', 'TelemetryProps']) {
    const { properties } = types[`cdk-amp-push-gateway.${name}`];
    assert.ok(properties.length > 2);
    for (const { name: prop, optional, docs } of properties) {
      assert.ok(optional && docs?.summary && docs?.default, `${name}.${prop}`);
    }
  }
});

test('the examples in README.md are the files in example/, and run', () => {
  const blocks = [...text('README.md').matchAll(/^```(ts|python)\n([^]*?)^```$/gm)].map(([, language, code]) => [language, code]);
  assert.deepEqual(blocks, [
    ['ts', text('example', 'minimal.ts')],
    ['python', text('example', 'python', 'app.py')],
  ]);
  execFileSync(process.execPath, ['--import', 'tsx', join('example', 'minimal.ts')], { cwd: here, stdio: 'pipe' });
});

test('README.md names only members and scripts that exist', () => {
  const { types } = JSON.parse(text('.jsii'));
  const of = (name: string): any => types[`cdk-amp-push-gateway.${name}`];
  const gateway = of('PrometheusPushGateway');
  const members = [...gateway.methods, ...gateway.properties].map((member: { name: string }) => member.name);
  for (const [, member] of text('README.md').matchAll(/gateway\.(\w+)/g)) {
    assert.ok(members.includes(member) || member === 'queue', member);
  }
  const { scripts } = JSON.parse(text('package.json'));
  for (const [, script] of text('README.md').matchAll(/npm (?:run )?([\w:]+)(?= |$)/gm)) {
    assert.ok(script === 'ci' || script in scripts, script);
  }
});
