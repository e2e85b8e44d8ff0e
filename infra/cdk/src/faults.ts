import { Duration } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** All that is wrong with the props, so that it can be told at once. */
export class Faults {
  private readonly lines: string[] = [];

  /** One prop whose value is not allowed. */
  public add(prop: string, value: Duration | string | number | boolean | undefined, expected: string): void {
    this.say(prop, typeof value === 'string' ? `"${value}"` : value instanceof Duration ? inSeconds(value) : `${value}`, expected);
  }

  /** The same for a value that has no text of its own. */
  public say(prop: string, words: string, expected: string): void {
    this.lines.push(`${prop} is ${words}; expected ${expected}`);
  }

  /** Ends synthesis if there was any. */
  public throwIfAny(scope: Construct): void {
    if (this.lines.length > 0) {
      throw new Error(`PrometheusPushGateway ${scope.node.path}: ${this.lines.join('\n  ')}`);
    }
  }
}

function inSeconds(duration: Duration): string {
  return duration.isUnresolved() ? 'a token' : `${duration.toMilliseconds() / 1_000} s`;
}
