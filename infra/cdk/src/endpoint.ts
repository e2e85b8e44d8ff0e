import { Aws, Fn, RemovalPolicy, Stack, Token, aws_aps as aps, type Duration } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { seconds } from './batching';
import type { Faults } from './faults';
import type { PrometheusPushGatewayProps } from './props';

/** A workspace as the function and its role need it. Each of them may be a token. */
export interface Endpoint {
  readonly workspaceArn: string;
  readonly workspaceId: string;
  readonly remoteWriteUrl: string;
  /** The one to sign for: the host's name need not tell it. */
  readonly region: string;
}

const ARN = /^arn:aws[a-z-]*:aps:([a-z0-9-]+):\d{12}:workspace\/([A-Za-z0-9-]+)$/;
const ARN_SHAPE = 'arn:aws:aps:<region>:<account>:workspace/ws-<id>';
const URL_OF_WORKSPACE = /^https:\/\/([^/?#@\s]+)\/workspaces\/([A-Za-z0-9-]+)(\/|\/api\/v1\/?|\/api\/v1\/remote_write\/?)?$/;
const URL_SHAPE = 'https://<host>/workspaces/ws-<id>, with or without /api/v1/ or /api/v1/remote_write at its end';
const REGION_OF_HOST = /(?:^|\.)aps-workspaces(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;

/** Which workspace the props name. */
export function checkEndpoint(props: PrometheusPushGatewayProps, faults: Faults): void {
  const { prometheusArn: arn, prometheusEndpoint: url, workspace } = props;
  if (workspace && arn !== undefined) {
    faults.add('prometheusArn', arn, 'none, as workspace is given too: choose one of the two');
  }
  if (url !== undefined && arn === undefined) {
    faults.add('prometheusEndpoint', url, 'prometheusArn beside it: the function may write to that one workspace only');
  }
  const named = arn === undefined || Token.isUnresolved(arn) ? undefined : ARN.exec(arn);
  if (named === null) {
    faults.add('prometheusArn', arn, ARN_SHAPE);
  }
  const called = url === undefined || Token.isUnresolved(url) ? undefined : URL_OF_WORKSPACE.exec(url);
  if (called === null) {
    // Whoever put a password there does not want to read it in a build's log.
    faults.add('prometheusEndpoint', url?.replace(/^.*@/, '(hidden)@'), URL_SHAPE);
  }
  if (named && called) {
    const region = REGION_OF_HOST.exec(called[1])?.[1];
    if (called[2] !== named[2] || (region !== undefined && region !== named[1])) {
      faults.add('prometheusEndpoint', url, `the workspace of prometheusArn, ${named[2]} in ${named[1]}`);
    }
  }
  if (props.outOfOrderWindow) {
    outOfOrderSeconds('outOfOrderWindow', props.outOfOrderWindow, faults);
    if (workspace || arn !== undefined) {
      faults.add('outOfOrderWindow', props.outOfOrderWindow, 'none for a workspace that is given; see outOfOrderWindowCommand');
    }
  }
}

/** As AMP takes it. */
export function outOfOrderSeconds(prop: string, window: Duration, faults: Faults): number {
  return seconds(prop, window, 0, 600, faults);
}

/** It stays when the stack goes: the metrics in it cannot be had again. */
export function makeWorkspace(scope: Construct, outOfOrderWindow?: Duration): aps.CfnWorkspace {
  const workspace = new aps.CfnWorkspace(scope, 'Workspace', {
    alias: Stack.of(scope).stackName,
    workspaceConfiguration: outOfOrderWindow && { outOfOrderTimeWindowInSeconds: outOfOrderWindow.toSeconds() },
  });
  workspace.applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
  return workspace;
}

/** The workspace that was made with the gateway, or given as a construct. */
export function endpointOf(workspace: aps.CfnWorkspace): Endpoint {
  return {
    workspaceArn: workspace.attrArn,
    workspaceId: workspace.attrWorkspaceId,
    remoteWriteUrl: remoteWriteUrl(workspace.attrPrometheusEndpoint),
    region: Stack.of(workspace).region,
  };
}

/** The workspace that was there before. */
export function endpointFrom(arn: string, url?: string): Endpoint {
  const region = Token.isUnresolved(arn) ? Fn.select(3, Fn.split(':', arn)) : arn.split(':')[3];
  const id = Token.isUnresolved(arn) ? Fn.select(1, Fn.split('/', arn)) : arn.split('/')[1];
  return {
    workspaceArn: arn,
    workspaceId: id,
    remoteWriteUrl: url ? remoteWriteUrl(url) : writeUrl(`aps-workspaces.${region}.${Aws.URL_SUFFIX}`, id),
    region,
  };
}

/**
 * A token's text is not known before deployment, so what stands at its end cannot be looked at. Host and id are taken out
 * of it: they stand in the same place whatever the end is.
 */
function remoteWriteUrl(url: string): string {
  const part = (index: number) => (Token.isUnresolved(url) ? Fn.select(index, Fn.split('/', url)) : url.split('/')[index]);
  return writeUrl(part(2), part(4));
}

function writeUrl(host: string, id: string): string {
  return `https://${host}/workspaces/${id}/api/v1/remote_write`;
}
