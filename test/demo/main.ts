// `make demo`: three processes in three virtual kernels on three nodes count the words of one text in one coherent
// memory. The same program alone under node:wasi must come to the same table, or the demo fails.
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { stopCluster } from '../../services/vkctl/cluster/stop.ts';
import { explain } from '../../services/vkctl/failure.ts';
import { createJob, type JobState } from './job.ts';
import { report } from './report.ts';

const paths = clusterPaths(`demo-${process.pid}`);
const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (abort.signal.aborted) return; // The first one counts; clearing up takes its seconds.
    process.stderr.write('\ninterrupted, clearing up ...\n');
    abort.abort(new Error('interrupted'));
  });
}

// A terminal that went away must not keep us from clearing up.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const state: Partial<JobState> = {};
let exitCode = 0;
try {
  await createJob({ paths, signal: abort.signal, state }).run();
  exitCode = report(state as JobState) ? 0 : 1;
} catch (error) {
  exitCode = abort.signal.aborted ? 130 : 1;
  if (!abort.signal.aborted) process.stderr.write(`demo: ${explain(error)}\n`);
} finally {
  await stopCluster(paths);
}
process.stdout.write(exitCode === 0 ? 'The cluster is down; nothing is left.\n' : '');
process.exit(exitCode);
