import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aws_iam as iam, aws_kms as kms, aws_sqs as sqs, Duration } from 'aws-cdk-lib';
import { deployed, ofType, statements } from './deployed';

const USUAL = [
  'Allow aps:RemoteWrite on Workspace.Arn',
  'Allow logs:CreateLogStream logs:PutLogEvents on LogGroup.Arn',
  'Allow sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage on Queue.Arn',
  'Allow sqs:SendMessage on DeadLetterQueue.Arn FailureQueue.Arn',
];

test('the role of the function allows what it calls, on its own resources', () => {
  const { resources } = deployed();
  assert.deepEqual(statements(resources, 'Role'), USUAL);
  assert.equal(resources.Role.Properties.ManagedPolicyArns, undefined);
  assert.equal(resources.Role.Properties.AssumeRolePolicyDocument.Statement[0].Principal.Service, 'lambda.amazonaws.com');
});

test('X-Ray adds the one wildcard that there is', () => {
  assert.deepEqual(statements(deployed({ xray: true }).resources, 'Role'), [
    ...USUAL,
    'Allow xray:PutTelemetryRecords xray:PutTraceSegments on *',
  ]);
});

test('an existing workspace is the only one that may be written to', () => {
  const prometheusArn = 'arn:aws:aps:us-east-2:210987654321:workspace/ws-1';
  assert.equal(statements(deployed({ prometheusArn }).resources, 'Role')[0], `Allow aps:RemoteWrite on ${prometheusArn}`);
});

test('queues with a key of their own need the key as well', () => {
  const { resources } = deployed((stack) => {
    const encryptionMasterKey = new kms.Key(stack, 'Key');
    const deadLetterQueue = new sqs.Queue(stack, 'OwnLetters', { encryptionMasterKey });
    return {
      queue: new sqs.Queue(stack, 'OwnQueue', {
        encryptionMasterKey,
        visibilityTimeout: Duration.seconds(200),
        deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount: 23 },
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

test('producers are let in by the grants', () => {
  const all = deployed();
  const producer = new iam.Role(all.stack, 'Producer', { assumedBy: new iam.AccountRootPrincipal() });
  all.gateway.grantInvoke(producer);
  all.gateway.grantSendMessages(producer);
  assert.deepEqual(statements(all.resources, 'Producer'), [
    'Allow lambda:InvokeFunction on Function.Arn Function.Arn:*',
    'Allow sqs:GetQueueAttributes sqs:GetQueueUrl sqs:SendMessage on Queue.Arn',
  ]);
});
