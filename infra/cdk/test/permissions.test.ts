import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aws_iam as iam, aws_kms as kms, aws_sqs as sqs, Duration } from 'aws-cdk-lib';
import { stackWith, ofType, statements } from './stack';

const DEFAULT = [
  'Allow aps:RemoteWrite on Workspace.Arn',
  'Allow logs:CreateLogStream logs:PutLogEvents on LogGroup.Arn',
  'Allow sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage on Queue.Arn',
  'Allow sqs:SendMessage on DeadLetterQueue.Arn FailureQueue.Arn',
];

test('the role of the function allows its AWS calls, on its own resources only', () => {
  const { resources } = stackWith();
  assert.deepEqual(statements(resources, 'Role'), DEFAULT);
  assert.equal(resources.Role.Properties.ManagedPolicyArns, undefined);
  const [{ Principal, Condition }] = resources.Role.Properties.AssumeRolePolicyDocument.Statement;
  assert.equal(Principal.Service, 'lambda.amazonaws.com');
  assert.deepEqual(Condition, { StringEquals: { 'aws:SourceAccount': '123456789012' } });
});

test('X-Ray adds the only statement for all resources', () => {
  assert.deepEqual(statements(stackWith({ xray: true }).resources, 'Role'), [
    ...DEFAULT,
    'Allow xray:PutTelemetryRecords xray:PutTraceSegments on *',
  ]);
});

test('the function may write to the existing workspace only', () => {
  const prometheusArn = 'arn:aws:aps:us-east-2:210987654321:workspace/ws-1';
  assert.equal(statements(stackWith({ prometheusArn }).resources, 'Role')[0], `Allow aps:RemoteWrite on ${prometheusArn}`);
});

test('the roles may use the keys of queues that users encrypt with keys of their own', () => {
  const { resources } = stackWith((stack) => {
    const encryptionMasterKey = new kms.Key(stack, 'Key');
    const deadLetterQueue = new sqs.Queue(stack, 'OwnDeadLetters', { encryptionMasterKey });
    return {
      queue: new sqs.Queue(stack, 'OwnQueue', {
        encryptionMasterKey,
        visibilityTimeout: Duration.seconds(200),
        deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount: 75 },
      }),
      failureQueue: new sqs.Queue(stack, 'OwnFailures', { encryptionMasterKey }),
      iot: { topicFilter: 'events/+' },
    };
  });
  const ofKey = (role: string) => statements(resources, role).filter((statement) => statement.includes('kms:'));
  const send = 'Allow kms:Decrypt kms:GenerateDataKey on Key.Arn';
  assert.deepEqual([...new Set(ofKey('Role'))], [send, 'Allow kms:Decrypt on Key.Arn']);
  assert.deepEqual([...new Set(ofKey('IotRole'))], [send]);
  assert.equal(ofType(resources, 'AWS::SQS::Queue').length, 3);
});

test('a queue of the same app gets the statements for senders, and no other queue does', () => {
  const { resources } = stackWith((stack) => ({
    queue: new sqs.Queue(stack, 'Own', { visibilityTimeout: Duration.seconds(200), enforceSSL: true }),
    senderPrincipals: ['210987654321'],
    senderTopics: ['arn:aws:sns:eu-west-1:210987654321:readings'],
    senderRules: ['arn:aws:events:eu-west-1:210987654321:rule/bus/readings'],
  }));
  const allowed = ofType(resources, 'AWS::SQS::QueuePolicy').flatMap(({ Properties }) =>
    Properties.PolicyDocument.Statement.filter((one: any) => one.Effect === 'Allow').map((one: any) => [Properties.Queues, one.Action, one.Condition]),
  );
  assert.deepEqual(allowed, [
    [['Own'], 'sqs:SendMessage', undefined],
    [['Own'], 'sqs:SendMessage', { ArnEquals: { 'aws:SourceArn': ['arn:aws:sns:eu-west-1:210987654321:readings'] } }],
    [['Own'], 'sqs:SendMessage', { ArnEquals: { 'aws:SourceArn': ['arn:aws:events:eu-west-1:210987654321:rule/bus/readings'] } }],
  ]);
});

test('the grants let producers send and callers invoke', () => {
  const all = stackWith();
  const producer = new iam.Role(all.stack, 'Producer', { assumedBy: new iam.AccountRootPrincipal() });
  all.gateway.grantInvoke(producer);
  all.gateway.grantSendMessages(producer);
  assert.deepEqual(statements(all.resources, 'Producer'), [
    'Allow lambda:InvokeFunction on Function.Arn Function.Arn:*',
    'Allow sqs:GetQueueAttributes sqs:GetQueueUrl sqs:SendMessage on Queue.Arn',
  ]);
});
