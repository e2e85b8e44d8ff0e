import { aws_cloudwatch as cloudwatch, Duration, type aws_lambda as lambda, type aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { embeddedMetric, LATE_REASONS, REASONS } from './metrics';
import type { Queues } from './queues';

const WIDTH = 24;
const HEIGHT = 6;

/** From top to bottom: what is wrong, what became of the events, where messages wait, what the function does, and what it says. */
export function makeDashboard(
  scope: Construct,
  made: lambda.Function,
  queues: Queues,
  logGroup: logs.ILogGroup,
  alarms: cloudwatch.IAlarm[],
): cloudwatch.Dashboard {
  const own = (...names: string[]) => names.map((name) => embeddedMetric(made, name));
  const ownTimes = (...names: string[]) => names.map((name) => embeddedMetric(made, name, { statistic: 'p95' }));
  const most = { period: Duration.minutes(5), statistic: cloudwatch.Stats.MAXIMUM };
  const waiting = (queue: Queues['queue'], label: string) => queue.metricApproximateNumberOfMessagesVisible({ ...most, label });
  const states = new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: WIDTH, height: 2 });

  return new cloudwatch.Dashboard(scope, 'Dashboard', {
    defaultInterval: Duration.hours(3),
    widgets: [
      alarms.length > 0 ? [states] : [],
      graphs(
        ['Events: what became of them', own('received', 'delivered', 'errored', 'rejected', 'dropped', 'maybe_stored')],
        ['Events rejected, by reason', own(...REASONS.map((reason) => `rejected.${reason}`))],
        ['Messages: what became of them', own('messages', 'acknowledged', 'dead_lettered', 'handed_back')],
      ),
      graphs(
        [
          'Messages that wait',
          [waiting(queues.queue, 'queue'), waiting(queues.deadLetterQueue, 'dead letters'), waiting(queues.failureQueue, 'failures')],
        ],
        ['Age of the oldest message, in seconds', [queues.queue.metricApproximateAgeOfOldestMessage(most)]],
        ['Events dropped, by reason', own(...LATE_REASONS.map((reason) => `dropped.${reason}`))],
      ),
      graphs(
        ['Invocations', [made.metricInvocations(), made.metricErrors(), made.metricThrottles()]],
        [
          'Duration, in milliseconds',
          [made.metricDuration({ ...most, label: 'maximum' }), made.metricDuration({ statistic: 'p95', label: 'p95' })],
        ],
        ['Stages, p95 in milliseconds', ownTimes('read_ms', 'merge_ms', 'encode_ms', 'send_ms', 'dead_letter_ms', 'total_ms')],
      ),
      graphs(
        ['Samples and series stored', own('samples', 'series', 'inexact')],
        ['Requests to the workspace', own('requests', 'retries')],
        ['Bytes sent', own('bytes')],
      ),
      [
        table(
          'Put aside or handed back, by reason',
          logGroup,
          'filter message in ["message put aside", "message handed back", "events refused, reported only"]',
          'stats count() by message, reason',
        ),
        table(
          'Failed requests, by what the workspace answers',
          logGroup,
          'filter message = "request failed"',
          'stats count() as requests, latest(@timestamp) by answer',
        ),
      ],
    ],
  });
}

/** One row. */
function graphs(...row: [title: string, left: cloudwatch.IMetric[]][]): cloudwatch.IWidget[] {
  const shape = { width: WIDTH / row.length, height: HEIGHT, leftYAxis: { min: 0 } };
  return row.map(([title, left]) => new cloudwatch.GraphWidget({ title, left, ...shape }));
}

/** A query of the project's README, "Watching it". */
function table(title: string, logGroup: logs.ILogGroup, ...queryLines: string[]): cloudwatch.IWidget {
  const view = cloudwatch.LogQueryVisualizationType.TABLE;
  return new cloudwatch.LogQueryWidget({ title, logGroupNames: [logGroup.logGroupName], queryLines, view, width: WIDTH / 2, height: HEIGHT });
}
