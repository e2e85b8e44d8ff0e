// Copies the zips of `ingest` and of the extension into lambda/, from where the npm package ships them. The project's licence and the notices of
// third parties come beside package.json.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = join(dirname(fileURLToPath(import.meta.url)), '..');
const root = join(here, '..', '..');
const built = join(root, 'target', 'lambda');

/** Ends with an error that names the command to run. */
function stop(error) {
  console.error(`npm run lambda: ${error}\n  mend it with: infra/package`);
  process.exit(1);
}

/** Replaces a file atomically: another process may be reading the old one. */
function replace(from, to) {
  const next = `${to}.${process.pid}`;
  copyFileSync(from, next);
  renameSync(next, to);
}

mkdirSync(join(here, 'lambda'), { recursive: true });
const sums = join(built, 'SHA256SUMS');
if (!existsSync(sums)) {
  stop(`${sums} is missing`);
}
for (const name of ['ingest', 'extension'].flatMap((one) => [`${one}-arm64.zip`, `${one}-x86_64.zip`])) {
  const [, wanted] = readFileSync(sums, 'utf8').match(new RegExp(`^([0-9a-f]{64}) [ *]${name}$`, 'm')) ?? [];
  if (!wanted || !existsSync(join(built, name))) {
    stop(`${join(built, name)} is missing`);
  }
  // The package must not ship a zip that is being written, or that is older than its checksum.
  const sum = createHash('sha256').update(readFileSync(join(built, name))).digest('hex');
  if (sum !== wanted) {
    stop(`${join(built, name)} does not have the checksum in SHA256SUMS`);
  }
  replace(join(built, name), join(here, 'lambda', name));
}
replace(join(root, 'LICENSE'), join(here, 'LICENSE'));
if (!existsSync(join(built, 'THIRD-PARTY-NOTICES'))) {
  stop(`${join(built, 'THIRD-PARTY-NOTICES')} is missing`);
}
replace(join(built, 'THIRD-PARTY-NOTICES'), join(here, 'THIRD-PARTY-NOTICES'));
