import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const here = join(__dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'wheel-'));
after(() => rmSync(folder, { recursive: true }));

test('the wheel works in an environment that knows nothing of this repository', () => {
  const packed = join(here, 'dist', 'python');
  const wheel = readdirSync(packed).find((name) => name.endsWith('.whl'));
  assert.ok(wheel, 'there is no wheel: npm run package');
  const python = join(folder, 'venv', 'bin', 'python');
  execFileSync('python3', ['-m', 'venv', join(folder, 'venv')]);
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--no-compile', '--disable-pip-version-check', join(packed, wheel)], { stdio: 'inherit' });

  const out = join(folder, 'cdk.out');
  const app = join(here, 'example', 'python', 'app.py');
  execFileSync(python, [app], { cwd: folder, env: { PATH: process.env.PATH, HOME: folder, CDK_OUTDIR: out } });
  const template = JSON.parse(readFileSync(join(out, 'AmpPushGateway.template.json'), 'utf8'));
  const properties = (type: string) => Object.values<any>(template.Resources).find((one) => one.Type === type).Properties;

  const made = properties('AWS::Lambda::Function');
  assert.equal(made.Environment.Variables.EXTERNAL_LABELS, 'env=prod');
  assert.equal(properties('AWS::Lambda::EventSourceMapping').MaximumBatchingWindowInSeconds, 10);
  assert.equal(properties('AWS::IoT::TopicRule').TopicRulePayload.Sql, "SELECT * FROM 'events/+'");
  const shipped = readFileSync(join(out, `asset.${made.Code.S3Key}`));
  assert.ok(shipped.equals(readFileSync(join(here, 'lambda', 'ingest-arm64.zip'))), 'the zip is the one that was packed');
});
