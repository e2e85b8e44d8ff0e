import { aws_iam as iam, aws_iot as iot, Stack, Token, type aws_lambda as lambda, type aws_sqs as sqs } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { Batching } from './batching';
import { IotTarget, type IotRuleProps } from './props';
import { allowKey, type Queues } from './queues';
import type { PropErrors } from './validation';

/** Levels between slashes: + and # are whole levels, # only the last. A quote would end the text in the rule's statement. */
const TOPIC_FILTER = /^((\+|[^+#'/]*)\/)*(\+|#|[^+#'/]+)$/;
const STATEMENT = /^\s*(set|select)\s[^]*\sfrom\s+'[^']+'/i;

/** Checks the props of the rule. */
export function checkIot(props: IotRuleProps, batching: Batching, errors: PropErrors): void {
  const { topicFilter, sql } = props;
  if (sql === undefined && (topicFilter === undefined || !TOPIC_FILTER.test(topicFilter))) {
    errors.add('iot.topicFilter', topicFilter, "an MQTT topic filter such as events/+, without '; or iot.sql instead");
  }
  if (sql !== undefined && topicFilter !== undefined) {
    errors.add('iot.topicFilter', topicFilter, 'none, as iot.sql is given too, which has its own FROM');
  }
  if (sql !== undefined && !Token.isUnresolved(sql) && !STATEMENT.test(sql)) {
    errors.add('iot.sql', sql, "a statement without comments: SELECT … FROM 'topic/filter' …");
  }
  if (batching.fifo && sendsToQueue(props)) {
    errors.add('iot.target', IotTarget.QUEUE, `"${IotTarget.FUNCTION}": the SQS action of an IoT rule cannot send to a FIFO queue`);
  }
}

/** Makes the rule, and the permissions that it needs to send. */
export function makeIotRule(scope: Construct, props: IotRuleProps, fn: lambda.Function, queues: Queues): void {
  const parent = new Construct(scope, 'Iot');
  const toQueue = sendsToQueue(props);
  const role = makeRole(parent, toQueue ? [queues.queue, queues.failureQueue] : [queues.failureQueue]);
  const send = (queue: sqs.IQueue) => ({ sqs: { queueUrl: queue.queueUrl, roleArn: role.roleArn, useBase64: false } });
  const rule = new iot.CfnTopicRule(parent, 'Rule', {
    topicRulePayload: {
      description: 'Events to the AMP push gateway',
      sql: props.sql ?? `SELECT * FROM '${props.topicFilter}'`,
      awsIotSqlVersion: '2016-03-23',
      ruleDisabled: false,
      actions: [toQueue ? send(queues.queue) : { lambda: { functionArn: fn.functionArn } }],
      errorAction: send(queues.failureQueue),
    },
  });
  // The rule works as soon as it exists: its role must have the policy by then.
  rule.node.addDependency(role);
  if (!toQueue) {
    fn.addPermission('IotRule', {
      principal: new iam.ServicePrincipal('iot.amazonaws.com'),
      sourceArn: rule.attrArn,
      sourceAccount: Stack.of(scope).account,
      scope: parent,
    });
  }
}

function sendsToQueue(props: IotRuleProps): boolean {
  return (props.target ?? IotTarget.QUEUE) === IotTarget.QUEUE;
}

function makeRole(scope: Construct, queues: sqs.IQueue[]): iam.Role {
  const stack = Stack.of(scope);
  // Every rule of this account and region: the rule names this role, so the role cannot name the rule.
  const conditions = {
    StringEquals: { 'aws:SourceAccount': stack.account },
    ArnLike: { 'aws:SourceArn': stack.formatArn({ service: 'iot', resource: 'rule', resourceName: '*' }) },
  };
  const role = new iam.Role(scope, 'Role', { assumedBy: new iam.ServicePrincipal('iot.amazonaws.com', { conditions }) });
  role.addToPolicy(new iam.PolicyStatement({ actions: ['sqs:SendMessage'], resources: queues.map((queue) => queue.queueArn) }));
  queues.forEach((queue) => allowKey(queue, role));
  return role;
}
