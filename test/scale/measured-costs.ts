// What a sweep tells the projection.
import type { Costs } from './projection/costs.ts';
import type { ScaledService } from './scaled-service.ts';
import type { Sweep } from './sweep.ts';

/** Of the most replicas. */
export function costsOf(
  { name, patterns }: ScaledService,
  { rows, standing, moreCosts }: Sweep,
): Partial<Costs> {
  const costs: Partial<Costs> = { ...moreCosts };
  for (const { name: pattern, cost, costBeside } of patterns) {
    const row = rows.findLast((each) => each.pattern === pattern);
    if (row === undefined) continue;
    if (cost !== undefined) costs[cost] = row.cpuUs;
    if (costBeside !== undefined) costs[costBeside] = row.besideUs;
  }
  if (name === 'cohd') {
    const [fewest, most] = [standing[0]!, standing.at(-1)!];
    costs.cohdStandingCores = fewest.cores;
    if (most.replicas > fewest.replicas) {
      const slope = (most.cores - fewest.cores) / (most.replicas - fewest.replicas);
      costs.cohdPeerCores = Math.max(0, slope);
    }
  }
  return costs;
}
