// A program of Node that uses a cluster, as a process of its own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestPlace } from '../cluster/cluster.ts';
import { until } from '../cluster/cluster.ts';
import { type Command, startCommand } from '../cluster/command.ts';

const BUILD = join(import.meta.dirname, '../../build');

export interface NodeProgram extends Command {
  /** Resolves once it has written that to its standard output. */
  said(text: string): Promise<void>;
}

/** @param code of a module, with `cluster` */
export function startNode(code: string, { env }: Pick<TestPlace, 'env'>): NodeProgram {
  // Within the checkout: a program finds the package as one of its own.
  mkdirSync(BUILD, { recursive: true });
  const folder = mkdtempSync(join(BUILD, 'javascript-'));
  const file = join(folder, 'program.ts');
  writeFileSync(
    file,
    `import { connect } from '@odonata/client';\nconst cluster = await connect();\n${code}\n`,
  );
  const { child, ended } = startCommand([process.execPath, file], { env, timeoutMs: 60_000 });
  let stdout = '';
  child.stdout?.on('data', (data) => {
    stdout += data;
  });
  return {
    child,
    ended: ended.finally(() => rmSync(folder, { recursive: true, force: true })),
    said: (text) =>
      until(`it says ${text}`, () => {
        if (child.exitCode !== null) throw new Error(`it ended before it said ${text}`);
        return stdout.includes(text);
      }),
  };
}
