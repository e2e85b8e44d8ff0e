import { Validations } from 'aws-cdk-lib';
import type {
  Duration,
  aws_aps as aps,
  aws_cloudwatch as cloudwatch,
  aws_dynamodb as dynamodb,
  aws_iam as iam,
  aws_lambda as lambda,
  aws_secretsmanager as secrets,
  aws_sqs as sqs,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { makeAlarms } from './alarms';
import { batchingOf, checkOwnQueue } from './batching';
import { makeDashboard } from './dashboard';
import { checkDoor, makeDoor, makeDoorKey, type Door } from './door';
import { checkEnvironment } from './environment';
import { checkFunction, makeFunction, settingsOf } from './function';
import { checkIot, makeIotRule } from './iot';
import { embeddedMetric } from './metrics';
import type { PrometheusPushGatewayProps, TelemetryProps } from './props';
import { checkQueues, makeQueues } from './queues';
import { admitSenders, checkSenders } from './senders';
import { checkState, makeTable, makeTick } from './state';
import { addTelemetry, checkTelemetry } from './telemetry';
import { PropErrors } from './validation';
import { checkOutOfOrderWindow, checkWorkspace, makeWorkspace, workspaceOf, workspaceOfArn } from './workspace';

/**
 * Pushes metrics into Amazon Managed Service for Prometheus without a server. One AWS Lambda function takes events from an SQS
 * queue, an AWS IoT rule, direct invocations or HTTP requests, and writes them to a workspace.
 */
export class PrometheusPushGateway extends Construct {
  /** The queue that producers send events to. */
  public readonly queue: sqs.IQueue;
  /** The queue for rejected messages with their reasons. */
  public readonly deadLetterQueue: sqs.IQueue;
  /** The queue for asynchronous invocations and IoT messages that failed for good. */
  public readonly failureQueue: sqs.IQueue;
  /** The function. */
  public readonly function: lambda.Function;
  /** The workspace, if this construct made it, or if it is the prop `workspace`. */
  public readonly workspace?: aps.CfnWorkspace;
  /** ARN of the workspace. */
  public readonly workspaceArn: string;
  /** Id of the workspace, `ws-…`. */
  public readonly workspaceId: string;
  /** The URL that the function writes to. Other senders can use it too. */
  public readonly remoteWriteUrl: string;
  /** The URL of the HTTP door, without a slash at its end, if the gateway has a door. */
  public readonly httpUrl?: string;
  /** The secret of the HTTP door, if it has one: `username`, `password`, `token`. */
  public readonly httpSecret?: secrets.ISecret;
  /** The table of the state, if the gateway has state. */
  public readonly stateTable?: dynamodb.ITable;
  /** The function of the tick, if the gateway has state. */
  public readonly tickFunction?: lambda.Function;
  private readonly door?: Door;
  private readonly workspaceRegion: string;

  constructor(scope: Construct, id: string, props: PrometheusPushGatewayProps = {}) {
    super(scope, id);

    const errors = new PropErrors();
    const batching = batchingOf(props, errors);
    const warnings = props.queue ? checkOwnQueue(props.queue, batching, errors) : [];
    checkWorkspace(props, errors);
    checkQueues(props, batching, errors);
    checkSenders(props, errors);
    checkFunction(props, batching, errors);
    checkEnvironment(props, errors);
    if (props.iot) {
      checkIot(props.iot, batching, errors);
    }
    if (props.httpDoor) {
      checkDoor(props.httpDoor, errors);
    }
    checkState(props, errors);
    if (props.alarmTopic && props.alarms === false) {
      errors.addText('alarmTopic', 'given', 'none if alarms is false');
    }
    errors.throwIfAny(this);
    warnings.forEach((warning) => Validations.of(this).addWarning(warning.id, warning.text));

    this.workspace = props.prometheusArn === undefined ? (props.workspace ?? makeWorkspace(this, props.outOfOrderWindow)) : undefined;
    const workspace = this.workspace ? workspaceOf(this.workspace) : workspaceOfArn(props.prometheusArn!, props.prometheusEndpoint);
    this.workspaceArn = workspace.arn;
    this.workspaceId = workspace.id;
    this.remoteWriteUrl = workspace.remoteWriteUrl;
    this.workspaceRegion = workspace.region;

    const queues = makeQueues(this, props, batching);
    this.queue = queues.queue;
    this.deadLetterQueue = queues.deadLetterQueue;
    this.failureQueue = queues.failureQueue;
    admitSenders(queues.queue, props);
    const key = props.httpDoor && makeDoorKey(this, props.httpDoor);
    this.stateTable = props.state && makeTable(this, props.state);
    const settings = settingsOf(props, workspace, queues, this.stateTable);
    const { fn, logGroup } = makeFunction(this, props, workspace, queues, batching, settings, key, this.stateTable);
    this.function = fn;
    if (props.iot) {
      makeIotRule(this, props.iot, fn, queues);
    }
    this.door = key && makeDoor(key, props.httpDoor!, fn);
    this.httpUrl = this.door?.url;
    this.httpSecret = key?.secret;
    const state = props.state && makeTick(this, props.state, this.stateTable!, settings);
    if (state) {
      // An update changes the tick first: it must read what the function writes.
      fn.node.addDependency(state.tick);
    }
    this.tickFunction = state?.tick;
    const alarms = props.alarms === false ? [] : makeAlarms(this, fn, queues, batching.timeout, props.alarmTopic, this.door, state);
    if (props.dashboard) {
      makeDashboard(this, fn, queues, logGroup, alarms, this.door, state);
    }
  }

  /**
   * Lets `grantee` invoke the function with events.
   *
   * @param grantee the caller
   */
  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.function.grantInvoke(grantee);
  }

  /**
   * Lets `grantee` use the HTTP door with its own credentials of AWS. It is an error without a door, or without `HttpAuth.IAM`.
   *
   * @param grantee a sender of this account
   */
  public grantHttp(grantee: iam.IGrantable): iam.Grant {
    if (!this.door || this.httpSecret) {
      throw new Error(`PrometheusPushGateway ${this.node.path}: grantHttp needs httpDoor with auth HttpAuth.IAM; else give the sender httpSecret`);
    }
    return this.door.allow(grantee);
  }

  /**
   * Lets `grantee` send events to the queue.
   *
   * @param grantee the producer
   */
  public grantSendMessages(grantee: iam.IGrantable): iam.Grant {
    return this.queue.grantSendMessages(grantee);
  }

  /**
   * Gives the telemetry of any function, and its own metrics, to this gateway: invocations, durations, cold starts, memory. It adds
   * the layer of the Lambda extension and the extension's variables. The function may then send to the queue, or read the secret of the
   * HTTP door.
   *
   * @param fn the function, in any language; not one from a container image, which takes no layers
   * @param props by default the way is the queue
   */
  public addTelemetry(fn: lambda.Function, props: TelemetryProps = {}): void {
    const target = { queue: this.queue, hasState: this.stateTable !== undefined, httpUrl: this.httpUrl, httpSecret: this.httpSecret };
    const errors = new PropErrors();
    checkTelemetry(props, target, errors);
    errors.throwIfAny(this);
    addTelemetry(fn, props, target);
  }

  /**
   * Returns a metric that the function prints, such as `received`. By default CloudWatch has only seven of
   * them, which the project's README lists; for the others set the prop `metrics`.
   *
   * @param name one of the names in the project's README
   * @param options by default the sum over five minutes
   */
  public metric(name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return embeddedMetric(this.function, name, options);
  }

  /**
   * Returns the metric of all events that came.
   *
   * @param options by default the sum over five minutes
   */
  public metricReceived(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('received', options);
  }

  /**
   * Returns the metric of events that the workspace stored.
   *
   * @param options by default the sum over five minutes
   */
  public metricDelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('delivered', options);
  }

  /**
   * Returns the metric of events that could not be delivered, and are returned for another delivery.
   *
   * @param options by default the sum over five minutes
   */
  public metricErrored(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('errored', options);
  }

  /**
   * Returns the metric of events that can never be stored as they are.
   *
   * @param options by default the sum over five minutes
   */
  public metricRejected(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('rejected', options);
  }

  /**
   * Returns the metric of events that came too late and were dropped: see `LateSamples.DROP`.
   *
   * @param options by default the sum over five minutes
   */
  public metricDropped(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('dropped', options);
  }

  /**
   * Returns the AWS CLI command that sets the out-of-order window of the workspace, for one that this construct does not make.
   *
   * @param window how much older than the newest sample a sample may be, 0 to 600 s; a new workspace has 60 s
   */
  public outOfOrderWindowCommand(window: Duration): string {
    const errors = new PropErrors();
    const value = checkOutOfOrderWindow('window', window, errors);
    errors.throwIfAny(this);
    return (
      `aws amp update-workspace-configuration --workspace-id ${this.workspaceId}` +
      ` --out-of-order-time-window-in-seconds ${value} --region ${this.workspaceRegion}`
    );
  }
}
