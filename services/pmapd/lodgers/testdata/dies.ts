// A thread that dies as it is told by its first argument.
import { parentPort, workerData } from 'node:worker_threads';

const [how] = (workerData as { args: string[] }).args;
parentPort!.postMessage('up');
if (how === 'throws') throw new Error('a bug of theirs');
if (how === 'grows') {
  const kept: object[] = [];
  for (;;) kept.push(Array.from({ length: 1_000 }, () => ({})));
}
// Else it lives until it is told.
parentPort!.on('message', () => process.exit(0));
