// Prints, as one line of JSON, how many of the branches of each file were taken.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

interface Coverage {
  type: string;
  data: {
    summary?: { files: { path: string; coveredBranchCount: number; totalBranchCount: number }[] };
    details?: { error?: { message: string } };
  };
}

export interface FileCoverage {
  file: string;
  taken: number;
  branches: number;
}

export default async function* report(source: AsyncIterable<Coverage>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type === 'test:fail') yield `${data.details?.error?.message}\n`;
    if (type !== 'test:coverage') continue;
    const files = data.summary!.files.map(({ path, coveredBranchCount, totalBranchCount }): FileCoverage => {
      return { file: relative(ROOT, path), taken: coveredBranchCount, branches: totalBranchCount };
    });
    yield `${JSON.stringify(files)}\n`;
  }
}
