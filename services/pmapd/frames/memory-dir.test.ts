import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@odonata/rpc/log.ts';
import { afterAll, expect, test } from 'vitest';
import { ServiceProcess } from '../../../test/operate/service-process.ts';
import type { PmapdConfig } from '../config.ts';
import { fitFrames } from './memory-dir.ts';

const folder = mkdtempSync('/dev/shm/odonata-test-memory-');
afterAll(() => rmSync(folder, { recursive: true }));

const { blocks, bsize } = statfsSync(folder);
const sizeBytes = blocks * bsize;
const fit = (framesBytes: number, memoryDir = folder) => {
  const said: string[] = [];
  const log = createLog('pmapd', 'silent');
  log.warn = (_about: unknown, text?: string) => void said.push(text!);
  return { bytes: fitFrames({ memoryDir, framesBytes } as PmapdConfig, log).framesBytes, said };
};

test('frames that were asked for are there, or pmapd does not start and says what it takes', async () => {
  expect(fit(1 << 20)).toEqual({ bytes: 1 << 20, said: [] });
  expect(() => fit(sizeBytes + 4096)).toThrow(
    /^frames_bytes: this node needs [\d.]+ GiB of \/dev\/shm\/.*, whose tmpfs has [\d.]+ GiB in all: make it larger \(of the machine: mount -o remount,size=\d+M \/dev\/shm\), or set frames_bytes to less$/,
  );
  const places = ['--socket-dir', join(folder, 's'), '--memory-dir', join(folder, 'm')];
  const nobody = ['--nats', '127.0.0.1:1', '--syslink', '127.0.0.1:1'];
  const frames = ['--frames-bytes', `${sizeBytes + 4096}`];
  const pmapd = ServiceProcess.service('pmapd', [
    ...places,
    ...nobody,
    ...frames,
    '--node',
    'n',
    '--node-index',
    '1',
  ]);
  expect(await pmapd.ended).toBe(2);
  expect(pmapd.stderr).toContain('frames_bytes: this node needs');
});

test('without a number they are half of the machine, or what the tmpfs has', () => {
  expect(fit(0)).toEqual({ bytes: Math.min(Math.floor(totalmem() / 2), sizeBytes), said: [] });
});

test('where others use it, that is said; what is of the node already counts as there', () => {
  // In a mount namespace of its own: a tmpfs of 8 MiB, of which somebody has 4.
  const script = `
    mount -t tmpfs -o size=8m tmpfs ${folder}/small && mkdir ${folder}/small/own &&
    head -c 4194304 /dev/zero >${folder}/small/other && head -c 2097152 /dev/zero >${folder}/small/own/ds-1 &&
    ${process.execPath} --input-type=module -e "
      import { fitFrames } from '${import.meta.dirname}/memory-dir.ts';
      const log = { warn: (about, text) => console.log(text) };
      const fit = (framesBytes) => fitFrames({ memoryDir: '${folder}/small/own', framesBytes }, log);
      fit(4 << 20);
      console.log('-');
      fit(6 << 20);
    "`;
  mkdirSync(join(folder, 'small'));
  const isolated = process.getuid!() === 0 ? ['-m'] : ['-rm'];
  const said = execFileSync('unshare', [...isolated, 'sh', '-ec', script], { encoding: 'utf8' });
  expect(said).toMatch(
    /^-\nothers use the memory of this node: it needs 0.01 GiB of .* are left; free some \(df -h \/dev\/shm\)/,
  );
});
