import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aws_sns as sns, Duration } from 'aws-cdk-lib';
import { REASONS } from '../lib/metrics';
import { stackWith, ofType, type Resources } from './stack';

/** Returns one line for each alarm: its metric, its threshold and its periods. */
function alarms(resources: Resources): string[] {
  return ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties: alarm }) => {
    const [{ Name, Value }] = alarm.Dimensions;
    const periods = `${alarm.DatapointsToAlarm} of ${alarm.EvaluationPeriods} x ${alarm.Period} s`;
    return `${alarm.Namespace} ${Name}=${Value} ${alarm.Statistic} ${alarm.MetricName} >= ${alarm.Threshold}, ${periods}`;
  });
}

test('the alarms watch these metrics with these thresholds', () => {
  const { resources } = stackWith();
  assert.deepEqual(alarms(resources), [
    'AWS/SQS QueueName=DeadLetterQueue.QueueName Maximum ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s',
    'AWS/SQS QueueName=FailureQueue.QueueName Maximum ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s',
    'AWS/SQS QueueName=Queue.QueueName Maximum ApproximateAgeOfOldestMessage >= 1800, 1 of 1 x 300 s',
    'AmpPushGateway FunctionName=Function Sum errored >= 1, 3 of 12 x 300 s',
    'AmpPushGateway FunctionName=Function Sum rejected >= 1, 1 of 12 x 300 s',
    'AWS/Lambda FunctionName=Function Sum Errors >= 1, 1 of 12 x 300 s',
    'AWS/Lambda FunctionName=Function Sum DestinationDeliveryFailures >= 1, 1 of 12 x 300 s',
    'AWS/Lambda FunctionName=Function Sum Throttles >= 1, 3 of 12 x 300 s',
    'AWS/Lambda FunctionName=Function Maximum Duration >= 24000, 3 of 12 x 300 s',
  ]);
  for (const { Properties } of ofType(resources, 'AWS::CloudWatch::Alarm')) {
    assert.deepEqual(
      [Properties.TreatMissingData, Properties.ComparisonOperator, Properties.AlarmActions],
      ['notBreaching', 'GreaterThanOrEqualToThreshold', undefined],
    );
    assert.ok(Properties.AlarmDescription.length > 80);
  }
});

test('NearTimeout has 80 % of the timeout as its threshold', () => {
  assert.ok(alarms(stackWith({ timeout: Duration.minutes(2) }).resources).some((line) => line.includes('Duration >= 96000')));
});

test('the topic is notified when an alarm starts and when it ends', () => {
  const { resources } = stackWith((stack) => ({ alarmTopic: new sns.Topic(stack, 'Topic') }));
  for (const { Properties } of ofType(resources, 'AWS::CloudWatch::Alarm')) {
    assert.deepEqual([Properties.AlarmActions, Properties.OKActions], [['Topic'], ['Topic']]);
  }
});

test('alarms and dashboard are optional', () => {
  const { resources } = stackWith({ alarms: false, dashboard: false });
  assert.deepEqual(Object.values(resources).filter((one) => one.Type.startsWith('AWS::CloudWatch::')), []);
});

/** Returns the lines of each graph of the dashboard, as `namespace metric dimension`. */
function graphs(resources: Resources): Map<string, string[]> {
  const { widgets } = JSON.parse(resources.Dashboard.Properties.DashboardBody);
  return new Map(
    widgets
      .filter(({ type }: any) => type === 'metric')
      .map(({ properties }: any) => [
        properties.title,
        properties.metrics.map(([namespace, metric, , dimension]: string[]) => `${namespace} ${metric} ${dimension}`),
      ]),
  );
}

test('the dashboard shows the metrics of the function and the queues', () => {
  const shown = graphs(stackWith().resources);
  const own = (...names: string[]) => names.map((name) => `AmpPushGateway ${name} Function`);
  assert.deepEqual(shown.get('Events by outcome'), own('received', 'delivered', 'errored', 'rejected', 'dropped', 'maybe_stored'));
  assert.deepEqual(shown.get('Messages by action'), own('messages', 'acknowledged', 'dead_lettered', 'handed_back'));
  assert.deepEqual(shown.get('Rejected events by reason'), own(...REASONS.map((reason) => `rejected.${reason}`)));
  assert.deepEqual(shown.get('Waiting messages'), [
    'AWS/SQS ApproximateNumberOfMessagesVisible Queue.QueueName',
    'AWS/SQS ApproximateNumberOfMessagesVisible DeadLetterQueue.QueueName',
    'AWS/SQS ApproximateNumberOfMessagesVisible FailureQueue.QueueName',
  ]);
  assert.equal(shown.size, 12);
});

test('the dashboard has the alarms above the graphs, and queries of the log below', () => {
  const others = (resources: Resources) => {
    const { widgets } = JSON.parse(resources.Dashboard.Properties.DashboardBody);
    return widgets.filter((widget: any) => widget.type !== 'metric').map(({ type, properties }: any) => [type, properties]);
  };
  const [[type, { alarms: shown }], ...tables] = others(stackWith().resources);
  assert.deepEqual([type, shown.length], ['alarm', 9]);
  assert.deepEqual(
    tables.map(([kind, { query }]: any) => [kind, query]),
    [
      [
        'log',
        "SOURCE 'LogGroup' | filter message in [\"message dead-lettered\", \"message returned\", \"events rejected, reported only\"]\n" +
          '| stats count() by message, reason',
      ],
      ['log', "SOURCE 'LogGroup' | filter message = \"request failed\"\n| stats count() as requests, latest(@timestamp) by answer"],
    ],
  );
  const withoutAlarms = others(stackWith({ alarms: false }).resources);
  assert.deepEqual(withoutAlarms.map(([kind]: string[]) => kind), ['log', 'log']);
});

test('metrics are sums over five minutes by default', () => {
  const { gateway, stack } = stackWith();
  const table = [
    [gateway.metric('samples'), 'samples'],
    [gateway.metricReceived(), 'received'],
    [gateway.metricDelivered(), 'delivered'],
    [gateway.metricErrored(), 'errored'],
    [gateway.metricRejected(), 'rejected'],
    [gateway.metricDropped(), 'dropped'],
  ] as const;
  for (const [metric, name] of table) {
    assert.deepEqual(
      [metric.namespace, metric.metricName, metric.statistic, metric.period.toSeconds(), Object.keys(metric.dimensions ?? {})],
      ['AmpPushGateway', name, 'Sum', 300, ['FunctionName']],
    );
    assert.deepEqual(stack.resolve(metric.dimensions?.FunctionName), stack.resolve(gateway.function.functionName));
  }
  const other = gateway.metric('total_ms', { statistic: 'p99', period: Duration.minutes(1), label: 'slowest' });
  assert.deepEqual([other.statistic, other.period.toSeconds(), other.label], ['p99', 60, 'slowest']);
});
