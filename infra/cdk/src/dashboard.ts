import { aws_cloudwatch as cloudwatch, Duration, type aws_lambda as lambda, type aws_logs as logs } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Door } from './door';
import { embeddedMetric, httpMetrics, LATE_REASONS, REASONS } from './metrics';
import type { Queues } from './queues';
import type { State } from './state';

const WIDTH = 24;
const HEIGHT = 6;

/**
 * Makes the dashboard. From top to bottom: alarms, events and messages, queues, the function, what it sends, its log, the HTTP door.
 * The log has every number of an invocation, and most are no metrics by default. So most graphs ask the log.
 */
export function makeDashboard(
  scope: Construct,
  fn: lambda.Function,
  queues: Queues,
  logGroup: logs.ILogGroup,
  alarms: cloudwatch.IAlarm[],
  door?: Door,
  state?: State,
): cloudwatch.Dashboard {
  const own = (...names: string[]) => names.map((name) => embeddedMetric(fn, name));
  const sums = (...names: string[]) => names.map((name) => `sum(${name})`);
  const byReason = (outcome: string, reasons: string[]) => reasons.map((reason) => `sum(\`${outcome}.${reason}\`) as ${reason}`);
  const percentiles = (...names: string[]) => names.map((name) => `pct(${name}, 95)`);
  const ofLog = (title: string, stats: string[]) => logGraph(title, logGroup, stats);
  const maximum = { period: Duration.minutes(5), statistic: cloudwatch.Stats.MAXIMUM };
  const waiting = (queue: Queues['queue'], label: string) => queue.metricApproximateNumberOfMessagesVisible({ ...maximum, label });
  const states = new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms, width: WIDTH, height: 2 });

  return new cloudwatch.Dashboard(scope, 'Dashboard', {
    defaultInterval: Duration.hours(3),
    widgets: [
      alarms.length > 0 ? [states] : [],
      [
        graph('Events by outcome', own('received', 'delivered', 'errored', 'rejected', 'dropped', 'maybe_stored')),
        ofLog('Rejected events by reason', byReason('rejected', REASONS)),
        ofLog('Messages by action', sums('messages', 'acknowledged', 'dead_lettered', 'handed_back')),
      ],
      [
        graph('Waiting messages', [
          waiting(queues.queue, 'queue'),
          waiting(queues.deadLetterQueue, 'dead letters'),
          waiting(queues.failureQueue, 'failures'),
        ]),
        graph('Age of the oldest message, in seconds', [queues.queue.metricApproximateAgeOfOldestMessage(maximum)]),
        ofLog('Dropped events by reason', byReason('dropped', LATE_REASONS)),
      ],
      [
        graph('Invocations', [fn.metricInvocations(), fn.metricErrors(), fn.metricThrottles()]),
        graph('Duration, in milliseconds', [
          fn.metricDuration({ ...maximum, label: 'maximum' }),
          fn.metricDuration({ statistic: 'p95', label: 'p95' }),
        ]),
        ofLog('Stages, p95 in milliseconds', percentiles('read_ms', 'merge_ms', 'encode_ms', 'send_ms', 'dead_letter_ms', 'total_ms')),
      ],
      [
        ofLog('Stored samples and series', sums('samples', 'series', 'inexact', 'null_values')),
        ofLog('Requests to the workspace', sums('requests', 'retries')),
        ofLog('Bytes sent', sums('bytes')),
      ],
      [
        table(
          'Dead-lettered and returned messages by reason',
          logGroup,
          WIDTH / 2,
          'filter message in ["message dead-lettered", "message returned", "events rejected, reported only"]',
          'stats count() by message, reason',
        ),
        table(
          'Failed requests by the answer of the workspace',
          logGroup,
          WIDTH / 2,
          'filter message = "request failed"',
          'stats count() as requests, latest(@timestamp) by answer',
        ),
      ],
      door ? httpRow(fn, logGroup, door) : [],
      ...(state ? stateRows(state) : []),
    ],
  });
}

/** Returns the row of the HTTP door. */
function httpRow(fn: lambda.Function, logGroup: logs.ILogGroup, door: Door): cloudwatch.IWidget[] {
  const { requests, clientErrors, serverErrors, latency } = httpMetrics(fn, door);
  return [
    graph('HTTP requests', [requests, clientErrors, serverErrors]),
    graph('HTTP latency, in milliseconds', [
      latency.with({ statistic: cloudwatch.Stats.MAXIMUM, label: 'maximum' }),
      latency.with({ statistic: 'p95', label: 'p95' }),
    ]),
    table(
      'HTTP requests by route and status',
      logGroup,
      WIDTH / 3,
      'filter ispresent(route)',
      'stats count() as requests, sum(samples) as stored by route, status',
    ),
  ];
}

/** Returns the rows of the state: what the tick counted and wrote, and the table. */
function stateRows({ tick, table, tickLogGroup }: State): cloudwatch.IWidget[][] {
  const ofTick = (title: string, ...stats: string[]) => logGraph(title, tickLogGroup, stats);
  const ofTable = (name: string) => table.metric(name, { period: Duration.minutes(5), statistic: cloudwatch.Stats.SUM });
  return [
    [
      graph('Ticks', [tick.metricInvocations(), tick.metricErrors(), tick.metricThrottles()]),
      graph('Duration of a tick, in milliseconds', [
        tick.metricDuration({ statistic: cloudwatch.Stats.MAXIMUM, label: 'maximum' }),
        tick.metricDuration({ statistic: 'p95', label: 'p95' }),
      ]),
      graph(
        'Table, in units',
        ['ConsumedReadCapacityUnits', 'ConsumedWriteCapacityUnits', 'ReadThrottleEvents', 'WriteThrottleEvents'].map(ofTable),
      ),
    ],
    [
      ofTick('Kept series and groups', 'max(series)', 'max(groups)', 'sum(births)', 'sum(expired)'),
      ofTick('Counted by ticks', 'sum(entries)', 'sum(increments)', 'sum(duplicates)', 'max(remembered)'),
      ofTick(
        'Conflicts, and what is owed, dropped and damaged',
        'sum(bucket_conflicts)',
        'sum(type_conflicts)',
        'sum(series_conflicts)',
        'sum(series_limit)',
        'max(owed)',
        'sum(dead_lettered)',
        'sum(dropped)',
        'sum(`dropped.type_conflict`) as dropped_type_conflict',
        'sum(`dropped.series_limit`) as dropped_series_limit',
        'sum(damaged)',
      ),
    ],
    [
      ofTick(
        'Written by ticks',
        'sum(samples)',
        'sum(stale)',
        'sum(refused)',
        'sum(errored)',
        'sum(failed_shards)',
        'sum(requests)',
        'sum(retries)',
        'sum(metadata_failed)',
      ),
      ofTick(
        'Stages of a tick, and age of the oldest event that is not counted, in milliseconds',
        'pct(read_ms, 95)',
        'pct(fold_ms, 95)',
        'pct(write_ms, 95)',
        'pct(total_ms, 95)',
        'max(journal_age_ms)',
      ),
      ofTick('Bytes of the snapshot, and bytes sent', 'max(snapshot_bytes)', 'sum(bytes)'),
    ],
  ];
}

/** Returns a graph of metrics. */
function graph(title: string, left: cloudwatch.IMetric[]): cloudwatch.IWidget {
  return new cloudwatch.GraphWidget({ title, left, width: WIDTH / 3, height: HEIGHT, leftYAxis: { min: 0 } });
}

/** Returns a graph of numbers of the metric line, which the log has for each invocation. */
function logGraph(title: string, logGroup: logs.ILogGroup, stats: string[]): cloudwatch.IWidget {
  const view = cloudwatch.LogQueryVisualizationType.LINE;
  const queryLines = ['filter message = "invocation"', `stats ${stats.join(', ')} by bin(5m)`];
  return new cloudwatch.LogQueryWidget({ title, logGroupNames: [logGroup.logGroupName], queryLines, view, width: WIDTH / 3, height: HEIGHT });
}

/** Returns the table of a query of the log. */
function table(title: string, logGroup: logs.ILogGroup, width: number, ...queryLines: string[]): cloudwatch.IWidget {
  const view = cloudwatch.LogQueryVisualizationType.TABLE;
  return new cloudwatch.LogQueryWidget({ title, logGroupNames: [logGroup.logGroupName], queryLines, view, width, height: HEIGHT });
}
