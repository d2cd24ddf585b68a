// Prints, as JSON, which files of the shipped machines each profile runs: those of which it calls a function.
import { Session } from 'node:inspector/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANY_PAGES } from '../parts/mapping.ts';
import { PROFILES, type ProfileName } from '../profiles.ts';
import { simulate } from '../simulate.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SEED = 20_060_902;
const STEPS = 15_000;

const session = new Session();
session.connect();
await session.post('Profiler.enable');
const found: Record<string, string[]> = {};
for (const profile of Object.keys(PROFILES) as ProfileName[]) {
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  simulate({ seed: SEED, steps: STEPS, profile });
  simulate({ seed: SEED, steps: STEPS / 2, profile, barriers: true });
  simulate({ seed: SEED, steps: STEPS / 5, profile, pages: MANY_PAGES });
  const { result } = await session.post('Profiler.takePreciseCoverage');
  await session.post('Profiler.stopPreciseCoverage');
  const run = result.filter(({ functions }) =>
    functions.some(
      ({ functionName, ranges }) => functionName !== '' && ranges.some(({ count }) => count > 0),
    ),
  );
  found[profile] = run
    .filter(({ url }) => url.startsWith('file:'))
    .map(({ url }) => relative(ROOT, fileURLToPath(url)))
    .filter((file) => file.startsWith('libs/coherency/'))
    .sort();
}
console.log(JSON.stringify(found));
