// What libs/client finds is said as vkctl says things: what, where, and which command mends it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientReason, clientError } from '@odonata/client/client-error.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { afterEach, expect, test } from 'vitest';
import { EXIT, explain, explainWithFix, Failure, told } from './failure.ts';

const { ODONATA_SYSLINK } = process.env;
afterEach(() => {
  delete process.env.ODONATA_SYSLINK;
  if (ODONATA_SYSLINK !== undefined) process.env.ODONATA_SYSLINK = ODONATA_SYSLINK;
});

const made = (reason: ClientReason, about: object): RpcError =>
  clientError(Code.Unavailable, reason, about as never, 'in the words of the library');

test.each([
  ['NOT_UP', { cluster: 'default' }, 'cluster "default" is not up. Start it with: vkctl up'],
  ['NOT_UP', { cluster: 'a' }, 'cluster "a" is not up. Start it with: vkctl up --cluster a'],
  ['GOES_DOWN', { cluster: 'a' }, 'cluster "a" goes down'],
  [
    'NO_RECORD',
    { cluster: 'a', supervisor: '7', file: '/f' },
    'cluster "a" runs (supervisor 7), but cannot write its record /f. End it with: vkctl down --cluster a',
  ],
  [
    'NO_NODE',
    { cluster: 'a', node: 'node9', nodes: 'node1, node2' },
    'no node "node9" in cluster "a". Nodes: node1, node2.',
  ],
  ['NO_PMAPD', { cluster: 'a', node: '' }, 'no node of cluster "a" has its pmapd now. See: vkctl status'],
  ['NO_PMAPD', { cluster: 'a', node: 'node1' }, 'node "node1" has no pmapd now. See: vkctl status'],
  ['NO_VKERNELD', { node: 'node1' }, 'node "node1" has no vkerneld now. See: vkctl status'],
  [
    'NODE_RESTS',
    { node: 'node2' },
    'node "node2" was drained, and rests. It works again with: vkctl node resume node2',
  ],
  [
    'NO_VKERNEL',
    { cluster: 'a', vkernel: 'web', node: 'node1' },
    'no virtual kernel "web" of yours is on node "node1". vkctl vkernel ls shows them; vkctl run --vkernel, and vkctl vkernel create, make one',
  ],
  ['NO_PLACE', { cluster: 'a', but: '' }, 'no node of cluster "a" takes programs now. See: vkctl status'],
  [
    'NO_PLACE',
    { cluster: 'a', but: ' but node1' },
    'no node of cluster "a" but node1 takes programs now. See: vkctl status',
  ],
  [
    'NO_PROCESS',
    { cluster: 'a', pid: '199999' },
    'no process 199999 in cluster "a". List them with: vkctl ps -a',
  ],
  ['NO_SIZE', { dataspace: 'text' }, 'ds load: no dataspace "text". To make it, give --size.'],
  [
    'ROUTERS_SILENT',
    { cluster: 'a', routers: 'h:1' },
    'the router of cluster "a" does not answer at h:1. See: vkctl status, vkctl doctor.',
  ],
  [
    'ROUTERS_SILENT',
    { cluster: 'a', routers: 'h:1,h:2' },
    'no router of cluster "a" answers at h:1, h:2. See: vkctl status, vkctl doctor.',
  ],
  [
    'ROUTERS_STRANGE',
    { cluster: 'a', routers: 'h:1' },
    'at h:1 answers another cluster than the "a" that you were let into, or that began anew. Ask an admin of the cluster for a new context (vkctl user add NAME), then: vkctl context add --replace FILE',
  ],
  [
    'CERTIFICATE_OVER',
    { cluster: 'a', tlsDir: '/c', day: '2026-01-31' },
    'your certificate for cluster "a" is over since 2026-01-31 (/c). Ask an admin of the cluster for a new context (vkctl user add NAME), then: vkctl context add --replace FILE',
  ],
  [
    'NO_HOME',
    { uid: '7' },
    'user 7 has no home folder, and HOME is not set. Set ODONATA_HOME to a folder that can be written.',
  ],
] as const)('%s %o', (reason, about, line) => {
  delete process.env.ODONATA_SYSLINK;
  const error = told(made(reason, about));
  expect(explainWithFix(error)).toBe(line);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Failure).exitCode).toBe(EXIT.failed);
});

test.each([
  [
    'BAD_CLUSTER_NAME',
    { from: 'cluster', name: 'A' },
    '--cluster: "A" is not a cluster name. Use 1 to 31 of a-z, 0-9 and -, not starting with -.',
  ],
  [
    'BAD_CLUSTER_NAME',
    { from: 'ODONATA_CLUSTER', name: 'A' },
    'ODONATA_CLUSTER: "A" is not a cluster name. Use 1 to 31 of a-z, 0-9 and -, not starting with -.',
  ],
  [
    'BAD_ADDRESS',
    { from: 'ODONATA_SYSLINK', address: 'x' },
    'ODONATA_SYSLINK: "x" is no address. Use host:port, several with commas.',
  ],
  [
    'TWO_NODES',
    { node: 'node1', vkernel: 'node2/web' },
    '--node node1 and --vkernel node2/web are on different nodes',
  ],
] as const)('%s %o is a usage error', (reason, about, line) => {
  const error = told(made(reason, about)) as Failure;
  expect(explainWithFix(error)).toBe(line);
  expect(error.exitCode).toBe(EXIT.usage);
});

test('routers elsewhere are named as they were given', () => {
  process.env.ODONATA_SYSLINK = 'h:1,h:2';
  expect(explainWithFix(made('ROUTERS_SILENT', { cluster: 'default', routers: 'h:1,h:2' }))).toBe(
    'no router at h:1, h:2 (ODONATA_SYSLINK) answers. Is the cluster there up, and the address right?',
  );
  expect(explainWithFix(made('ROUTERS_SILENT', { cluster: 'default', routers: 'h:1' }))).toBe(
    'the router at h:1 (ODONATA_SYSLINK) does not answer. Is the cluster there up, and the address right?',
  );
});

test('what a service answers is said as it is', () => {
  const error = new RpcError(Code.NotFound, 'no dataspace "x"');
  expect(told(error)).toBe(error);
  expect(explainWithFix(error)).toBe('no dataspace "x"');
});

test.each([
  [
    { removed: true },
    'this machine was node4 of cluster "west", and was removed from it. Clear what is left',
  ],
  [{ lodgesWith: 'own' }, 'cluster "work" lodges on this machine, with cluster "own"'],
])('what is not up may be in no cluster any more, or have no supervisor of its own: %j', (more, words) => {
  const home = mkdtempSync(join(tmpdir(), 'odonata-words-'));
  const before = process.env.ODONATA_HOME;
  process.env.ODONATA_HOME = home;
  try {
    const folder = join(home, 'work/identity/member');
    mkdirSync(folder, { recursive: true });
    const member = { cluster: 'west', node: { name: 'node4' }, ...more };
    writeFileSync(join(folder, 'member.json'), JSON.stringify(member));
    expect(explainWithFix(made('NOT_UP', { cluster: 'work' }))).toContain(words);
  } finally {
    if (before === undefined) delete process.env.ODONATA_HOME;
    else process.env.ODONATA_HOME = before;
    rmSync(home, { recursive: true });
  }
});

test('what asks is a sentence as it is', () => {
  const fix = 'Mend it.';
  expect(explain(new Failure('there is no such field; is address meant?', { fix }))).toBe(
    'there is no such field; is address meant? Mend it.',
  );
  expect(explain(new Failure('it is away', { fix }))).toBe('it is away. Mend it.');
});
