// Which version of the wire this release speaks, and whether it gets on with another one. docs/upgrade.md has the rule.
import { create } from '@bufbuild/protobuf';
import { PreconditionFailureSchema } from '@odonata/proto/google/rpc/error_details';
import { type WireVersions, WireVersionsSchema } from '@odonata/proto/wire/v1/wire';
import { Code, RpcError } from './error.ts';

/** As in each package.json. */
export const RELEASE = '0.2.0';

/** From the oldest version to the newest, both included. */
export interface WireRange {
  readonly oldest: number;
  readonly newest: number;
}

/**
 * What this release speaks. A number more for each change that a side of the number before would not understand; what
 * `buf breaking` permits and both sides may ignore is none. `oldest` follows a release later: see docs/upgrade.md.
 *
 *   1  0.1.0: no identities, and no version in any hello
 *   2  0.2.0: callers have identities, the router writes them into what it passes on, hellos carry these numbers
 */
export const WIRE: WireRange = { oldest: 2, newest: 2 };

/** Of those who say nothing. */
const BEFORE_NUMBERS: WireRange = { oldest: 1, newest: 1 };

/** What a first message carries. */
export const wireSpoken = (): WireVersions => create(WireVersionsSchema, { ...WIRE, release: RELEASE });

/** The newest version that both speak; undefined: there is none. */
export function commonWire(a: WireRange, b: WireRange): number | undefined {
  const newest = Math.min(a.newest, b.newest);
  return newest >= Math.max(a.oldest, b.oldest) ? newest : undefined;
}

/** The type of the violation in the details of a refusal. */
const VIOLATION = 'WIRE_VERSION';

/**
 * The version that a pair speaks, asked when the first message of the other side is there.
 * @param them the name of the other side: `node1/pmapd`, `cohd at 127.0.0.1:7000`
 * @param us what this side is: `cohd`
 * @throws RpcError FAILED_PRECONDITION where they have none in common, with a line that says which side is older
 */
export function agreeOnWire(
  them: string,
  wire: Partial<WireRange> | undefined,
  us: string,
  ours: WireRange = WIRE,
): number {
  const theirs = rangeOf(wire);
  const common = commonWire(theirs, ours);
  if (common !== undefined) return common;
  const short = them.split(' ')[0]!.split('/').at(-1)!;
  const older = theirs.newest < ours.oldest ? (short === us ? them : short) : `this ${us}`;
  const line =
    `${them} speaks wire version ${shown(theirs)}, this ${us} ${shown(ours)}: ` +
    `${older} is older; upgrade it (docs/upgrade.md)`;
  const violations = [{ type: VIOLATION, subject: them.slice(0, 200), description: line.slice(0, 1_000) }];
  throw new RpcError(Code.FailedPrecondition, line, {
    more: [create(PreconditionFailureSchema, { violations })],
  });
}

/** True for a refusal as above, of this side or the other one. */
export function isWireRefusal(error: unknown): boolean {
  return (
    RpcError.is(error, Code.FailedPrecondition) &&
    error.detail('google.rpc.PreconditionFailure')?.violations.some(({ type }) => type === VIOLATION) === true
  );
}

function rangeOf(wire: Partial<WireRange> | undefined): WireRange {
  const { oldest = 0, newest = 0 } = wire ?? {};
  // Numbers that make no range say nothing.
  return oldest > 0 && newest >= oldest ? { oldest, newest } : BEFORE_NUMBERS;
}

const shown = ({ oldest, newest }: WireRange): string =>
  oldest === newest ? `${newest}` : `${oldest} to ${newest}`;
