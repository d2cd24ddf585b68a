// The web server of Go's own library, one on each of three nodes, with one count of visits that they share; each asks the others.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { startVkctl } from '../cluster/command.ts';
import { buildGo } from '../guests/go.ts';
import { LONG } from '../long.ts';
import { freePorts } from './free-ports.ts';

const hasGo = spawnSync('go', ['version']).status === 0;
if (LONG && !hasGo) console.log("Go's web server is skipped: there is no go");

test.runIf(LONG && hasGo)(
  "servers of Go's own library on three nodes count together",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-visits-'));
    const server = buildGo(join(import.meta.dirname, 'visits.go'), folder);
    const ports = await freePorts(3);
    const places = ports.map((port) => `127.0.0.1:${port}`);
    const cluster = await TestCluster.up({ nodes: 3, allowListen: places, allowConnect: places });
    const get = async (i: number, path: string) => {
      const answer = await fetch(`http://${places[i]}${path}`, { signal: AbortSignal.timeout(20_000) });
      return `${answer.status} ${(await answer.text()).trim()}`;
    };
    try {
      const env = { ODONATA_HOME: cluster.home, ODONATA_CLUSTER: cluster.cluster };
      const connect = places.slice(0, 2).flatMap((place) => ['--connect', place]);
      const servers = places.map((place, i) =>
        startVkctl(['run', '--node', `node${i + 1}`, '--listen', place, ...connect, server], { env }),
      );
      await until('all answer', async () => {
        const answers = await Promise.all(places.map((_, i) => get(i, '/').catch(() => '')));
        return answers.every((answer) => answer.startsWith('404'));
      });
      const answers: string[] = [];
      const visit = async (i: number) => {
        for (let times = 0; times < 20; times++) answers.push(await get(i, '/visit'));
      };
      await Promise.all([visit(0), visit(1), visit(2)]);
      for (const i of [0, 1, 2]) answers.push(await get(i, `/ask?of=${places[(i + 1) % 2]}`));
      const numbers = answers.map((answer) => Number(answer.replace('200 ', ''))).sort((a, b) => a - b);
      expect(numbers).toEqual(Array.from({ length: 63 }, (_, i) => i + 1));
      expect(await get(0, `/ask?of=${places[2]}`)).toMatch(/^502 .*permission denied/i);
      for (const pid of (await cluster.vkctl(['ps', '-q'])).stdout.trim().split('\n'))
        await cluster.vkctl(['kill', pid]);
      for (const { ended } of servers) expect(await ended).toMatchObject({ code: 143 });
    } finally {
      await cluster.down();
      rmSync(folder, { recursive: true });
    }
  },
  300_000,
);
