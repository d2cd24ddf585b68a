// What is allowed to be wrong, on its way out. Nothing is today: a new one needs a reason here.

/** Files that are in an import circle. */
export const KNOWN_IN_CIRCLES: ReadonlySet<string> = new Set();

/** Imports against the direction, as `importer -> imported`, each with its reason. */
export const KNOWN_AGAINST_DIRECTION: ReadonlyMap<string, string> = new Map();
