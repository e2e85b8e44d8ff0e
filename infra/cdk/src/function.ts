import { Duration, RemovalPolicy, Validations, aws_iam as iam, aws_lambda as lambda, aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { prebuilt } from './artefact';
import { whole, type Batching } from './batching';
import type { Endpoint } from './endpoint';
import { environmentOf } from './environment';
import type { Faults } from './faults';
import type { PrometheusPushGatewayProps } from './props';
import { allowKey, type Queues } from './queues';

/** What Lambda would refuse. */
export function checkFunction(props: PrometheusPushGatewayProps, faults: Faults): void {
  whole('memorySize', props.memorySize ?? 128, 128, 10_240, faults, ' MB');
}

/** The function, with its role, its log group and its triggers. */
export function makeFunction(
  scope: Construct,
  props: PrometheusPushGatewayProps,
  endpoint: Endpoint,
  queues: Queues,
  batching: Batching,
): { function: lambda.Function; logGroup: logs.ILogGroup } {
  const logGroup = new logs.LogGroup(scope, 'LogGroup', {
    retention: props.logRetention ?? logs.RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const architecture = props.architecture ?? lambda.Architecture.ARM_64;
  const made = new lambda.Function(scope, 'Function', {
    description: 'Sends events to Amazon Managed Service for Prometheus',
    runtime: lambda.Runtime.PROVIDED_AL2023,
    architecture,
    handler: 'bootstrap',
    code: props.code ?? prebuilt(architecture),
    memorySize: props.memorySize ?? 128,
    timeout: batching.timeout,
    role: makeRole(scope, props, endpoint, queues, logGroup),
    environment: environmentOf(props, endpoint, queues.deadLetterQueue.queueUrl),
    // Text, without levels: a level set here could drop the line that carries the metrics.
    loggingFormat: lambda.LoggingFormat.TEXT,
    logGroup,
    tracing: props.xray ? lambda.Tracing.ACTIVE : lambda.Tracing.DISABLED,
  });
  // Both are made without CDK's helpers, which would give the role more than it needs.
  new lambda.EventInvokeConfig(scope, 'AsynchronousInvocations', {
    function: made,
    retryAttempts: 2,
    // AMP takes nothing that is older than an hour.
    maxEventAge: Duration.hours(1),
    onFailure: { bind: () => ({ destination: queues.failureQueue.queueArn }) },
  });
  new lambda.EventSourceMapping(scope, 'EventSourceMapping', {
    target: made,
    eventSourceArn: queues.queue.queueArn,
    batchSize: batching.batchSize,
    maxBatchingWindow: batching.batchWindow,
    maxConcurrency: batching.maxConcurrency,
    reportBatchItemFailures: true,
    enabled: true,
  });
  return { function: made, logGroup };
}

/** Every AWS call that the function and its triggers make, on these resources and no others. */
function makeRole(
  scope: Construct,
  props: PrometheusPushGatewayProps,
  endpoint: Endpoint,
  queues: Queues,
  logGroup: logs.ILogGroup,
): iam.Role {
  const role = new iam.Role(scope, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
  const allow = (actions: string[], ...resources: string[]) => role.addToPolicy(new iam.PolicyStatement({ actions, resources }));
  allow(['aps:RemoteWrite'], endpoint.workspaceArn);
  allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], queues.queue.queueArn);
  allow(['sqs:SendMessage'], queues.deadLetterQueue.queueArn, queues.failureQueue.queueArn);
  allow(['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.logGroupArn);
  queues.queue.encryptionMasterKey?.grantDecrypt(role);
  allowKey(queues.deadLetterQueue, role);
  allowKey(queues.failureQueue, role);
  if (props.xray) {
    // The statement itself comes with the function's tracing.
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'xray:PutTraceSegments and xray:PutTelemetryRecords know no resources.',
    });
  }
  return role;
}
