import type {
  Duration,
  aws_aps as aps,
  aws_dynamodb as dynamodb,
  aws_lambda as lambda,
  aws_logs as logs,
  aws_secretsmanager as secrets,
  aws_sns as sns,
  aws_sqs as sqs,
} from 'aws-cdk-lib';

/** The target of an AWS IoT rule, for the messages that devices publish. */
export enum IotTarget {
  /**
   * To the queue. Prefer this one: the queue keeps the events for days if the workspace cannot be reached.
   * Not for a FIFO queue: the rule's SQS action cannot send to one.
   */
  QUEUE = 'queue',
  /** To the function, asynchronously. Lambda tries three times within minutes, then sends the event to the failure queue. */
  FUNCTION = 'function',
}

/** How the function treats events that come too late: too old, or out of order. */
export enum LateSamples {
  /** It rejects them: their message goes to the dead-letter queue with the reason. */
  DEAD_LETTER = 'dead-letter',
  /** It counts them as dropped, and acknowledges their message. */
  DROP = 'drop',
}

/** The numbers of the metric line that become CloudWatch metrics. Each costs 0.30 USD a month. The log has all of them. */
export enum EmbeddedMetrics {
  /** Seven: those of the alarms, and those that show what was lost. */
  ALARMS = 'alarms',
  /** All 23, and one for each reason. */
  ALL = 'all',
}

/** How much the function logs. It prints the metric line of each invocation at every level. */
export enum LogLevel {
  /** Only the metric lines. */
  OFF = 'off',
  /** Also wrong settings, crashes, and no answer from Lambda's runtime interface. */
  ERROR = 'error',
  /** Also one line for each failed request, and for each message that is returned or dead-lettered. */
  WARN = 'warn',
  /** The same as WARN: the function has no messages of this level yet. */
  INFO = 'info',
  /** Also one line for each delivered message. */
  DEBUG = 'debug',
  /** Everything. No level logs payloads or secrets. */
  TRACE = 'trace',
}

/** The front that receives the HTTP requests for the function. */
export enum HttpFront {
  /** A function URL. It costs nothing, and has neither a throttle of its own nor a domain name of yours. */
  FUNCTION_URL = 'function-url',
  /** An HTTP API of API Gateway. It has a throttle, and takes a domain name of yours. It costs 1 USD a million requests. */
  HTTP_API = 'http-api',
}

/** How a sender shows that it may use the HTTP door. */
export enum HttpAuth {
  /** It sends the user name and password, or the token, of a secret. All client libraries can. */
  SECRET = 'secret',
  /** It signs its requests (SigV4), with credentials of AWS that may invoke the door. */
  IAM = 'iam',
}

/** An HTTP door: the function answers HTTP requests, too. The project's `infra/http-door.md` describes it. */
export interface HttpDoorProps {
  /**
   * The front that receives the requests.
   *
   * @default HttpFront.FUNCTION_URL
   */
  readonly front?: HttpFront;

  /**
   * How a sender shows that it may use the door.
   *
   * @default HttpAuth.SECRET
   */
  readonly auth?: HttpAuth;

  /**
   * An existing secret: JSON with `username` and `password`, or `token`, or all three. Only with `HttpAuth.SECRET`.
   *
   * @default - the construct makes one with all three, which is deleted with the stack
   */
  readonly secret?: secrets.ISecret;

  /**
   * A path that stands in front of every route, such as `/prometheus`, for a base path of your own domain name. The function removes it
   * if a path begins with it.
   *
   * @default - none
   */
  readonly pathPrefix?: string;

  /**
   * True if the door answers remote read out of the workspace. The function may then query the workspace (`aps:QueryMetrics`).
   *
   * @default false
   */
  readonly read?: boolean;

  /**
   * True if the door answers `PUT /api/v1/admin/wipe`, which deletes all groups of the state. Only with `state`.
   *
   * @default false
   */
  readonly admin?: boolean;

  /**
   * Attributes of an OpenTelemetry resource that become labels of each of its series, such as `cloud.region`.
   *
   * @default - none: they are labels of `target_info` alone
   */
  readonly otlpPromoteAttributes?: string[];

  /**
   * True if the name, version, schema and attributes of an OpenTelemetry scope become labels, which begin with `otel_scope_`.
   *
   * @default false
   */
  readonly otlpScopeLabels?: boolean;

  /**
   * How many requests a second the HTTP API takes on average: 1 to 10,000. It answers 429 to more. Only for `HttpFront.HTTP_API`.
   *
   * @default 100
   */
  readonly rateLimit?: number;

  /**
   * How many requests may come to the HTTP API at once: 1 to 10,000. Only for `HttpFront.HTTP_API`.
   *
   * @default 200
   */
  readonly burstLimit?: number;
}

/**
 * State: counters, histograms and summaries of all senders are added up, and pushed groups stay, in a DynamoDB table. A second function
 * writes what is kept to the workspace each minute. The project's `infra/state.md` describes it.
 */
export interface StateProps {
  /**
   * An existing table, such as one that was restored from a backup. Its keys are the strings `pk` and `sk`, and its TTL attribute is `ttl`.
   *
   * @default - the construct makes one with point-in-time recovery and deletion protection, which stays when the stack is deleted
   */
  readonly table?: dynamodb.ITable;

  /**
   * Parts of the state: 1 to 16. One takes about 1,000 messages a second and 100,000 series. Choose before the first event, because a
   * change later would divide each series into two.
   *
   * @default 1
   */
  readonly shards?: number;

  /**
   * A pushed group expires if nobody pushes it again for so long, whole seconds. A push can bring a time of its own.
   *
   * @default - never, as in a Pushgateway
   */
  readonly groupTtl?: Duration;

  /**
   * A counter, gauge, histogram or summary expires if no event changes it for so long, whole seconds. `Duration.seconds(0)` means never.
   *
   * @default Duration.hours(24)
   */
  readonly seriesTtl?: Duration;

  /**
   * A shard takes no more new series than this: 1 to 1,000,000. More than the default need more `tickMemorySize`.
   *
   * @default 100_000
   */
  readonly maxSeries?: number;

  /**
   * The quantiles of a summary are those of its observations within this time: 1 s to 24 h, whole seconds.
   *
   * @default Duration.minutes(10)
   */
  readonly summaryWindow?: Duration;

  /**
   * Memory of the tick in MB: 128 to 10,240. The default is enough for a full shard.
   *
   * @default 256
   */
  readonly tickMemorySize?: number;

  /**
   * Keeps so many concurrent invocations of the account for the tick, so that no other function can delay it: 1 to 99. 0 reserves none,
   * for an account whose whole quota is 10.
   *
   * @default 2
   */
  readonly tickReservedConcurrency?: number;
}

/** The way of a function's telemetry to the gateway. */
export enum TelemetryDestination {
  /** The queue. All environments of a function add up to one series, and each invocation counts once. */
  QUEUE = 'queue',
  /** The HTTP door, with its secret. Each environment has series of its own, which end with it. */
  HTTP_DOOR = 'http-door',
}

/** The Lambda extension of a function. The project's `infra/extension.md` describes it. */
export interface TelemetryProps {
  /**
   * The way to the gateway. The queue needs `state`, and the door needs `httpDoor` with a secret.
   *
   * @default TelemetryDestination.QUEUE
   */
  readonly destination?: TelemetryDestination;

  /**
   * A dispatch begins when so many records wait: 1 to 1,000,000.
   *
   * @default 100
   */
  readonly dispatchMinBatchSize?: number;

  /**
   * A dispatch begins when a record waits for so long: 1 s to 1 h.
   *
   * @default Duration.seconds(10)
   */
  readonly dispatchMaxAge?: Duration;

  /**
   * The longest wait for a dispatch after the function has answered: 10 ms to 10 s.
   *
   * @default Duration.seconds(1)
   */
  readonly dispatchTimeout?: Duration;

  /**
   * True for the label `function_version`.
   *
   * @default false
   */
  readonly versionLabel?: boolean;

  /**
   * The upper bounds of all histograms, strictly ascending, at most 200.
   *
   * @default - none: histograms are native
   */
  readonly histogramBuckets?: number[];

  /**
   * True if the lines of the function's log are counted by their level.
   *
   * @default false
   */
  readonly logs?: boolean;

  /**
   * The UDP port on which the extension takes StatsD from the function. 0 takes none.
   *
   * @default 8125
   */
  readonly statsdPort?: number;

  /**
   * The TCP port on which the extension takes typed metrics from the function (`POST /events`). 0 takes none.
   *
   * @default 9091
   */
  readonly eventsPort?: number;

  /**
   * How much the extension logs, into the log of the function.
   *
   * @default LogLevel.INFO
   */
  readonly logLevel?: LogLevel;

  /**
   * The layer, for one that exists already.
   *
   * @default - the one that this package ships, made once in the stack of the function
   */
  readonly layer?: lambda.ILayerVersion;
}

/** An AWS IoT rule that feeds the gateway. */
export interface IotRuleProps {
  /**
   * MQTT topic filter, such as `amp/+/events`, for devices that publish whole events. The rule's statement is then
   * `SELECT * FROM '<topicFilter>'`. `+` stands for one level, `#` for all further levels.
   * Exactly one of `topicFilter` and `sql` must be given.
   *
   * @default - none: `sql` names the topic
   */
  readonly topicFilter?: string;

  /**
   * The rule's whole statement, in SQL version 2016-03-23, for devices that publish anything else. Its result must be an event.
   * The project's `examples/iot` has two statements to copy.
   *
   * @default - `SELECT * FROM '<topicFilter>'`
   */
  readonly sql?: string;

  /**
   * The target of the rule. Messages that it cannot send go to the failure queue.
   *
   * @default IotTarget.QUEUE
   */
  readonly target?: IotTarget;
}

/** The settings of a gateway. All are optional: by default the construct also makes a workspace and the queues. */
export interface PrometheusPushGatewayProps {
  /**
   * ARN of an existing AMP workspace to write to, `arn:aws:aps:<region>:<account>:workspace/ws-<id>`. It may be in another
   * region, and in another account whose workspace has a resource policy that lets the function's role write.
   *
   * @default - `workspace`; without it the construct makes one
   */
  readonly prometheusArn?: string;

  /**
   * Endpoint of that workspace, `https://<host>/workspaces/ws-<id>`, with or without `/`, `/api/v1/` or
   * `/api/v1/remote_write` at its end. Needed only for another host than the region's own, such as a VPC endpoint.
   * Only together with `prometheusArn`.
   *
   * @default - the endpoint of the ARN's region
   */
  readonly prometheusEndpoint?: string;

  /**
   * The workspace to write to, if the same app makes it. Not together with `prometheusArn`.
   *
   * @default - that of `prometheusArn`; without it the construct makes one, which stays with its metrics when the stack is deleted
   */
  readonly workspace?: aps.CfnWorkspace;

  /**
   * How much older than the newest sample a sample may be for AMP to accept it: 0 to 600 s, whole seconds. Only for a workspace
   * that this construct makes; for others see `outOfOrderWindowCommand`.
   *
   * @default - AMP's default, 60 s
   */
  readonly outOfOrderWindow?: Duration;

  /**
   * The queue that producers send events to. Its visibility timeout should be at least six times `timeout` plus
   * `batchWindow` (200 s by default); less than `timeout` plus `batchWindow` is an error.
   *
   * @default - the construct makes one with SSE, TLS only, 4 days of retention and a dead-letter queue; it is deleted with the stack
   */
  readonly queue?: sqs.IQueue;

  /**
   * The queue for rejected messages with their reasons. If this construct makes `queue`, SQS also moves messages here that were
   * delivered too often. Both queues must then be of the same type, standard or FIFO.
   *
   * @default - that of `queue`, if the same app makes both. Else the construct makes one with 14 days of retention, which stays
   * when the stack is deleted
   */
  readonly deadLetterQueue?: sqs.IQueue;

  /**
   * The queue for asynchronous invocations and IoT messages that failed for good. A standard queue: Lambda does not send to FIFO.
   *
   * @default - the construct makes one with 14 days of retention, which stays when the stack is deleted
   */
  readonly failureQueue?: sqs.IQueue;

  /**
   * True for a FIFO queue. It keeps the order within each message group. Its batches have at most 10 messages and no batch window,
   * and no IoT rule can send to it. Producers must send a deduplication id: two equal readings are two samples, so SQS must not
   * compare contents. Keep the stack's name short: CloudFormation generates the queue's name from it, and SQS accepts 80 characters.
   *
   * @default - the type of `queue`, else false
   */
  readonly fifo?: boolean;

  /**
   * The most messages in one invocation: 1 to 10,000, FIFO 1 to 10. More than 10 need a `batchWindow` of a second or more.
   *
   * @default 50; 10 for FIFO and without a window
   */
  readonly batchSize?: number;

  /**
   * How long Lambda gathers messages for a batch: 0 to 300 s, whole seconds, FIFO none. Keep it below AMP's out-of-order window
   * (60 s by default): then AMP still accepts samples that waited.
   *
   * @default Duration.seconds(20), FIFO none
   */
  readonly batchWindow?: Duration;

  /**
   * The most batches at the same time: 2 to 1,000. With few of them, the samples of a series stay nearly in order.
   *
   * @default 2
   */
  readonly maxConcurrency?: number;

  /**
   * Memory of the function in MB: 128 to 10,240. The function's share of a CPU grows with it.
   *
   * @default 128
   */
  readonly memorySize?: number;

  /**
   * How long one invocation may take: 10 to 900 s, whole seconds. This includes all retries.
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
   * Keeps so many concurrent invocations of the account for the function, and allows no more. Not below `maxConcurrency`:
   * deliveries that are throttled count as deliveries.
   *
   * @default - none is reserved
   */
  readonly reservedConcurrency?: number;

  /**
   * Account ids, or ARNs of IAM roles and users, that may send to the queue. For producers of other accounts: those of this account
   * need only an IAM policy, see `grantSendMessages`.
   *
   * @default - none
   */
  readonly senderPrincipals?: string[];

  /**
   * ARNs of SNS topics that may send to the queue. For topics that are subscribed elsewhere: `SqsSubscription` of the CDK adds its
   * statement itself.
   *
   * @default - none
   */
  readonly senderTopics?: string[];

  /**
   * ARNs of EventBridge rules that may send to the queue. For rules that are made elsewhere: the target `SqsQueue` of the CDK adds
   * its statement itself.
   *
   * @default - none
   */
  readonly senderRules?: string[];

  /**
   * Labels for events that have no label of that name, such as `{ env: 'prod' }`. Names have the form `[a-zA-Z_][a-zA-Z0-9_]*`
   * and do not begin with `__`. Values have 1 to 2,048 bytes and no comma. At most 149 labels.
   *
   * @default - none
   */
  readonly externalLabels?: { [name: string]: string };

  /**
   * Samples older than this are rejected as `too_old`. AMP rejects samples older than an hour. Lambda gives up asynchronous invocations
   * after the same time (1 min to 6 h).
   *
   * @default Duration.hours(1)
   */
  readonly maxSampleAge?: Duration;

  /**
   * Samples further ahead of the clock than this are rejected as `in_future`. AMP measures its out-of-order window from the newest
   * sample of the workspace, so a sample from the future makes others out of order.
   *
   * @default Duration.seconds(10)
   */
  readonly maxSampleLead?: Duration;

  /**
   * How the function treats events that come too late: too old, or out of order.
   *
   * @default LateSamples.DEAD_LETTER
   */
  readonly lateSamples?: LateSamples;

  /**
   * The numbers of the metric line that become CloudWatch metrics.
   *
   * @default EmbeddedMetrics.ALARMS
   */
  readonly metrics?: EmbeddedMetrics;

  /**
   * How much the function logs.
   *
   * @default LogLevel.INFO
   */
  readonly logLevel?: LogLevel;

  /**
   * How long CloudWatch keeps the logs.
   *
   * @default logs.RetentionDays.ONE_MONTH
   */
  readonly logRetention?: logs.RetentionDays;

  /**
   * True if AWS X-Ray traces the function.
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
   * An HTTP door, for pushes of client libraries, remote write, and more. `{}` makes a function URL and a secret.
   *
   * @default - none
   */
  readonly httpDoor?: HttpDoorProps;

  /**
   * State: counters of all senders are added up, and pushed groups stay. `{}` makes a table and a second function, which a schedule
   * invokes each minute.
   *
   * @default - none: each sample is written once
   */
  readonly state?: StateProps;

  /**
   * True for thirteen alarms. Six are about the dead-letter queue and the failure queue: any messages, new ones, old ones. The others
   * are about the age of the queue, events not delivered, events rejected, errors, lost failures, throttles, and a duration close to
   * the timeout. With an HTTP door three more: answers of 4xx, answers of 5xx, and slow answers. With state six more: no tick,
   * ticks that fail, events not counted, dead letters owed, dead letters dropped, and a throttled table.
   *
   * @default true
   */
  readonly alarms?: boolean;

  /**
   * SNS topic that is notified when an alarm starts and when it ends. Only with alarms.
   *
   * @default - none: the alarms are visible in CloudWatch only
   */
  readonly alarmTopic?: sns.ITopic;

  /**
   * True for a CloudWatch dashboard. It costs 3 USD a month, unless it is one of the account's first three.
   *
   * @default false
   */
  readonly dashboard?: boolean;

  /**
   * The function's code, for a build of your own: a zip with `bootstrap` for `architecture`.
   *
   * @default - the build of `ingest` that this package ships
   */
  readonly code?: lambda.Code;
}
