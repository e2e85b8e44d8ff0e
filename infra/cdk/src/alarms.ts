import { Duration, aws_cloudwatch as cloudwatch, aws_cloudwatch_actions as actions } from 'aws-cdk-lib';
import type { aws_lambda as lambda, aws_sns as sns, aws_sqs as sqs } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { Door } from './door';
import { embeddedMetric, httpMetrics } from './metrics';
import type { Queues } from './queues';
import type { State } from './state';

/** How many of the last periods of five minutes must reach the threshold. */
interface Evaluation {
  readonly datapoints: number;
  readonly of: number;
}

/** In alarm only while the threshold is reached. */
const NOW: Evaluation = { datapoints: 1, of: 1 };
/** In alarm for an hour after each time, so that the state does not change back and forth. */
const WITHIN_AN_HOUR: Evaluation = { datapoints: 1, of: 12 };
/** Not for a single disturbance. */
const THREE_TIMES_AN_HOUR: Evaluation = { datapoints: 3, of: 12 };
/** For what a tick or two may have. */
const FOR_A_QUARTER_OF_AN_HOUR: Evaluation = { datapoints: 3, of: 3 };

/** Half of the hour after which AMP rejects a sample: there is time left to act. */
const OLD_SECONDS = 1_800;
/** Half of the time after which SQS deletes a message of the other two queues. */
const EXPIRES_SOON_SECONDS = 7 * 86_400;
/** How many requests answered with 4xx a period has, if a sender is wrong once a minute. Everybody can call a public URL. */
const WRONG_ONCE_A_MINUTE = 5;
/** The function answers 503 after 9 s. Most client libraries wait for 10 s or longer. */
const SLOW_MS = 8_000;
/** Five ticks. */
const UNCOUNTED_MS = 300_000;
/** Share of the timeout. */
const NEAR_TIMEOUT = 0.8;

/** Makes one alarm for each condition that a person must look at. A period without data is in order. */
export function makeAlarms(
  scope: Construct,
  fn: lambda.Function,
  queues: Queues,
  timeout: Duration,
  topic?: sns.ITopic,
  door?: Door,
  state?: State,
): cloudwatch.IAlarm[] {
  const parent = new Construct(scope, 'Alarms');
  const alarms: cloudwatch.IAlarm[] = [];
  const add = (id: string, metric: cloudwatch.IMetric, threshold: number, evaluation: Evaluation, ...description: string[]) =>
    addAlarm(id, metric, evaluation, description, {
      threshold,
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
  const addAlarm = (
    id: string,
    metric: cloudwatch.IMetric,
    { datapoints, of }: Evaluation,
    description: string[],
    comparison: Pick<cloudwatch.AlarmProps, 'threshold' | 'comparisonOperator' | 'treatMissingData'>,
  ) => {
    const alarm = new cloudwatch.Alarm(parent, id, {
      metric,
      datapointsToAlarm: datapoints,
      evaluationPeriods: of,
      alarmDescription: description.join(' '),
      ...comparison,
    });
    if (topic) {
      alarm.addAlarmAction(new actions.SnsAction(topic));
      alarm.addOkAction(new actions.SnsAction(topic));
    }
    alarms.push(alarm);
  };
  const period = Duration.minutes(5);
  const sum = { period, statistic: cloudwatch.Stats.SUM };
  const maximum = { period, statistic: cloudwatch.Stats.MAXIMUM };
  const { queue, deadLetterQueue, failureQueue } = queues;

  const addNewAndOld = (kind: string, of: sqs.IQueue, name: string) => {
    // The alarm about all messages stays as it is while an old one waits, and tells nobody about the next one. This one does.
    // NumberOfMessagesSent would not: it leaves out messages that SQS itself moved.
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    const waiting = of.metricApproximateNumberOfMessagesVisible(maximum);
    const more = new cloudwatch.MathExpression({ expression: 'DIFF(waiting)', usingMetrics: { waiting }, period, label: 'New messages' });
    add(
      `New${kind}s`,
      more,
      1,
      WITHIN_AN_HOUR,
      `Within the last hour more messages came to ${name} than left it, although others already waited there.`,
      `To see them with their reasons: pushgw redrive --queue-url ${of.queueUrl}`,
    );
    // SQS deletes a message 14 days after its first queue got it. The alarm about all messages then looks as if somebody had mended
    // it. On a standard queue the metric begins when SQS moves the message, up to 4 days later. So 7 days leave 3 or more.
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
    add(
      `Old${kind}s`,
      of.metricApproximateAgeOfOldestMessage(maximum),
      EXPIRES_SOON_SECONDS,
      NOW,
      `A message has waited on ${name} for 7 days. SQS deletes it 14 days after it was first sent.`,
      `If ${kind}s ends then, the messages are lost.`,
      `To save them: pushgw redrive --queue-url ${of.queueUrl} --all --to-file saved.jsonl`,
    );
  };

  add(
    'DeadLetters',
    deadLetterQueue.metricApproximateNumberOfMessagesVisible(maximum),
    1,
    NOW,
    'There are messages on the dead-letter queue.',
    `To see them with their reasons: pushgw redrive --queue-url ${deadLetterQueue.queueUrl}`,
  );
  addNewAndOld('DeadLetter', deadLetterQueue, 'the dead-letter queue');
  add(
    'Failures',
    failureQueue.metricApproximateNumberOfMessagesVisible(maximum),
    1,
    NOW,
    'Asynchronous invocations failed and are not tried again, or AWS IoT could not deliver messages.',
    `To see them with their reasons: pushgw redrive --queue-url ${failureQueue.queueUrl}`,
  );
  addNewAndOld('Failure', failureQueue, 'the failure queue');
  // On a standard queue SQS ignores messages that were received three times. So this alarm is about messages that nobody
  // receives; Undelivered is about the others.
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
  add(
    'QueueAge',
    queue.metricApproximateAgeOfOldestMessage(maximum),
    OLD_SECONDS,
    NOW,
    'A message has waited for half an hour; after an hour AMP rejects it.',
    'Is the event source mapping enabled? Is the function throttled, or maxConcurrency too low?',
  );
  add(
    'Undelivered',
    embeddedMetric(fn, 'errored', sum),
    1,
    THREE_TIMES_AN_HOUR,
    'Events could not be delivered. SQS delivers them again; AMP rejects them an hour after their time.',
    'The log lines "request failed" show what the workspace answers.',
  );
  add(
    'Rejected',
    embeddedMetric(fn, 'rejected', sum),
    1,
    WITHIN_AN_HOUR,
    'Within the last hour the gateway rejected events that can never be stored as they are.',
    'The metrics rejected.<reason> and the log lines "message dead-lettered" show why.',
  );
  add(
    'Errors',
    fn.metricErrors(sum),
    1,
    WITHIN_AN_HOUR,
    'Within the last hour invocations failed: wrong settings, a crash, a timeout, or direct invocations whose events were',
    'rejected or not delivered. The log shows which: look for level ERROR.',
  );
  add(
    'LostFailures',
    fn.metric('DestinationDeliveryFailures', sum),
    1,
    WITHIN_AN_HOUR,
    'Within the last hour Lambda could not send failed asynchronous invocations to the failure queue: those events are lost.',
    'Is the record larger than the 1 MiB that SQS accepts? Was the role or the queue changed?',
  );
  add(
    'Throttles',
    fn.metricThrottles(sum),
    1,
    THREE_TIMES_AN_HOUR,
    'Within the last hour Lambda throttled invocations in three or more periods of five minutes:',
    "the account's concurrency in this region is used up, or the function has a reserved concurrency below maxConcurrency.",
  );
  add(
    'NearTimeout',
    fn.metricDuration(maximum),
    NEAR_TIMEOUT * timeout.toMilliseconds(),
    THREE_TIMES_AN_HOUR,
    'Within the last hour invocations took 80 % of their timeout or more in three or more periods of five minutes.',
    'If most of it is send_ms, the workspace is slow or not reachable; else give more memory, a smaller batch or a longer timeout.',
  );
  if (door) {
    const { clientErrors, serverErrors, latency } = httpMetrics(fn, door);
    add(
      'HttpClientErrors',
      clientErrors.with(sum),
      WRONG_ONCE_A_MINUTE,
      THREE_TIMES_AN_HOUR,
      'Within the last hour the HTTP door answered 4xx to five or more requests, in three or more periods of five minutes.',
      'The log lines with route and status show which: 400 is a rejection, 401 and 403 wrong credentials, 429 a throttle.',
    );
    add(
      'HttpServerErrors',
      serverErrors.with(sum),
      1,
      THREE_TIMES_AN_HOUR,
      'Within the last hour the HTTP door answered 5xx in three or more periods of five minutes. Senders of remote write try again;',
      'client libraries do not. The log lines "request failed" show what the workspace answers.',
    );
    add(
      'HttpLatency',
      latency.with(maximum),
      SLOW_MS,
      THREE_TIMES_AN_HOUR,
      'Within the last hour answers of the HTTP door took 8 s or more in three or more periods of five minutes. At 9 s it answers 503.',
      'If most of it is send_ms, the workspace is slow or not reachable; else give more memory.',
    );
  }
  if (state) {
    const { tick, table } = state;
    // The only alarm that a period without data starts: Lambda has no data if nothing is invoked.
    addAlarm(
      'NoTick',
      tick.metricInvocations({ period: Duration.minutes(1), statistic: cloudwatch.Stats.SUM }),
      { datapoints: 5, of: 5 },
      [
        'For five minutes nothing has invoked the tick: counters and groups disappear from queries. Is the schedule enabled, and may it',
        'invoke the function? Events are lost only after 14 days.',
      ],
      {
        threshold: 1,
        comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        treatMissingData: cloudwatch.TreatMissingData.BREACHING,
      },
    );
    add(
      'TickErrors',
      tick.metricErrors(sum),
      1,
      THREE_TIMES_AN_HOUR,
      'Within the last hour ticks failed in three or more periods of five minutes. Each lost one sample of every series, but no increment.',
      'The log of the tick shows why: look for level ERROR.',
    );
    add(
      'JournalAge',
      embeddedMetric(tick, 'journal_age_ms', maximum),
      UNCOUNTED_MS,
      NOW,
      'Events have waited in the journal for five minutes, and no tick has counted them. Look at NoTick and TickErrors.',
      'If they are not set off, the tick is too slow, and needs more tickMemorySize.',
    );
    add(
      'OwedDeadLetters',
      embeddedMetric(tick, 'owed', maximum),
      1,
      FOR_A_QUARTER_OF_AN_HOUR,
      'For a quarter of an hour dead letters of the tick have waited: series that change their type, or more series than maxSeries.',
      'The tick sends 1,000 in a minute. Does sending fail, or are there so many of them?',
    );
    add(
      'TickDropped',
      embeddedMetric(tick, 'dropped', sum),
      1,
      WITHIN_AN_HOUR,
      'Within the last hour the tick dropped events, because 10,000 dead letters already waited: those events are lost.',
      'The metrics dropped.<reason> and the log of the tick show why.',
    );
    const throttles = new cloudwatch.MathExpression({
      expression: 'FILL(writes, 0) + FILL(reads, 0)',
      usingMetrics: { writes: table.metric('WriteThrottleEvents', sum), reads: table.metric('ReadThrottleEvents', sum) },
      period,
      label: 'Throttled requests',
    });
    add(
      'TableThrottles',
      throttles,
      1,
      THREE_TIMES_AN_HOUR,
      'Within the last hour DynamoDB throttled requests to the table in three or more periods of five minutes. SQS delivers the events',
      'again. Does one shard get more than 1,000 writes a second, or did somebody limit the table?',
    );
  }
  return alarms;
}
