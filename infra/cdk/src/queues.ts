import { CfnDeletionPolicy, Duration, type aws_iam as iam, RemovalPolicy, aws_sqs as sqs, Stack, Token, Validations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { Batching } from './batching';
import type { Faults } from './faults';
import type { PrometheusPushGatewayProps } from './props';

/** The queues of a gateway, made or given. */
export interface Queues {
  readonly queue: sqs.IQueue;
  readonly deadLetterQueue: sqs.IQueue;
  readonly failureQueue: sqs.IQueue;
}

/** SSE costs nothing, and plain HTTP is refused: readings are often personal. */
const GUARDED = { encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true };

/**
 * High throughput costs the same; without it 300 calls a second are the limit of a whole queue. Contents decide nothing about
 * duplicates: two equal readings without a timestamp are two samples.
 */
const FIFO = {
  fifo: true,
  contentBasedDeduplication: false,
  deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
  fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
};

/** What SQS takes of a name, and what CloudFormation adds to those of stack and resource: two hyphens, 13 letters, `.fifo`. */
const LONGEST_NAME = 80;
const ADDED_TO_NAME = 20;

/** They hold what nobody else has any more, so they stay when the stack goes, and for the longest time that SQS has. */
const LETTERS = { ...GUARDED, retentionPeriod: Duration.days(14), removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE };

/** Kinds of queue that do not go together. */
export function checkQueues(props: PrometheusPushGatewayProps, batching: Batching, faults: Faults): void {
  const kind = (fifo: boolean) => (fifo ? 'a FIFO queue' : 'a standard queue');
  const letters = props.deadLetterQueue;
  if (letters && !props.queue && letters.fifo !== batching.fifo) {
    faults.say('deadLetterQueue', kind(letters.fifo), `${kind(batching.fifo)}, as the queue is one`);
  }
  if (props.failureQueue?.fifo) {
    faults.say('failureQueue', kind(true), `${kind(false)}: Lambda sends failed invocations to no other`);
  }
}

/** Makes those queues that are not given. */
export function makeQueues(scope: Construct, props: PrometheusPushGatewayProps, batching: Batching): Queues {
  const kind = batching.fifo ? FIFO : {};
  const deadLetterQueue =
    props.deadLetterQueue ??
    (props.queue as sqs.Queue | undefined)?.deadLetterQueue?.queue ??
    new sqs.Queue(scope, 'DeadLetterQueue', { ...LETTERS, ...kind });
  if (batching.fifo && !props.deadLetterQueue) {
    checkNames(deadLetterQueue);
  }
  const queue = props.queue ?? makeSource(scope, { ...GUARDED, ...kind }, deadLetterQueue, batching);
  return { queue, deadLetterQueue, failureQueue: props.failureQueue ?? makeFailureQueue(scope) };
}

function makeSource(scope: Construct, kind: sqs.QueueProps, deadLetterQueue: sqs.IQueue, batching: Batching): sqs.IQueue {
  const queue = new sqs.Queue(scope, 'Queue', {
    ...kind,
    retentionPeriod: Duration.days(4),
    visibilityTimeout: Duration.seconds(batching.visibilitySeconds),
    deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount: batching.maxReceiveCount },
  });
  // It goes with the stack, so that producers hear of it. Where it is replaced, the old one may hold accepted events.
  (queue.node.defaultChild as sqs.CfnQueue).cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
  return queue;
}

/**
 * CloudFormation shortens the names that it makes up, but not those of FIFO queues, of which SQS then refuses the long ones.
 * https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/280
 */
function checkNames(queue: sqs.IQueue): void {
  const made = queue.node.defaultChild as sqs.CfnQueue;
  const stack = Stack.of(queue);
  const length = stack.stackName.length + stack.getLogicalId(made).length + ADDED_TO_NAME;
  if (!Token.isUnresolved(stack.stackName) && length > LONGEST_NAME) {
    Validations.of(queue).addWarning(
      'PrometheusPushGateway:fifoName',
      `the name that CloudFormation gives this FIFO queue may have ${length} characters, and SQS takes ${LONGEST_NAME}: shorten the` +
        ` name of the stack by ${length - LONGEST_NAME}, or give queue and deadLetterQueue with names of your own`,
    );
  }
}

function makeFailureQueue(scope: Construct): sqs.IQueue {
  const queue = new sqs.Queue(scope, 'FailureQueue', LETTERS);
  Validations.of(queue).acknowledge({
    id: 'AwsSolutions-SQS3',
    reason: 'It is itself where failed invocations end. Nothing consumes it automatically, so nothing could move on to another queue.',
  });
  return queue;
}

/** Sending to a queue that is encrypted with a key of the user's own needs these two. */
export function allowKey(queue: sqs.IQueue, grantee: iam.IGrantable): void {
  queue.encryptionMasterKey?.grant(grantee, 'kms:GenerateDataKey', 'kms:Decrypt');
}
