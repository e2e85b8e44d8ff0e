import { RemovalPolicy, Stack, Token, Validations, aws_iam as iam, aws_lambda as lambda, aws_logs as logs } from 'aws-cdk-lib';
import type { aws_dynamodb as dynamodb, aws_sqs as sqs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Batching } from './batching';
import { arnOf, type DoorKey } from './door';
import { environmentOf, eventAgeOf } from './environment';
import type { PrometheusPushGatewayProps } from './props';
import { allowKey, type Queues } from './queues';
import { allowFunction } from './state';
import type { PropErrors } from './validation';
import type { Workspace } from './workspace';
import { shippedZip } from './zip';

/** Checks the props that only the function has. */
export function checkFunction(props: PrometheusPushGatewayProps, batching: Batching, errors: PropErrors): void {
  errors.checkWhole('memorySize', props.memorySize ?? 128, 128, 10_240, ' MB');
  if (props.reservedConcurrency !== undefined) {
    const least = Token.isUnresolved(batching.maxConcurrency) ? 1 : batching.maxConcurrency;
    errors.checkWhole('reservedConcurrency', props.reservedConcurrency, least, 99_999, ', not below maxConcurrency');
  }
}

/** Everything that the tick has in common with the function. */
export interface FunctionSettings {
  /** The same properties of both. The function adds the variables of the door. */
  readonly same: Pick<lambda.FunctionProps, 'runtime' | 'architecture' | 'handler' | 'code' | 'environment' | 'loggingFormat' | 'tracing'>;
  readonly logRetention: logs.RetentionDays;
  readonly workspaceArn: string;
  readonly deadLetterQueue: sqs.IQueue;
  /** Lets a role use the key of the dead-letter queue, if it has one. */
  readonly allowDeadLetters: (role: iam.Role) => void;
  readonly acknowledgeTracing: (role: iam.Role) => void;
}

/** Returns what the tick needs. The door's settings are not among it. */
export function settingsOf(props: PrometheusPushGatewayProps, workspace: Workspace, queues: Queues, table?: dynamodb.ITable): FunctionSettings {
  const architecture = props.architecture ?? lambda.Architecture.ARM_64;
  return {
    same: {
      runtime: lambda.Runtime.PROVIDED_AL2023,
      architecture,
      handler: 'bootstrap',
      code: props.code ?? shippedZip(architecture),
      environment: environmentOf(props, workspace, queues.deadLetterQueue.queueUrl, undefined, table),
      // Text has no log level. A level set here could drop the metric line.
      loggingFormat: lambda.LoggingFormat.TEXT,
      tracing: props.xray ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
    },
    logRetention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
    workspaceArn: workspace.arn,
    deadLetterQueue: queues.deadLetterQueue,
    allowDeadLetters: (role) => allowKey(queues.deadLetterQueue, role),
    acknowledgeTracing: (role) => {
      if (props.xray) {
        // CDK adds the statement itself.
        Validations.of(role).acknowledge({
          id: 'AwsSolutions-IAM5[Resource::*]',
          reason: 'IAM has no resource type for xray:PutTraceSegments and xray:PutTelemetryRecords.',
        });
      }
    },
  };
}

/** Makes the function with its role, its log group and its triggers. */
export function makeFunction(
  scope: Construct,
  props: PrometheusPushGatewayProps,
  workspace: Workspace,
  queues: Queues,
  batching: Batching,
  settings: FunctionSettings,
  door?: DoorKey,
  table?: dynamodb.ITable,
): { fn: lambda.Function; logGroup: logs.ILogGroup } {
  const logGroup = new logs.LogGroup(scope, 'LogGroup', { retention: settings.logRetention, removalPolicy: RemovalPolicy.DESTROY });
  const role = makeRole(scope, workspace, queues, logGroup, settings, door);
  if (table) {
    allowFunction(role, table, door);
  }
  const fn = new lambda.Function(scope, 'Function', {
    description: 'Sends events to Amazon Managed Service for Prometheus',
    ...settings.same,
    memorySize: props.memorySize ?? 128,
    timeout: batching.timeout,
    reservedConcurrentExecutions: props.reservedConcurrency,
    role,
    environment: environmentOf(props, workspace, queues.deadLetterQueue.queueUrl, door, table),
    logGroup,
  });
  // Both without CDK's helpers, which would give the role more permissions than it needs.
  new lambda.EventInvokeConfig(scope, 'AsynchronousInvocations', {
    function: fn,
    retryAttempts: 2,
    maxEventAge: eventAgeOf(props.maxSampleAge),
    onFailure: { bind: () => ({ destination: queues.failureQueue.queueArn }) },
  });
  new lambda.EventSourceMapping(scope, 'EventSourceMapping', {
    target: fn,
    eventSourceArn: queues.queue.queueArn,
    batchSize: batching.batchSize,
    maxBatchingWindow: batching.batchWindow,
    maxConcurrency: batching.maxConcurrency,
    reportBatchItemFailures: true,
    enabled: true,
  });
  return { fn, logGroup };
}

/** Makes a role that allows the AWS calls of the function and its triggers, on these resources only. */
function makeRole(
  scope: Construct,
  workspace: Workspace,
  queues: Queues,
  logGroup: logs.ILogGroup,
  settings: FunctionSettings,
  door?: DoorKey,
): iam.Role {
  // Not for functions of other accounts.
  const conditions = { StringEquals: { 'aws:SourceAccount': Stack.of(scope).account } };
  const role = new iam.Role(scope, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com', { conditions }) });
  const allow = (actions: string[], ...resources: string[]) => role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  allow(['aps:RemoteWrite'], workspace.arn);
  allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], queues.queue.queueArn);
  allow(['sqs:SendMessage'], queues.deadLetterQueue.queueArn, queues.failureQueue.queueArn);
  allow(['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.logGroupArn);
  if (door?.secret) {
    allow(['secretsmanager:GetSecretValue'], arnOf(door.secret));
    door.secret.encryptionKey?.grantDecrypt(role);
  }
  if (door?.read) {
    allow(['aps:QueryMetrics'], workspace.arn);
  }
  queues.queue.encryptionMasterKey?.grantDecrypt(role);
  settings.allowDeadLetters(role);
  allowKey(queues.failureQueue, role);
  settings.acknowledgeTracing(role);
  return role;
}
