import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { PrometheusPushGateway, type PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';

/** Values that CloudFormation would fill in. Any other reference stays a name: `Queue`, or `Queue.Arn` for an attribute. */
const KNOWN: { readonly [name: string]: string } = {
  'AWS::Region': 'eu-west-1',
  'AWS::AccountId': '123456789012',
  'AWS::Partition': 'aws',
  'AWS::URLSuffix': 'amazonaws.com',
  'Workspace.PrometheusEndpoint': 'https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-made/',
  'Workspace.WorkspaceId': 'ws-made',
};

export type Resource = { Type: string; Properties: any; DeletionPolicy?: string; UpdateReplacePolicy?: string };
export type Known = { readonly [name: string]: string };

/** Resources by their construct's name, with references filled in. */
export type Resources = { readonly [name: string]: Resource };

/** A stack with one gateway. */
export interface GatewayStack {
  readonly stack: Stack;
  readonly gateway: PrometheusPushGateway;
  /** Synthesises the stack: add nothing to it afterwards. */
  readonly resources: Resources;
}

/** Makes a stack with one gateway. Props that contain constructs are a function of the stack. */
export function stackWith(props: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps) = {}, known: Known = {}): GatewayStack {
  const stack = new Stack(new App(), 'Stack');
  const gateway = new PrometheusPushGateway(stack, 'Gateway', typeof props === 'function' ? props(stack) : props);
  return {
    stack,
    gateway,
    get resources() {
      const entries = Object.entries(Template.fromStack(stack).toJSON().Resources);
      return Object.fromEntries(entries.map(([id, resource]) => [nameOf(id), resolve(resource, { ...KNOWN, ...known })]));
    },
  };
}

export function ofType(all: Resources, type: string): Resource[] {
  return Object.values(all).filter((resource) => resource.Type === type);
}

/**
 * Returns every statement of a role's policies as one line, sorted: `Allow aps:RemoteWrite on Workspace.Arn`, or with the keys of a table
 * that it is limited to.
 */
export function statements(all: Resources, role: string): string[] {
  const policies = ofType(all, 'AWS::IAM::Policy').filter((policy) => policy.Properties.Roles.includes(role));
  const list = (value: string | string[]) => [value].flat().sort().join(' ');
  return policies
    .flatMap((policy) => policy.Properties.PolicyDocument.Statement)
    .map((one: any) => {
      const keys = one.Condition?.['ForAllValues:StringLike']?.['dynamodb:LeadingKeys'];
      return `${one.Effect} ${list(one.Action)} on ${list(one.Resource)}${keys ? ` with ${list(keys)}` : ''}`;
    })
    .sort();
}

/** Returns a logical id without the gateway's id at its start and CDK's hash at its end. */
function nameOf(id: string): string {
  return id.replace(/^Gateway/, '').replace(/[0-9A-F]{8}$/, '');
}

function resolve(value: any, known: Known): any {
  if (Array.isArray(value)) {
    return value.map((one) => resolve(one, known));
  }
  if (value === null || typeof value !== 'object') {
    return value;
  }
  const [[key, raw]] = [...Object.entries<any>(value), ['', undefined]];
  switch (key) {
    case 'Ref':
      return known[raw] ?? nameOf(raw);
    case 'Fn::GetAtt':
      return known[`${nameOf(raw[0])}.${raw[1]}`] ?? `${nameOf(raw[0])}.${raw[1]}`;
    case 'Fn::Join':
      return resolve(raw[1], known).join(raw[0]);
    case 'Fn::Split':
      return resolve(raw[1], known).split(raw[0]);
    case 'Fn::Select':
      return resolve(raw[1], known)[raw[0]];
    default:
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, resolve(one, known)]));
  }
}
