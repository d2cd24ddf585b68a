import { fileURLToPath } from 'node:url';

/** Where Node keeps what it compiled of our modules: half of a short command's time would go into doing it again. */
export const COMPILE_CACHE = fileURLToPath(new URL('../../../node_modules/.cache/odonata', import.meta.url));
