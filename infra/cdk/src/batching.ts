import { Duration, Token, type aws_sqs as sqs } from 'aws-cdk-lib';
import type { PrometheusPushGatewayProps } from './props';
import type { PropErrors } from './validation';

/** How Lambda takes messages from the queue. */
export interface Batching {
  readonly fifo: boolean;
  readonly timeout: Duration;
  readonly batchSize: number;
  /** Unset for a FIFO queue. */
  readonly batchWindow?: Duration;
  readonly maxConcurrency: number;
  /**
   * Six times the timeout plus the window, as AWS advises. A message stays invisible while Lambda gathers the batch, while
   * invocations are throttled, and while the function works on it.
   * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
   */
  readonly visibilitySeconds: number;
}

/**
 * Deliveries after which SQS moves a message. The same for every timeout and window, so that no deployment lowers it for messages that
 * wait. The shortest visibility timeout is 60 s, so these deliveries take 75 minutes or more, and AMP rejects samples older than
 * an hour. So the function dead-letters a message as `too_old` before SQS moves it without a reason.
 */
export const MAX_RECEIVE_COUNT = 75;

/** A setting that works, but not well. Users acknowledge it by its id. */
export interface Warning {
  readonly id: string;
  readonly text: string;
}

/** A queue of the user's own should outlive an outage this long. */
const OUTAGE_SECONDS = 75 * 60;
const LEAST_RECEIVE_COUNT = 25;

/** Checks the props about batches, and sets the defaults. */
export function batchingOf(props: PrometheusPushGatewayProps, errors: PropErrors): Batching {
  const fifo = props.fifo ?? props.queue?.fifo ?? false;
  if (props.queue && props.queue.fifo !== fifo) {
    errors.add('fifo', fifo, `${!fifo}, as queue is ${fifo ? 'a standard' : 'a FIFO'} queue`);
  }
  const timeout = errors.checkSeconds('timeout', props.timeout ?? Duration.seconds(30), 10, 900);
  const window = fifo ? fifoWindow(props, errors) : errors.checkSeconds('batchWindow', props.batchWindow ?? Duration.seconds(20), 0, 300);
  const batchSize = props.batchSize ?? (window === 0 ? 10 : 50);
  const largest = fifo ? 10 : 10_000;
  errors.checkWhole('batchSize', batchSize, 1, largest, fifo ? ': a batch of a FIFO queue has at most 10 messages' : '');
  if (!fifo && batchSize > 10 && window === 0) {
    errors.add('batchSize', batchSize, '1 to 10 without a batchWindow; a larger batch needs a window of 1 s or more');
  }
  const maxConcurrency = props.maxConcurrency ?? 2;
  errors.checkWhole('maxConcurrency', maxConcurrency, 2, 1_000);
  const visibilitySeconds = 6 * timeout + window;
  return {
    fifo,
    timeout: Duration.seconds(timeout),
    batchSize,
    batchWindow: fifo ? undefined : Duration.seconds(window),
    maxConcurrency,
    visibilitySeconds,
  };
}

/** Checks the settings of a queue that the user made, as far as synthesis knows them, and returns warnings. */
export function checkOwnQueue(queue: sqs.IQueue, batching: Batching, errors: PropErrors): Warning[] {
  // Only a queue of the same app shows its settings. SQS's default is 30 s.
  const resource = queue.node.defaultChild as sqs.CfnQueue | undefined;
  const visibility = resource && (resource.visibilityTimeout ?? 30);
  if (!resource || Token.isUnresolved(visibility) || visibility === undefined) {
    return [];
  }
  const timeout = batching.timeout.toSeconds();
  const window = batching.batchWindow?.toSeconds() ?? 0;
  const sum = `timeout of ${timeout} s plus batchWindow of ${window} s`;
  if (visibility < timeout + window) {
    errors.addText(
      'queue.visibilityTimeout',
      `${visibility} s`,
      `at least ${timeout + window} s (${sum}), better ${batching.visibilitySeconds} s: SQS would deliver a message again while` +
        ' the function works on it',
    );
    return [];
  }
  const warnings: Warning[] = [];
  const warn = (setting: string, text: string) => warnings.push({ id: `PrometheusPushGateway:${setting}`, text });
  if (visibility < batching.visibilitySeconds) {
    warn('visibilityTimeout', `queue.visibilityTimeout is ${visibility} s; AWS advises ${batching.visibilitySeconds} s, six times the ${sum}`);
  }
  const redrive = (queue as sqs.Queue).deadLetterQueue;
  if (!redrive) {
    warn('deadLetterQueue', 'queue has no dead-letter queue: SQS delivers a message again until its retention ends, and then it is lost');
    return warnings;
  }
  const enough = Math.max(LEAST_RECEIVE_COUNT, Math.ceil(OUTAGE_SECONDS / visibility));
  if (redrive.maxReceiveCount < enough) {
    warn(
      'maxReceiveCount',
      `queue.deadLetterQueue.maxReceiveCount is ${redrive.maxReceiveCount}; with ${enough} or more, messages outlive an outage of 75 minutes` +
        ` and a deployment in it; a gateway's own queue has ${MAX_RECEIVE_COUNT}`,
    );
  }
  return warnings;
}

function fifoWindow(props: PrometheusPushGatewayProps, errors: PropErrors): number {
  if (props.batchWindow && (props.batchWindow.isUnresolved() || props.batchWindow.toMilliseconds() > 0)) {
    errors.add('batchWindow', props.batchWindow, 'none: Lambda has no batch window for a FIFO queue');
  }
  return 0;
}
