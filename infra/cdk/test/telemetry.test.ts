import assert from 'node:assert/strict';
import { test } from 'node:test';
import { App, CfnOutput, Duration, Stack, aws_kms as kms, aws_lambda as lambda, aws_secretsmanager as secrets, aws_sqs as sqs } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { HttpAuth, PrometheusPushGateway, TelemetryDestination, type PrometheusPushGatewayProps, type TelemetryProps } from 'cdk-amp-push-gateway';
import { stackWith, ofType, statements, type GatewayStack } from './stack';

function functionIn(stack: Stack, id = 'Checkout', architecture = lambda.Architecture.ARM_64): lambda.Function {
  const code = lambda.Code.fromInline('def handler(event, context): return event');
  return new lambda.Function(stack, id, { runtime: lambda.Runtime.PYTHON_3_13, handler: 'index.handler', architecture, code });
}

/** Makes a gateway, and a function that has its telemetry. */
function watched(props: TelemetryProps = {}, gateway: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps) = { state: {} }): GatewayStack {
  const all = stackWith(gateway);
  all.gateway.addTelemetry(functionIn(all.stack), props);
  return all;
}

test('a function with telemetry has the layer, the URL of the queue, and may only send to it', () => {
  const { resources } = watched();
  const { Layers, Environment } = resources.Checkout.Properties;
  assert.deepEqual(Layers, ['AmpPushExtensionArm']);
  assert.deepEqual(Environment.Variables, { PUSH_QUEUE_URL: 'Queue' });
  assert.deepEqual(statements(resources, 'CheckoutServiceRole'), ['Allow sqs:SendMessage on Queue.Arn']);
  assert.deepEqual(resources.AmpPushExtensionArm.Properties.CompatibleArchitectures, ['arm64']);
});

test('by the HTTP door a function has its URL, and may only read its secret', () => {
  const all = watched({ destination: TelemetryDestination.HTTP_DOOR }, { httpDoor: {} });
  new CfnOutput(all.stack, 'Url', { value: all.gateway.httpUrl! });
  const { resources } = all;
  const template = Template.fromStack(all.stack).toJSON();
  const { GATEWAY, AUTH_SECRET, ...others } = resources.Checkout.Properties.Environment.Variables;
  assert.deepEqual(others, {});
  assert.equal(AUTH_SECRET, 'HttpSecret');
  const checkout = Object.entries<any>(template.Resources).find(([id]) => /^Checkout[0-9A-F]{8}$/.test(id))!;
  assert.deepEqual(checkout[1].Properties.Environment.Variables.GATEWAY, template.Outputs.Url.Value);
  assert.ok(GATEWAY);
  assert.deepEqual(statements(resources, 'CheckoutServiceRole'), ['Allow secretsmanager:GetSecretValue on HttpSecret']);
});

test('the functions of a stack share a layer for each processor, and another stack has its own', () => {
  const app = new App();
  const [home, other] = [new Stack(app, 'Home'), new Stack(app, 'Other')];
  const gateway = new PrometheusPushGateway(home, 'Gateway', { state: {} });
  const functions = [functionIn(home, 'A'), functionIn(home, 'B'), functionIn(home, 'C', lambda.Architecture.X86_64), functionIn(other, 'D')];
  functions.forEach((one) => gateway.addTelemetry(one));
  const layers = (stack: Stack) => Object.values(Template.fromStack(stack).findResources('AWS::Lambda::LayerVersion'));
  assert.deepEqual(layers(home).map(({ Properties }) => Properties.CompatibleArchitectures), [['arm64'], ['x86_64']]);
  assert.equal(layers(other).length, 1);
});

test('an existing layer is used, and none is made', () => {
  const all = stackWith({ state: {} });
  const arn = 'arn:aws:lambda:eu-west-1:123456789012:layer:amp-push-extension:3';
  all.gateway.addTelemetry(functionIn(all.stack), { layer: lambda.LayerVersion.fromLayerVersionArn(all.stack, 'Given', arn) });
  assert.deepEqual(all.resources.Checkout.Properties.Layers, [arn]);
  assert.deepEqual(ofType(all.resources, 'AWS::Lambda::LayerVersion'), []);
});

test('each setting has the form that the extension reads', () => {
  const { resources } = watched({
    dispatchMinBatchSize: 10,
    dispatchMaxAge: Duration.minutes(1),
    dispatchTimeout: Duration.millis(250),
    versionLabel: true,
    histogramBuckets: [0.1, 1, 10],
    logs: true,
    statsdPort: 0,
    eventsPort: 9099,
  });
  assert.deepEqual(resources.Checkout.Properties.Environment.Variables, {
    PUSH_QUEUE_URL: 'Queue',
    DISPATCH_MIN_BATCH_SIZE: '10',
    DISPATCH_MAX_AGE: '60000ms',
    DISPATCH_TIMEOUT: '250ms',
    VERSION_LABEL: 'on',
    HISTOGRAM_BUCKETS: '0.1,1,10',
    LOGS: 'on',
    STATSD: 'off',
    EVENTS: '9099',
  });
});

test('the function may use the keys of a queue and of a secret that users encrypt with keys of their own', () => {
  const byQueue = watched({}, (stack) => {
    const encryptionMasterKey = new kms.Key(stack, 'Key');
    return { state: {}, queue: new sqs.Queue(stack, 'Own', { encryptionMasterKey, visibilityTimeout: Duration.seconds(200) }) };
  });
  assert.deepEqual(statements(byQueue.resources, 'CheckoutServiceRole'), [
    'Allow kms:Decrypt kms:GenerateDataKey on Key.Arn',
    'Allow sqs:SendMessage on Own.Arn',
  ]);
  const byDoor = watched({ destination: TelemetryDestination.HTTP_DOOR }, (stack) => ({
    httpDoor: { secret: new secrets.Secret(stack, 'Own', { encryptionKey: new kms.Key(stack, 'Key') }) },
  }));
  assert.ok(statements(byDoor.resources, 'CheckoutServiceRole').includes('Allow kms:Decrypt on Key.Arn'));
});

test('a gateway that cannot take the telemetry, and wrong props, are errors', () => {
  const door = TelemetryDestination.HTTP_DOOR;
  const table: [TelemetryProps, PrometheusPushGatewayProps, string][] = [
    [{}, {}, 'destination is "queue"; expected a gateway with state, which adds up the metrics of all environments'],
    [{ destination: door }, { state: {} }, 'destination is "http-door"; expected a gateway with httpDoor and a secret: the extension cannot sign its pushes'],
    [{ destination: door }, { httpDoor: { auth: HttpAuth.IAM } }, 'destination is "http-door"; expected a gateway with httpDoor and a secret: the extension cannot sign its pushes'],
    [{ dispatchMinBatchSize: 0 }, { state: {} }, 'dispatchMinBatchSize is 0; expected a whole number from 1 to 1000000'],
    [{ dispatchMaxAge: Duration.millis(999) }, { state: {} }, 'dispatchMaxAge is 0.999 s; expected 1000 ms to 3600000 ms, known at synthesis'],
    [{ dispatchTimeout: Duration.seconds(11) }, { state: {} }, 'dispatchTimeout is 11 s; expected 10 ms to 10000 ms, known at synthesis'],
    [{ histogramBuckets: [1, 1] }, { state: {} }, 'histogramBuckets is [1,1]; expected 1 to 200 finite numbers that ascend'],
    [{ histogramBuckets: [] }, { state: {} }, 'histogramBuckets is []; expected 1 to 200 finite numbers that ascend'],
    [{ statsdPort: 65_536, eventsPort: -1 }, { state: {} }, 'statsdPort is 65536; expected a whole number from 0 to 65535\n  eventsPort is -1; expected a whole number from 0 to 65535'],
  ];
  for (const [props, gateway, error] of table) {
    assert.throws(() => watched(props, gateway), { message: `PrometheusPushGateway Stack/Gateway: ${error}` });
  }
});
