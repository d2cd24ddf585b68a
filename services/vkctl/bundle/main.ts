// For `make setup`: makes the bundle, so that the first `vkctl up` need not.
import { reasonOf } from '../failure.ts';
import { makeSnapshot } from '../snapshot/make.ts';
import { makeBundle } from './make.ts';

try {
  await makeBundle();
} catch (error) {
  console.error(`bundle: programs run from their sources, which takes longer: ${reasonOf(error)}`);
}

try {
  await makeSnapshot();
} catch (error) {
  console.error(`bundle: vkctl starts without a snapshot, which takes longer: ${reasonOf(error)}`);
}
