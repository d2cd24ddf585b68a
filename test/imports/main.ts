// npm run check: no new import circle, types included, and no import against services -> libs -> core.
import { fileURLToPath } from 'node:url';
import { findings } from './findings.ts';
import { KNOWN_AGAINST_DIRECTION, KNOWN_IN_CIRCLES } from './known.ts';
import { importsOf } from './source.ts';

const graph = importsOf(fileURLToPath(new URL('../..', import.meta.url)));
const found = findings(graph, { inCircles: KNOWN_IN_CIRCLES, againstDirection: KNOWN_AGAINST_DIRECTION });
for (const line of found) console.error(line);
console.log(
  `Checked the imports of ${graph.size} files: ${found.length === 0 ? 'no' : found.length} findings.`,
);
process.exitCode = found.length === 0 ? 0 : 1;
