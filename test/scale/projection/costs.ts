// What the projection is fed with: costs that were measured, by name.

/** Each with its unit and what it is. Processor time is of all threads of the service. */
export const COSTS = {
  pmapdFaultUs: 'a fault that pmapd serves by itself',
  cohdAcquireUs: 'an acquire at the directory',
  cohdSharerUs: 'one more sharer of a page that is invalidated, at the directory',
  cohdHolderCores: 'the lease of one holder, at each replica of the directory',
  cohdPeerCores: 'one more replica of the directory, at each other one',
  cohdStandingCores: 'a replica of the directory alone, without a load',
  natsDeliveryUs: 'one more receiver of an invalidation, at NATS',
  syslinkdCallUs: 'a call through the router, with its reply',
  syslinkdPieceUs: 'a piece of a circuit there and one back',
  vkerneldListUs: 'a list of processes',
  vkerneldStartUs: 'the start of a program, at its supervisor',
  vkernelStartUs: 'the start of a program, in its virtual kernel',
  vkernelMib: 'resident memory of a virtual kernel',
} as const;

export type CostName = keyof typeof COSTS;
export type Costs = Record<CostName, number>;
export const COST_NAMES = Object.keys(COSTS) as CostName[];

/** Undefined where all are there. */
export function missingCosts(costs: Partial<Costs>): CostName[] {
  return COST_NAMES.filter((name) => !(Number.isFinite(costs[name]) && costs[name]! >= 0));
}
