import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { PrometheusPushGateway, type PrometheusPushGatewayProps } from 'cdk-amp-push-gateway';

/** What CloudFormation would put in the place of references; everything else stays the name of the resource, and of its attribute. */
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

/** Resources by readable names, with references put in. */
export type Resources = { readonly [name: string]: Resource };

/** A gateway in a stack. */
export interface Deployed {
  readonly stack: Stack;
  readonly gateway: PrometheusPushGateway;
  /** The stack is synthesised when this is asked for; nothing can be added to it afterwards. */
  readonly resources: Resources;
}

/** Props may need the stack, for constructs of the user's own. */
export function deployed(props: PrometheusPushGatewayProps | ((stack: Stack) => PrometheusPushGatewayProps) = {}, known: Known = {}): Deployed {
  const stack = new Stack(new App(), 'Stack');
  const gateway = new PrometheusPushGateway(stack, 'Gateway', typeof props === 'function' ? props(stack) : props);
  return {
    stack,
    gateway,
    get resources() {
      const entries = Object.entries(Template.fromStack(stack).toJSON().Resources);
      return Object.fromEntries(entries.map(([id, resource]) => [named(id), resolve(resource, { ...KNOWN, ...known })]));
    },
  };
}

export function ofType(all: Resources, type: string): Resource[] {
  return Object.values(all).filter((resource) => resource.Type === type);
}

/** Every statement of a role's policies as one line, sorted: `Allow aps:RemoteWrite on Workspace.Arn`. */
export function statements(all: Resources, role: string): string[] {
  const policies = ofType(all, 'AWS::IAM::Policy').filter((policy) => policy.Properties.Roles.includes(role));
  const list = (value: string | string[]) => [value].flat().sort().join(' ');
  return policies
    .flatMap((policy) => policy.Properties.PolicyDocument.Statement)
    .map((one: any) => `${one.Effect} ${list(one.Action)} on ${list(one.Resource)}`)
    .sort();
}

/** As the construct calls it: without the gateway's id in front and the hash behind. */
function named(id: string): string {
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
      return known[raw] ?? named(raw);
    case 'Fn::GetAtt':
      return known[`${named(raw[0])}.${raw[1]}`] ?? `${named(raw[0])}.${raw[1]}`;
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
