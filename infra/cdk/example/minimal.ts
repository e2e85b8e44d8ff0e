import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { PrometheusPushGateway } from 'cdk-amp-push-gateway';

const app = new App();
const stack = new Stack(app, 'AmpPushGateway');
const gateway = new PrometheusPushGateway(stack, 'Gateway');
new CfnOutput(stack, 'QueueUrl', { value: gateway.queue.queueUrl });
