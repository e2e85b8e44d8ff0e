import { aws_cloudwatch as cloudwatch, Duration, type aws_lambda as lambda, type aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { embeddedMetric, LATE_REASONS, REASONS } from './metrics';
import type { Queues } from './queues';

const WIDTH = 24;
const HEIGHT = 6;

/** Makes the dashboard. From top to bottom: alarms, events and messages, queues, the function, what it sends, its log. */
export function makeDashboard(
  scope: Construct,
  fn: lambda.Function,
  queues: Queues,
  logGroup: logs.ILogGroup,
  alarms: cloudwatch.IAlarm[],
): cloudwatch.Dashboard {
  const own = (...names: string[]) => names.map((name) => embeddedMetric(fn, name));
  const ownTimes = (...names: string[]) => names.map((name) => embeddedMetric(fn, name, { statistic: 'p95' }));
  const maximum = { period: Duration.minutes(5), statistic: cloudwatch.Stats.MAXIMUM };
  const waiting = (queue: Queues['queue'], label: string) => queue.metricApproximateNumberOfMessagesVisible({ ...maximum, label });
  const states = new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: WIDTH, height: 2 });

  return new cloudwatch.Dashboard(scope, 'Dashboard', {
    defaultInterval: Duration.hours(3),
    widgets: [
      alarms.length > 0 ? [states] : [],
      graphs(
        ['Events by outcome', own('received', 'delivered', 'errored', 'rejected', 'dropped', 'maybe_stored')],
        ['Rejected events by reason', own(...REASONS.map((reason) => `rejected.${reason}`))],
        ['Messages by action', own('messages', 'acknowledged', 'dead_lettered', 'handed_back')],
      ),
      graphs(
        [
          'Waiting messages',
          [waiting(queues.queue, 'queue'), waiting(queues.deadLetterQueue, 'dead letters'), waiting(queues.failureQueue, 'failures')],
        ],
        ['Age of the oldest message, in seconds', [queues.queue.metricApproximateAgeOfOldestMessage(maximum)]],
        ['Dropped events by reason', own(...LATE_REASONS.map((reason) => `dropped.${reason}`))],
      ),
      graphs(
        ['Invocations', [fn.metricInvocations(), fn.metricErrors(), fn.metricThrottles()]],
        [
          'Duration, in milliseconds',
          [fn.metricDuration({ ...maximum, label: 'maximum' }), fn.metricDuration({ statistic: 'p95', label: 'p95' })],
        ],
        ['Stages, p95 in milliseconds', ownTimes('read_ms', 'merge_ms', 'encode_ms', 'send_ms', 'dead_letter_ms', 'total_ms')],
      ),
      graphs(
        ['Stored samples and series', own('samples', 'series', 'inexact')],
        ['Requests to the workspace', own('requests', 'retries')],
        ['Bytes sent', own('bytes')],
      ),
      [
        table(
          'Dead-lettered and returned messages by reason',
          logGroup,
          'filter message in ["message dead-lettered", "message returned", "events rejected, reported only"]',
          'stats count() by message, reason',
        ),
        table(
          'Failed requests by the answer of the workspace',
          logGroup,
          'filter message = "request failed"',
          'stats count() as requests, latest(@timestamp) by answer',
        ),
      ],
    ],
  });
}

/** Returns one row of graphs. */
function graphs(...row: [title: string, left: cloudwatch.IMetric[]][]): cloudwatch.IWidget[] {
  const shape = { width: WIDTH / row.length, height: HEIGHT, leftYAxis: { min: 0 } };
  return row.map(([title, left]) => new cloudwatch.GraphWidget({ title, left, ...shape }));
}

/** Returns the table of a query of the log. */
function table(title: string, logGroup: logs.ILogGroup, ...queryLines: string[]): cloudwatch.IWidget {
  const view = cloudwatch.LogQueryVisualizationType.TABLE;
  return new cloudwatch.LogQueryWidget({ title, logGroupNames: [logGroup.logGroupName], queryLines, view, width: WIDTH / 2, height: HEIGHT });
}
