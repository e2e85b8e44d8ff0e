import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aws_iam as iam, aws_kms as kms, aws_secretsmanager as secrets, Stack } from 'aws-cdk-lib';
import { HttpAuth, HttpFront, type HttpDoorProps } from 'cdk-amp-push-gateway';
import { stackWith, ofType, statements, type Resources } from './stack';

const SECRET = 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:push-AbCdEf';
/** Every type of a resource that only a door has. */
const OF_A_DOOR = /^AWS::(SecretsManager|ApiGatewayV2)::|^AWS::Lambda::(Url|Permission)$/;

const door = (httpDoor: HttpDoorProps) => stackWith({ httpDoor });
const typesOf = (resources: Resources) => Object.values(resources).map(({ Type }) => Type).filter((type) => OF_A_DOOR.test(type)).sort();
const http = (resources: Resources) =>
  Object.fromEntries(Object.entries<string>(resources.Function.Properties.Environment.Variables).filter(([name]) => name.startsWith('HTTP')));

test('a gateway without a door has none of its resources, variables and members', () => {
  const { gateway, resources } = stackWith();
  assert.deepEqual([typesOf(resources), http(resources)], [[], {}]);
  assert.deepEqual([gateway.httpUrl, gateway.httpSecret], [undefined, undefined]);
});

test('each front has its own resources', () => {
  const url = ['AWS::Lambda::Permission', 'AWS::Lambda::Permission', 'AWS::Lambda::Url'];
  const api = ['Api', 'Integration', 'Route', 'Stage'].map((part) => `AWS::ApiGatewayV2::${part}`);
  const twoSecrets = ['AWS::SecretsManager::Secret', 'AWS::SecretsManager::Secret'];
  const table: [HttpDoorProps, string[]][] = [
    [{}, [...url, ...twoSecrets]],
    [{ auth: HttpAuth.IAM }, ['AWS::Lambda::Url']],
    [{ front: HttpFront.HTTP_API }, [...api, 'AWS::Lambda::Permission', ...twoSecrets]],
    [{ front: HttpFront.HTTP_API, auth: HttpAuth.IAM }, [...api, 'AWS::Lambda::Permission']],
  ];
  for (const [props, types] of table) {
    assert.deepEqual(typesOf(door(props).resources), types);
  }
});

test('the function gets the settings of the door, and no other', () => {
  assert.deepEqual(http(door({}).resources), { HTTP_AUTH: 'secret', HTTP_AUTH_SECRET: 'HttpSecret' });
  assert.deepEqual(http(door({ auth: HttpAuth.IAM, pathPrefix: '/a/b', read: true }).resources), {
    HTTP_AUTH: 'iam',
    HTTP_PATH_PREFIX: '/a/b',
    HTTP_READ: 'on',
  });
});

test('the role may read the one secret, and query only for remote read', () => {
  const of = (httpDoor: HttpDoorProps) => statements(door(httpDoor).resources, 'Role').filter((one) => !/sqs:|logs:|RemoteWrite/.test(one));
  assert.deepEqual(of({}), ['Allow secretsmanager:GetSecretValue on HttpSecret']);
  assert.deepEqual(of({ auth: HttpAuth.IAM }), []);
  assert.deepEqual(of({ auth: HttpAuth.IAM, read: true }), ['Allow aps:QueryMetrics on Workspace.Arn']);
});

test('an existing secret is used, with its key, and none is made', () => {
  const table: [(stack: Stack) => secrets.ISecret, string, string[]][] = [
    [(stack) => secrets.Secret.fromSecretCompleteArn(stack, 'Own', SECRET), SECRET, [SECRET]],
    // The six characters at the end are not known.
    [(stack) => secrets.Secret.fromSecretPartialArn(stack, 'Own', SECRET.slice(0, -7)), SECRET.slice(0, -7), [`${SECRET.slice(0, -7)}-??????`]],
  ];
  for (const [secret, variable, resources] of table) {
    const made = stackWith((stack) => ({ httpDoor: { secret: secret(stack) } })).resources;
    assert.equal(http(made).HTTP_AUTH_SECRET, variable);
    assert.deepEqual(statements(made, 'Role').slice(-3, -2), [`Allow secretsmanager:GetSecretValue on ${resources}`]);
    assert.deepEqual(ofType(made, 'AWS::SecretsManager::Secret'), []);
  }
  const { resources } = stackWith((stack) => ({ httpDoor: { secret: new secrets.Secret(stack, 'Own', { encryptionKey: new kms.Key(stack, 'Key') }) } }));
  assert.ok(statements(resources, 'Role').includes('Allow kms:Decrypt on Key.Arn'));
});

test('grantHttp lets a sender sign, and is an error for a door with a secret', () => {
  const granted = (httpDoor: HttpDoorProps) => {
    const all = door(httpDoor);
    const sender = new iam.Role(all.stack, 'Sender', { assumedBy: new iam.AccountRootPrincipal() });
    all.gateway.grantHttp(sender);
    return all.resources;
  };
  const byUrl = granted({ auth: HttpAuth.IAM });
  assert.deepEqual(statements(byUrl, 'Sender'), ['Allow lambda:InvokeFunction on Function.Arn', 'Allow lambda:InvokeFunctionUrl on Function.Arn']);
  const conditions = ofType(byUrl, 'AWS::IAM::Policy')
    .filter(({ Properties }) => Properties.Roles.includes('Sender'))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement.map((one: any) => one.Condition));
  assert.deepEqual(conditions, [undefined, { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } }]);
  assert.deepEqual(statements(granted({ front: HttpFront.HTTP_API, auth: HttpAuth.IAM }), 'Sender'), [
    'Allow execute-api:Invoke on arn:aws:execute-api:eu-west-1:123456789012:HttpApi/*/*',
  ]);
  for (const httpDoor of [{}, undefined]) {
    const { gateway, stack } = stackWith({ httpDoor });
    assert.throws(() => gateway.grantHttp(new iam.Role(stack, 'Sender', { assumedBy: new iam.AccountRootPrincipal() })), {
      message: 'PrometheusPushGateway Stack/Gateway: grantHttp needs httpDoor with auth HttpAuth.IAM; else give the sender httpSecret',
    });
  }
});

test('the URL has no slash at its end, and a door with a secret shows which', () => {
  const byUrl = door({});
  assert.match(JSON.stringify(byUrl.stack.resolve(byUrl.gateway.httpUrl)), /"https:\/\/",\{"Fn::Select":\[2,\{"Fn::Split":\["\/",/);
  assert.equal(byUrl.gateway.httpSecret?.node.path, 'Stack/Gateway/Http/Secret');
  const byApi = door({ front: HttpFront.HTTP_API, auth: HttpAuth.IAM });
  assert.match(JSON.stringify(byApi.stack.resolve(byApi.gateway.httpUrl)), /ApiEndpoint/);
  assert.equal(byApi.gateway.httpSecret, undefined);
});

test('alarms and dashboard show the front of the door', () => {
  const table: [HttpFront, string, string, string[]][] = [
    [HttpFront.FUNCTION_URL, 'AWS/Lambda', 'Function', ['UrlRequestCount', 'Url4xxCount', 'Url5xxCount', 'UrlRequestLatency']],
    [HttpFront.HTTP_API, 'AWS/ApiGateway', 'HttpApi', ['Count', '4xx', '5xx', 'Latency']],
  ];
  for (const [front, namespace, dimension, [count, client, server, latency]] of table) {
    const { resources } = stackWith({ httpDoor: { front }, dashboard: true });
    const alarms = ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties }) => Properties);
    assert.equal(alarms.length, 16);
    assert.deepEqual(
      alarms.slice(-3).map((alarm) => [alarm.Namespace, alarm.Dimensions[0].Value, alarm.MetricName, alarm.Statistic, alarm.Threshold, alarm.DatapointsToAlarm]),
      [
        [namespace, dimension, client, 'Sum', 5, 3],
        [namespace, dimension, server, 'Sum', 1, 3],
        [namespace, dimension, latency, 'Maximum', 8_000, 3],
      ],
    );
    const { widgets } = JSON.parse(resources.Dashboard.Properties.DashboardBody);
    const shown = widgets.slice(-3).map(({ properties, x, y }: any) => [properties.title, x, y, properties.metrics?.map((line: string[]) => line[1])]);
    assert.deepEqual(shown, [
      ['HTTP requests', 0, 32, [count, client, server]],
      ['HTTP latency, in milliseconds', 8, 32, [latency, latency]],
      ['HTTP requests by route and status', 16, 32, undefined],
    ]);
    assert.equal(widgets[0].properties.alarms.length, 16);
  }
});
