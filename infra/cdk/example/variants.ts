/**
 * Writes the template of each variant to cdk.out/<Variant>.template.json. Arguments name the variants to write.
 *
 *     npm run synth -- Standard Fifo
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Duration, Stack, aws_aps as aps, aws_dynamodb as dynamodb, aws_lambda as lambda, aws_logs as logs, aws_secretsmanager as secrets, aws_sns as sns } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import {
  EmbeddedMetrics,
  HttpAuth,
  HttpFront,
  IotTarget,
  LateSamples,
  LogLevel,
  PrometheusPushGateway,
  TelemetryDestination,
  type PrometheusPushGatewayProps,
} from 'cdk-amp-push-gateway';

export const EXISTING_WORKSPACE = 'arn:aws:aps:eu-central-1:210987654321:workspace/ws-12345678-abcd-1234-abcd-123456789012';

export const EXISTING_SECRET = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:push-AbCdEf';

/** Combinations of props that people deploy. */
export const VARIANTS: { readonly [name: string]: (stack: Stack) => PrometheusPushGatewayProps } = {
  Standard: () => ({}),
  Fifo: () => ({ fifo: true }),
  IotToQueue: () => ({ iot: { topicFilter: 'events/+' } }),
  IotToFunction: () => ({ iot: { topicFilter: 'events/+', target: IotTarget.FUNCTION } }),
  ExistingWorkspace: () => ({ prometheusArn: EXISTING_WORKSPACE }),
  WorkspaceOfTheApp: (stack) => ({ workspace: new aps.CfnWorkspace(stack, 'Prometheus') }),
  Traced: () => ({ xray: true }),
  Unwatched: () => ({ alarms: false }),
  Senders: () => ({
    senderPrincipals: ['210987654321', 'arn:aws:iam::310987654321:role/producer'],
    senderTopics: ['arn:aws:sns:eu-west-1:123456789012:readings', 'arn:aws:sns:eu-west-1:210987654321:readings'],
    senderRules: ['arn:aws:events:eu-west-1:123456789012:rule/readings'],
  }),
  HttpByUrl: () => ({ httpDoor: {}, dashboard: true }),
  HttpByUrlWithIam: () => ({ httpDoor: { auth: HttpAuth.IAM } }),
  HttpByApi: (stack) => ({
    httpDoor: {
      front: HttpFront.HTTP_API,
      secret: secrets.Secret.fromSecretCompleteArn(stack, 'Push', EXISTING_SECRET),
      pathPrefix: '/prometheus',
      read: true,
      otlpPromoteAttributes: ['cloud.region', 'k8s.pod.name'],
      otlpScopeLabels: true,
      rateLimit: 50,
      burstLimit: 70,
    },
    dashboard: true,
  }),
  HttpByApiWithIam: () => ({ httpDoor: { front: HttpFront.HTTP_API, auth: HttpAuth.IAM }, alarms: false }),
  State: () => ({ state: {} }),
  StateWithDoor: () => ({ state: {}, httpDoor: { auth: HttpAuth.IAM }, alarms: false }),
  StateChosen: (stack) => ({
    state: {
      table: dynamodb.Table.fromTableName(stack, 'Restored', 'restored'),
      shards: 4,
      groupTtl: Duration.days(1),
      seriesTtl: Duration.days(7),
      maxSeries: 50_000,
      summaryWindow: Duration.minutes(5),
      tickMemorySize: 512,
      tickReservedConcurrency: 0,
    },
    httpDoor: { auth: HttpAuth.IAM, admin: true },
    xray: true,
    alarms: false,
    dashboard: true,
  }),
  Telemetry: () => ({ state: {} }),
  TelemetryByDoor: () => ({ state: {}, httpDoor: {} }),
  TelemetryChosen: () => ({ state: {} }),
  /** Every prop with another value than its default. */
  Chosen: (stack) => ({
    outOfOrderWindow: Duration.minutes(2),
    batchSize: 200,
    batchWindow: Duration.minutes(1),
    maxConcurrency: 7,
    memorySize: 256,
    timeout: Duration.minutes(1),
    reservedConcurrency: 9,
    dashboard: true,
    architecture: lambda.Architecture.X86_64,
    externalLabels: { env: 'prod', team: 'water' },
    maxSampleAge: Duration.minutes(30),
    maxSampleLead: Duration.millis(500),
    lateSamples: LateSamples.DROP,
    metrics: EmbeddedMetrics.ALL,
    logLevel: LogLevel.DEBUG,
    logRetention: logs.RetentionDays.ONE_WEEK,
    alarmTopic: sns.Topic.fromTopicArn(stack, 'OnCall', 'arn:aws:sns:eu-west-1:123456789012:on-call'),
  }),
};

/** Adds more to the gateway of a variant. */
const ADDED: { readonly [variant: string]: (stack: Stack, gateway: PrometheusPushGateway) => void } = {
  Telemetry: (stack, gateway) => gateway.addTelemetry(functionOf(stack)),
  TelemetryByDoor: (stack, gateway) => gateway.addTelemetry(functionOf(stack), { destination: TelemetryDestination.HTTP_DOOR }),
  TelemetryChosen: (stack, gateway) =>
    gateway.addTelemetry(functionOf(stack), {
      dispatchMinBatchSize: 10,
      dispatchMaxAge: Duration.minutes(1),
      dispatchTimeout: Duration.millis(250),
      versionLabel: true,
      histogramBuckets: [0.1, 1, 10],
      logs: true,
      statsdPort: 0,
      eventsPort: 9099,
      logLevel: LogLevel.WARN,
    }),
};

/** A function of the user's. */
function functionOf(stack: Stack): lambda.Function {
  return new lambda.Function(stack, 'Checkout', {
    runtime: lambda.Runtime.PYTHON_3_13,
    architecture: lambda.Architecture.ARM_64,
    handler: 'index.handler',
    code: lambda.Code.fromInline('def handler(event, context): return event'),
  });
}

/** Returns a stack with the gateway, for deployment to any account and region. */
export function stackOf(variant: string, app = new App()): Stack {
  const stack = new Stack(app, variant);
  const gateway = new PrometheusPushGateway(stack, 'Gateway', VARIANTS[variant](stack));
  ADDED[variant]?.(stack, gateway);
  return stack;
}

if (require.main === module) {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((name) => !(name in VARIANTS));
  if (unknown.length > 0) {
    throw new Error(`no such variant: ${unknown.join(', ')}; there are ${Object.keys(VARIANTS).join(', ')}`);
  }
  const folder = join(__dirname, '..', 'cdk.out');
  mkdirSync(folder, { recursive: true });
  for (const name of asked.length > 0 ? asked : Object.keys(VARIANTS)) {
    const file = join(folder, `${name}.template.json`);
    // Atomically: another process may be reading it.
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(Template.fromStack(stackOf(name)).toJSON(), null, 2) + '\n');
    renameSync(`${file}.${process.pid}`, file);
    console.log(file);
  }
}
