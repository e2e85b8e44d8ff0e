import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { aws_lambda as lambda } from 'aws-cdk-lib';
import { shippedZip } from '../lib/zip';
import { stackWith, ofType } from './stack';

const here = join(__dirname, '..');
const json = (name: string) => JSON.parse(readFileSync(join(here, name), 'utf8'));

test('the package contains the files that users need, and no others', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: here, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  const names: string[] = files.map((file: { path: string }) => file.path);
  const modules = /^lib\/[a-z]+\.(js|d\.ts)$/;
  assert.deepEqual(
    names.filter((name) => !modules.test(name)).sort(),
    ['.jsii', 'API.md', 'LICENSE', 'README.md', 'THIRD-PARTY-NOTICES', 'lambda/extension-arm64.zip', 'lambda/extension-x86_64.zip', 'lambda/ingest-arm64.zip', 'lambda/ingest-x86_64.zip', 'package.json'],
  );
  for (const needed of ['lib/index.js', 'lib/index.d.ts', 'lib/gateway.js', 'lib/props.d.ts']) {
    assert.ok(names.includes(needed), needed);
  }
});

test('the package has the metadata that Construct Hub looks for', () => {
  const { license, keywords, peerDependencies, jsii } = json('package.json');
  assert.equal(license, 'Apache-2.0');
  assert.ok(keywords.includes('cdk') && keywords.includes('awscdk'));
  assert.deepEqual(Object.keys(peerDependencies), ['aws-cdk-lib', 'constructs']);
  assert.deepEqual(Object.keys(jsii.targets), ['python', 'java', 'dotnet', 'go']);
});

test('the lock file names no registry, and has a checksum for each package', () => {
  const packages = Object.entries<any>(json('package-lock.json').packages);
  assert.deepEqual(packages.filter(([, one]) => one.resolved).map(([name]) => name), []);
  assert.ok(packages.every(([name, one]) => name === '' || one.inBundle || one.integrity));
});

test('the package has the version of the program', () => {
  const [, version] = /^version = "(.*)"$/m.exec(readFileSync(join(here, '..', '..', 'Cargo.toml'), 'utf8')) ?? [];
  assert.equal(json('package.json').version, version);
});

test('a missing zip is an error that names the command to make it', () => {
  const empty = mkdtempSync(join(tmpdir(), 'lambda-'));
  try {
    for (const [architecture, zip] of [
      [lambda.Architecture.ARM_64, 'ingest-arm64.zip'],
      [lambda.Architecture.X86_64, 'ingest-x86_64.zip'],
    ] as const) {
      assert.throws(() => shippedZip(architecture, empty), {
        message: `${join(empty, zip)} is missing: in a clone of the repository run "infra/package", then "npm run lambda" in infra/cdk; or set the prop code`,
      });
      assert.ok(existsSync(join(here, 'lambda', zip)));
    }
  } finally {
    rmSync(empty, { recursive: true });
  }
});

test('the prop code replaces the shipped zip', () => {
  const [shipped] = ofType(stackWith().resources, 'AWS::Lambda::Function');
  const code = lambda.Code.fromAsset(join(here, 'lambda', 'ingest-x86_64.zip'));
  const [replaced] = ofType(stackWith({ code }).resources, 'AWS::Lambda::Function');
  assert.notEqual(replaced.Properties.Code.S3Key, shipped.Properties.Code.S3Key);
});
