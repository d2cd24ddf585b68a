// What differs between two policies, in words.
import type { Peer, Policy } from './policy.ts';

type Exported = ReadonlyMap<string, unknown> | ReadonlySet<string>;

/** Each says one thing; of what is not listed that it changed. */
export function policyChanges(before: Policy, after: Policy): string[] {
  const said: string[] = [];
  for (const name of before.peers.keys())
    if (!after.peers.has(name)) said.push(`${name} is no peer any more`);
  for (const [name, peer] of after.peers) {
    const was = before.peers.get(name);
    if (was === undefined) said.push(`${name} is a peer`);
    else said.push(...peerChanges(was, peer).map((each) => `${name}: ${each}`));
  }
  return said;
}

function peerChanges(was: Peer, is: Peer): string[] {
  const said = [
    ...listed('name', 'exported', was.exports, is.exports),
    ...listed('name', 'imported', was.imports, is.imports),
    ...listed('dataspace', 'exported', was.lends, is.lends),
    ...listed('dataspace', 'imported', was.borrows, is.borrows),
  ];
  for (const [name, mode] of is.lends)
    if (was.lends.has(name) && was.lends.get(name) !== mode)
      said.push(`dataspace ${name} is exported ${mode === 'WRITE' ? 'read-write' : 'to read'}`);
  if (!sameEntries(was.users, is.users)) said.push('its users are others here');
  for (const print of is.denied) if (!was.denied.has(print)) said.push(`certificate ${print} counts no more`);
  return said;
}

function listed(what: string, how: string, was: Exported, is: Exported): string[] {
  const gone = [...was.keys()].filter((name) => !is.has(name));
  const come = [...is.keys()].filter((name) => !was.has(name));
  return [
    ...gone.map((name) => `${what} ${name} is ${how} no more`),
    ...come.map((name) => `${what} ${name} is ${how}`),
  ];
}

const sameEntries = (one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): boolean =>
  one.size === other.size && [...one].every(([key, value]) => other.get(key) === value);
