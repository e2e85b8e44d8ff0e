import type { Duration, aws_aps as aps, aws_lambda as lambda, aws_logs as logs, aws_sns as sns, aws_sqs as sqs } from 'aws-cdk-lib';

/** Where an AWS IoT rule sends what devices publish. */
export enum IotTarget {
  /**
   * To the queue. It keeps the events for days when the workspace cannot be reached; prefer this one.
   * Not for a FIFO queue: the rule's SQS action cannot send to one.
   */
  QUEUE = 'queue',
  /** Straight to the function, asynchronously. It is tried three times within minutes, then lies on the failure queue. */
  FUNCTION = 'function',
}

/** What becomes of samples that the workspace does not take any more: older than an hour, or out of order. */
export enum LateSamples {
  /** Their message goes to the dead-letter queue with the reason. */
  DEAD_LETTER = 'dead-letter',
  /** They are counted as dropped, and their message is done with. */
  DROP = 'drop',
}

/** What the function logs. The line with the metrics of an invocation is printed at every level. */
export enum LogLevel {
  /** Nothing but the metrics. */
  OFF = 'off',
  /** Wrong settings, a crash, no answer from Lambda itself. */
  ERROR = 'error',
  /** Also one line for each failed request, and for each message that is handed back or put aside. */
  WARN = 'warn',
  /** As WARN; the function has nothing to say at this level yet. */
  INFO = 'info',
  /** Also one line for each delivered message. */
  DEBUG = 'debug',
  /** Everything. Payloads and secrets are logged at no level. */
  TRACE = 'trace',
}

/** An AWS IoT rule that feeds the gateway. */
export interface IotRuleProps {
  /**
   * MQTT topic filter of devices that publish whole events, such as `amp/+/events`: the rule is then
   * `SELECT * FROM '<topicFilter>'`. `+` stands for one level, `#` for all further ones.
   *
   * @default - none: `sql` names the topic. Exactly one of the two must be given.
   */
  readonly topicFilter?: string;

  /**
   * The whole statement, in SQL version 2016-03-23, for devices that publish something else; it has to give an event.
   * `examples/iot` of the project has two to copy.
   *
   * @default - `SELECT * FROM '<topicFilter>'`
   */
  readonly sql?: string;

  /**
   * Where the rule sends to. What it cannot send goes to the failure queue.
   *
   * @default IotTarget.QUEUE
   */
  readonly target?: IotTarget;
}

/** What a gateway is made of. Nothing is required: without any of it a workspace and the queues are made as well. */
export interface PrometheusPushGatewayProps {
  /**
   * ARN of the existing AMP workspace to write to, `arn:aws:aps:<region>:<account>:workspace/ws-<id>`. Another region is
   * fine; another account too, if that workspace's resource policy lets the function's role in.
   *
   * @default - `workspace`, else a workspace is made
   */
  readonly prometheusArn?: string;

  /**
   * Endpoint of that workspace, `https://<host>/workspaces/ws-<id>`, with or without `/`, `/api/v1/` or
   * `/api/v1/remote_write` at its end. Needed only where the host is not the region's own, a VPC endpoint for example.
   * Only together with `prometheusArn`.
   *
   * @default - the endpoint of the ARN's region
   */
  readonly prometheusEndpoint?: string;

  /**
   * The workspace to write to, if it is made in the same app. Not together with `prometheusArn`.
   *
   * @default - that of `prometheusArn`, else a workspace is made; it stays when the stack goes, with its metrics
   */
  readonly workspace?: aps.CfnWorkspace;

  /**
   * How far behind the newest sample the workspace still takes one: 0 to 600 s, whole seconds. Only for a workspace that this
   * construct makes; for others see `outOfOrderWindowCommand`.
   *
   * @default - AMP's own, 60 s
   */
  readonly outOfOrderWindow?: Duration;

  /**
   * The queue that producers send events to. Its visibility timeout should be at least six times `timeout` plus
   * `batchWindow` (200 s by default); less than `timeout` plus `batchWindow` is refused.
   *
   * @default - one is made, with SSE, TLS only, 4 days of retention and a dead-letter queue; it goes with the stack
   */
  readonly queue?: sqs.IQueue;

  /**
   * Where rejected messages go with their reason. A queue that this construct makes also moves there what was delivered
   * too often; both must then be of one kind, standard or FIFO.
   *
   * @default - that of `queue`, if it is made in the same app and has one; else one is made with 14 days of retention, which stays
   * when the stack goes
   */
  readonly deadLetterQueue?: sqs.IQueue;

  /**
   * Where asynchronous invocations and IoT messages go that failed for good. A standard queue: Lambda sends to no other.
   *
   * @default - one is made with 14 days of retention, which stays when the stack goes
   */
  readonly failureQueue?: sqs.IQueue;

  /**
   * Whether the queue is FIFO: order within each message group, at the price of batches of at most 10, no batch window, and no
   * IoT rule to the queue. Producers must send a deduplication id: two equal readings are two samples, so content decides nothing.
   * CloudFormation makes up a queue's name of the stack's name and the construct's path, of which SQS takes 80 characters.
   *
   * @default - as `queue` is, else false
   */
  readonly fifo?: boolean;

  /**
   * Messages that one invocation takes at most: 1 to 10,000, FIFO 1 to 10. Above 10 a `batchWindow` of a second or more is needed.
   *
   * @default 50; 10 for FIFO and without a window
   */
  readonly batchSize?: number;

  /**
   * How long Lambda gathers messages for a batch: 0 to 300 s, whole seconds, FIFO none. Below AMP's out-of-order window of 60 s,
   * samples that wait for each other are still taken.
   *
   * @default Duration.seconds(20), FIFO none
   */
  readonly batchWindow?: Duration;

  /**
   * Batches that are worked on at the same time: 2 to 1,000. Few of them keep the samples of a series in order.
   *
   * @default 2
   */
  readonly maxConcurrency?: number;

  /**
   * Memory of the function in MB: 128 to 10,240. The function's part of a CPU grows with it.
   *
   * @default 128
   */
  readonly memorySize?: number;

  /**
   * How long one invocation may take: 10 to 900 s, whole seconds. Retries live within it.
   *
   * @default Duration.seconds(30)
   */
  readonly timeout?: Duration;

  /**
   * Processor of the function: ARM_64 or X86_64.
   *
   * @default lambda.Architecture.ARM_64
   */
  readonly architecture?: lambda.Architecture;

  /**
   * Labels for events that have none of that name, such as `{ env: 'prod' }`. Names are `[a-zA-Z_][a-zA-Z0-9_]*` and do not
   * begin with `__`; values are not empty, have no comma, and at most 2,048 bytes.
   *
   * @default - none
   */
  readonly externalLabels?: { [name: string]: string };

  /**
   * Samples older than this are rejected as `too_old`; AMP takes none that is older than an hour.
   *
   * @default Duration.hours(1)
   */
  readonly maxSampleAge?: Duration;

  /**
   * Samples further ahead than this are rejected as `in_future`. A sample from the future costs every series of the workspace its
   * out-of-order window.
   *
   * @default Duration.seconds(10)
   */
  readonly maxSampleLead?: Duration;

  /**
   * What becomes of samples that are too old or out of order.
   *
   * @default LateSamples.DEAD_LETTER
   */
  readonly lateSamples?: LateSamples;

  /**
   * What the function logs.
   *
   * @default LogLevel.INFO
   */
  readonly logLevel?: LogLevel;

  /**
   * How long logs are kept.
   *
   * @default logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * Whether AWS X-Ray traces the function.
   *
   * @default false
   */
  readonly xray?: boolean;

  /**
   * An AWS IoT rule that feeds the gateway.
   *
   * @default - none
   */
  readonly iot?: IotRuleProps;

  /**
   * Whether alarms are made: dead letters, failures, age of the queue, events that are not delivered or rejected, errors, lost
   * failures, throttles, time close to the timeout.
   *
   * @default true
   */
  readonly alarms?: boolean;

  /**
   * Topic that is told when an alarm starts and when it ends. Only with alarms.
   *
   * @default - nobody is told; the alarms are seen in CloudWatch
   */
  readonly alarmTopic?: sns.ITopic;

  /**
   * Whether a CloudWatch dashboard is made.
   *
   * @default true
   */
  readonly dashboard?: boolean;

  /**
   * The function's code, a zip with `bootstrap` for `architecture`; for builds of your own.
   *
   * @default - the build of `ingest` that this package brings with it
   */
  readonly code?: lambda.Code;
}
