// Owners of range locks, waits and barriers are processes of this cluster, by their pids; and those of other clusters, for whom a gateway
// asks: numbers with the highest bit, which no pid has.
const OF_GATEWAYS = 1n << 63n;

/** An owner of a gateway. @param chance 63 random bits: it must be unlike each of before, also of other gateways and lives */
export const gatewayOwner = (chance: bigint): bigint => OF_GATEWAYS | BigInt.asUintN(63, chance);

export const isGatewayOwner = (owner: bigint): boolean => (owner & OF_GATEWAYS) !== 0n;
