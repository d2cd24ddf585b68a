// A node as its pods have it: pmapd is one user, vkerneld with its virtual kernels another.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGuest } from '../guests/build.ts';
import { OneNode } from './one-node.ts';

const PMAPD = 61_001;
const VKERNELD = 61_002;
const STRANGER = 61_003;
const ROOT = join(import.meta.dirname, '../..');

/** What a program of Node says as another user. */
function as(uid: number, script: string): string {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'];
  const { stdout, stderr } = spawnSync('setpriv', [...user, process.execPath, '-e', script], {
    ...{ encoding: 'utf8', cwd: ROOT, timeout: 20_000 },
  });
  return stdout.trim() || stderr;
}
const connecting = (path: string): string =>
  `const s = require('net').connect(${JSON.stringify(path)}, () => setTimeout(() => { console.log('open'); process.exit() }, 500));
   s.on('error', (e) => { console.log(e.code); process.exit() }).on('close', () => { console.log('closed'); process.exit() });`;

/** Only root can start them, and not everybody can read every checkout. */
const can =
  process.getuid!() === 0 && as(STRANGER, "console.log(require('fs').existsSync('package.json'))") === 'true';

describe.runIf(can)('pmapd and vkerneld as two users', () => {
  let node: OneNode;
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'odonata-users-'));
    execFileSync('sh', [join(ROOT, 'k8s/make-certificates.sh'), dir], { stdio: 'ignore' });
    // As the kubelet gives each pod its own.
    chmodSync(dir, 0o711);
    for (const [role, uid] of [
      ['pmapd', PMAPD],
      ['vkerneld', VKERNELD],
    ] as const)
      for (const file of ['.', ...readdirSync(join(dir, role))]) {
        chownSync(join(dir, role, file), uid, uid);
        chmodSync(join(dir, role, file), file === '.' ? 0o700 : 0o400);
      }
    node = await OneNode.up({
      ...{ tlsDir: dir, vkctlEnv: { ODONATA_TLS_DIR: join(dir, 'admin') } },
      users: { pmapd: PMAPD, vkerneld: VKERNELD },
    });
  });
  afterAll(async () => {
    await node?.down();
    rmSync(dir, { recursive: true, force: true });
  });

  it('run programs that share memory', async () => {
    const counter = await buildGuest('counter');
    for (const seen of [100, 200]) {
      const { code, stdout, stderr } = await node.vkctl(['run', counter, 'tally', 'atomic', '100']);
      expect([code, stderr]).toEqual([0, '']);
      expect(JSON.parse(stdout)).toMatchObject({ seen });
    }
  });

  it('keep the memory, the key and the doors of pmapd from the user that virtual kernels have', () => {
    const reading = (path: string) =>
      `try { require('fs').readdirSync(${JSON.stringify(path)}); console.log('read') } catch (e) { console.log(e.code) }`;
    for (const what of [join(node.memoryDir, 'memory'), join(node.memoryDir, 'pmapd'), join(dir, 'pmapd')]) {
      expect(as(VKERNELD, reading(what)), what).toBe('EACCES');
      expect(as(PMAPD, reading(what)), what).toBe('read');
    }
    expect(as(VKERNELD, connecting(join(node.memoryDir, 'pmapd/handover.sock')))).toBe('EACCES');
    expect(as(VKERNELD, connecting(join(node.memoryDir, 'pmapd/pmapd.sock')))).toBe('EACCES');
    // Nor can it put a door of its own in the place of pmapd's.
    const mv = `try { require('fs').renameSync('${node.memoryDir}/vkernels', '${node.memoryDir}/x'); console.log('moved') } catch (e) { console.log(e.code) }`;
    expect(as(VKERNELD, mv)).toBe('EPERM');
  });

  it('let virtual kernels in where these are served, and nobody else', () => {
    for (const door of ['pmapd.sock', 'userfault.sock']) {
      const path = join(node.memoryDir, 'vkernels', door);
      expect(as(VKERNELD, connecting(path)), door).toBe('open');
      expect(as(STRANGER, connecting(path)), door).toBe('closed');
    }
    expect(as(STRANGER, connecting(join(node.memoryDir, 'vkerneld/vkernels/vkerneld.sock')))).toBe('EACCES');
  });
});
