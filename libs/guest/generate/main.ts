// Writes what is made from the description of module `odonata`: see outputs.ts.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outputs } from './outputs.ts';

for (const [path, text] of Object.entries(outputs())) {
  const file = fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  // An image is made without the docs.
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
