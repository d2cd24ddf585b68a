// What the wordcount guest says while it works and when it is done; one line each on standard error.
//   progress worker=1 phase=count done=12 total=160
//   done worker=0 node=1 pid=100001 chunks=54 words=812 distinct=99 start_ms=3 count_ms=810 ... merge_ms=95 sent=81920

export interface WorkerProgress {
  phase: string;
  done: number;
  total: number;
}

export interface WorkerResult {
  chunks: number;
  words: number;
  startMs: number;
  countMs: number;
  mergeMs: number;
  /** To the others: what they merge. */
  sentBytes: number;
}

export type WorkerLine =
  | { kind: 'progress'; progress: WorkerProgress }
  | { kind: 'done'; result: WorkerResult }
  | { kind: 'other' };

export function parseWorkerLine(line: string): WorkerLine {
  const [kind, ...pairs] = line.split(' ');
  const values = new Map(pairs.map((pair) => pair.split('=', 2) as [string, string]));
  const number = (key: string): number => Number(values.get(key) ?? Number.NaN);
  if (kind === 'progress' && values.has('phase')) {
    const progress = { phase: values.get('phase')!, done: number('done'), total: number('total') };
    return { kind, progress };
  }
  if (kind === 'done' && values.has('worker')) {
    const result: WorkerResult = {
      chunks: number('chunks'),
      words: number('words'),
      startMs: number('start_ms'),
      countMs: number('count_ms'),
      mergeMs: number('merge_ms'),
      sentBytes: number('sent'),
    };
    return { kind, result };
  }
  return { kind: 'other' };
}

export interface Comparison {
  words: number;
  /** Human lines for the first words that differ; empty: the tables are equal. */
  differences: string[];
}

/** Compares two whole tables: `word count` a line, sorted by the word's bytes. */
export function compareTables(cluster: Buffer, alone: Buffer, limit = 10): Comparison {
  const table = (dump: Buffer): Map<string, string> =>
    new Map(
      // latin1: words are bytes, whatever they encode.
      dump
        .toString('latin1')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const space = line.lastIndexOf(' ');
          return [line.slice(0, space), line.slice(space + 1)];
        }),
    );
  const ours = table(cluster);
  if (cluster.equals(alone) && ours.size > 0) return { words: ours.size, differences: [] };
  const theirs = table(alone);
  const differences: string[] = [];
  for (const word of new Set([...ours.keys(), ...theirs.keys()])) {
    const [here, there] = [ours.get(word) ?? '0', theirs.get(word) ?? '0'];
    if (here !== there) differences.push(`"${word}": ${here} in the cluster, ${there} alone`);
    if (differences.length === limit) break;
  }
  if (differences.length === 0) differences.push('the same words and counts, but not the same bytes');
  return { words: ours.size, differences };
}
