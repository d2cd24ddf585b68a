/** Of what is made by chance: `FUZZ_SEED=7` makes what a run made that printed `seed=7`. */
export const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
