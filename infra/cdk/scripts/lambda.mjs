// Puts the builds of `ingest` into lambda/, from where the package ships them, and the project's licence beside package.json.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const root = join(here, '..', '..');
const built = join(root, 'target', 'lambda');

/** Ends with the command that mends it. */
function stop(what) {
  console.error(`npm run lambda: ${what}\n  mend it with: infra/package`);
  process.exit(1);
}

/** Whole or not at all: somebody else may be reading the old one. */
function replace(from, to) {
  const next = `${to}.${process.pid}`;
  copyFileSync(from, next);
  renameSync(next, to);
}

mkdirSync(join(here, 'lambda'), { recursive: true });
const sums = join(built, 'SHA256SUMS');
if (!existsSync(sums)) {
  stop(`${sums} is not there`);
}
for (const arch of ['arm64', 'x86_64']) {
  const name = `ingest-${arch}.zip`;
  const [, wanted] = readFileSync(sums, 'utf8').match(new RegExp(`^([0-9a-f]{64}) [ *]${name}$`, 'm')) ?? [];
  if (!wanted || !existsSync(join(built, name))) {
    stop(`${join(built, name)} is not there`);
  }
  // One that is being written, or is older than the sums, must not be shipped.
  const sum = createHash('sha256').update(readFileSync(join(built, name))).digest('hex');
  if (sum !== wanted) {
    stop(`${join(built, name)} is not the one of SHA256SUMS`);
  }
  replace(join(built, name), join(here, 'lambda', name));
}
replace(join(root, 'LICENSE'), join(here, 'LICENSE'));
