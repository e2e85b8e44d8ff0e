import { Duration, aws_cloudwatch as cloudwatch, aws_cloudwatch_actions as actions } from 'aws-cdk-lib';
import type { aws_lambda as lambda, aws_sns as sns } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { embeddedMetric } from './metrics';
import type { Queues } from './queues';

/** In how many stretches of five minutes something has to happen. */
interface When {
  readonly datapoints: number;
  readonly of: number;
}

/** As long as it lasts. */
const NOW: When = { datapoints: 1, of: 1 };
/** The state means "within the last hour", so what happens now and then does not make the alarm come and go. */
const ONCE: When = { datapoints: 1, of: 12 };
/** No hiccup. */
const AGAIN: When = { datapoints: 3, of: 12 };

/** Half of the hour after which AMP takes nothing any more: there is time left to act. */
const OLD_SECONDS = 1_800;
/** Of the timeout. */
const NEAR_TIMEOUT = 0.8;

/** One alarm for each thing that a person has to look at. Times without data are quiet times. */
export function makeAlarms(
  scope: Construct,
  made: lambda.Function,
  queues: Queues,
  timeout: Duration,
  topic?: sns.ITopic,
): cloudwatch.IAlarm[] {
  const parent = new Construct(scope, 'Alarms');
  const alarms: cloudwatch.IAlarm[] = [];
  const alarm = (id: string, metric: cloudwatch.IMetric, threshold: number, when: When, ...description: string[]) => {
    const one = new cloudwatch.Alarm(parent, id, {
      metric,
      threshold,
      datapointsToAlarm: when.datapoints,
      evaluationPeriods: when.of,
      alarmDescription: description.join(' '),
      comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    if (topic) {
      one.addAlarmAction(new actions.SnsAction(topic));
      one.addOkAction(new actions.SnsAction(topic));
    }
    alarms.push(one);
  };
  const period = Duration.minutes(5);
  const sum = { period, statistic: cloudwatch.Stats.SUM };
  const most = { period, statistic: cloudwatch.Stats.MAXIMUM };
  const { queue, deadLetterQueue, failureQueue } = queues;

  alarm(
    'DeadLetters',
    deadLetterQueue.metricApproximateNumberOfMessagesVisible(most),
    1,
    NOW,
    'Messages lie on the dead-letter queue.',
    `What and why: pushgw redrive --queue-url ${deadLetterQueue.queueUrl}`,
  );
  alarm(
    'Failures',
    failureQueue.metricApproximateNumberOfMessagesVisible(most),
    1,
    NOW,
    'Asynchronous invocations failed for good, or AWS IoT could not hand messages over.',
    `What and why: pushgw redrive --queue-url ${failureQueue.queueUrl}`,
  );
  // SQS leaves out what a standard queue delivered three times: this sees messages that nobody takes. The others are for Undelivered.
  // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
  alarm(
    'QueueAge',
    queue.metricApproximateAgeOfOldestMessage(most),
    OLD_SECONDS,
    NOW,
    'A message has waited for half an hour; after an hour AMP does not take it.',
    'Is the event source mapping enabled? Is the function throttled, or maxConcurrency too low?',
  );
  alarm(
    'Undelivered',
    embeddedMetric(made, 'errored', sum),
    1,
    AGAIN,
    'Events could not be delivered and come again; an hour after their time AMP does not take them.',
    'The log lines "request failed" say what the workspace answers.',
  );
  alarm(
    'Rejected',
    embeddedMetric(made, 'rejected', sum),
    1,
    ONCE,
    'Within the last hour events were refused that can never be stored as they are.',
    'The metrics rejected.<reason> and the log lines "message put aside" say why.',
  );
  alarm(
    'Errors',
    made.metricErrors(sum),
    1,
    ONCE,
    'Within the last hour invocations failed: wrong settings, a crash, a timeout, or direct invocations that were told so.',
    'The log has lines of level ERROR.',
  );
  alarm(
    'LostFailures',
    made.metric('DestinationDeliveryFailures', sum),
    1,
    ONCE,
    'Within the last hour Lambda could not put failed asynchronous invocations on the failure queue: those events are lost.',
    'Is the record larger than SQS takes (1 MiB)? Was the role or the queue changed?',
  );
  alarm(
    'Throttles',
    made.metricThrottles(sum),
    1,
    AGAIN,
    "Invocations were throttled again and again within the last hour: the account's concurrency in this region is used up.",
  );
  alarm(
    'NearTimeout',
    made.metricDuration(most),
    NEAR_TIMEOUT * timeout.toMilliseconds(),
    AGAIN,
    'Invocations took 80 % of their timeout or more, again and again within the last hour.',
    'If send_ms is most of it, the workspace is slow or not reachable; else give more memory, a smaller batch or a longer timeout.',
  );
  return alarms;
}
