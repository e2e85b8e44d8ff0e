import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const here = join(__dirname, '..');
const snapshot = join(__dirname, 'snapshot', 'example.json');
const home = mkdtempSync(join(tmpdir(), 'example-'));
after(() => rmSync(home, { recursive: true }));

test('cdk synth of the example needs no network and no credentials, and returns the snapshot', () => {
  const nowhere = 'http://127.0.0.1:9';
  const output = join(home, 'cdk.out');
  execFileSync(join(here, 'node_modules', '.bin', 'cdk'), ['synth', '--quiet', '--no-notices', '--output', output], {
    cwd: join(here, 'example'),
    env: { PATH: process.env.PATH, HOME: home, HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, AWS_EC2_METADATA_DISABLED: 'true', CDK_DISABLE_CLI_TELEMETRY: 'true' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const template = JSON.parse(readFileSync(join(output, 'AmpPushGatewayExample.template.json'), 'utf8'));
  // These change with every build and with every release of CDK.
  delete template.Resources.CDKMetadata;
  delete template.Conditions;
  for (const resource of Object.values<any>(template.Resources)) {
    delete resource.Metadata;
    if (resource.Type === 'AWS::Lambda::Function') {
      assert.match(resource.Properties.Code.S3Key, /^[0-9a-f]{64}\.zip$/);
      resource.Properties.Code.S3Key = '<hash>.zip';
    }
  }
  if (process.env.UPDATE_SNAPSHOT) {
    writeFileSync(snapshot, `${JSON.stringify(template, null, 2)}\n`);
  }
  assert.deepEqual(template, JSON.parse(readFileSync(snapshot, 'utf8')), 'if you meant to change it: UPDATE_SNAPSHOT=1 npm test');
});
