import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const here = dirname(fileURLToPath(import.meta.url));

/** Runs a service of one start function in a process of its own; signals it when it is up. */
function run(start: string, signal?: NodeJS.Signals): Promise<{ code: number | null; stderr: string }> {
  const program = `import { runService } from './lifecycle.ts'; import { createLog } from './log.ts';
    setInterval(() => {}, 1000);
    runService({ name: 'svc', log: createLog('svc'), stopMs: 300, start: ${start} });`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], { cwd: here });
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
    if (signal !== undefined && stderr.includes('is up')) child.kill(signal);
  });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stderr })));
}

describe('runService', () => {
  it('stops once and exits 0 on SIGTERM and SIGINT', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { code, stderr } = await run(`async () => async () => { console.error('stopped') }`, signal);
      expect(code).toBe(0);
      expect(stderr.match(/^stopped$/gm)).toHaveLength(1);
    }
  });

  it('exits 0 when the stop takes too long', async () => {
    const { code, stderr } = await run(`async () => () => new Promise(() => {})`, 'SIGTERM');
    expect(code).toBe(0);
    expect(stderr).toContain('did not stop in time');
  });

  it('does not wait for a start that takes long', async () => {
    const start = `async () => { console.error('is up soon'); await new Promise(() => {}); }`;
    const { code, stderr } = await run(start, 'SIGTERM');
    expect(code).toBe(0);
    expect(stderr).toContain('had not started yet');
    expect(stderr).not.toContain('did not stop in time');
  });

  it('ends with 70 and a fatal line on a failed start, an exception and a rejection', async () => {
    for (const start of [
      `async () => { throw new Error('port taken') }`,
      `async () => { setTimeout(() => { throw new Error('port taken') }, 20); return async () => {} }`,
      `async () => { setTimeout(() => { Promise.reject(new Error('port taken')) }, 20); return async () => {} }`,
    ]) {
      const { code, stderr } = await run(start);
      expect(code).toBe(70);
      expect(stderr).toMatch(/"level":"fatal".*port taken/);
    }
  });
});
