import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CfnParameter, Duration, Stack, aws_aps as aps } from 'aws-cdk-lib';
import type { PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';
import { stackWith, type Known } from './stack';

const ARN = 'arn:aws:aps:us-east-2:210987654321:workspace/ws-1';
const HOST = 'https://aps-workspaces.us-east-2.amazonaws.com';
const WRITE = `${HOST}/workspaces/ws-1/api/v1/remote_write`;
/** Ends of the URL in the console, the API, and the ancestor's settings. */
const ENDS = ['', '/', '/api/v1', '/api/v1/', '/api/v1/remote_write', '/api/v1/remote_write/'];

/** Returns the URL that the function writes to, and the region that it signs for. */
function settings(props: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps), known?: Known) {
  const { REMOTE_WRITE_URL, SIGV4_REGION } = stackWith(props, known).resources.Function.Properties.Environment.Variables;
  return [REMOTE_WRITE_URL, SIGV4_REGION];
}

test('the endpoint and the region come from the ARN', () => {
  assert.deepEqual(settings({ prometheusArn: ARN }), [WRITE, 'us-east-2']);
});

test('an endpoint may have any of the known ends', () => {
  for (const end of ENDS) {
    assert.deepEqual(settings({ prometheusArn: ARN, prometheusEndpoint: `${HOST}/workspaces/ws-1${end}` }), [WRITE, 'us-east-2'], end);
  }
});

test('an endpoint that is known only at deployment may have any of the known ends', () => {
  for (const end of ENDS) {
    const props = (stack: Stack) => {
      const parameter = (id: string) => new CfnParameter(stack, id).valueAsString;
      return { prometheusArn: parameter('Arn'), prometheusEndpoint: parameter('Endpoint') };
    };
    assert.deepEqual(settings(props, { Arn: ARN, Endpoint: `${HOST}/workspaces/ws-1${end}` }), [WRITE, 'us-east-2'], end);
  }
});

test('the endpoint and the region come from an ARN that is known only at deployment', () => {
  const props = (stack: Stack) => ({ prometheusArn: new CfnParameter(stack, 'Arn').valueAsString });
  assert.deepEqual(settings(props, { Arn: ARN }), [WRITE, 'us-east-2']);
});

test('ARN and endpoint may be attributes of a workspace of the same app, as in the ancestor', () => {
  const known = { 'Prometheus.PrometheusEndpoint': `${HOST}/workspaces/ws-1/`, 'Prometheus.Arn': ARN };
  const props = (stack: Stack) => {
    const workspace = new aps.CfnWorkspace(stack, 'Prometheus');
    return { prometheusArn: workspace.attrArn, prometheusEndpoint: workspace.attrPrometheusEndpoint };
  };
  assert.deepEqual(settings(props, known), [WRITE, 'us-east-2']);
});

test('the gateway makes no workspace if one is given', () => {
  const known = { 'Prometheus.PrometheusEndpoint': `${HOST}/workspaces/ws-1/` };
  const props = (stack: Stack) => ({ workspace: new aps.CfnWorkspace(stack, 'Prometheus') });
  assert.deepEqual(settings(props, known), [WRITE, 'eu-west-1']);
  const { gateway, resources } = stackWith(props);
  assert.equal(gateway.workspace?.node.id, 'Prometheus');
  assert.equal(resources.Workspace, undefined);
});

test('the function writes to the host of a VPC endpoint', () => {
  const host = 'https://vpce-0a-1b.aps-workspaces.us-east-2.vpce.amazonaws.com';
  const prometheusEndpoint = `${host}/workspaces/ws-1/`;
  assert.deepEqual(settings({ prometheusArn: ARN, prometheusEndpoint }), [`${host}/workspaces/ws-1/api/v1/remote_write`, 'us-east-2']);
});

test('the workspace that the gateway makes has the out-of-order window', () => {
  const { Workspace } = stackWith({ outOfOrderWindow: Duration.minutes(5) }).resources;
  assert.deepEqual(Workspace.Properties, { Alias: 'Stack', WorkspaceConfiguration: { OutOfOrderTimeWindowInSeconds: 300 } });
  assert.deepEqual(stackWith().resources.Workspace.Properties, { Alias: 'Stack' });
});

test('outOfOrderWindowCommand is the command for an existing workspace', () => {
  const { gateway } = stackWith({ prometheusArn: ARN });
  assert.equal(
    gateway.outOfOrderWindowCommand(Duration.minutes(5)),
    'aws amp update-workspace-configuration --workspace-id ws-1 --out-of-order-time-window-in-seconds 300 --region us-east-2',
  );
  assert.throws(() => gateway.outOfOrderWindowCommand(Duration.minutes(11)), /window is 660 s; expected whole seconds from 0 s to 600 s/);
  assert.deepEqual([gateway.workspaceArn, gateway.workspaceId, gateway.remoteWriteUrl.slice(-33)], [ARN, 'ws-1', '/workspaces/ws-1/api/v1/remote_write'.slice(-33)]);
});
