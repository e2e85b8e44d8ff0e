import { Validations } from 'aws-cdk-lib';
import type {
  Duration,
  aws_aps as aps,
  aws_cloudwatch as cloudwatch,
  aws_iam as iam,
  aws_lambda as lambda,
  aws_sqs as sqs,
} from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { makeAlarms } from './alarms';
import { batchingOf, checkOwnQueue } from './batching';
import { makeDashboard } from './dashboard';
import { checkEndpoint, endpointFrom, endpointOf, makeWorkspace, outOfOrderSeconds } from './endpoint';
import { checkEnvironment } from './environment';
import { Faults } from './faults';
import { checkFunction, makeFunction } from './function';
import { checkIot, makeIotRule } from './iot';
import { embeddedMetric } from './metrics';
import type { PrometheusPushGatewayProps } from './props';
import { checkQueues, makeQueues } from './queues';

/**
 * Pushes metrics into Amazon Managed Service for Prometheus without a server: events come by an SQS queue, an AWS IoT rule, or
 * direct invocation of one AWS Lambda function, which sends them to the workspace.
 */
export class PrometheusPushGateway extends Construct {
  /** The queue that producers send events to. */
  public readonly queue: sqs.IQueue;
  /** Where rejected messages lie with their reason. */
  public readonly deadLetterQueue: sqs.IQueue;
  /** Where asynchronous invocations and IoT messages lie that failed for good. */
  public readonly failureQueue: sqs.IQueue;
  /** The function. */
  public readonly function: lambda.Function;
  /** The workspace, if this construct made it or got it as `workspace`. */
  public readonly workspace?: aps.CfnWorkspace;
  /** ARN of the workspace. */
  public readonly workspaceArn: string;
  /** Id of the workspace, `ws-…`. */
  public readonly workspaceId: string;
  /** Where the function writes to, for other senders as well. */
  public readonly remoteWriteUrl: string;
  private readonly workspaceRegion: string;

  constructor(scope: Construct, id: string, props: PrometheusPushGatewayProps = {}) {
    super(scope, id);

    const faults = new Faults();
    const batching = batchingOf(props, faults);
    const warnings = props.queue ? checkOwnQueue(props.queue, batching, faults) : [];
    checkEndpoint(props, faults);
    checkQueues(props, batching, faults);
    checkFunction(props, faults);
    checkEnvironment(props, faults);
    if (props.iot) {
      checkIot(props.iot, batching, faults);
    }
    if (props.alarmTopic && props.alarms === false) {
      faults.say('alarmTopic', 'given', 'none where alarms is false');
    }
    faults.throwIfAny(this);
    warnings.forEach(({ id: about, text }) => Validations.of(this).addWarning(about, text));

    this.workspace = props.prometheusArn === undefined ? (props.workspace ?? makeWorkspace(this, props.outOfOrderWindow)) : undefined;
    const endpoint = this.workspace ? endpointOf(this.workspace) : endpointFrom(props.prometheusArn!, props.prometheusEndpoint);
    this.workspaceArn = endpoint.workspaceArn;
    this.workspaceId = endpoint.workspaceId;
    this.remoteWriteUrl = endpoint.remoteWriteUrl;
    this.workspaceRegion = endpoint.region;

    const queues = makeQueues(this, props, batching);
    this.queue = queues.queue;
    this.deadLetterQueue = queues.deadLetterQueue;
    this.failureQueue = queues.failureQueue;
    const { function: made, logGroup } = makeFunction(this, props, endpoint, queues, batching);
    this.function = made;
    if (props.iot) {
      makeIotRule(this, props.iot, made, queues);
    }
    const alarms = props.alarms === false ? [] : makeAlarms(this, made, queues, batching.timeout, props.alarmTopic);
    if (props.dashboard ?? true) {
      makeDashboard(this, made, queues, logGroup, alarms);
    }
  }

  /**
   * Lets `grantee` invoke the function with events.
   *
   * @param grantee who may
   */
  public grantInvoke(grantee: iam.IGrantable): iam.Grant {
    return this.function.grantInvoke(grantee);
  }

  /**
   * Lets `grantee` send events to the queue.
   *
   * @param grantee who may
   */
  public grantSendMessages(grantee: iam.IGrantable): iam.Grant {
    return this.queue.grantSendMessages(grantee);
  }

  /**
   * A metric that the function prints, such as `samples` or `rejected.too_old`.
   *
   * @param name as in the project's README, "Watching it"
   * @param options by default the sum over five minutes
   */
  public metric(name: string, options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return embeddedMetric(this.function, name, options);
  }

  /**
   * Events that came.
   *
   * @param options by default the sum over five minutes
   */
  public metricReceived(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('received', options);
  }

  /**
   * Events that the workspace has stored.
   *
   * @param options by default the sum over five minutes
   */
  public metricDelivered(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('delivered', options);
  }

  /**
   * Events that were handed back for another try.
   *
   * @param options by default the sum over five minutes
   */
  public metricErrored(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('errored', options);
  }

  /**
   * Events that can never be stored as they are.
   *
   * @param options by default the sum over five minutes
   */
  public metricRejected(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('rejected', options);
  }

  /**
   * Events that came too late, where `lateSamples` is `LateSamples.DROP`.
   *
   * @param options by default the sum over five minutes
   */
  public metricDropped(options?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric('dropped', options);
  }

  /**
   * The command that sets how far behind the newest sample the workspace still takes one, for a workspace that this construct does
   * not make.
   *
   * @param window 0 to 600 s; a new workspace has 60 s
   */
  public outOfOrderWindowCommand(window: Duration): string {
    const faults = new Faults();
    const value = outOfOrderSeconds('window', window, faults);
    faults.throwIfAny(this);
    return (
      `aws amp update-workspace-configuration --workspace-id ${this.workspaceId}` +
      ` --out-of-order-time-window-in-seconds ${value} --region ${this.workspaceRegion}`
    );
  }
}
