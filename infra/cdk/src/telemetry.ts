import { Duration, Stack, Token, aws_iam as iam, aws_lambda as lambda } from 'aws-cdk-lib';
import type { aws_secretsmanager as secrets, aws_sqs as sqs } from 'aws-cdk-lib';
import { arnOf } from './door';
import { TelemetryDestination, type TelemetryProps } from './props';
import { allowKey } from './queues';
import type { PropErrors } from './validation';
import { shippedZip } from './zip';

const MOST_BUCKETS = 200;
/** Ports that the extension takes without its variables. */
const STATSD_PORT = 8125;
const EVENTS_PORT = 9091;

/** The gateway, as a function with the extension needs it. */
export interface TelemetryTarget {
  readonly queue: sqs.IQueue;
  readonly hasState: boolean;
  readonly httpUrl?: string;
  readonly httpSecret?: secrets.ISecret;
}

/** Checks the values with which the extension would do nothing. */
export function checkTelemetry(props: TelemetryProps, target: TelemetryTarget, errors: PropErrors): void {
  if (props.destination === TelemetryDestination.HTTP_DOOR) {
    if (!target.httpSecret) {
      errors.addText('destination', '"http-door"', 'a gateway with httpDoor and a secret: the extension cannot sign its pushes');
    }
  } else if (!target.hasState) {
    errors.addText('destination', '"queue"', 'a gateway with state, which adds up the metrics of all environments');
  }
  errors.checkWhole('dispatchMinBatchSize', props.dispatchMinBatchSize ?? 100, 1, 1_000_000);
  checkDuration('dispatchMaxAge', props.dispatchMaxAge, 1_000, 3_600_000, errors);
  checkDuration('dispatchTimeout', props.dispatchTimeout, 10, 10_000, errors);
  errors.checkWhole('statsdPort', props.statsdPort ?? STATSD_PORT, 0, 65_535);
  errors.checkWhole('eventsPort', props.eventsPort ?? EVENTS_PORT, 0, 65_535);
  const bounds = props.histogramBuckets;
  const ascends = bounds?.every((bound, index) => Number.isFinite(bound) && (index === 0 || bounds[index - 1] < bound)) ?? true;
  if (bounds && (!ascends || bounds.length === 0 || bounds.length > MOST_BUCKETS)) {
    errors.addText('histogramBuckets', `[${bounds}]`, `1 to ${MOST_BUCKETS} finite numbers that ascend`);
  }
}

/** Adds the layer, the variables and the permission to a function. */
export function addTelemetry(fn: lambda.Function, props: TelemetryProps, target: TelemetryTarget): void {
  fn.addLayers(props.layer ?? layerIn(Stack.of(fn), fn.architecture));
  for (const [name, value] of Object.entries(variablesOf(props, target))) {
    if (value !== undefined) {
      fn.addEnvironment(name, value);
    }
  }
  if (props.destination === TelemetryDestination.HTTP_DOOR) {
    const secret = target.httpSecret!;
    iam.Grant.addToPrincipal({ grantee: fn, actions: ['secretsmanager:GetSecretValue'], resourceArns: [arnOf(secret)] });
    secret.encryptionKey?.grantDecrypt(fn);
  } else {
    // Not grantSendMessages, which allows calls that the extension does not make.
    iam.Grant.addToPrincipal({ grantee: fn, actions: ['sqs:SendMessage'], resourceArns: [target.queue.queueArn] });
    allowKey(target.queue, fn);
  }
}

function variablesOf(props: TelemetryProps, target: TelemetryTarget): { [name: string]: string | undefined } {
  const isDoor = props.destination === TelemetryDestination.HTTP_DOOR;
  return {
    PUSH_QUEUE_URL: isDoor ? undefined : target.queue.queueUrl,
    GATEWAY: isDoor ? target.httpUrl : undefined,
    AUTH_SECRET: isDoor ? target.httpSecret!.secretArn : undefined,
    DISPATCH_MIN_BATCH_SIZE: props.dispatchMinBatchSize?.toString(),
    DISPATCH_MAX_AGE: milliseconds(props.dispatchMaxAge),
    DISPATCH_TIMEOUT: milliseconds(props.dispatchTimeout),
    VERSION_LABEL: props.versionLabel ? 'on' : undefined,
    HISTOGRAM_BUCKETS: props.histogramBuckets?.join(','),
    LOGS: props.logs ? 'on' : undefined,
    STATSD: port(props.statsdPort),
    EVENTS: port(props.eventsPort),
    EXTENSION_LOG: props.logLevel,
  };
}

/** Returns the layer of the stack, which all its functions share. A layer of another stack could not change while it is in use. */
function layerIn(stack: Stack, architecture: lambda.Architecture): lambda.ILayerVersion {
  const id = `AmpPushExtension${architecture === lambda.Architecture.X86_64 ? 'X86' : 'Arm'}`;
  const made = stack.node.tryFindChild(id) as lambda.LayerVersion | undefined;
  return (
    made ??
    new lambda.LayerVersion(stack, id, {
      description: 'Extension of amp-push-gateway: the telemetry of a function, and its own metrics, to Prometheus',
      code: shippedZip(architecture, undefined, 'extension'),
      compatibleArchitectures: [architecture],
      license: 'Apache-2.0',
    })
  );
}

function checkDuration(prop: string, value: Duration | undefined, least: number, most: number, errors: PropErrors): void {
  if (value && (value.isUnresolved() || Token.isUnresolved(value.toMilliseconds()) || value.toMilliseconds() < least || value.toMilliseconds() > most)) {
    errors.add(prop, value, `${least} ms to ${most} ms, known at synthesis`);
  }
}

function milliseconds(value?: Duration): string | undefined {
  return value && `${value.toMilliseconds()}ms`;
}

function port(value?: number): string | undefined {
  return value === 0 ? 'off' : value?.toString();
}
