import { Duration, Token, type aws_sqs as sqs } from 'aws-cdk-lib';
import type { Faults } from './faults';
import type { PrometheusPushGatewayProps } from './props';

/** How messages travel from the queue to the function. */
export interface Batching {
  readonly fifo: boolean;
  readonly timeout: Duration;
  readonly batchSize: number;
  /** None for a FIFO queue. */
  readonly batchWindow?: Duration;
  readonly maxConcurrency: number;
  /**
   * Six times the timeout plus the window, as AWS advises: a message is out of sight from the time Lambda gathers it, through
   * a throttled invocation or two, until it is done with.
   * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
   */
  readonly visibilitySeconds: number;
  /**
   * 75 minutes of deliveries. AMP takes nothing older than an hour, so after a longer outage every message is put aside by the
   * function as `too_old`, with its reason, before SQS moves it without one.
   */
  readonly maxReceiveCount: number;
}

/** What works, but not as well as it could. The id is for those who acknowledge it. */
export interface Warning {
  readonly id: string;
  readonly text: string;
}

const OUTAGE_SECONDS = 75 * 60;

/** Checks the props about batches, and fills in what they leave open. */
export function batchingOf(props: PrometheusPushGatewayProps, faults: Faults): Batching {
  const fifo = props.fifo ?? props.queue?.fifo ?? false;
  if (props.queue && props.queue.fifo !== fifo) {
    faults.add('fifo', fifo, `${!fifo}, as queue is ${fifo ? 'a standard' : 'a FIFO'} queue`);
  }
  const timeout = seconds('timeout', props.timeout ?? Duration.seconds(30), 10, 900, faults);
  const window = fifo ? fifoWindow(props, faults) : seconds('batchWindow', props.batchWindow ?? Duration.seconds(20), 0, 300, faults);
  const batchSize = props.batchSize ?? (window === 0 ? 10 : 50);
  const largest = fifo ? 10 : 10_000;
  whole('batchSize', batchSize, 1, largest, faults, fifo ? ': a batch of a FIFO queue has ten messages at most' : '');
  if (!fifo && batchSize > 10 && window === 0) {
    faults.add('batchSize', batchSize, '1 to 10 without a batchWindow; a larger batch needs a window of 1 s or more');
  }
  const maxConcurrency = props.maxConcurrency ?? 2;
  whole('maxConcurrency', maxConcurrency, 2, 1_000, faults);
  const visibilitySeconds = 6 * timeout + window;
  return {
    fifo,
    timeout: Duration.seconds(timeout),
    batchSize,
    batchWindow: fifo ? undefined : Duration.seconds(window),
    maxConcurrency,
    visibilitySeconds,
    maxReceiveCount: Math.ceil(OUTAGE_SECONDS / visibilitySeconds),
  };
}

/** What a queue of the user's own is set to, as far as it is known before deployment; returns what to warn of. */
export function checkOwnQueue(queue: sqs.IQueue, batching: Batching, faults: Faults): Warning[] {
  // Only a queue that is made in the same app shows its settings. 30 s is SQS's default.
  const made = queue.node.defaultChild as sqs.CfnQueue | undefined;
  const visibility = made && (made.visibilityTimeout ?? 30);
  if (!made || Token.isUnresolved(visibility) || visibility === undefined) {
    return [];
  }
  const timeout = batching.timeout.toSeconds();
  const window = batching.batchWindow?.toSeconds() ?? 0;
  const sum = `timeout of ${timeout} s plus batchWindow of ${window} s`;
  if (visibility < timeout + window) {
    faults.say(
      'queue.visibilityTimeout',
      `${visibility} s`,
      `${timeout + window} s at least (${sum}), better ${batching.visibilitySeconds} s: a message would come again while it is worked on`,
    );
    return [];
  }
  const warnings: Warning[] = [];
  const warn = (about: string, text: string) => warnings.push({ id: `PrometheusPushGateway:${about}`, text });
  if (visibility < batching.visibilitySeconds) {
    warn('visibilityTimeout', `queue.visibilityTimeout is ${visibility} s; AWS advises ${batching.visibilitySeconds} s, six times the ${sum}`);
  }
  const redrive = (queue as sqs.Queue).deadLetterQueue;
  if (!redrive) {
    warn('deadLetterQueue', 'queue has no dead-letter queue; what cannot be delivered comes again until its retention ends, and is lost then');
  } else if (redrive.maxReceiveCount * visibility < OUTAGE_SECONDS) {
    const enough = Math.ceil(OUTAGE_SECONDS / visibility);
    warn(
      'maxReceiveCount',
      `queue.deadLetterQueue.maxReceiveCount is ${redrive.maxReceiveCount}; with ${enough} or more, messages outlive an outage of 75 minutes`,
    );
  }
  return warnings;
}

function fifoWindow(props: PrometheusPushGatewayProps, faults: Faults): number {
  if (props.batchWindow && (props.batchWindow.isUnresolved() || props.batchWindow.toMilliseconds() > 0)) {
    faults.add('batchWindow', props.batchWindow, 'none: Lambda has no batch window for a FIFO queue');
  }
  return 0;
}

/** `duration` in seconds; it is calculated with, so it has to be known now. */
export function seconds(prop: string, duration: Duration, least: number, most: number, faults: Faults): number {
  const expected = `whole seconds from ${least} s to ${most} s`;
  if (duration.isUnresolved()) {
    faults.add(prop, duration, `${expected}, known at synthesis`);
    return least;
  }
  const value = duration.toMilliseconds() / 1_000;
  if (!Number.isInteger(value) || value < least || value > most) {
    faults.add(prop, duration, expected);
  }
  return value;
}

/** A number that AWS would refuse is refused here; a token is known only there. */
export function whole(prop: string, value: number, least: number, most: number, faults: Faults, why = ''): void {
  if (!Token.isUnresolved(value) && (!Number.isInteger(value) || value < least || value > most)) {
    faults.add(prop, value, `a whole number from ${least} to ${most}${why}`);
  }
}
