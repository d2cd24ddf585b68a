// A second user of the same machine, against a cluster of the first: every port, every socket, every folder.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { TestCluster } from '../cluster/cluster.ts';

const STRANGER = '65534';
const setpriv = findTool('setpriv');
const canBe = process.getuid!() === 0 && setpriv !== undefined && isForAll(process.execPath);
if (!canBe)
  console.log('skipped: to be another user it takes root, setpriv and a Node that others may execute');

function isForAll(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    const as = spawnSync(setpriv!, [
      '--reuid',
      STRANGER,
      '--regid',
      STRANGER,
      '--clear-groups',
      path,
      '--version',
    ]);
    return as.status === 0;
  } catch {
    return false;
  }
}

/** What a script says that runs as somebody else. */
function asStranger(script: string, ...args: string[]): string {
  const who = ['--reuid', STRANGER, '--regid', STRANGER, '--clear-groups'];
  const { stdout, stderr } = spawnSync(setpriv!, [...who, process.execPath, '-e', script, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
    env: { PATH: process.env.PATH },
    cwd: '/',
  });
  return stdout.trim() || stderr.trim();
}

/** Connects, says what a client of HTTP/2 says first, and tells what comes. */
const KNOCK = `
const [target] = process.argv.slice(1);
const [host, port] = target.split(':');
const at = target.startsWith('/') ? { path: target } : { host, port: Number(port) };
const socket = require('node:net').connect(at);
let heard = '';
socket.on('data', (data) => { heard += data.toString('latin1'); });
socket.on('error', (error) => { console.log(error.code); process.exit(); });
socket.on('close', () => { console.log('closed', JSON.stringify(heard.slice(0, 60))); process.exit(); });
socket.on('connect', () => socket.write('PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + '\\0'.repeat(9)));
setTimeout(() => { console.log('open', JSON.stringify(heard.slice(0, 60))); process.exit(); }, 1500);
`;
const READ = `
const { readdirSync, readFileSync } = require('node:fs');
for (const path of process.argv.slice(1)) {
  try { readdirSync(path); console.log('listed', path); continue; } catch (error) { if (error.code === 'ENOTDIR') {
    try { readFileSync(path); console.log('read', path); } catch {} } }
}
console.log('over');
`;

describe.runIf(canBe)('another user of the machine', () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await TestCluster.up({ nodes: 1 });
  });
  afterAll(() => cluster?.down());

  it('gets nothing by a port but the start of TLS, and of NATS that it asks who one is', () => {
    for (const { name, address } of cluster.record.services) {
      const said = asStranger(KNOCK, address);
      if (name === 'nats') expect(said, name).toMatch(/INFO/);
      else expect(said, name).toMatch(/^(closed ""|ECONNRESET|closed "\\u0015|open "")/);
    }
  });

  it('opens no socket', () => {
    const sockets = globSync('**/*.sock', { cwd: cluster.paths.runtimeDir });
    expect(sockets.length).toBeGreaterThan(4);
    for (const socket of sockets)
      expect(asStranger(KNOCK, join(cluster.paths.runtimeDir, socket)), socket).toMatch(/^(EACCES|ENOENT)$/);
  });

  it('reads no folder and no file', () => {
    const { stateDir, runtimeDir, memoryDir } = cluster.paths;
    const keys = globSync('identity/*/*', { cwd: stateDir }).map((file) => join(stateDir, file));
    expect(keys.length).toBeGreaterThan(10);
    expect(asStranger(READ, stateDir, runtimeDir, memoryDir, ...keys)).toBe('over');
  });

  it('finds no secret in the command lines of the services', () => {
    const pids = cluster.record.services.flatMap(({ process }) => (process ? [String(process.pid)] : []));
    const lines = asStranger(
      `for (const pid of process.argv.slice(1)) console.log(require('node:fs').readFileSync('/proc/' + pid + '/cmdline', 'latin1'))`,
      ...pids,
    );
    expect(lines).not.toMatch(/BEGIN|Bearer|password|secret/i);
  });
});
