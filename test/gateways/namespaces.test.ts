// Three whole clusters of three owners, each in a network of its own, over lines with 50 ms and one packet of a hundred lost.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Command } from '../cluster/command.ts';
import { findCompiler, run } from '../guests/toolchain.ts';
import { Line, Namespace, whyNoNamespaces } from './namespace.ts';

const why = whyNoNamespaces();
if (why !== undefined) console.log(`three clusters in namespaces: skipped, ${why}`);

interface PeerShown {
  peer: string;
  fingerprint: string;
  connected: boolean;
  reason: string;
}

const BAD = { delayMs: 50, lostPercent: 1 };
const PORT = 7443;

describe.skipIf(why !== undefined)('three clusters over bad lines', () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-namespaces-'));
  const [north, south, west] = ['north', 'south', 'west'].map(
    (name) => new Namespace(`${name}-${process.pid}`, join(folder, name)),
  ) as [Namespace, Namespace, Namespace];
  const all = [north, south, west];
  const lines = new Map<Namespace, Line>();
  const gateways: Command[] = [];
  const policy = ({ name }: Namespace): string => join(folder, `${name}.yaml`);
  let programs: string;

  /** What the north allows. @param denied fingerprints of gateways of the south */
  const writeNorth = (denied: string[]): void =>
    writeFileSync(
      policy(north),
      `listen: 0.0.0.0:${PORT}\npeers:\n${[south, west]
        .map(
          ({ name }) => `  - name: ${name}
    authority: ${name}.crt
    exports: [":shout"]
    users: { "*": visitor }
    denied: ${JSON.stringify(name === south.name ? denied : [])}
`,
        )
        .join('')}`,
    );

  const ask = async (place: Namespace, text: string): Promise<string> => {
    const { stdout } = await place.vkctl(
      ...['run', '-q', '--vkernel', 'asks'],
      join(programs, 'ask.wasm'),
      `:shout@${north.name}`,
      text,
    );
    return stdout.trim();
  };
  const untilAsked = async (place: Namespace, text: string, waitMs: number): Promise<number> => {
    const begin = performance.now();
    for (;;) {
      const said = await ask(place, text);
      const tookMs = performance.now() - begin;
      if (said === text.toUpperCase()) return tookMs;
      if (tookMs > waitMs) throw new Error(`not within ${waitMs} ms: ${said}`);
      await sleep(100);
    }
  };

  beforeAll(async () => {
    programs = join(folder, 'programs');
    mkdirSync(programs);
    const page = readFileSync(join(import.meta.dirname, '../../docs/names.md'), 'utf8');
    const { command } = await findCompiler();
    for (const [, name, text] of page.matchAll(/^```c (\w+)\.c\n(.*?)^```$/gms)) {
      writeFileSync(join(programs, `${name}.c`), text!);
      const flags = ['--target=wasm32-wasi', '-O2', '-I', join(import.meta.dirname, '../../libs/guest')];
      const built = ['-Wl,--stack-first', '-o', `${name}.wasm`, `${name}.c`];
      expect(await run(command, [...flags, ...built], programs)).toMatchObject({ code: 0 });
    }
    const line = await Line.build(folder);
    await Promise.all(all.map((each) => each.begun()));
    for (const [at, from] of [south, west].entries()) {
      const [address, toAddress] = [`10.77.${at}.2`, `10.77.${at}.1`];
      lines.set(from, await Line.open(line, { from, address, to: north, toAddress }, BAD));
      writeFileSync(
        policy(from),
        `peers: [{ name: ${north.name}, authority: ${north.name}.crt, address: "${toAddress}:${PORT}", imports: [":shout"] }]\n`,
      );
    }
    writeNorth([]);
    await Promise.all(all.map((each) => each.done('up', '-q', '--nodes', '1', '--port', '0')));
    for (const { name, env } of all)
      copyFileSync(join(env.ODONATA_HOME!, name, 'identity/ca/ca.crt'), join(folder, `${name}.crt`));
    for (const each of all) gateways.push(each.start(['gateway', 'serve', '-q', policy(each)], 300_000));
    await north.done('vkernel', 'create', '-q', 'public', '--may-listen', ':shout');
    const listen = ['--vkernel', 'public', '--listen-on', ':shout'];
    await north.done('run', '-d', ...listen, join(programs, 'shout.wasm'));
    for (const each of [south, west])
      await each.done('vkernel', 'create', '-q', 'asks', '--may-connect', `:shout@${north.name}`);
  }, 120_000);

  afterAll(async () => {
    for (const { child } of gateways) child.kill('SIGTERM');
    await Promise.all(gateways.map(({ ended }) => ended));
    await Promise.all(all.map((each) => each.vkctl('down', '-q')));
    for (const line of lines.values()) line.close();
    for (const each of all) each.end();
    rmSync(folder, { recursive: true });
  }, 90_000);

  test('programs of both reach the third', async () => {
    await Promise.all([south, west].map((each) => untilAsked(each, `from ${each.name}`, 30_000)));
    // Each is a connection of its own, and some lose packets.
    const asked = Array.from({ length: 6 }, (_, i) => `number ${i}`);
    expect(await Promise.all(asked.map((text) => ask(south, text)))).toEqual(
      asked.map((text) => text.toUpperCase()),
    );
  });

  test('one is cut off for ten seconds: it is told, the other one goes on, and all is well once it healed', async () => {
    const line = lines.get(south)!;
    line.cut();
    const begin = performance.now();
    const whileCut = ask(south, 'into the dark');
    expect(await ask(west, 'beside')).toBe('BESIDE');
    expect(await whileCut).not.toBe('INTO THE DARK');
    await sleep(Math.max(0, 10_000 - (performance.now() - begin)));
    line.heal();
    const tookMs = await untilAsked(south, 'again', 30_000);
    console.log(`whole again ${Math.round(tookMs)} ms after the line healed`);
  });

  test('a certificate that is denied counts no more, and the other one does', async () => {
    const stands = async () => {
      const listed = JSON.parse(await north.done('gateway', 'ls', '--json')) as PeerShown[];
      return listed.find(({ peer }) => peer === south.name)!;
    };
    writeNorth([(await stands()).fingerprint]);
    await expect
      .poll(stands, { timeout: 30_000 })
      .toMatchObject({ connected: false, reason: expect.stringMatching(/was denied$/) });
    expect(await ask(south, 'once more')).not.toBe('ONCE MORE');
    expect(await ask(west, 'still here')).toBe('STILL HERE');
  });
});
