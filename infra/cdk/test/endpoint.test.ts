import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CfnParameter, Duration, Stack, aws_aps as aps } from 'aws-cdk-lib';
import type { PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';
import { deployed, type Known } from './deployed';

const ARN = 'arn:aws:aps:us-east-2:210987654321:workspace/ws-1';
const HOST = 'https://aps-workspaces.us-east-2.amazonaws.com';
const WRITE = `${HOST}/workspaces/ws-1/api/v1/remote_write`;
/** What people copy from the console, the API, and the ancestor's settings. */
const ENDS = ['', '/', '/api/v1', '/api/v1/', '/api/v1/remote_write', '/api/v1/remote_write/'];

/** Where the function writes, and the region that it signs for. */
function settings(props: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps), known?: Known) {
  const { REMOTE_WRITE_URL, SIGV4_REGION } = deployed(props, known).resources.Function.Properties.Environment.Variables;
  return [REMOTE_WRITE_URL, SIGV4_REGION];
}

test('an ARN alone tells endpoint and region', () => {
  assert.deepEqual(settings({ prometheusArn: ARN }), [WRITE, 'us-east-2']);
});

test('an endpoint may end in any of the ways in which people know it', () => {
  for (const end of ENDS) {
    assert.deepEqual(settings({ prometheusArn: ARN, prometheusEndpoint: `${HOST}/workspaces/ws-1${end}` }), [WRITE, 'us-east-2'], end);
  }
});

test('so may an endpoint that is known only at deployment', () => {
  for (const end of ENDS) {
    const props = (stack: Stack) => {
      const parameter = (id: string) => new CfnParameter(stack, id).valueAsString;
      return { prometheusArn: parameter('Arn'), prometheusEndpoint: parameter('Endpoint') };
    };
    assert.deepEqual(settings(props, { Arn: ARN, Endpoint: `${HOST}/workspaces/ws-1${end}` }), [WRITE, 'us-east-2'], end);
  }
});

test('an ARN that is known only at deployment tells endpoint and region as well', () => {
  const props = (stack: Stack) => ({ prometheusArn: new CfnParameter(stack, 'Arn').valueAsString });
  assert.deepEqual(settings(props, { Arn: ARN }), [WRITE, 'us-east-2']);
});

test('the attributes of a workspace of the app, as the ancestor takes them', () => {
  const known = { 'Prometheus.PrometheusEndpoint': `${HOST}/workspaces/ws-1/`, 'Prometheus.Arn': ARN };
  const props = (stack: Stack) => {
    const workspace = new aps.CfnWorkspace(stack, 'Prometheus');
    return { prometheusArn: workspace.attrArn, prometheusEndpoint: workspace.attrPrometheusEndpoint };
  };
  assert.deepEqual(settings(props, known), [WRITE, 'us-east-2']);
});

test('a workspace of the app is not made again', () => {
  const known = { 'Prometheus.PrometheusEndpoint': `${HOST}/workspaces/ws-1/` };
  const props = (stack: Stack) => ({ workspace: new aps.CfnWorkspace(stack, 'Prometheus') });
  assert.deepEqual(settings(props, known), [WRITE, 'eu-west-1']);
  const { gateway, resources } = deployed(props);
  assert.equal(gateway.workspace?.node.id, 'Prometheus');
  assert.equal(resources.Workspace, undefined);
});

test('a VPC endpoint is written to as it is', () => {
  const host = 'https://vpce-0a-1b.aps-workspaces.us-east-2.vpce.amazonaws.com';
  const prometheusEndpoint = `${host}/workspaces/ws-1/`;
  assert.deepEqual(settings({ prometheusArn: ARN, prometheusEndpoint }), [`${host}/workspaces/ws-1/api/v1/remote_write`, 'us-east-2']);
});

test('the workspace that is made takes the out-of-order window', () => {
  const { Workspace } = deployed({ outOfOrderWindow: Duration.minutes(5) }).resources;
  assert.deepEqual(Workspace.Properties, { Alias: 'Stack', WorkspaceConfiguration: { OutOfOrderTimeWindowInSeconds: 300 } });
  assert.deepEqual(deployed().resources.Workspace.Properties, { Alias: 'Stack' });
});

test('for other workspaces there is the command', () => {
  const { gateway } = deployed({ prometheusArn: ARN });
  assert.equal(
    gateway.outOfOrderWindowCommand(Duration.minutes(5)),
    'aws amp update-workspace-configuration --workspace-id ws-1 --out-of-order-time-window-in-seconds 300 --region us-east-2',
  );
  assert.throws(() => gateway.outOfOrderWindowCommand(Duration.minutes(11)), /window is 660 s; expected whole seconds from 0 s to 600 s/);
  assert.deepEqual([gateway.workspaceArn, gateway.workspaceId, gateway.remoteWriteUrl.slice(-33)], [ARN, 'ws-1', '/workspaces/ws-1/api/v1/remote_write'.slice(-33)]);
});
