/** True where tests take the time that they want, as `make test-long` lets them; else they are short. */
export const LONG = Boolean(process.env.ODONATA_LONG);
