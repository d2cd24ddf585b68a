// Entry of the janitor: see janitor.ts. argv: the cluster's paths, and whether its store stays, as JSON; stdin: the line to the supervisor.
import { text } from 'node:stream/consumers';
import { waitForLock } from '../cluster/lock.ts';
import type { ClusterPaths } from '../cluster/paths.ts';
import { clearRemains } from '../cluster/remains.ts';
import { GOOD_BYE } from './janitor.ts';

const { paths, keepStore } = JSON.parse(process.argv[2]!) as { paths: ClusterPaths; keepStore: boolean };

// Whatever goes round among the processes of a terminal or a container is not for us: we end by ourselves.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});

if ((await text(process.stdin)) !== GOOD_BYE) {
  // A new `up` may be faster: then it clears, and owns what is there from now on.
  const lock = await waitForLock(paths.lockFile, 1000);
  if (lock) {
    await clearRemains(paths, { graceMs: 8000, keepStore });
    lock.release();
  }
}
