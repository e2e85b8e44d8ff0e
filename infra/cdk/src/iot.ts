import { aws_iam as iam, aws_iot as iot, Stack, Token, type aws_lambda as lambda, type aws_sqs as sqs } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { Batching } from './batching';
import type { Faults } from './faults';
import { IotTarget, type IotRuleProps } from './props';
import { allowKey, type Queues } from './queues';

/** Levels, of which + and # are whole ones and # the last. A quote would end the text in the statement. */
const TOPIC_FILTER = /^((\+|[^+#'/]*)\/)*(\+|#|[^+#'/]+)$/;
const STATEMENT = /^\s*(set|select)\s[^]*\sfrom\s+'[^']+'/i;

/** What the rule could not do. */
export function checkIot(props: IotRuleProps, batching: Batching, faults: Faults): void {
  const { topicFilter, sql } = props;
  if (sql === undefined && (topicFilter === undefined || !TOPIC_FILTER.test(topicFilter))) {
    faults.add('iot.topicFilter', topicFilter, "an MQTT topic filter, such as events/+, without '; or iot.sql in its place");
  }
  if (sql !== undefined && topicFilter !== undefined) {
    faults.add('iot.topicFilter', topicFilter, 'none, as iot.sql is given too, which has its own FROM');
  }
  if (sql !== undefined && !Token.isUnresolved(sql) && !STATEMENT.test(sql)) {
    faults.add('iot.sql', sql, "a statement without comments: SELECT … FROM 'topic/filter' …");
  }
  if (batching.fifo && (props.target ?? IotTarget.QUEUE) === IotTarget.QUEUE) {
    faults.add('iot.target', IotTarget.QUEUE, `"${IotTarget.FUNCTION}": the SQS action of an IoT rule cannot send to a FIFO queue`);
  }
}

/** The rule, and what allows it to send. */
export function makeIotRule(scope: Construct, props: IotRuleProps, target: lambda.Function, queues: Queues): void {
  const parent = new Construct(scope, 'Iot');
  const toQueue = (props.target ?? IotTarget.QUEUE) === IotTarget.QUEUE;
  const reached = toQueue ? [queues.queue, queues.failureQueue] : [queues.failureQueue];
  const role = makeRole(parent, reached);
  const send = (queue: sqs.IQueue) => ({ sqs: { queueUrl: queue.queueUrl, roleArn: role.roleArn, useBase64: false } });
  const rule = new iot.CfnTopicRule(parent, 'Rule', {
    topicRulePayload: {
      description: 'Events to the AMP push gateway',
      sql: props.sql ?? `SELECT * FROM '${props.topicFilter}'`,
      awsIotSqlVersion: '2016-03-23',
      ruleDisabled: false,
      actions: [toQueue ? send(queues.queue) : { lambda: { functionArn: target.functionArn } }],
      errorAction: send(queues.failureQueue),
    },
  });
  // AWS IoT tries an action once its rule is there, so it may send from the first message on.
  rule.node.addDependency(role);
  if (!toQueue) {
    target.addPermission('IotRule', {
      principal: new iam.ServicePrincipal('iot.amazonaws.com'),
      sourceArn: rule.attrArn,
      sourceAccount: Stack.of(scope).account,
      scope: parent,
    });
  }
}

function makeRole(scope: Construct, queues: sqs.IQueue[]): iam.Role {
  const stack = Stack.of(scope);
  // The rule's own ARN cannot stand here, as the rule names this role.
  const conditions = {
    StringEquals: { 'aws:SourceAccount': stack.account },
    ArnLike: { 'aws:SourceArn': stack.formatArn({ service: 'iot', resource: 'rule', resourceName: '*' }) },
  };
  const role = new iam.Role(scope, 'Role', { assumedBy: new iam.ServicePrincipal('iot.amazonaws.com', { conditions }) });
  role.addToPolicy(new iam.PolicyStatement({ actions: ['sqs:SendMessage'], resources: queues.map((queue) => queue.queueArn) }));
  queues.forEach((queue) => allowKey(queue, role));
  return role;
}
