import { Aws, Fn, RemovalPolicy, Stack, Token, aws_aps as aps, type Duration } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import type { PrometheusPushGatewayProps } from './props';
import type { PropErrors } from './validation';

/** The workspace that the function writes to. Each value may be a token. */
export interface Workspace {
  readonly arn: string;
  readonly id: string;
  readonly remoteWriteUrl: string;
  /** The region to sign for. Not every host name contains it. */
  readonly region: string;
}

const ARN = /^arn:aws[a-z-]*:aps:([a-z0-9-]+):\d{12}:workspace\/([A-Za-z0-9-]+)$/;
const ARN_SHAPE = 'arn:aws:aps:<region>:<account>:workspace/ws-<id>';
const URL_OF_WORKSPACE = /^https:\/\/([^/?#@\s]+)\/workspaces\/([A-Za-z0-9-]+)(\/|\/api\/v1\/?|\/api\/v1\/remote_write\/?)?$/;
const URL_SHAPE = 'https://<host>/workspaces/ws-<id>, with or without /api/v1/ or /api/v1/remote_write at its end';
const REGION_OF_HOST = /(?:^|\.)aps-workspaces(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;

/** Checks the props that say which workspace to write to. */
export function checkWorkspace(props: PrometheusPushGatewayProps, errors: PropErrors): void {
  const { prometheusArn: arn, prometheusEndpoint: url, workspace } = props;
  if (workspace && arn !== undefined) {
    errors.add('prometheusArn', arn, 'none, as workspace is given too: choose one of the two');
  }
  if (url !== undefined && arn === undefined) {
    errors.add('prometheusEndpoint', url, 'prometheusArn beside it: the function may write only to that workspace');
  }
  const arnMatch = arn === undefined || Token.isUnresolved(arn) ? undefined : ARN.exec(arn);
  if (arnMatch === null) {
    errors.add('prometheusArn', arn, ARN_SHAPE);
  }
  const urlMatch = url === undefined || Token.isUnresolved(url) ? undefined : URL_OF_WORKSPACE.exec(url);
  if (urlMatch === null) {
    // A build's log must not show a password that somebody put into the URL.
    errors.add('prometheusEndpoint', url?.replace(/^.*@/, '(hidden)@'), URL_SHAPE);
  }
  if (arnMatch && urlMatch) {
    const region = REGION_OF_HOST.exec(urlMatch[1])?.[1];
    if (urlMatch[2] !== arnMatch[2] || (region !== undefined && region !== arnMatch[1])) {
      errors.add('prometheusEndpoint', url, `the workspace of prometheusArn, ${arnMatch[2]} in ${arnMatch[1]}`);
    }
  }
  if (props.outOfOrderWindow) {
    checkOutOfOrderWindow('outOfOrderWindow', props.outOfOrderWindow, errors);
    if (workspace || arn !== undefined) {
      errors.add('outOfOrderWindow', props.outOfOrderWindow, 'none for a workspace that is given; see outOfOrderWindowCommand');
    }
  }
}

/** Checks against AMP's limits, and returns the seconds. */
export function checkOutOfOrderWindow(prop: string, window: Duration, errors: PropErrors): number {
  return errors.checkSeconds(prop, window, 0, 600);
}

/** Makes a workspace. It stays when the stack is deleted: nobody else has the metrics in it. */
export function makeWorkspace(scope: Construct, outOfOrderWindow?: Duration): aps.CfnWorkspace {
  const workspace = new aps.CfnWorkspace(scope, 'Workspace', {
    alias: Stack.of(scope).stackName,
    workspaceConfiguration: outOfOrderWindow && { outOfOrderTimeWindowInSeconds: outOfOrderWindow.toSeconds() },
  });
  workspace.applyRemovalPolicy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE);
  return workspace;
}

/** Describes a workspace of this app: the one that the gateway made, or the prop `workspace`. */
export function workspaceOf(workspace: aps.CfnWorkspace): Workspace {
  return {
    arn: workspace.attrArn,
    id: workspace.attrWorkspaceId,
    remoteWriteUrl: urlOfEndpoint(workspace.attrPrometheusEndpoint),
    region: Stack.of(workspace).region,
  };
}

/** Describes an existing workspace. */
export function workspaceOfArn(arn: string, endpoint?: string): Workspace {
  const region = part(arn, ':', 3);
  const id = part(arn, '/', 1);
  return { arn, id, remoteWriteUrl: endpoint ? urlOfEndpoint(endpoint) : urlOf(`aps-workspaces.${region}.${Aws.URL_SUFFIX}`, id), region };
}

/** Takes host and id out of the endpoint. Both stand at fixed positions, so this works for a token too, however it ends. */
function urlOfEndpoint(endpoint: string): string {
  return urlOf(part(endpoint, '/', 2), part(endpoint, '/', 4));
}

function urlOf(host: string, id: string): string {
  return `https://${host}/workspaces/${id}/api/v1/remote_write`;
}

function part(text: string, separator: string, index: number): string {
  return Fn.select(index, Fn.split(separator, text));
}
