// Routers that know each other, on real sockets: in a line, in a ring, as processes of which one is killed, and with one at
// the other end that lies.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import { afterEach, describe, expect, it } from 'vitest';
import { name, route } from '../../vkctl/schema/syslink.ts';
import type { Syslinkd } from '../serve.ts';
import {
  asks,
  attach,
  clean,
  cleanup,
  failure,
  knows,
  router,
  routesOf,
  serving,
  shown,
  until,
} from '../testdata/routers.ts';

afterEach(clean);

describe('a line of four routers', () => {
  let line: Syslinkd[];
  const start = async () => {
    line = [];
    for (const name of ['a', 'b', 'c', 'd']) line.push(await router(name, line.slice(-1)));
  };

  it('carries calls, errors and circuits from one end to the other, and back', async () => {
    await start();
    const [a, , , d] = line as [Syslinkd, Syslinkd, Syslinkd, Syslinkd];
    const { endpoint, givenUp } = serving('far/vkerneld', d);
    await endpoint.ready({ deadlineMs: 5_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    expect(shown(await routesOf(a))).toEqual(['b', 'b-c', 'b-c-d']);

    await asks(client, 'far/vkerneld');
    const [far] = (await client.listEndpoints()).filter(({ name }) => name === 'far/vkerneld');
    expect(far).toMatchObject({ node: 'far', connected: true, kind: EndpointKind.VKERNEL });
    await client.client(VkernelService, { sysid: far!.sysid }).listVkernels({});
    const unserved = await failure(client.client(VkernelService, { name: 'far/vkerneld' }).listProcesses({}));
    expect(unserved.code).toBe(Code.Unimplemented);
    // Who gives up tells whoever it asked, through all of them.
    const signal = AbortSignal.timeout(50);
    const waits = client.client(VkernelService, { name: 'far/vkerneld' }).kill({ pid: 1n }, { signal });
    expect((await failure(waits)).code).toBe(Code.Cancelled);
    await until('it is given up', () => givenUp.length === 1, 1_000);
    expect(givenUp).toEqual([Code.Cancelled]);
    const nobody = await failure(asks(client, 'nobody'));
    expect(nobody.message).toMatch(/no endpoint "nobody"; registered: far\/vkerneld/);
    const stale = await failure(
      client.client(VkernelService, { name: 'far/vkerneld', session: far!.session + 1n }).listVkernels({}),
    );
    expect(stale.code).toBe(Code.Aborted);

    let seen = 0n;
    for await (const { droppedBytes } of client
      .client(VkernelService, { name: 'far/vkerneld' })
      .getLogs({})) {
      expect(droppedBytes).toBe(seen);
      seen += 1n;
      if (seen === 50n) break;
    }
    // Both ways at once, many in flight: every one is answered.
    const near = serving('near/vkerneld', a).endpoint;
    await near.ready({ deadlineMs: 5_000 });
    const other = attach('', d);
    await other.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await other.listEndpoints()).some(({ name }) => name === 'near/vkerneld'),
    );
    await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        i % 2 ? asks(client, 'far/vkerneld') : asks(other, 'near/vkerneld'),
      ),
    );
  });

  it('ends what went through a router that stops with an error, and takes its names away', async () => {
    await start();
    const [a, , c, d] = line as [Syslinkd, Syslinkd, Syslinkd, Syslinkd];
    await serving('far/vkerneld', d).endpoint.ready({ deadlineMs: 5_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 5_000 });
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    const following = (async () => {
      for await (const _ of client.client(VkernelService, { name: 'far/vkerneld' }).getLogs({}));
    })();
    const ended = failure(following);
    await delay(100);
    await c.stop({ atOnce: true });
    expect((await ended).code).toBe(Code.Unavailable);
    await until('it is forgotten', async () => (await routesOf(a)).length === 1);
    expect((await failure(asks(client, 'far/vkerneld'))).code).toBe(Code.NotFound);
  });
});

describe('a ring of processes', () => {
  const main = fileURLToPath(new URL('../main.ts', import.meta.url));

  async function start(name: string, listen: string, peers: readonly { address: string }[]) {
    const args = [
      main,
      '--listen',
      listen,
      '--name',
      name,
      '--peers',
      peers.map(({ address }) => address).join(),
    ];
    const child = spawn(process.execPath, [...args, '--settle-ms', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'exit');
    cleanup.push(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const address = await addressOf(child);
    return { address, child, ended };
  }

  async function addressOf(child: ChildProcess): Promise<string> {
    let log = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
    const found = () => /"address":"([^"]+)","msg":"syslinkd listens"/.exec(log)?.[1];
    await until('it listens', found);
    return found()!;
  }

  it('goes the other way round when one is killed, and comes back to the short way', async () => {
    const a = await start('a', '127.0.0.1:0', []);
    const b = await start('b', '127.0.0.1:0', [a]);
    const c = await start('c', '127.0.0.1:0', [b]);
    const d = await start('d', '127.0.0.1:0', [c]);
    const e = await start('e', '127.0.0.1:0', [d, a]);
    await serving('far/vkerneld', c).endpoint.ready({ deadlineMs: 10_000 });
    const client = attach('', a);
    await client.ready({ deadlineMs: 10_000 });
    await until('both ways', async () => shown(await routesOf(a)).includes('e-d-c (spare)'));
    expect(shown(await routesOf(a))).toContain('b-c');
    await until('it is known', async () =>
      (await client.listEndpoints()).some(({ name }) => name === 'far/vkerneld'),
    );
    await asks(client, 'far/vkerneld');

    b.child.kill('SIGKILL');
    await b.ended;
    // The first call may still have been on its way to the dead one; from then on the other way is taken.
    await until(
      'the other way',
      () =>
        asks(client, 'far/vkerneld').then(
          () => true,
          () => false,
        ),
      10_000,
    );
    await until('no way through the dead', async () => {
      const routes = shown(await routesOf(a));
      return routes.includes('e-d-c') && !routes.some((route) => route.includes('b'));
    });
    for (let i = 0; i < 20; i++) await asks(client, 'far/vkerneld');

    await start('b', b.address, [a]);
    await knows(a, 'b');
    await until('the short way', async () => shown(await routesOf(a)).includes('b-c'), 20_000);
    await asks(client, 'far/vkerneld');
    expect(e.child.exitCode).toBe(null);
  });
});

describe('vkctl', () => {
  const launcher = fileURLToPath(new URL('../../vkctl/bin/vkctl.js', import.meta.url));

  async function vkctl(
    at: { address: string },
    ...args: string[]
  ): Promise<{ code: number | null; out: string }> {
    const { ODONATA_CLUSTER: _, ODONATA_CONTEXT: __, COLUMNS: ___, ...rest } = process.env;
    const env = { ...rest, NO_COLOR: '1', ODONATA_SYSLINK: at.address };
    const child = spawn(process.execPath, [launcher, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [[code], out] = await Promise.all([
      once(child, 'exit') as Promise<[number | null]>,
      text(child.stdout),
    ]);
    return { code, out };
  }

  it('route ls shows the ways that messages take, and the spare ones', async () => {
    const a = await router('a', []);
    const b = await router('b', [a]);
    const c = await router('c', [a, b]);
    await until('all ways', async () => shown(await routesOf(a)).length === 4);
    const [used, all, names] = await Promise.all([
      vkctl(a, 'route', 'ls'),
      vkctl(a, 'route', 'ls', '--all'),
      vkctl({ address: `${b.address},${c.address}` }, 'route', 'ls', '-q'),
    ]);
    expect(used).toEqual({
      code: 0,
      out: [
        'FROM  TO  HOPS  WAY  USE   ENDPOINTS\n',
        'a     b      1  b    used          0\n',
        'a     c      1  c    used          0\n',
      ].join(''),
    });
    const answered = JSON.parse((await vkctl(a, 'route', 'ls', '--json')).out) as object[];
    expect(answered.map((each) => route.parse(each))).toHaveLength(4);
    expect(all.out).toMatch(/^a +b +2 +c b +spare +0$/m);
    expect(names.out.split('\n').sort()).toEqual(['', 'a', 'b', 'c']);
  });

  it('name ls shows who has a name', async () => {
    const a = await router('a', []);
    const b = await router('b', [a]);
    const endpoint = attach('far/vkerneld', b);
    await endpoint.ready({ deadlineMs: 5_000 });
    endpoint.register('alice:web', { groups: ['chess', 'go'] }).load(3);
    await until('it is known', async () => (await vkctl(a, 'name', 'ls', '-q')).out === 'alice:web\n');
    await until('its load is', async () => (await vkctl(a, 'name', 'ls', 'alice:web')).out.includes(' 3 '));
    expect((await vkctl(a, 'name', 'ls')).out).toBe(
      [
        'NAME       ENDPOINT      ROUTER  LOAD  STATE  FOR\n',
        'alice:web  far/vkerneld  b          3  well   chess, go\n',
      ].join(''),
    );
    expect((await vkctl(a, 'name', 'ls', 'alice:other', '--json')).out).toBe('[]\n');
    const [answered] = JSON.parse((await vkctl(a, 'name', 'ls', '--json')).out) as object[];
    expect(name.parse(answered)).toMatchObject({ name: 'alice:web', load: 3, groups: ['chess', 'go'] });
  });
});
