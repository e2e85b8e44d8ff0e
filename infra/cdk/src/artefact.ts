import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { aws_lambda as lambda } from 'aws-cdk-lib';

/** Where this package keeps its builds of `ingest`. */
const BUILDS = join(__dirname, '..', 'lambda');

/** The build for `architecture`. */
export function prebuilt(architecture: lambda.Architecture, folder = BUILDS): lambda.Code {
  const zip = join(folder, `ingest-${architecture === lambda.Architecture.X86_64 ? 'x86_64' : 'arm64'}.zip`);
  if (!existsSync(zip)) {
    throw new Error(
      `${zip} is not there: in a clone of the repository run "infra/package", then "npm run lambda" in infra/cdk; or give code`,
    );
  }
  return lambda.Code.fromAsset(zip);
}
