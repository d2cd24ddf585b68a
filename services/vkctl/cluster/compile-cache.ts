import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { currentBundle } from '@odonata/rpc/bundle.ts';

const OF_SOURCES = fileURLToPath(new URL('../../../node_modules/.cache/odonata', import.meta.url));

/**
 * Where Node keeps what it compiled of our modules: half of a short command's time would go into doing it again. That of
 * a bundle goes with it.
 */
export function compileCache(): string {
  const bundle = currentBundle();
  return bundle === undefined ? OF_SOURCES : join(bundle.folder, 'cache');
}
