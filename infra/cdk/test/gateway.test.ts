import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Duration, aws_lambda as lambda, aws_logs as logs, RemovalPolicies } from 'aws-cdk-lib';
import { EmbeddedMetrics, LateSamples, LogLevel, type PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';
import { stackWith, ofType } from './stack';

const QUEUES = ['Queue', 'DeadLetterQueue', 'FailureQueue'];

test('a gateway without props has a workspace, three queues, a function and alarms', () => {
  const { resources } = stackWith();
  const types = Object.values(resources).map((resource) => resource.Type);
  const count = Object.fromEntries([...new Set(types)].sort().map((type) => [type, types.filter((one) => one === type).length]));
  assert.deepEqual(count, {
    'AWS::APS::Workspace': 1,
    'AWS::CloudWatch::Alarm': 13,
    'AWS::IAM::Policy': 1,
    'AWS::IAM::Role': 1,
    'AWS::Lambda::EventInvokeConfig': 1,
    'AWS::Lambda::EventSourceMapping': 1,
    'AWS::Lambda::Function': 1,
    'AWS::Logs::LogGroup': 1,
    'AWS::SQS::Queue': 3,
    'AWS::SQS::QueuePolicy': 3,
  });
});

test('no resource has a physical name, so one account can have two gateways', () => {
  const names = /^(QueueName|FunctionName|RoleName|LogGroupName|AlarmName|DashboardName|RuleName|ManagedPolicyName)$/;
  for (const [id, { Type, Properties }] of Object.entries(stackWith({ iot: { topicFilter: 'a' } }).resources)) {
    // These two refer to the function by its name.
    const own = Type.startsWith('AWS::Lambda::') && Type !== 'AWS::Lambda::Function' ? [] : Object.keys(Properties);
    assert.deepEqual(own.filter((name) => names.test(name)), [], id);
  }
});

test('the queues are encrypted and deny plain HTTP', () => {
  const { resources } = stackWith();
  for (const id of QUEUES) {
    assert.equal(resources[id].Properties.SqsManagedSseEnabled, true, id);
    const policy = ofType(resources, 'AWS::SQS::QueuePolicy').find((one) => one.Properties.Queues.includes(id));
    assert.deepEqual(policy?.Properties.PolicyDocument.Statement, [
      {
        Action: 'sqs:*',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Resource: `${id}.Arn`,
      },
    ]);
  }
});

test('the visibility timeout is six timeouts plus the window, and the number of deliveries is the same everywhere', () => {
  const table: [PrometheusPushGatewayProps, visibility: number][] = [
    [{}, 200],
    [{ timeout: Duration.seconds(60), batchWindow: Duration.seconds(0) }, 360],
    [{ timeout: Duration.seconds(120), batchWindow: Duration.minutes(5) }, 1_020],
    [{ timeout: Duration.seconds(10), batchWindow: Duration.seconds(0) }, 60],
    [{ timeout: Duration.minutes(15) }, 5_420],
    [{ fifo: true }, 180],
  ];
  for (const [props, visibility] of table) {
    const { Queue } = stackWith(props).resources;
    assert.equal(Queue.Properties.VisibilityTimeout, visibility);
    assert.deepEqual(Queue.Properties.RedrivePolicy, { deadLetterTargetArn: 'DeadLetterQueue.Arn', maxReceiveCount: 75 });
    assert.ok(visibility * 75 >= 75 * 60);
  }
});

test('the queues for failures keep messages longer than the source queue', () => {
  const { resources } = stackWith();
  assert.deepEqual(
    QUEUES.map((id) => resources[id].Properties.MessageRetentionPeriod / 86_400),
    [4, 14, 14],
  );
});

test('only the workspace and the queues for failures outlive the stack', () => {
  const { resources } = stackWith();
  const table = [
    ['Workspace', 'RetainExceptOnCreate', 'Retain'],
    ['DeadLetterQueue', 'RetainExceptOnCreate', 'Retain'],
    ['FailureQueue', 'RetainExceptOnCreate', 'Retain'],
    ['Queue', 'Delete', 'Retain'],
    ['DeadLetterQueuePolicy', 'RetainExceptOnCreate', 'Retain'],
    ['FailureQueuePolicy', 'RetainExceptOnCreate', 'Retain'],
    ['QueuePolicy', 'Delete', 'Retain'],
    ['LogGroup', 'Delete', 'Delete'],
  ];
  for (const [id, deletion, replacement] of table) {
    assert.deepEqual([resources[id].DeletionPolicy, resources[id].UpdateReplacePolicy], [deletion, replacement], id);
  }
  const others = Object.entries(resources).filter(([id]) => !table.some(([listed]) => listed === id));
  assert.deepEqual(others.filter(([, resource]) => resource.DeletionPolicy === 'Retain'), []);
});

test('RemovalPolicies can delete everything with the stack', () => {
  const all = stackWith();
  RemovalPolicies.of(all.gateway).destroy();
  assert.deepEqual(Object.entries(all.resources).filter(([, resource]) => resource.DeletionPolicy?.startsWith('Retain')), []);
});

test('a FIFO gateway has FIFO queues without deduplication by content, batches of ten and no window', () => {
  const { resources } = stackWith({ fifo: true });
  for (const id of ['Queue', 'DeadLetterQueue']) {
    const { FifoQueue, ContentBasedDeduplication, DeduplicationScope, FifoThroughputLimit } = resources[id].Properties;
    assert.deepEqual(
      [FifoQueue, ContentBasedDeduplication, DeduplicationScope, FifoThroughputLimit],
      [true, false, 'messageGroup', 'perMessageGroupId'],
    );
  }
  assert.equal(resources.FailureQueue.Properties.FifoQueue, undefined);
  const { BatchSize, MaximumBatchingWindowInSeconds } = resources.EventSourceMapping.Properties;
  assert.deepEqual([BatchSize, MaximumBatchingWindowInSeconds], [10, undefined]);
});

test('batches report failed messages, and asynchronous failures go to the failure queue', () => {
  const { resources } = stackWith();
  assert.deepEqual(resources.EventSourceMapping.Properties, {
    BatchSize: 50,
    Enabled: true,
    EventSourceArn: 'Queue.Arn',
    FunctionName: 'Function',
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumBatchingWindowInSeconds: 20,
    ScalingConfig: { MaximumConcurrency: 2 },
  });
  assert.deepEqual(resources.AsynchronousInvocations.Properties, {
    DestinationConfig: { OnFailure: { Destination: 'FailureQueue.Arn' } },
    FunctionName: 'Function',
    MaximumEventAgeInSeconds: 3_600,
    MaximumRetryAttempts: 2,
    Qualifier: '$LATEST',
  });
});

test('a batch without a window has ten messages by default', () => {
  const { EventSourceMapping } = stackWith({ batchWindow: Duration.seconds(0) }).resources;
  assert.equal(EventSourceMapping.Properties.BatchSize, 10);
});

test('the function has the settings of the props, and no log level that would drop the metric line', () => {
  const properties = (props: PrometheusPushGatewayProps) => stackWith(props).resources.Function.Properties;
  const byDefault = properties({});
  assert.deepEqual(
    [byDefault.Runtime, byDefault.Handler, byDefault.Architectures, byDefault.MemorySize, byDefault.Timeout, byDefault.TracingConfig],
    ['provided.al2023', 'bootstrap', ['arm64'], 128, 30, undefined],
  );
  assert.deepEqual(byDefault.LoggingConfig, { LogFormat: 'Text', LogGroup: 'LogGroup' });
  const other = properties({ architecture: lambda.Architecture.X86_64, memorySize: 512, timeout: Duration.minutes(1), xray: true });
  assert.deepEqual(
    [other.Architectures, other.MemorySize, other.Timeout, other.TracingConfig],
    [['x86_64'], 512, 60, { Mode: 'Active' }],
  );
  assert.notEqual(other.Code.S3Key, byDefault.Code.S3Key);
  const { LogGroup } = stackWith({ logRetention: logs.RetentionDays.ONE_WEEK }).resources;
  assert.equal(LogGroup.Properties.RetentionInDays, 7);
});

test('the function gets every setting in the form that it reads', () => {
  const { Variables } = stackWith({
    externalLabels: { env: 'prod', team: 'a=b' },
    maxSampleAge: Duration.minutes(30),
    maxSampleLead: Duration.millis(1_500),
    lateSamples: LateSamples.DROP,
    metrics: EmbeddedMetrics.ALL,
    logLevel: LogLevel.DEBUG,
  }).resources.Function.Properties.Environment;
  assert.deepEqual(Variables, {
    REMOTE_WRITE_URL: 'https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-made/api/v1/remote_write',
    SIGV4_REGION: 'eu-west-1',
    DEAD_LETTER_QUEUE_URL: 'DeadLetterQueue',
    EXTERNAL_LABELS: 'env=prod,team=a=b',
    MAX_SAMPLE_AGE: '1800s',
    MAX_SAMPLE_LEAD: '1500ms',
    LATE_SAMPLES: 'drop',
    METRICS: 'all',
    RUST_LOG: 'debug',
  });
});
