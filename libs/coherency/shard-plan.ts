// Which replica is to lead which shard: a pure function, so that all replicas that see the same come to the same plan.
// Where they see different things, the compare-and-set on a shard's key lets one of them win.

/** Who leads each shard now; undefined: nobody that lives. */
export type ShardLeaders = readonly (string | undefined)[];

/**
 * The leader that each shard is to have: even within one shard a replica, and with as few moves as that takes.
 * @param live names of replicas, in any order; not empty
 */
export function planShards(leaders: ShardLeaders, live: readonly string[]): string[] {
  const replicas = [...live].sort();
  const led = new Map<string, number[]>(replicas.map((replica) => [replica, []]));
  leaders.forEach((leader, shard) => {
    if (leader !== undefined) led.get(leader)?.push(shard);
  });
  const plan = leaders.map((leader) => (leader !== undefined && led.has(leader) ? leader : undefined));
  const loadOf = (replica: string): number => led.get(replica)!.length;
  const least = (): string => replicas.reduce((best, each) => (loadOf(each) < loadOf(best) ? each : best));
  const most = (): string => replicas.reduce((best, each) => (loadOf(each) > loadOf(best) ? each : best));
  const give = (shard: number, to: string): void => {
    plan[shard] = to;
    led.get(to)!.push(shard);
  };
  plan.forEach((leader, shard) => {
    if (leader === undefined) give(shard, least());
  });
  for (let from = most(), to = least(); loadOf(from) - loadOf(to) > 1; from = most(), to = least()) {
    give(led.get(from)!.pop()!, to);
  }
  return plan as string[];
}
