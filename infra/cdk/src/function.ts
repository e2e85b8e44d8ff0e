import { Duration, RemovalPolicy, Stack, Token, Validations, aws_iam as iam, aws_lambda as lambda, aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Batching } from './batching';
import { arnOf, type DoorKey } from './door';
import { environmentOf } from './environment';
import type { PrometheusPushGatewayProps } from './props';
import { allowKey, type Queues } from './queues';
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

/** Makes the function with its role, its log group and its triggers. */
export function makeFunction(
  scope: Construct,
  props: PrometheusPushGatewayProps,
  workspace: Workspace,
  queues: Queues,
  batching: Batching,
  door?: DoorKey,
): { fn: lambda.Function; logGroup: logs.ILogGroup } {
  const logGroup = new logs.LogGroup(scope, 'LogGroup', {
    retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const architecture = props.architecture ?? lambda.Architecture.ARM_64;
  const fn = new lambda.Function(scope, 'Function', {
    description: 'Sends events to Amazon Managed Service for Prometheus',
    runtime: lambda.Runtime.PROVIDED_AL2023,
    architecture,
    handler: 'bootstrap',
    code: props.code ?? shippedZip(architecture),
    memorySize: props.memorySize ?? 128,
    timeout: batching.timeout,
    reservedConcurrentExecutions: props.reservedConcurrency,
    role: makeRole(scope, props, workspace, queues, logGroup, door),
    environment: environmentOf(props, workspace, queues.deadLetterQueue.queueUrl, door),
    // Text has no log level. A level set here could drop the metric line.
    loggingFormat: lambda.LoggingFormat.TEXT,
    logGroup,
    tracing: props.xray ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
  });
  // Both without CDK's helpers, which would give the role more permissions than it needs.
  new lambda.EventInvokeConfig(scope, 'AsynchronousInvocations', {
    function: fn,
    retryAttempts: 2,
    // AMP rejects samples older than an hour.
    maxEventAge: Duration.hours(1),
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
  props: PrometheusPushGatewayProps,
  workspace: Workspace,
  queues: Queues,
  logGroup: logs.ILogGroup,
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
  allowKey(queues.deadLetterQueue, role);
  allowKey(queues.failureQueue, role);
  if (props.xray) {
    // CDK adds the statement itself.
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'IAM has no resource type for xray:PutTraceSegments and xray:PutTelemetryRecords.',
    });
  }
  return role;
}
