// Who a holder is for good: a node, and how often its pmap manager was started.
import type { HolderIdentity } from '@odonata/coherency/page.ts';

const INCARNATIONS_MAX = 1_000_000;

export function identityOf(node: number, incarnation: number): HolderIdentity {
  return BigInt(node * INCARNATIONS_MAX + incarnation);
}
