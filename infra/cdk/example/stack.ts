import { CfnOutput, Duration, Stack, type StackProps, aws_aps as aps, aws_sqs as sqs, aws_ssm as ssm } from 'aws-cdk-lib';
import { PrometheusPushGateway } from 'cdk-amp-push-gateway';
import type { Construct } from 'constructs';

/** A workspace, a queue, the gateway between them, and a parameter that tells producers the URL of the queue. */
export class ExampleStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const workspace = new aps.CfnWorkspace(this, 'Prometheus', { alias: 'pushGatewayExample' });

    // The gateway can make both queues itself. It checks the two numbers of queues that an app makes.
    const deadLetterQueue = new sqs.Queue(this, 'DeadLetterQueue', { enforceSSL: true, retentionPeriod: Duration.days(14) });
    const queue = new sqs.Queue(this, 'Queue', {
      enforceSSL: true,
      visibilityTimeout: Duration.seconds(200),
      deadLetterQueue: { queue: deadLetterQueue, maxReceiveCount: 75 },
    });

    const gateway = new PrometheusPushGateway(this, 'Gateway', { workspace, queue });

    new ssm.StringParameter(this, 'QueueUrlParameter', {
      parameterName: `/prometheusPushGateway/${this.stackName}/queueUrl`,
      stringValue: queue.queueUrl,
    });
    new CfnOutput(this, 'QueueUrl', { value: queue.queueUrl });
    new CfnOutput(this, 'PrometheusUrl', { value: workspace.attrPrometheusEndpoint });
    new CfnOutput(this, 'OutOfOrderWindowCommand', { value: gateway.outOfOrderWindowCommand(Duration.minutes(5)) });
  }
}
