import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aws_sns as sns, Duration } from 'aws-cdk-lib';
import { REASONS } from '../lib/metrics';
import { stackWith, ofType, type Resources } from './stack';

/** Returns one line for each alarm: its metric, its threshold and its periods. */
function alarms(resources: Resources): string[] {
  return ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties: alarm }) => {
    const periods = (seconds: number) => `${alarm.DatapointsToAlarm} of ${alarm.EvaluationPeriods} x ${seconds} s`;
    if (alarm.Metrics) {
      const [{ Expression }, { Id, MetricStat, ReturnData }] = alarm.Metrics;
      const [{ Name, Value }] = MetricStat.Metric.Dimensions;
      assert.equal(ReturnData, false);
      const name = Expression.replace(Id, MetricStat.Metric.MetricName);
      return `${MetricStat.Metric.Namespace} ${Name}=${Value} ${MetricStat.Stat} ${name} >= ${alarm.Threshold}, ${periods(MetricStat.Period)}`;
    }
    const [{ Name, Value }] = alarm.Dimensions;
    return `${alarm.Namespace} ${Name}=${Value} ${alarm.Statistic} ${alarm.MetricName} >= ${alarm.Threshold}, ${periods(alarm.Period)}`;
  });
}

test('the alarms watch these metrics with these thresholds', () => {
  const { resources } = stackWith();
  assert.deepEqual(alarms(resources), [
    'AWS/SQS QueueName=DeadLetterQueue.QueueName Maximum ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s',
    'AWS/SQS QueueName=DeadLetterQueue.QueueName Maximum DIFF(ApproximateNumberOfMessagesVisible) >= 1, 1 of 12 x 300 s',
    'AWS/SQS QueueName=DeadLetterQueue.QueueName Maximum ApproximateAgeOfOldestMessage >= 604800, 1 of 1 x 300 s',
    'AWS/SQS QueueName=FailureQueue.QueueName Maximum ApproximateNumberOfMessagesVisible >= 1, 1 of 1 x 300 s',
    'AWS/SQS QueueName=FailureQueue.QueueName Maximum DIFF(ApproximateNumberOfMessagesVisible) >= 1, 1 of 12 x 300 s',
    'AWS/SQS QueueName=FailureQueue.QueueName Maximum ApproximateAgeOfOldestMessage >= 604800, 1 of 1 x 300 s',
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

test('alarms are optional, and a dashboard is made only on request', () => {
  const { resources } = stackWith({ alarms: false });
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
  const shown = graphs(stackWith({ dashboard: true }).resources);
  const own = (...names: string[]) => names.map((name) => `AmpPushGateway ${name} Function`);
  assert.deepEqual(shown.get('Events by outcome'), own('received', 'delivered', 'errored', 'rejected', 'dropped', 'maybe_stored'));
  assert.deepEqual(shown.get('Waiting messages'), [
    'AWS/SQS ApproximateNumberOfMessagesVisible Queue.QueueName',
    'AWS/SQS ApproximateNumberOfMessagesVisible DeadLetterQueue.QueueName',
    'AWS/SQS ApproximateNumberOfMessagesVisible FailureQueue.QueueName',
  ]);
  assert.equal(shown.size, 5);
});

test('the dashboard asks the log for the numbers that are no metrics by default', () => {
  const { widgets } = JSON.parse(stackWith({ dashboard: true }).resources.Dashboard.Properties.DashboardBody);
  const lines = widgets.filter(({ properties }: any) => properties.view === 'timeSeries' && 'query' in properties);
  const shown = new Map(lines.map(({ properties }: any) => [properties.title, properties.query]));
  const query = (stats: string) => `SOURCE 'LogGroup' | filter message = "invocation"\n| stats ${stats} by bin(5m)`;
  assert.equal(shown.get('Messages by action'), query('sum(messages), sum(acknowledged), sum(dead_lettered), sum(handed_back)'));
  assert.equal(
    shown.get('Rejected events by reason'),
    query(REASONS.map((reason) => `sum(\`rejected.${reason}\`) as ${reason}`).join(', ')),
  );
  assert.equal(shown.size, 7);
});

test('the dashboard has the alarms above the graphs, and queries of the log below', () => {
  const others = (resources: Resources) => {
    const { widgets } = JSON.parse(resources.Dashboard.Properties.DashboardBody);
    const chosen = widgets.filter(({ type, properties }: any) => type === 'alarm' || properties.view === 'table');
    return chosen.map(({ type, properties }: any) => [type, properties]);
  };
  const [[type, { alarms: shown }], ...tables] = others(stackWith({ dashboard: true }).resources);
  assert.deepEqual([type, shown.length], ['alarm', 13]);
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
  const withoutAlarms = others(stackWith({ alarms: false, dashboard: true }).resources);
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
