import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ExampleStack } from './stack';

const app = new App();
new ExampleStack(app, 'AmpPushGatewayExample');
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
