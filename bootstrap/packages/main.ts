// npm run packages: `@odonata/client` and `@odonata/vkctl` as packages in build/packages, of built JavaScript with declarations. Node
// runs no TypeScript below node_modules, so what a checkout runs as it is must be built to be installed.
import { fileURLToPath } from 'node:url';
import { makePackages } from './make.ts';

const [, , folder, ...more] = process.argv;
if (folder?.startsWith('-') || more.length > 0) {
  console.error('npm run packages [-- FOLDER]: the folder where they go; build/packages unless it is named');
  process.exit(2);
}
const out = folder ?? fileURLToPath(new URL('../../build/packages', import.meta.url));
for (const file of await makePackages(out)) console.log(file);
