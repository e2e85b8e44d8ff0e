import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { aws_lambda as lambda } from 'aws-cdk-lib';

const ZIP_FOLDER = join(__dirname, '..', 'lambda');

/** Returns the zip that this package ships for `architecture`: of `ingest`, or of the extension's layer. */
export function shippedZip(architecture: lambda.Architecture, folder = ZIP_FOLDER, name: 'ingest' | 'extension' = 'ingest'): lambda.Code {
  const zip = join(folder, `${name}-${architecture === lambda.Architecture.X86_64 ? 'x86_64' : 'arm64'}.zip`);
  if (!existsSync(zip)) {
    throw new Error(
      `${zip} is missing: in a clone of the repository run "infra/package", then "npm run lambda" in infra/cdk; or set the prop code`,
    );
  }
  return lambda.Code.fromAsset(zip);
}
