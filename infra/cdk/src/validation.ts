import { Duration, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';

/** Collects every prop that is not allowed, so that synthesis reports all of them at once. */
export class PropErrors {
  private readonly lines: string[] = [];

  /** Adds a prop, its value, and what is expected instead. */
  public add(prop: string, value: Duration | string | number | boolean | undefined, expected: string): void {
    this.addText(prop, typeof value === 'string' ? `"${value}"` : value instanceof Duration ? inSeconds(value) : `${value}`, expected);
  }

  /** The same for a value that cannot be printed, such as a queue: `text` describes it. */
  public addText(prop: string, text: string, expected: string): void {
    this.lines.push(`${prop} is ${text}; expected ${expected}`);
  }

  /** Checks a whole number. A token has no value before deployment: then AWS checks it. */
  public checkWhole(prop: string, value: number, least: number, most: number, note = ''): void {
    if (!Token.isUnresolved(value) && (!Number.isInteger(value) || value < least || value > most)) {
      this.add(prop, value, `a whole number from ${least} to ${most}${note}`);
    }
  }

  /** Checks a duration and returns its seconds. The construct calculates with them, so a token is an error. */
  public checkSeconds(prop: string, duration: Duration, least: number, most: number): number {
    const expected = `whole seconds from ${least} s to ${most} s`;
    if (duration.isUnresolved()) {
      this.add(prop, duration, `${expected}, known at synthesis`);
      return least;
    }
    const seconds = duration.toMilliseconds() / 1_000;
    if (!Number.isInteger(seconds) || seconds < least || seconds > most) {
      this.add(prop, duration, expected);
    }
    return seconds;
  }

  /** Throws one error with all lines, if there are any. */
  public throwIfAny(scope: Construct): void {
    if (this.lines.length > 0) {
      throw new Error(`PrometheusPushGateway ${scope.node.path}: ${this.lines.join('\n  ')}`);
    }
  }
}

function inSeconds(duration: Duration): string {
  return duration.isUnresolved() ? 'a token' : `${duration.toMilliseconds() / 1_000} s`;
}
