import { CfnDeletionPolicy, type CfnResource, Duration, type aws_iam as iam, RemovalPolicy, aws_sqs as sqs, Stack, Token, Validations } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { MAX_RECEIVE_COUNT, type Batching } from './batching';
import type { PrometheusPushGatewayProps } from './props';
import type { PropErrors } from './validation';

/** The queues of a gateway: given by the user, or made. */
export interface Queues {
  readonly queue: sqs.IQueue;
  readonly deadLetterQueue: sqs.IQueue;
  readonly failureQueue: sqs.IQueue;
}

/** Encrypted at rest, which costs nothing, and in transit: readings are often personal data. */
const ENCRYPTED = { encryption: sqs.QueueEncryption.SQS_MANAGED, enforceSSL: true };

/**
 * High throughput costs the same; without it the whole queue has a limit of 300 calls a second. No deduplication by content:
 * two equal readings without a timestamp are two samples.
 */
const FIFO = {
  fifo: true,
  contentBasedDeduplication: false,
  deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
  fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
};

/** The longest name in SQS. CloudFormation joins stack, logical id and 13 characters with two hyphens, and adds `.fifo`. */
const LONGEST_NAME = 80;
const ADDED_TO_NAME = 20;

/** Nobody else has these messages. So they stay when the stack is deleted, and for 14 days, the longest that SQS keeps any. */
const FOR_FAILURES = { ...ENCRYPTED, retentionPeriod: Duration.days(14), removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE };

/** Checks the types of the given queues, standard or FIFO. */
export function checkQueues(props: PrometheusPushGatewayProps, batching: Batching, errors: PropErrors): void {
  const type = (fifo: boolean) => (fifo ? 'a FIFO queue' : 'a standard queue');
  const { deadLetterQueue } = props;
  if (deadLetterQueue && !props.queue && deadLetterQueue.fifo !== batching.fifo) {
    errors.addText('deadLetterQueue', type(deadLetterQueue.fifo), `${type(batching.fifo)}, as the queue is one`);
  }
  if (props.failureQueue?.fifo) {
    errors.addText('failureQueue', type(true), `${type(false)}: Lambda does not send failed invocations to a FIFO queue`);
  }
}

/** Makes the queues that are not given. */
export function makeQueues(scope: Construct, props: PrometheusPushGatewayProps, batching: Batching): Queues {
  const type = batching.fifo ? FIFO : {};
  const deadLetterQueue =
    props.deadLetterQueue ??
    (props.queue as sqs.Queue | undefined)?.deadLetterQueue?.queue ??
    keepPolicy(new sqs.Queue(scope, 'DeadLetterQueue', { ...FOR_FAILURES, ...type }));
  if (batching.fifo && !props.deadLetterQueue) {
    warnOfLongName(deadLetterQueue);
  }
  const queue = props.queue ?? makeSource(scope, { ...ENCRYPTED, ...type }, deadLetterQueue, batching);
  return { queue, deadLetterQueue, failureQueue: props.failureQueue ?? makeFailureQueue(scope) };
}

function makeSource(scope: Construct, type: sqs.QueueProps, deadLetterQueue: sqs.IQueue, batching: Batching): sqs.IQueue {
  const queue = new sqs.Queue(scope, 'Queue', {
    ...type,
    retentionPeriod: Duration.days(4),
    visibilityTimeout: Duration.seconds(batching.visibilitySeconds),
    deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount: MAX_RECEIVE_COUNT },
  });
  // Deleted with the stack, so that producers get an error. Kept when CloudFormation replaces it: it may hold accepted events.
  for (const resource of [queue.node.defaultChild, policyOf(queue)] as CfnResource[]) {
    resource.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    resource.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
  }
  return queue;
}

/** A queue that stays would accept plain HTTP without its policy, so that stays too. */
function keepPolicy(queue: sqs.Queue): sqs.Queue {
  policyOf(queue).applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
  return queue;
}

/** The policy that `enforceSSL` makes. */
function policyOf(queue: sqs.Queue): CfnResource {
  return queue.node.findChild('Policy').node.defaultChild as CfnResource;
}

/**
 * CloudFormation shortens the names that it generates, but not those of FIFO queues. SQS does not accept the long ones.
 * https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/280
 */
function warnOfLongName(queue: sqs.IQueue): void {
  const resource = queue.node.defaultChild as sqs.CfnQueue;
  const stack = Stack.of(queue);
  const length = stack.stackName.length + stack.getLogicalId(resource).length + ADDED_TO_NAME;
  if (!Token.isUnresolved(stack.stackName) && length > LONGEST_NAME) {
    Validations.of(queue).addWarning(
      'PrometheusPushGateway:fifoName',
      `the name that CloudFormation gives this FIFO queue may have ${length} characters, and SQS accepts ${LONGEST_NAME}: shorten the` +
        ` name of the stack by ${length - LONGEST_NAME}, or give queue and deadLetterQueue with names of your own`,
    );
  }
}

function makeFailureQueue(scope: Construct): sqs.IQueue {
  const queue = keepPolicy(new sqs.Queue(scope, 'FailureQueue', FOR_FAILURES));
  Validations.of(queue).acknowledge({
    id: 'AwsSolutions-SQS3',
    reason: 'This is the dead-letter queue of asynchronous invocations. No function reads from it, so no message can fail again.',
  });
  return queue;
}

/** Allows sending to a queue that the user encrypts with a key of their own. */
export function allowKey(queue: sqs.IQueue, grantee: iam.IGrantable): void {
  queue.encryptionMasterKey?.grant(grantee, 'kms:GenerateDataKey', 'kms:Decrypt');
}
