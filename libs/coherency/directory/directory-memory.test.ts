// What a directory costs in memory: by the run, and for single pages of which each is known otherwise than its neighbours.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Directory } from './directory.ts';

setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

const HOLDERS = 8;

function directory(pageCount: number): Directory {
  const made = new Directory({ home: false });
  for (let holder = 1; holder <= HOLDERS; holder++) made.step({ type: 'join', holder });
  made.step({ type: 'create', dataspace: 1n, pageCount, creator: 0 });
  return made;
}

test('1 TiB in runs of 2 MiB, no two neighbours of one holder: at most 64 MiB', () => {
  const [pages, block] = [2 ** 28, 512];
  const beforeBytes = heapBytes();
  const made = directory(pages);
  for (let firstPage = 0; firstPage < pages; firstPage += block) {
    const run = { dataspace: 1n, firstPage, pageCount: block };
    const holder = 1 + ((firstPage / block) % HOLDERS);
    made.step({ type: 'acquire', holder, run, mode: 'WRITE', neededPages: block, alone: true });
  }
  expect(made.inspect(1n, pages - 1)).toMatchObject({ owner: HOLDERS, exclusive: true });
  expect(made.usage(1n).entries).toBe(pages);
  const mib = (heapBytes() - beforeBytes) / 2 ** 20;
  console.log(`the directory takes ${mib.toFixed(1)} MiB for 1 TiB in runs of 2 MiB`);
  expect(mib).toBeLessThan(64);
});

test('single pages in states that chance gave them: at most 100 bytes each', () => {
  const pages = 200_000;
  let seed = 1;
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % n;
  };
  const beforeBytes = heapBytes();
  const made = directory(pages);
  for (let firstPage = 0; firstPage < pages; firstPage++) {
    const run = { dataspace: 1n, firstPage, pageCount: 1 };
    for (let i = 1 + below(3); i > 0; i--) {
      const asks = {
        holder: 1 + below(HOLDERS),
        mode: below(2) === 0 ? ('READ' as const) : ('WRITE' as const),
      };
      const said = made.step({ type: 'acquire', ...asks, run, neededPages: 1, alone: true });
      for (let next = said.shift(); next !== undefined; next = said.shift()) {
        if (next.type === 'recall') {
          const { receiver: holder, version } = next;
          said.push(...made.step({ type: 'ack', holder, run, version, kind: 'RECEIVED' }));
        } else if (next.type === 'invalidate') {
          const { version } = next;
          for (const holder of next.holders)
            said.push(...made.step({ type: 'ack', holder, run, version, kind: 'INVALIDATED' }));
        }
      }
    }
  }
  const entries = made['dataspaces'].get(1n)!.pages.size;
  expect(entries).toBeGreaterThan(0.7 * pages);
  const each = (heapBytes() - beforeBytes) / entries;
  console.log(`the directory takes ${each.toFixed(1)} bytes for each single page`);
  expect(each).toBeLessThan(100);
  expect(made.inspect(1n, 0).busy).toBe(false);
});
