import { copyFileSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isAsRead, ownUser, readPolicy } from './policy.ts';
import { PolicyFile } from './policy-file.ts';
import { TokenBucket } from './token-bucket.ts';

const west = new TestAuthority('west');
const dir = mkdtempSync(join(tmpdir(), 'odonata-policy-'));
const file = join(dir, 'p.yaml');
beforeAll(async () => {
  const folder = await west.folder('gateway/gateway');
  writeFileSync(join(dir, 'west.crt'), folder.identity.authorityPem);
  writeFileSync(join(dir, 'leaf.crt'), folder.identity.certificatePem);
  writeFileSync(join(dir, 'junk.crt'), 'junk');
});
afterAll(() => {
  west.remove();
  rmSync(dir, { recursive: true });
});

const read = (text: string) => {
  writeFileSync(file, text);
  return readPolicy(file, 'east');
};
const peer = (more: string) =>
  `listen: 0.0.0.0:7443\npeers:\n  - name: west\n    authority: west.crt\n    ${more}\n`;

it('has what it says, and nothing else', () => {
  const { listen, peers } = read(
    peer(`exports: [':a', { name: 'bob:b', methods: [/x.Y/Z] }]
    imports: [':c', { name: ':d', groups: [physics] }]
    users: { bob: alice, '*': visitor }
    rates: { bytes: 512K }`),
  );
  expect(listen).toBe('0.0.0.0:7443');
  const found = peers.get('west')!;
  expect([...found.exports]).toEqual([
    [':a', ['/odonata.vkernel.v1.PeerService/Connect']],
    ['bob:b', ['/x.Y/Z']],
  ]);
  expect([...found.imports]).toEqual([
    [':c', undefined],
    [':d', ['physics']],
  ]);
  expect([ownUser(found, 'bob'), ownUser(found, 'eve'), ownUser(found, '*')]).toEqual([
    'alice',
    'visitor',
    undefined,
  ]);
  expect(found.rates).toEqual({ messages: 1_000, bytes: 512 * 1024, circuits: 256, requests: 256 });
  const { exports, imports, users } = read(peer('')).peers.get('west')!;
  expect([exports.size, imports.size, users.size]).toEqual([0, 0, 0]);
});

describe('one line for', () => {
  it.each([
    ['', 'p.yaml: no policy is in there; docs/gateways.md shows one'],
    [
      'a: [',
      'p.yaml:1: this is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    [
      '- x',
      'p.yaml:1: this is no policy: it has fields, as peers: [{name: west, authority: west-ca.crt}]; docs/gateways.md shows one',
    ],
    ['listen: x:1', 'p.yaml:1: peers: write a list of peers, each with name and authority'],
    ['peers: []', 'p.yaml:1: peers: write a peer at least: name and authority'],
    [peer('export: []'), 'p.yaml:5: peers.0.export: there is no such field; is exports meant?'],
    [peer('exports: [shout]'), 'p.yaml:5: peers.0.exports.0: write PERSON:NAME, or :NAME of the cluster'],
    [
      peer("exports: [':a@north']"),
      'p.yaml:5: peers.0.exports.0: write PERSON:NAME, or :NAME of the cluster',
    ],
    [
      peer("exports: [{ name: ':a', methods: [/odonata.vkernel.v1.VkernelService/Kill] }]"),
      'p.yaml:5: peers.0.exports.0.methods.0: write /package.Service/Method of your own; nothing of odonata itself crosses',
    ],
    [peer("imports: [':a', ':a']"), 'p.yaml: peers.0.imports.1: ":a" stands there twice'],
    [peer('users: { bob: Alice }'), 'p.yaml:5: peers.0.users.bob: write the name of a person'],
    [
      peer('denied: [00]'),
      'p.yaml:5: peers.0.denied.0: write the SHA-256 fingerprint of a certificate: 64 hex digits, colons or none',
    ],
    [
      peer('rates: { bytes: 1K }'),
      'p.yaml:5: peers.0.rates.bytes: write bytes, or a size from 64K to 4G, as 512K, 8M',
    ],
    [
      peer('dataspaces: { exports: [{ name: table, access: write }] }'),
      'p.yaml:5: peers.0.dataspaces.exports.0.access: write {name: NAME, access: read} or {name: NAME, access: read-write}',
    ],
    [
      peer('dataspaces: { exports: [a@north] }'),
      'p.yaml:5: peers.0.dataspaces.exports.0: write the name of a dataspace: 1 to 160 of A-Z a-z 0-9 . _ - /',
    ],
    [peer('dataspaces: { imports: [a, a] }'), 'p.yaml:5: peers.0.dataspaces.imports: write each name once'],
    [peer('rates: { circuits: 0 }'), 'p.yaml:5: peers.0.rates.circuits: write a whole number from 1 to 1000'],
    [peer('address: unix:/x'), 'p.yaml:5: peers.0.address: write host:port, as west.example.org:7443'],
    [peer('').replace('west.crt', 'no.crt'), 'p.yaml: peers.0.authority: no.crt: there is no such file'],
    [
      peer('').replace('west.crt', 'leaf.crt'),
      'p.yaml: peers.0.authority: leaf.crt holds a certificate that is no authority; take ca.crt of the other cluster',
    ],
    [
      peer('').replace('west.crt', 'junk.crt'),
      'p.yaml: peers.0.authority: junk.crt holds no certificate; take ca.crt of the other cluster',
    ],
    [
      peer('').replace('name: west', 'name: east'),
      'p.yaml: peers.0.name: "east" is this cluster itself; the other one needs another name (vkctl up --cluster)',
    ],
    [
      peer('').replace(/listen.*\n/, ''),
      'p.yaml: peers.0: nobody dials: write peers.0.address: host:port of the other gateway, or listen: host:port here',
    ],
    [
      `${peer('')}  - { name: west, authority: west.crt }\n`,
      'p.yaml: peers.1.name: "west" stands there twice; write it once',
    ],
    [`${peer('')}---\n${peer('')}`, 'p.yaml: a policy is one document; take out what follows ---'],
  ])('%j', (text, line) => {
    let said = '';
    try {
      read(text);
    } catch (error) {
      said = (error as Error).message;
    }
    expect(said.replaceAll(`${dir}/`, '')).toBe(line);
  });
});

it('is read again when it changes; one of no use leaves the one before, and says so until it is mended', () => {
  read(peer("exports: [':a']"));
  const policy = new PolicyFile(file, 'east', silentLog());
  let changes = 0;
  policy.watch(() => changes++);
  policy.look();
  expect(changes).toBe(0);
  writeFileSync(file, 'peers: 7');
  policy.look();
  expect(policy.trouble).toMatch(/p\.yaml:1: peers: write a list of peers/);
  expect([...policy.policy.peers.get('west')!.exports.keys()]).toEqual([':a']);
  expect(changes).toBe(0);
  writeFileSync(file, peer("exports: [':b']"));
  policy.look();
  expect([...policy.policy.peers.get('west')!.exports.keys()]).toEqual([':b']);
  expect([policy.trouble, changes]).toEqual(['', 1]);
  policy.stop();
});

it('what is written while it is read is found by the next look', () => {
  writeFileSync(file, peer("exports: [':a']"));
  class Meanwhile extends Map<string, string> {
    override set(name: string, stamp: string): this {
      super.set(name, stamp);
      if (name === file) writeFileSync(file, peer('exports: []   '));
      return this;
    }
  }
  const seen = new Meanwhile();
  readPolicy(file, 'east', seen);
  expect(isAsRead(seen)).toBe(false);
});

it('one that lacks a file is tried again when that comes', () => {
  read(peer("exports: [':a']"));
  const policy = new PolicyFile(file, 'east', silentLog());
  const late = join(dir, 'late.crt');
  writeFileSync(file, peer('exports: []').replace('west.crt', 'late.crt'));
  policy.look();
  expect(policy.trouble).toContain('late.crt: there is no such file');
  mkdirSync(late);
  policy.look();
  expect(policy.trouble).toContain('late.crt: it is no file');
  rmdirSync(late);
  copyFileSync(join(dir, 'west.crt'), late);
  policy.look();
  expect(policy.trouble).toBe('');
  expect(policy.policy.peers.get('west')!.exports.size).toBe(0);
});

it('a bucket has a second of it at once, and so much a second', () => {
  const bucket = new TokenBucket(100, 0);
  expect(bucket.tryTake(100, 0)).toBe(true);
  expect(bucket.tryTake(1, 0)).toBe(false);
  expect(bucket.tryTake(1, 10)).toBe(true);
  expect(bucket.take(50, 10)).toBe(500);
  expect(bucket.take(0, 510)).toBe(0);
  expect(bucket.take(100, 100_000)).toBe(0);
  expect(bucket.take(100, 100_000)).toBe(1_000);
});
