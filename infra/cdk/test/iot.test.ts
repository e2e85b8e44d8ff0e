import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { IotTarget, type IotRuleProps } from 'cdk-amp-push-gateway';
import { stackWith, ofType, statements } from './stack';

const filter = { topicFilter: 'events/+' };
const rule = (iot: IotRuleProps) => stackWith({ iot }).resources.IotRule.Properties.TopicRulePayload;
const send = (queueUrl: string) => ({ Sqs: { QueueUrl: queueUrl, RoleArn: 'IotRole.Arn', UseBase64: false } });

test('a topic filter becomes a rule for whole events', () => {
  const payload = rule(filter);
  assert.equal(payload.Sql, "SELECT * FROM 'events/+'");
  assert.deepEqual([payload.AwsIotSqlVersion, payload.RuleDisabled], ['2016-03-23', false]);
});

test('the rule accepts these filters and statements', () => {
  for (const topicFilter of ['#', '+', 'a', '/a', 'a/+/b', 'a/#', '$aws/things/+/shadow/update', 'a b/ä']) {
    assert.equal(rule({ topicFilter }).Sql, `SELECT * FROM '${topicFilter}'`);
  }
  for (const example of ['sqs-rule.json', 'lambda-rule.json']) {
    const { sql } = JSON.parse(readFileSync(join(__dirname, '../../../examples/iot', example), 'utf8'));
    assert.equal(rule({ sql }).Sql, sql);
  }
});

test('a rule sends to the queue, and its failures to the failure queue', () => {
  const { resources } = stackWith({ iot: filter });
  const { Actions, ErrorAction } = resources.IotRule.Properties.TopicRulePayload;
  assert.deepEqual([Actions, ErrorAction], [[send('Queue')], send('FailureQueue')]);
  assert.deepEqual(statements(resources, 'IotRole'), ['Allow sqs:SendMessage on FailureQueue.Arn Queue.Arn']);
  assert.deepEqual(ofType(resources, 'AWS::Lambda::Permission'), []);
});

test('a rule that invokes the function has its own permission', () => {
  const { resources } = stackWith({ fifo: true, iot: { ...filter, target: IotTarget.FUNCTION } });
  const { Actions, ErrorAction } = resources.IotRule.Properties.TopicRulePayload;
  assert.deepEqual([Actions, ErrorAction], [[{ Lambda: { FunctionArn: 'Function.Arn' } }], send('FailureQueue')]);
  assert.deepEqual(statements(resources, 'IotRole'), ['Allow sqs:SendMessage on FailureQueue.Arn']);
  assert.deepEqual(
    ofType(resources, 'AWS::Lambda::Permission').map((one) => one.Properties),
    [
      {
        Action: 'lambda:InvokeFunction',
        FunctionName: 'Function.Arn',
        Principal: 'iot.amazonaws.com',
        SourceAccount: '123456789012',
        SourceArn: 'IotRule.Arn',
      },
    ],
  );
});

test('only rules of this account and region may assume the role', () => {
  const { AssumeRolePolicyDocument } = stackWith({ iot: filter }).resources.IotRole.Properties;
  assert.deepEqual(AssumeRolePolicyDocument.Statement, [
    {
      Action: 'sts:AssumeRole',
      Condition: {
        ArnLike: { 'aws:SourceArn': 'arn:aws:iot:eu-west-1:123456789012:rule/*' },
        StringEquals: { 'aws:SourceAccount': '123456789012' },
      },
      Effect: 'Allow',
      Principal: { Service: 'iot.amazonaws.com' },
    },
  ]);
});
