// Seeks a seed by which a mutant is found: `node libs/simulator/mutants/seek.ts 'a part of its name'`. A change of a machine moves the
// course of every seed, so those that `seed` of a mutant names are sought anew after it.
import { randomInt } from 'node:crypto';
import { simulate } from '../simulate.ts';
import { MUTANTS } from './all.ts';
import { BARRIER_MUTANTS } from './barriers.ts';

const STEPS = 40_000_000;

const [part = ''] = process.argv.slice(2);
const mutants = [
  ...MUTANTS.map((mutant) => ({ barriers: false, ...mutant })),
  ...BARRIER_MUTANTS.map((mutant) => ({ barriers: true, ...mutant })),
].filter(({ name }) => name.includes(part));
if (part === '' || mutants.length === 0) {
  console.error(`no mutant is called so: "${part}"; say a part of its name, as in mutants/*.ts`);
  process.exit(2);
}

for (const { name, seed: _, machines, duties, ...cluster } of mutants) {
  const asked = { few: 0, ...cluster };
  const of = { ...(machines && { machines }), ...(duties && { duties }) };
  const { failure, counts } = simulate({ ...asked, ...of, seed: randomInt(2 ** 32), steps: STEPS });
  const shipped = failure && simulate({ ...asked, seed: failure.seed, steps: 1 }).failure;
  if (failure === undefined) console.log(`${name}: not found in ${counts.steps} steps`);
  else if (shipped !== undefined)
    console.log(`${name}: seed ${failure.seed} breaks what is shipped: ${shipped.message}`);
  else console.log(`${name}: seed ${failure.seed}, found after ${counts.steps} steps`);
}
