// Where programs may connect to (--allow-connect): nowhere, unless whoever starts this service says so; and a program only where its own
// request (`run --connect`) says, which must lie within that.

import { BlockList, isIP } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';

/** Of one program. */
export const CONNECT_PLACES_MAX = 16;
const LOOPBACK = '127.0.0.1';
const PORT_MAX = 65_535;
const NAME_MAX = 253;
const PLACE =
  /^(?:(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253}))(?:\/(\d{1,3}))?:)?(\d{1,5})(?:-(\d{1,5}))?$/;
/** The last part begins with a letter: what resolvers take for an address in other writing is none. */
const NAME = /^(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z][A-Za-z0-9-]{0,62}$/;

/** Those of version 4 in the writing of version 6: a rule for addresses of version 6 means none of them. */
const mappedV4 = new BlockList();
mappedV4.addSubnet('::ffff:0:0', 96, 'ipv6');

/** One host, or the addresses of a subnet, and a range of ports. */
interface Place {
  /** A name in small letters, or an address. */
  readonly host: string;
  /** 0: a name. */
  readonly family: 0 | 4 | 6;
  /** Bits that all its addresses share. */
  readonly prefix: number;
  readonly first: number;
  readonly last: number;
}

/** What a program asks for when it connects: a name is resolved by whoever connects. */
export interface Endpoint {
  readonly host: string;
  readonly isName: boolean;
  readonly port: number;
}

export class AllowedConnections {
  readonly #said: readonly string[];
  readonly #rules: readonly Place[];
  readonly #node: string;

  constructor(said: readonly string[], node: string) {
    this.#said = said;
    this.#node = node;
    this.#rules = said.map(placeOf);
  }

  /** Of what a program wants to be allowed. @throws RpcError PERMISSION_DENIED, INVALID_ARGUMENT */
  expectAllowed(places: readonly string[]): void {
    if (places.length > CONNECT_PLACES_MAX)
      throw new RpcError(
        Code.InvalidArgument,
        `a program may be allowed ${CONNECT_PLACES_MAX} places to connect to at most, not ${places.length}`,
      );
    for (const text of places) {
      const place = placeOf(text);
      if (this.#rules.some((rule) => covers(rule, place))) continue;
      const which = this.#said.length === 0 ? 'nowhere is' : `allowed: ${this.#said.join(', ')}`;
      throw new RpcError(
        Code.PermissionDenied,
        `connecting to ${text} is not allowed on ${this.#node} (${which}; vkerneld's --allow-connect says which)`,
      );
    }
  }

  /**
   * Where a program's connection goes.
   * @param places what the program was allowed when it started
   * @throws RpcError INVALID_ARGUMENT, PERMISSION_DENIED
   */
  endpointOf(address: string, places: readonly string[]): Endpoint {
    const place = placeOf(address);
    const isOne = place.first === place.last && (place.family === 0 || place.prefix === bitsOf(place.family));
    if (!isOne) throw new RpcError(Code.InvalidArgument, `"${address}" is more than one place`);
    // The rules may be others than those under which it started.
    const isAllowed = [this.#rules, places.map(placeOf)].every((some) =>
      some.some((rule) => covers(rule, place)),
    );
    if (!isAllowed)
      throw new RpcError(Code.PermissionDenied, `connecting to ${address} is not allowed to this program`);
    return { host: place.host, isName: place.family === 0, port: place.first };
  }
}

export function isConnectRule(text: string): boolean {
  try {
    placeOf(text);
    return true;
  } catch {
    return false;
  }
}

function covers(rule: Place, place: Place): boolean {
  if (place.first < rule.first || rule.last < place.last || rule.family !== place.family) return false;
  if (rule.family === 0) return rule.host === place.host;
  if (place.prefix < rule.prefix) return false;
  const subnet = new BlockList();
  const family = rule.family === 4 ? 'ipv4' : 'ipv6';
  subnet.addSubnet(rule.host, rule.prefix, family);
  return subnet.check(place.host, family);
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

/** @throws RpcError INVALID_ARGUMENT */
function placeOf(text: string): Place {
  const [, v6, plain, bits, firstPort, lastPort = firstPort] = PLACE.exec(text) ?? [];
  const host = (v6 ?? plain ?? LOOPBACK).toLowerCase();
  const family = isIP(host) as Place['family'];
  const first = Number(firstPort);
  const last = Number(lastPort);
  const most = family === 0 ? 0 : bitsOf(family);
  const prefix = bits === undefined ? most : Number(bits);
  const isPort = first >= 1 && last <= PORT_MAX && first <= last;
  const isHost =
    v6 === undefined
      ? family === 4 || (family === 0 && host.length <= NAME_MAX && NAME.test(host))
      : family === 6 && !mappedV4.check(host, 'ipv6');
  const isPrefix = prefix <= most && (bits === undefined || family !== 0);
  if (firstPort !== undefined && isPort && isHost && isPrefix) return { host, family, prefix, first, last };
  throw invalidField(
    'start.connect',
    `"${text}" is no place to connect to: HOST:PORT, ADDRESS/BITS:PORT, [ADDRESS]:PORT or PORT (of ${LOOPBACK}); PORT may be FIRST-LAST`,
  );
}
